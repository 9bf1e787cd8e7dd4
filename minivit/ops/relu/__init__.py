"""ReLU:  y = max(x, 0).

x (…) -> (…)
backward: dx = dy where y > 0, and 0 elsewhere, from the output y alone
"""
