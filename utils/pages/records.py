"""Page records: what a page shows of an image, plain data that is stored beside the pictures and read again."""

from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from utils.classes import pixels_per_class
from utils.files.atomic import write_json
from utils.files.limits import parse_json

KINDS = ('photo', 'classes', 'error', 'map')  # of layers


@dataclass
class Layer:
    """A picture of an image. file: posix path relative to the page; kind: photo, classes, error or map. White in a map
    is `top`, in `unit`; black is 0."""

    key: str
    title: str
    file: str
    kind: str
    top: float = 1.0
    unit: str = ''


@dataclass
class PageRecord:
    """What the page shows of an image.

    miou, accuracy in [0, 1], None without labels. classes: [class id, labelled pixels, predicted pixels, IoU] of each
    class that occurs; None for what is not known. about: a line of text. mark: a place (x, y) as shares of the width
    and height. thumbnails: the strip of pages.thumbnails, pixels: the file of pages.pixels, posix paths or ''.
    """

    name: str
    index: int
    width: int
    height: int
    layers: list = field(default_factory=list)
    miou: float | None = None
    accuracy: float | None = None
    wrong: int = 0
    valid: int = 0
    classes: list = field(default_factory=list)
    about: str = ''
    mark: list | None = None
    thumbnails: str = ''
    pixels: str = ''
    run: str = ''

    def layer(self, key: str):
        """The layer called `key`, or None."""
        return next((layer for layer in self.layers if layer.key == key), None)

    def files(self) -> list:
        """Every file that the page reads for this image."""
        return [*(layer.file for layer in self.layers), *filter(None, (self.thumbnails, self.pixels))]

    def save(self, path):
        write_json(path, asdict(self), durable=False)


def load_record(path, run: str, folder):
    """The record stored at path, or None: not there, of another run, or with a file missing below folder."""
    try:
        stored = parse_json(Path(path).read_bytes())
        record = PageRecord(**{**stored, 'layers': [Layer(**layer) for layer in stored['layers']]})
        if not _is_plain(record):
            return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    complete = all(_is_below(file) and (Path(folder) / file).is_file() for file in record.files())
    return record if complete and run and record.run == run else None


def _is_below(file: str) -> bool:
    return not file.startswith('/') and '..' not in PurePosixPath(file).parts


def _is_plain(record: PageRecord) -> bool:
    """Whether the values are of the types that `save` writes; an altered record is drawn again."""

    def number(*values):
        return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)

    whole = (record.index, record.width, record.height, record.wrong, record.valid)
    optional = (record.miou, record.accuracy, *(value for entry in record.classes for value in entry[1:]))
    texts = ('name', 'about', 'thumbnails', 'pixels', 'run')
    return (
        all(type(value) is int and value >= 0 for value in whole)
        and all(value is None or number(value) for value in optional)
        and all(len(entry) == 4 and number(entry[0]) for entry in record.classes)
        and (record.mark is None or number(*record.mark))
        and all(isinstance(getattr(record, key), str) for key in texts)
        and all(number(layer.top) for layer in record.layers)
        and all(isinstance(text, str) for layer in record.layers for key, text in asdict(layer).items() if key != 'top')
        and all(layer.kind in KINDS for layer in record.layers)
    )


def count_classes(record: PageRecord, num_classes: int, labels=None, prediction=None):
    """Fill in the classes of the record, and its scores where there are both maps, uint8 (h, w) of trainIds.

    Pixels without a label do not count. The mIoU of an image is the mean over the classes in its label or its
    prediction.
    """
    if prediction is None:
        record.classes = [[label, pixels, None, None] for label, pixels in occurring(labels, num_classes)]
    elif labels is None:
        record.classes = [[label, None, pixels, None] for label, pixels in occurring(prediction, num_classes)]
    else:
        _score(record, num_classes, labels, prediction)


def occurring(labels: np.ndarray, num_classes: int) -> list:
    """(class, pixels) of the classes in a map."""
    return [(label, int(pixels)) for label, pixels in enumerate(pixels_per_class(labels, num_classes)) if pixels]


def _score(record, num_classes, labels, prediction):
    valid = labels < num_classes
    pairs = labels[valid].astype(np.int64) * num_classes + prediction[valid]
    counts = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    right, labelled, predicted = counts.diagonal(), counts.sum(1), counts.sum(0)
    union = labelled + predicted - right
    record.valid, record.wrong = int(counts.sum()), int(counts.sum() - right.sum())
    if record.valid:
        record.accuracy = 1 - record.wrong / record.valid
        record.classes = [
            [int(c), int(labelled[c]), int(predicted[c]), float(right[c] / union[c])] for c in np.flatnonzero(union)
        ]
        record.miou = float(np.mean([iou for *_, iou in record.classes]))
