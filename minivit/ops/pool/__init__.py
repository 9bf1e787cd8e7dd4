"""From tokens to the image's feature.

x (B,N,D) -> (B,D)       "token": the class token · "gap": the mean of the patch tokens
x (B,N,D) -> (B,N,D)     "unpooled", "token_unpooled": every token keeps its own

backward, dy -> dx (B,N,D): "token": dy for the class token, zero for the others · "gap": dy / patches for each patch
"""
