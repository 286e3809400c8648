"""Verification of a dataset: `python -m datasets.verify` reads everything once; quick.py is what train.py does by
itself."""
