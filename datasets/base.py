"""What a dataset is: where its images and labels are, what the labels mean, and how one pair is loaded."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from config import cfg
from datasets.colors import ColorTable
from datasets.labels import IDENTITY, LabelMapper
from datasets.loading.reading import label_size, read_image, read_label
from utils.files.archives import ArchivePath, locate


class Item(NamedTuple):
    """One image of a dataset. name: path of the image below the dataset's image root, with extension."""

    image: Path | ArchivePath
    label: Path | ArchivePath | None
    name: str


def dataset_root() -> Path | ArchivePath:
    """The folder or archive that holds one folder per dataset (--override_dataset_root, else <assets>/data)."""
    return locate(Path(cfg.DATASET.ROOT or Path(cfg.ASSETS_PATH) / 'data').expanduser())


class Dataset:
    """The base of every dataset. A subclass gives the class attributes and `_find_items`.

    name, num_classes K, class_names (K), palette uint8 (K, 3) RGB, ignore_label; id_map: every raw id the label files
    may hold -> trainId or ignore_label; id_to_trainid: the same as a uint8 (256,) table, None when trainIds are stored;
    trainid_to_id uint8 (256,): the id that is written for a trainId in submissions; color_map: {(r, g, b): raw id} when
    the label files hold colours.

    Instances add split, quality, cv, root (Path), items (list of Item, sorted by name) and notes (list of sentences
    about what was left out). Constructing one lists files and raises FileNotFoundError or ValueError when something is
    missing.
    """

    name = ''
    num_classes = 0
    ignore_label = 255
    class_names: list = []
    palette: np.ndarray
    id_map: dict = {}
    id_to_trainid: np.ndarray | None = None
    trainid_to_id: np.ndarray = IDENTITY
    color_map: dict | None = None
    # what raw_label depends on beside the files, as text: part of the names of index and cache
    label_rules = ''
    splits = ('train', 'val', 'test')
    qualities = ('fine',)
    has_folds = False  # whether --cv chooses among several splits into train and val

    def __init__(self, split: str, quality: str = 'fine'):
        if split not in self.splits:
            raise ValueError(
                f'dataset {self.name!r} has no split {split!r}, only {", ".join(self.splits)}; choose one of them with'
                ' --eval'
            )
        if quality not in self.qualities:
            raise ValueError(f'dataset {self.name!r} has no {quality!r} labels, only {", ".join(self.qualities)}')
        if cfg.DATASET.CV and not self.has_folds:
            raise ValueError(
                f'--cv {cfg.DATASET.CV}: dataset {self.name!r} has no folds for cross-validation, only cityscapes and'
                ' synthetic have; leave the flag out'
            )
        self.split, self.quality, self.cv = split, quality, cfg.DATASET.CV
        self.notes = []
        self.mapper = LabelMapper(self.name, self.id_map, self.num_classes, self.ignore_label, cfg.DATASET.IGNORE_IDS)
        self.colors = ColorTable(self.name, self.color_map) if self.color_map else None
        self.root, self.items = self._find_items()
        if not self.items:
            raise FileNotFoundError(
                f'{self.root}: no images of split {split!r} of dataset {self.name!r} are there; '
                'unpack them or give another folder with --override_dataset_root'
            )

    def __len__(self):
        return len(self.items)

    @property
    def labelled(self) -> bool:
        """True when every image has a label, False when none has."""
        return self.items[0].label is not None

    def load(self, item: Item):
        """(image uint8 (H, W, 3) RGB, label uint8 (H, W) of trainIds and ignore_label, or None without a label).

        Raises ValueError naming the file when it is unreadable, when the sizes differ, or when the label holds ids
        outside the map.
        """
        image = read_image(item.image, upright=item.label is None)
        if item.label is None:
            return image, None
        raw = self.raw_label(item)
        if raw.shape != image.shape[:2]:
            raise ValueError(
                f'{item.label}: the label is {raw.shape[1]}x{raw.shape[0]} pixels (width x height) but its image'
                f' {item.image} is {image.shape[1]}x{image.shape[0]}; bring both to one size (labels without'
                ' interpolation)'
            )
        return image, self.mapper(raw, item.label)

    def load_label(self, item: Item) -> np.ndarray:
        """The label of an item that has one, as `load` gives it, without reading the image."""
        return self.mapper(self.raw_label(item), item.label)

    def raw_label(self, item: Item) -> np.ndarray:
        """The raw ids of an item's label as uint8 (H, W), not mapped. Where a label is made of several files, a
        subclass overrides this and label_files."""
        return read_label(item.label, self.colors)

    def label_files(self, item: Item) -> tuple:
        """The files that raw_label reads: what is kept of a label is made anew when one of them changes."""
        return (item.label,)

    def sizes(self):
        """Yield (H, W) of every image of a labelled dataset, from the headers of the labels, which have the same
        size."""
        return (label_size(item.label) for item in self.items)

    def _find_items(self):
        """(the folder that names are relative to, the items of self.split sorted by name)."""
        raise NotImplementedError
