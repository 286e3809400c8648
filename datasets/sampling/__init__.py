"""How the images of an epoch are drawn: class-uniform sampling, epochs, joined datasets."""
