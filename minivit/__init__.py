"""minivit"""
