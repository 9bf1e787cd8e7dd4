"""The array functions that the models are made of: one folder per op, one file per tier, one signature.

``ref.py`` (NumPy) says what is true; the other tiers may only be faster.  Each folder's ``__init__`` is the op's card.
"""
