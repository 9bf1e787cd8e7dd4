"""Max-pooling with SAME padding:  y = the largest number of every side×side window, channel by channel.

x (B,h,w,C) -> (B,⌈h/stride⌉,⌈w/stride⌉,C)      windows and padding as in ops/conv; outside the map x is −∞
hybrids: side 3, stride 2, which on an even map pads nothing before and one row and column after

backward: every dy goes to the pixel that was the largest of its window; of several, to the first (as XLA does)
"""
