"""A first description of a folder of images and labels: what --data_yaml needs, to be completed by hand."""
