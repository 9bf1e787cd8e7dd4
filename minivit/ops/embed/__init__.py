"""Put learned tokens in front of the patches: the class token, and DeiT's distillation token (arXiv:2012.12877).

patches (B,G,D), prefix (1,T,D) -> (B,T+G,D)

backward: dpatches = the rows of dy behind the prefix, dprefix = the sum of the first T rows over the images
"""
