"""Dataset custom: images, labels and classes described in a YAML file."""

from datasets.custom.custom import Custom

__all__ = ['Custom']
