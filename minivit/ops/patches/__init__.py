"""Patch embedding (arXiv:2010.11929 eq. 1): cut the image into P×P squares and project each to D numbers.

images (B,h,w,c), w (P,P,c,D), b (D,) -> (B, ⌊h/P⌋·⌊w/P⌋, D)       patches row by row
A convolution with kernel = stride = P is the same as one matrix product on flattened patches.  Rows and columns
that do not fill a patch are dropped, as the official VALID convolution does.

backward: that of the matrix product; what was dropped at the border has gradient zero
"""
