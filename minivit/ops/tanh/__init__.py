"""Hyperbolic tangent, element by element: the activation of the representation layer and of Hugging Face's pooler.

x (…) -> (…)      backward, from the output y alone: dx = dy · (1 − y²)
"""
