"""Dataset custom: images, labels and classes described in a YAML file."""
