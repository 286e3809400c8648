"""A small data set of one's own and the file that describes it, for the tests of --dataset custom."""
import yaml
from conftest import flat_image, striped_label, write_png

from config import scope
from datasets import get_dataset

CLASSES = [{'name': 'road', 'id': 7}, {'name': 'car', 'id': [26, 27]}]
FOLDERS = {'images': 'images/{split}/**/*.png', 'labels': 'labels/{split}/{stem}.png', 'ignore': 0, 'classes': CLASSES}
FLAT = {'images': 'images/train/**/*.png', 'labels': 'labels/train/{stem}.png', 'ignore': 0, 'classes': CLASSES}


def make_images(folder):
    """images/{train,val}/c{0,1}/*.png with labels/{train,val}/*.png of ids 7, 26, 27, 0; six of train, two of val."""
    for split, numbers in (('train', range(6)), ('val', range(6, 8))):
        for number in numbers:
            write_png(folder / f'images/{split}/c{number % 2}/{number:02d}.png', flat_image(number))
            write_png(folder / f'labels/{split}/{number:02d}.png', striped_label((7, 26, 27, 0)))
    return folder


def open_custom(folder, values, split='train'):
    """That split of the data set which `values`, or a text, describe in folder/data.yaml."""
    (folder / 'data.yaml').write_text(values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False))
    with scope(DATASET__DATA_YAML=str(folder / 'data.yaml')):
        return get_dataset('custom', split)


def names(dataset):
    return [item.name for item in dataset.items]
