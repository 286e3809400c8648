"""Drawn annotations of labelling programs: outlines and masks to label maps, and the file for --data_yaml."""
