"""Records of samples for a page: the image and its label as layers, and the classes that it holds."""

from pathlib import Path

import numpy as np

from datasets.browse.pictures import fitted
from datasets.browse.samples import Shown
from utils.classes import Classes
from utils.files.images import write_jpeg, write_png
from utils.outputs.pictures import palette_image
from utils.pages.pixels import write_pixels
from utils.pages.records import Layer, PageRecord, count_classes
from utils.pages.thumbnails import write_thumbnails


def record(shown: Shown, classes: Classes, folder: Path, number: int) -> PageRecord:
    """Write the files of a sample into `folder`, which lies beside the page; returns its record.

    The pictures are fitted; classes are counted, and read under the pointer, at the size of the sample.
    """
    height, width = shown.image.shape[:2]
    made = PageRecord(shown.name, number, width, height, about=shown.about)

    def file(ending):
        return folder / f'{number:04d}_{ending}'

    def add(key, title, ending, kind, write, picture):
        write(file(ending), picture)
        made.layers.append(Layer(key, title, _beside(file(ending)), kind))
        return kind, picture

    small = [add('input', 'Image', '0.jpg', 'photo', write_jpeg, np.ascontiguousarray(fitted(shown.image)))]
    if shown.label is not None:
        coloured = palette_image(fitted(shown.label), classes.colors)
        small.append(add('gt', 'Label', '1.png', 'classes', write_png, coloured))
        count_classes(made, len(classes), labels=shown.label)
        write_pixels(file('pixels.js'), label=shown.label)
        made.pixels = _beside(file('pixels.js'))
    if shown.mark is not None:
        made.mark = [float(place / side) for place, side in zip(shown.mark, (width, height))]
    write_thumbnails(file('thumbnails.jpg'), small)
    made.thumbnails = _beside(file('thumbnails.jpg'))
    return made


def _beside(path: Path) -> str:
    return f'{path.parent.name}/{path.name}'
