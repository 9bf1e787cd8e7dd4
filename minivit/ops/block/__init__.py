"""A whole encoder block, or all blocks, as one step that a tier may do in one kernel (models/fusion.py):

    block(p, x, config)            x (B,N,D) -> (B,N,D)       p: the parameters of one block
    encoder(blocks, x, config)     x (B,N,D) -> (B,N,D)       all blocks, one after the other

What it computes is written in models/vit.py; there is no `ref.py`.
"""
