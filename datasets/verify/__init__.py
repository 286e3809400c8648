"""Verification of a dataset: `python -m datasets.verify` reads all of it; train.py does the quick one by itself."""
