"""Linear layer:  y = x w + b.

x (…,I), w (I,O), b (O) -> (…,O)         the matrix stands as (in, out), as in Flax; PyTorch stores (out, in)
work: 2·I·O FLOPs per token; a ViT spends more than nine tenths of its time here

backward: dx = dy wᵀ, dw = xᵀ dy, db = Σ dy over all rows; twice the work of the forward
"""
