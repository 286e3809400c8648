"""Sampling, how the images of an epoch are drawn: class-uniform, with coarse labels or without."""
