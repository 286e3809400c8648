"""The record of one pictured image: which pictures there are, and how well it was predicted.

Records are plain data: they are gathered from all ranks, stored as JSON beside the pictures, and rendered by page.py.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from utils.files.atomic import write_json


@dataclass
class Layer:
    """A picture of an image. file: posix path relative to the page; kind: photo, classes, error or map (of [0, 1])."""

    key: str
    title: str
    file: str
    kind: str


@dataclass
class PageRecord:
    """What the page shows of an image. miou, accuracy in [0, 1], None without labels; ious: [class id, IoU] pairs."""

    name: str
    index: int
    width: int
    height: int
    layers: list = field(default_factory=list)
    miou: float | None = None
    accuracy: float | None = None
    wrong: int = 0
    valid: int = 0
    ious: list = field(default_factory=list)
    run: str = ''

    def layer(self, key: str):
        """The layer called `key`, or None."""
        return next((layer for layer in self.layers if layer.key == key), None)

    def save(self, path):
        write_json(path, asdict(self), durable=False)


def load_record(path, run: str, folder):
    """The record stored at path, or None: not there, of another run, or with a picture missing below folder."""
    try:
        stored = json.loads(Path(path).read_text(encoding='utf-8'))
        record = PageRecord(**{**stored, 'layers': [Layer(**layer) for layer in stored['layers']]})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    complete = all((Path(folder) / layer.file).is_file() for layer in record.layers)
    return record if complete and run and record.run == run else None


def score(record: PageRecord, prediction: np.ndarray, labels: np.ndarray, valid: np.ndarray, num_classes: int):
    """Fill in the record's scores. The mIoU of an image is the mean over the classes in its label or its prediction."""
    pairs = labels[valid].astype(np.int64) * num_classes + prediction[valid]
    counts = np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
    right, union = counts.diagonal(), counts.sum(0) + counts.sum(1) - counts.diagonal()
    record.valid, record.wrong = int(counts.sum()), int(counts.sum() - right.sum())
    if record.valid:
        record.accuracy = 1 - record.wrong / record.valid
        record.ious = [[int(c), float(right[c] / union[c])] for c in np.flatnonzero(union)]
        record.miou = float(np.mean([iou for _, iou in record.ious]))
