"""Ensembles: labels, confidences and scores of several models, benchmark metrics and submissions.

Everything streams: one image at a time, running sums, histograms. `ensemble.py` is the program in front of it.
Imports go downwards: benchmarks, fusion, statistics, tensors.
"""
