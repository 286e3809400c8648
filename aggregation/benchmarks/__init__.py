"""Benchmarks (BRAVO, Cityscapes, SegmentMeIfYouCan): their files, scores and submissions."""
