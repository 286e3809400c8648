"""Annotated photos for the tests of labelling programs: photos of chosen sizes, and the labels that come of them."""

import io
import json

import numpy as np
import yaml
from PIL import Image
from prepare_trees import prepare

from config import scope
from datasets import get_dataset
from datasets.loading.reading import read_label


def photo(path, height=4, width=4, orientation=None, number=0):
    """A photo as stored, with an EXIF orientation; PNG or JPEG as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.full((height, width, 3), number, np.uint8))
    exif = Image.Exif()
    if orientation:
        exif[274] = orientation
    image.save(path, exif=exif)


def png(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8)).save(buffer, 'PNG')
    return buffer.getvalue()


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


class Prepared:
    """The results of `python -m datasets.prepare NAME --root ROOT ...`: exit code, what it printed, values of the file
    for --data_yaml, and label maps by name."""

    def __init__(self, capsys, name, root, *flags):
        self.out = root / f'prepared_{name}'
        self.file = self.out / f'{root.name}.yaml'
        self.code, self.printed = prepare(capsys, name, '--root', root, *flags)
        self.values = yaml.safe_load(self.file.read_text()) if self.file.is_file() else None
        self.names = {entry['name']: entry['id'] for entry in self.values['classes']} if self.values else {}

    def label(self, name):
        """The rows of a label map as text, a class by the first letter of its name, . for background, x for void."""
        letters = {
            255: 'x',
            **{value: name[0] for name, value in self.names.items()},
            self.names.get('background'): '.',
        }
        rows = read_label(self.out / 'labels' / name)
        return [''.join(letters[value] for value in row) for row in rows.tolist()]

    def dataset(self, split='train'):
        with scope(DATASET__DATA_YAML=str(self.file)):
            return get_dataset('custom', split)
