"""Convolution with SAME padding, as TensorFlow pads, and the standardised weights that the hybrids give it.

    conv(x, w, stride)    x (B,h,w,c), w (k,k,c,O) -> (B,⌈h/stride⌉,⌈w/stride⌉,O)      no bias
    y[i,j] = Σ x[stride·i + m − low, stride·j + n − low] · w[m,n]      over the k×k window; outside the map x is zero

SAME: the windows need (⌈h/s⌉ − 1)·s + k − h more rows than there are; ⌊half⌋ of them are added above, the rest below.
An odd number makes the padding one-sided: 2 and 3 for the 7×7 root of the hybrids, 0 and 1 for their 3×3 at stride 2.
(PyTorch pads both sides alike: a shift by one pixel.)
work: 2·k·k·c·O FLOPs per output; a 1×1 convolution is a linear layer, any other one a linear layer on windows (im2col)

    standardise(w, eps, eps_on)    w (k,k,c,O) -> the same shape: mean 0 and deviation 1 for every output channel
    (w − mean) / (σ + eps)  if eps_on is "std" (vit_jax, 1e-5);  (w − mean) / √(σ² + eps)  if "variance" (timm, 1e-8)
Weight standardisation (Qiao et al., arXiv:1903.10520): training changes w, the convolution sees what is made of it.

backward of conv: dw = windowsᵀ dy; dx: every window hands its gradient back to the pixels that it covered
backward of standardise, with c = w − mean, d the denominator and r the root in it (σ, or d itself):
    dc = (dŵ − c · mean(dŵ·c) / (d·r)) / d,  dw = dc − mean(dc)         means over the k·k·c weights of a channel
"""
