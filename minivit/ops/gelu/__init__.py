"""GELU (Hendrycks, Gimpel, arXiv:1606.08415):  y = x · Φ(x), with Φ the normal distribution function.

"erf"    y = x/2 · (1 + erf(x/√2))                            the definition: Hugging Face, timm
"tanh"   y = x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))       the approximation: official JAX weights
x (…) -> (…)      the two differ by up to 4.7e-4, so each checkpoint must get its own

backward: dx = dy · y'(x)
"erf"    y' = Φ(x) + x · φ(x),  with φ(x) = exp(−x²/2) / √(2π)
"tanh"   y' = ½ (1 + t) + ½ x (1 − t²) · √(2/π)·(1 + 3·0.044715·x²),  with t the tanh above
"""
