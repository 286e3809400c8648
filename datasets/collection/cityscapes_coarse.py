"""Coarse labels of Cityscapes: 19998 more images (train_extra), labelled coarsely by people or by a network.

Labels of a network are the files of `train.py --dump_for_auto_labelling` (hierarchical multi-scale attention, arXiv
2005.10821, section 3.2): ids in <image>.png, the probability of each in <image>_prob.png. The quality of the
dataset, coarse or customcoarse, decides which of the two is read; the paths play no part.
"""

import os
from pathlib import Path

import cv2
import numpy as np

from config import cfg
from datasets.base import dataset_root
from datasets.collection.layout import first_folder, list_files, make_items, subfolders
from datasets.loading.reading import read_label
from utils.classes import Classes, lookup_table
from utils.files.archives import locate

QUALITIES = ('coarse', 'customcoarse')
IMAGE_FOLDERS = ('leftImg8bit_trainextra/leftImg8bit/train_extra', 'leftImg8bit/train_extra')
LABEL_FOLDERS = ('gtCoarse/gtCoarse/train_extra', 'gtCoarse/train_extra')
IMAGE_ENDING, LABEL_ENDING, PROBABILITY_ENDING = '_leftImg8bit.png', '_gtCoarse_labelIds.png', '_prob.png'
DAMAGED = 'troisdorf_000000_000073_leftImg8bit.png'  # known to be damaged in the download
VOID = 0  # id of unlabeled
# Rows and columns outside of which the own car and the rectification border lie, first and behind the last, at 1024 x
# 2048.
WINDOW, WINDOW_OF = ((15, 840), (14, 2030)), (1024, 2048)


class AutoLabels:
    """Reads the labels that a network wrote: ids where they can be trusted, VOID elsewhere.

    probability: pixels whose stored probability / 255 is below it are void. mask_border: so is what lies outside
    WINDOW, whose sides scale with the label's. replaced: ids of classes that the network finds badly; their pixels are
    void, and those that people gave the id in the coarse label have it, wherever they lie.

    files: {item: (probabilities, coarse label)}, each None where it is not read.
    """

    def __init__(self, probability: float, mask_border: bool, replaced, files: dict):
        self.least = int(np.argmax(np.arange(256) / 255 >= probability))  # the smallest byte that is enough
        self.mask_border, self.files = mask_border, files
        self.kept, self.drawn = np.arange(256, dtype=np.uint8), lookup_table({id_: id_ for id_ in replaced}, VOID)
        self.kept[list(replaced)] = VOID
        self.rules = repr((self.least, mask_border, tuple(sorted(set(replaced)))))

    def __call__(self, item) -> np.ndarray:
        """Ids uint8 (H, W) of an item. Raises ValueError when its files have different sizes."""
        ids = read_label(item.label)
        probabilities, coarse = self.files[item]
        if probabilities is not None:
            ids *= _read_as(probabilities, ids.shape, item.label) >= self.least  # VOID is 0
        if self.mask_border:
            ids = inside_window(ids)
        if coarse is not None:
            ids, drawn = cv2.LUT(ids, self.kept), cv2.LUT(_read_as(coarse, ids.shape, item.label), self.drawn)
            np.copyto(ids, drawn, where=drawn != VOID)
        return ids


def _read_as(path, shape, label):
    array = read_label(path)
    if array.shape != shape:
        raise ValueError(
            f'{path}: is {array.shape[1]}x{array.shape[0]} pixels (width x height) but {label}, with which it is read,'
            f' is {shape[1]}x{shape[0]}; write or unpack both anew'
        )
    return array


def inside_window(ids: np.ndarray) -> np.ndarray:
    """A copy of `ids` (H, W) that is VOID outside WINDOW."""
    (top, bottom), (left, right) = (
        [(2 * place * side + whole) // (2 * whole) for place in places]  # rounded
        for places, side, whole in zip(WINDOW, ids.shape, WINDOW_OF)
    )
    masked = np.full_like(ids, VOID)
    masked[top:bottom, left:right] = ids[top:bottom, left:right]
    return masked


def find_coarse(base, quality: str, classes: Classes):
    """(image root, items sorted by name, AutoLabels or None, notes) of the folder `base`; the rest is read from
    cfg.DATASET.

    Raises FileNotFoundError that says which folder or how many files are missing.
    """
    folder = first_folder(base, IMAGE_FOLDERS, 'images with coarse labels')
    images = [image for city in subfolders(folder) for image in list_files(folder / city, [IMAGE_ENDING.lower()])]
    kept = [image for image in images if image.name != DAMAGED]
    notes = [f'{DAMAGED} is known to be damaged and is left out'] if len(kept) < len(images) else []

    def pairs(labels, ending):
        def label_of(image):
            return labels / image.parent.relative_to(folder) / (image.name[: -len(IMAGE_ENDING)] + ending)

        return make_items(kept, folder.parent, label_of)

    settings = cfg.DATASET
    replaced = _ids(settings.CUSTOM_COARSE_DROPOUT_CLASSES, classes)
    if quality == 'coarse' or replaced:
        drawn = pairs(first_folder(base, LABEL_FOLDERS, 'coarse labels'), LABEL_ENDING)
    if quality == 'coarse':
        return folder.parent, drawn, None, notes
    written, ending = _written_folder(base, folder), IMAGE_ENDING
    items = pairs(written, ending)
    probability, nothing = settings.CUSTOM_COARSE_PROB or 0, [None] * len(items)
    probabilities = (
        [item.label for item in pairs(written, ending.replace('.png', PROBABILITY_ENDING))] if probability else nothing
    )
    coarse = [item.label for item in drawn] if replaced else nothing
    auto = AutoLabels(probability, settings.MASK_OUT_CITYSCAPES, replaced, dict(zip(items, zip(probabilities, coarse))))
    return folder.parent, items, auto, notes


def _ids(trainids, classes):
    wrong = [trainid for trainid in trainids if not 0 <= trainid < len(classes)]
    if wrong:
        raise ValueError(
            f'--custom_coarse_dropout_classes: {wrong[0]} is no trainId of Cityscapes, which has 0 to'
            f' {len(classes) - 1}'
        )
    return [classes.ids[trainid] for trainid in trainids]


def _written_folder(base, images):
    """The folder of one folder per city that holds the labels of a network."""
    given = cfg.DATASET.CITYSCAPES_CUSTOMCOARSE
    tried = (Path(os.path.expanduser(given)), dataset_root() / given) if given else (base / 'autolabelled',)
    for folder in map(locate, tried):
        if folder.is_dir():
            return locate(folder / 'train_extra') if locate(folder / 'train_extra').is_dir() else folder
    raise FileNotFoundError(
        f'{tried[0]}: the folder of auto-labelled masks does not exist; name it with --custom_coarse_dir, or write it: '
        f'train.py --eval folder --eval_folder {images.parent} --dump_for_auto_labelling --result_dir {tried[0]}'
    )
