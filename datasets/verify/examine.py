"""Examination of one image and its label: everything that a verification asks for, in one pass."""

import hashlib
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from datasets.base import Dataset, Item
from datasets.labels import UnknownColours
from datasets.loading.orientation import UPRIGHT
from datasets.loading.reading import peek_turned
from datasets.loading.threads import MAX_THREADS, in_threads
from utils.files.decoder_lines import gathered

EXACT = 1 << 24  # pixels that cv2.calcHist counts exactly: it returns float32
EVERY = 8  # rows of which one goes into the digest: candidates for equal images are compared in full later


class Examined(NamedTuple):
    """What an item's files have shown. Sizes are (H, W) in pixels, None where a file is unreadable or not there.

    image_fault, label_fault: the reader's sentence about an unusable file. counts int64 (256,): pixels of each raw id,
    None when the label was not decoded. mean, std (C,): of the values of each channel in [0, 1].
    digest: equal for images of equal pixels. orientations: of image and label, as EXIF has them.
    colours: {(r, g, b): pixels} of those in the label that no class has. doubts: (path, line) of files that were read,
    but whose decoder said that their pixels are damaged.
    """

    item: Item
    size: tuple | None = None
    label_size: tuple | None = None
    image_fault: str = ''
    label_fault: str = ''
    counts: np.ndarray | None = None
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    digest: bytes = b''
    orientations: tuple = (UPRIGHT, UPRIGHT)
    colours: dict | None = None
    doubts: tuple = ()


def examine(dataset: Dataset, item: Item) -> Examined:
    """Decode the image and the label of an item; faults are noted, not raised."""
    with gathered() as doubts:
        found = _examine(dataset, item)
    return found._replace(doubts=tuple(doubts))


def _examine(dataset, item) -> Examined:
    found = Examined(item)
    try:
        image = dataset.read_image(item.image)
    except (ValueError, OSError) as error:
        found = found._replace(image_fault=str(error))
    else:
        mean, std = _mean_std(image)
        digest = hashlib.sha1(image[::EVERY].tobytes() + repr(image.shape).encode(), usedforsecurity=False).digest()
        turned = (peek_turned(item.image)[1], UPRIGHT)
        found = found._replace(size=image.shape[:2], orientations=turned, mean=mean / 255, std=std / 255, digest=digest)
    return _with_label(dataset, found)


def examine_label(dataset: Dataset, glanced: Examined) -> Examined:
    """Decode the label of an item whose files were glanced at, and not its image."""
    with gathered() as doubts:
        found = _with_label(dataset, glanced)
    return found._replace(doubts=tuple(doubts))


def _with_label(dataset, found):
    item = found.item
    if item.label is None:
        return found
    try:
        raw = dataset.raw_label(item)
    except UnknownColours as error:
        return found._replace(label_fault=str(error), colours=error.pixels)
    except (ValueError, OSError) as error:
        return found._replace(label_fault=str(error))
    turned = (found.orientations[0], peek_turned(item.label)[1])
    return found._replace(label_size=raw.shape, counts=count_ids(raw), orientations=turned)


def _mean_std(image) -> tuple:
    """Of each channel of image uint8 (H, W, C); four channels are the most that OpenCV takes."""
    parts = [cv2.meanStdDev(np.ascontiguousarray(image[..., k : k + 4])) for k in range(0, image.shape[2], 4)]
    means, stds = zip(*parts)
    return np.concatenate(means).ravel(), np.concatenate(stds).ravel()


def count_ids(raw: np.ndarray) -> np.ndarray:
    """int64 (256,): how many pixels of raw uint8 (H, W) hold each id; a quarter of the time of np.bincount."""
    rows = max(1, EXACT // max(1, raw.shape[1]))
    parts = [
        cv2.calcHist([raw[top : top + rows]], [0], None, [256], [0, 256]).ravel()
        for top in range(0, raw.shape[0], rows)
    ]
    return np.sum(parts, axis=0, dtype=np.int64)


def glance(item: Item) -> Examined:
    """What the first and last bytes of an item's files tell: their sizes, and whether they are cut off."""
    sizes, faults, turned = [], [], []
    for file in (item.image, item.label):
        try:
            size, orientation = (None, UPRIGHT) if file is None else peek_turned(file)
            fault = ''
        except (ValueError, OSError) as error:
            size, orientation, fault = None, UPRIGHT, str(error)
        sizes.append(size)
        turned.append(orientation)
        faults.append(fault)
    return Examined(item, *sizes, *faults, orientations=tuple(turned))


def examine_all(dataset: Dataset, items, threads=None, log=None) -> list:
    """examine() of every item, in as many threads as there are usable cores (decoding runs beside Python)."""
    unit = 'pairs' if dataset.labelled else 'images'
    return list(
        in_threads(lambda item: examine(dataset, item), items, f'reading split {dataset.split!r}', unit, threads, log)
    )


def glance_all(dataset: Dataset, log=None) -> list:
    """glance() of every item, in many threads, which wait for the disk rather than work."""
    return list(in_threads(glance, dataset.items, f'headers of split {dataset.split!r}', 'pairs', MAX_THREADS, log))


def examine_labels(dataset: Dataset, glanced, log=None) -> list:
    """examine_label() of what glance_all returned, or some of it."""
    examine_one = partial(examine_label, dataset)
    return list(in_threads(examine_one, glanced, f'labels of split {dataset.split!r}', 'labels', None, log))
