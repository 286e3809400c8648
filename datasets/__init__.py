"""Datasets by name; how epochs are drawn from them is in `sampling`, how they are batched in `loading`.

Nothing here imports torch, so that `python -m datasets.prepare` and the processes that it starts come up fast.
"""

from datasets.base import Dataset, Item, registered
from datasets.loading.reading import read_image
from datasets.registry import dataset_names, get_classes, get_dataset, splits_of
from utils.classes import Classes

__all__ = [
    'Classes',
    'Dataset',
    'Item',
    'dataset_names',
    'get_classes',
    'get_dataset',
    'read_image',
    'registered',
    'splits_of',
]
