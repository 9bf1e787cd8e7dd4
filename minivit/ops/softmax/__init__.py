"""Softmax:  p_j = exp(x_j) / Σ_k exp(x_k), over the last axis.

x (…,N) -> (…,N)      every row is positive and sums to one
Adding a constant to a row changes nothing, so the row's maximum is subtracted first: exp(0) cannot overflow.

backward: dx_j = p_j · (dp_j − Σ_k dp_k p_k), from the output p alone
"""
