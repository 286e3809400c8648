"""python -m datasets.browse: samples of a dataset with their labels, as a page or a contact sheet."""
