"""GELU (Hendrycks, Gimpel, arXiv:1606.08415):  y = x · Φ(x), with Φ the normal distribution function.

"erf"    y = x/2 · (1 + erf(x/√2))                            the definition: Hugging Face, timm
"tanh"   y = x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))       the approximation: official JAX weights
x (…) -> (…)      the two differ by up to 4.7e-4, so each checkpoint must get its own
"""
