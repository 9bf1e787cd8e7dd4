"""The ResNet of a hybrid as one step that a tier may do in one kernel (models/fusion.py):

    stem(p, images, config)        images (B,h,w,c) -> feature map (B,rows,columns,channels)       p: its parameters

What it computes is written in models/hybrid.py; there is no `ref.py`.
"""
