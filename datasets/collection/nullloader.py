"""Null loader: black images, to measure how fast a network trains when nothing has to be read."""

from pathlib import Path

import numpy as np

from config import cfg
from datasets.base import Dataset, Item, registered
from datasets.collection.cityscapes_labels import TRAINID_CLASSES


@registered
class NullLoader(Dataset):
    """3000 images of the crop size, all zeros, with labels that are all class 0 of Cityscapes' 19.

    There are no label files to look for classes in, so training needs --class_uniform_pct 0.
    """

    name = 'nullloader'
    classes = TRAINID_CLASSES
    length = 3000

    def _find_items(self):
        if self.split == 'train' and cfg.DATASET.CLASS_UNIFORM_PCT > 0:
            raise ValueError(
                '--dataset nullloader has no label files to sample classes from, but --class_uniform_pct is '
                f'{cfg.DATASET.CLASS_UNIFORM_PCT}; give --class_uniform_pct 0'
            )
        self.size = tuple(cfg.DATASET.CROP_SIZE)
        return Path(), [Item(Path(f'img{place}'), Path(f'img{place}'), f'img{place}') for place in range(self.length)]

    def load(self, item):
        return np.zeros((*self.size, self.channels), np.uint8), self.raw_label(item)

    def raw_label(self, item):
        return np.zeros(self.size, np.uint8)

    def label_files(self, item):
        return ()

    def files(self, item):
        return ()

    def sizes(self):
        return (self.size for _ in self.items)
