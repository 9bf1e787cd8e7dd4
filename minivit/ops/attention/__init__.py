"""Scaled dot-product attention (Vaswani et al., arXiv:1706.03762, eq. 1), every head at once:

    attend(q, k, v) = softmax(q kᵀ / √K) v         q, k, v (B,H,N,K) -> (B,H,N,K)

In three parts, so that each has a name and can be looked at or replaced: `scores`, softmax (its own op), `mix`.
The scores and probabilities are N×N per head: 4·N²·D FLOPs and 2·H·N² numbers, the only cost that grows with N².
A tier may provide `attend` in one kernel that never stores them.

backward, with d for the gradient of the loss, A = softmax(scores), z = A v:
    mix       dA = dz vᵀ            dv = Aᵀ dz
    scores    dq = dscores k / √K   dk = dscoresᵀ q / √K
"""
