"""Hyperbolic tangent, element by element: the activation of the representation layer and of Hugging Face's pooler."""
