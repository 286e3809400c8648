"""What is made of several models' outputs: fused labels, confidences, scores, benchmark metrics and submissions.

Everything here streams: one image at a time, running sums, histograms. `ensemble.py` is the program in front of it.
"""
