"""Dataset: where its images and labels are, what the labels mean, and how one pair is loaded."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from config import cfg
from datasets.labels import ColorTable, LabelMapper
from datasets.loading.channels import read_channels
from datasets.loading.formats import limit_pixels
from datasets.loading.orientation import TURN_REMEDY, why_sizes_differ
from datasets.loading.reading import label_size, peek_turned, read_label
from utils.classes import Classes
from utils.files.archives import ArchivePath, locate

DATASETS = {}  # name -> Dataset class, entered by `registered`


class Item(NamedTuple):
    """One image of a dataset. name: path of the image below the dataset's image root, with extension."""

    image: Path | ArchivePath
    label: Path | ArchivePath | None
    name: str


def dataset_root() -> Path | ArchivePath:
    """The folder or archive that holds one folder per dataset (--override_dataset_root, else <assets>/data)."""
    return locate(Path(os.path.expanduser(cfg.DATASET.ROOT or Path(cfg.ASSETS_PATH) / 'data')))


class Dataset:
    """The base of every dataset. A subclass gives name, classes and `_find_items`, and is `registered`.

    classes: what the labels mean; color_map: {(r, g, b): raw id} when the label files hold colours; class_weights: (K,)
    those that trainings of this dataset were published with, or None; categories: {name: trainIds} of the groups of
    classes that its label table has, which are scored together too. Instances add split, quality, cv, root (Path),
    channels and value_range of its images (see read_channels), items (list of Item, sorted by name) and notes (list of
    sentences about what was left out). Constructing one lists files and raises FileNotFoundError or ValueError when
    something is missing.
    """

    name = ''
    source = ''  # where a person corrects what is wrong with the whole, the dataset itself where it is not said
    classes: Classes
    color_map: dict | None = None
    class_weights: tuple[float, ...] | None = None
    categories: dict[str, tuple[int, ...]] = {}
    # what raw_label depends on beside the files, as text: part of the names of index and cache
    label_rules = ''
    splits = ('train', 'val', 'test')
    qualities = ('fine',)
    has_folds = False  # whether --cv chooses among several splits into train and val
    directory_key = ''  # key of cfg.DATASET: the folder below the dataset root; without one it is called as the dataset
    other_directories = ('',)  # tried after it; '' is the dataset root itself

    def __init__(self, split: str, quality: str = 'fine'):
        if split not in self.splits:
            raise ValueError(
                f'dataset {self.name!r} has no split {split!r}, only {", ".join(self.splits)}; choose one of them with'
                ' --eval'
            )
        if quality not in self.qualities:
            raise ValueError(f'dataset {self.name!r} has no {quality!r} labels, only {", ".join(self.qualities)}')
        if cfg.DATASET.CV and not self.has_folds:
            with_folds = sorted(
                name for name, dataset in DATASETS.items() if dataset.has_folds and 'val' in dataset.splits
            )
            raise ValueError(
                f'--cv {cfg.DATASET.CV}: dataset {self.name!r} has no folds for cross-validation, only'
                f' {", ".join(with_folds)} have; leave the flag out'
            )
        limit_pixels(cfg.DATASET.MAX_PIXELS)
        self.split, self.quality, self.cv = split, quality, cfg.DATASET.CV
        self.source = self.source or f'dataset {self.name!r}'
        self.notes = []
        self.channels, self.value_range = self._pixels()
        self._map_labels()
        if cfg.DATASET.FOLDS and split in ('train', 'val') and quality == 'fine':
            from datasets.folds import fold  # which makes the whole splits

            self.root, self.items, self.notes = fold(self)
        else:
            self.root, self.items = self._find_items()
        if not self.items:
            raise FileNotFoundError(
                f'{self.root}: no images of split {split!r} of dataset {self.name!r} are there; '
                'unpack them or give another folder with --override_dataset_root'
            )

    def _pixels(self) -> tuple:
        """(channels, range of values) that images are read with."""
        return cfg.MODEL.IN_CHANNELS, cfg.DATASET.VALUE_RANGE

    def _map_labels(self):
        """Make the tables from label files to trainIds, from classes and color_map."""
        self.mapper = LabelMapper(self.name, self.classes, cfg.DATASET.IGNORE_IDS)
        self.colors = ColorTable(self.name, self.color_map) if self.color_map else None

    @classmethod
    def describe(cls) -> tuple[Classes, tuple]:
        """(classes, splits), without looking for images."""
        return cls.classes, cls.splits

    @classmethod
    def own_name(cls) -> str:
        """What results, records and messages call the dataset, without looking for images."""
        return cls.name

    @classmethod
    def directories(cls) -> tuple:
        """The names that the dataset's folder below the dataset root may have, likeliest first."""
        return cfg.DATASET[cls.directory_key] if cls.directory_key else cls.name, *cls.other_directories

    num_classes = property(lambda self: len(self.classes), doc='K')
    ignore_label = property(lambda self: self.classes.ignore_label, doc='trainId of pixels that do not count')

    def __len__(self):
        return len(self.items)

    @property
    def labelled(self) -> bool:
        """True when every image has a label, False when none has."""
        return self.items[0].label is not None

    def load(self, item: Item):
        """(image uint8 (H, W, C), label uint8 (H, W) of trainIds and ignore_label, or None without a label).

        Raises ValueError naming the file when it is unreadable, when the sizes differ, or when the label holds ids
        outside the map.
        """
        image = self.read_image(item.image)
        if item.label is None:
            return image, None
        raw = self.raw_label(item)
        if raw.shape != image.shape[:2]:
            why = why_sizes_differ(image.shape[:2], raw.shape, peek_turned(item.image)[1], peek_turned(item.label)[1])
            raise ValueError(
                f'{item.label}: the label is {raw.shape[1]}x{raw.shape[0]} pixels (width x height) but its image'
                f' {item.image} is {image.shape[1]}x{image.shape[0]}{why and f" ({why})"}; '
                + (TURN_REMEDY if why else 'bring both to one size (labels without interpolation)')
            )
        return image, self.mapper(raw, item.label)

    def read_image(self, path) -> np.ndarray:
        """An image of this dataset as uint8 (H, W, C); see read_channels for what it raises."""
        return read_channels(path, self.channels, self.value_range)

    def load_label(self, item: Item) -> np.ndarray:
        """The label of an item that has one, as `load` gives it, without reading the image."""
        return self.mapper(self.raw_label(item), item.label)

    def raw_label(self, item: Item) -> np.ndarray:
        """The raw ids of an item's label as uint8 (H, W), not mapped. Where a label is made of several files, a
        subclass overrides this and label_files."""
        return read_label(item.label, self.colors)

    def label_files(self, item: Item) -> tuple:
        """The files that raw_label reads: index and cache are built again when one of them changes."""
        return (item.label,)

    def files(self, item: Item) -> tuple:
        """All files that an item is read from."""
        return item.image, *self.label_files(item)

    def sizes(self):
        """Yield (H, W) of every image of a labelled dataset, from the headers of the labels, which have the same
        size."""
        return (label_size(item.label) for item in self.items)

    def _find_items(self):
        """(the folder that names are relative to, the items of self.split sorted by name)."""
        raise NotImplementedError


def registered(dataset: type[Dataset]) -> type[Dataset]:
    """Enter a Dataset class under its name: a decorator. From then on --dataset and every program know it."""
    assert dataset.name and dataset.name not in DATASETS, f'two datasets are called {dataset.name!r}'
    DATASETS[dataset.name] = dataset
    return dataset
