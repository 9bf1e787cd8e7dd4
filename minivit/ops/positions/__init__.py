"""Position embeddings at another resolution: the table is an image of D channels, resized like one.

    table (1,prefix+g·g',D) -> (1,prefix+r·r',D)       the prefix tokens keep their rows; a separable, dense resize

The official recipes differ by order one on the same table:
    "corner_bilinear"     vit_jax: scipy.ndimage.zoom(order=1); first and last samples stay on the corners
    "bilinear"            timm's .npz loader: half-pixel centres, no antialias
    "bicubic"             Hugging Face: half-pixel centres, a = −0.75, no antialias
    "bicubic_antialias"   timm: half-pixel centres, a = −0.5, the kernel widens when shrinking
Two more repeat what the official programs do to the last bit:
    "bicubic_antialias_float32"   timm resizes in float32 whatever the model's dtype: PyTorch's arithmetic in its order
    "corner_bilinear_scipy"       with scipy's border bug (scipy/scipy#4922): where rounding carries a sample past the
                                  last row, that row becomes zero: for example 28 → 48 (ViT-B/8 at 384 pixels)

backward: the resize is linear in the table, so its matrices, transposed, take the gradient back:
    dy (1,prefix+r·r',D) -> dtable (1,prefix+g·g',D)
"""
