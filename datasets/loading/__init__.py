"""Loading, from files to batches: archives, image formats, cache, loaders and their processes."""
