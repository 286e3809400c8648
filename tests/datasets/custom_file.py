"""A small data set of one's own and the file that describes it, for the tests of --dataset custom."""

import numpy as np
import yaml
from trees import write

from config import scope
from datasets import get_dataset

CLASSES = [{'name': 'road', 'id': 7}, {'name': 'car', 'id': [26, 27]}]
FOLDERS = {'images': 'images/{split}/**/*.png', 'labels': 'labels/{split}/{stem}.png', 'ignore': 0, 'classes': CLASSES}
FLAT = {'images': 'images/train/**/*.png', 'labels': 'labels/train/{stem}.png', 'ignore': 0, 'classes': CLASSES}


def stripes(*values):
    """Ids (H, W), or colours (H, W, 3), in vertical stripes of 12 pixels."""
    return np.repeat(np.array(values, np.uint8), 12, axis=0)[None].repeat(8, 0)


def make_images(folder):
    """images/{train,val}/c{0,1}/*.png with labels/{train,val}/*.png of ids 7, 26, 27, 0; six of train, two of val."""
    for split, numbers in (('train', range(6)), ('val', range(6, 8))):
        for number in numbers:
            write(folder / f'images/{split}/c{number % 2}/{number:02d}.png', stripes(*[(number, 2, 3)] * 4))
            write(folder / f'labels/{split}/{number:02d}.png', stripes(7, 26, 27, 0))
    return folder


def open_custom(folder, values, split='train'):
    """That split of the data set which `values`, or a text, describe in folder/data.yaml."""
    (folder / 'data.yaml').write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False))
    with scope(DATASET__DATA_YAML=str(folder / 'data.yaml')):
        return get_dataset('custom', split)


def names(dataset):
    return [item.name for item in dataset.items]
