"""Datasets by name, imported when they are asked for."""

import difflib
import importlib

from config import cfg
from datasets.base import Dataset
from datasets.collection.folder import Folder

_CLASSES = {
    'cityscapes': ('datasets.collection.cityscapes', 'Cityscapes'),
    'camvid': ('datasets.collection.camvid', 'CamVid'),
    'synthetic': ('datasets.collection.synthetic', 'Synthetic'),
    'mapillary': ('datasets.collection.mapillary', 'Mapillary'),
    'mapillary_v2': ('datasets.collection.mapillary', 'MapillaryV2'),
    'mapillary_citylabel': ('datasets.collection.mapillary', 'MapillaryCityLabel'),
    'bdd100k': ('datasets.collection.bdd100k', 'BDD100K'),
    'idd': ('datasets.collection.idd', 'IDD'),
    'gta5': ('datasets.collection.gta5', 'GTA5'),
    'shift': ('datasets.collection.shift', 'Shift'),
    'wilddash': ('datasets.collection.wilddash', 'WildDash'),
    'bravo': ('datasets.collection.bravo', 'Bravo'),
    'SMIYC_anomaly': ('datasets.collection.smiyc', 'SMIYCAnomaly'),
    'SMIYC_obstacle': ('datasets.collection.smiyc', 'SMIYCObstacle'),
    'acdc': ('datasets.collection.acdc', 'ACDC'),
    'kitti': ('datasets.collection.kitti', 'Kitti'),
    'camvid32': ('datasets.collection.camvid32', 'CamVid32'),
    'pascal_context': ('datasets.collection.pascal_context', 'PascalContext'),
    'pascal_context_60': ('datasets.collection.pascal_context', 'PascalContext60'),
    'ade20k': ('datasets.collection.ade20k', 'ADE20K'),
    'nullloader': ('datasets.collection.nullloader', 'NullLoader'),
    'custom': ('datasets.custom.custom', 'DataFile'),  # what the file of --data_yaml describes
    # images of --eval_folder, with the classes of Cityscapes
    'folder': ('datasets.collection.cityscapes', 'Cityscapes'),
}


def dataset_names() -> list:
    """What --dataset accepts."""
    return sorted(_CLASSES, key=str.lower)


def dataset_class(name: str):
    """The class behind `name`, or for custom the DataFile that describes it: what the classes are, without looking for
    images.

    Raises ValueError with the nearest names when there is none, and for a mistake in the file of --data_yaml.
    """
    if name not in _CLASSES:
        near = difflib.get_close_matches(str(name).lower(), _CLASSES, n=2, cutoff=0.5)
        hint = f'did you mean {" or ".join(near)}? ' if near else ''
        raise ValueError(
            f'--dataset {name}: there is no such dataset; {hint}choose one of {", ".join(dataset_names())}'
        )
    if cfg.DATASET.DATA_YAML and name != 'custom':
        raise ValueError(
            f'--data_yaml {cfg.DATASET.DATA_YAML} describes --dataset custom, not {name}; give --dataset custom, or'
            ' leave the file out'
        )
    module, attribute = _CLASSES[name]
    found = getattr(importlib.import_module(module), attribute)
    return found() if name == 'custom' else found


def get_dataset(name: str, split: str, *, quality: str = 'fine', eval_folder=None) -> Dataset:
    """The dataset `name` as a list of items, read from the folders in cfg.DATASET.

    split: 'train', 'val', 'test', or 'folder' for the images below eval_folder with the classes of `name`. Raises
    ValueError for an unknown name or split, FileNotFoundError for missing files; each names the flag that mends it.
    """
    classes = dataset_class(name)
    if split == 'folder':
        if not eval_folder:
            raise ValueError('--eval folder needs the folder of images; give it with --eval_folder')
        return Folder(classes, eval_folder)
    if name == 'folder':
        raise ValueError(
            f'--dataset folder has images only, no split {split!r}; use it with --eval folder --eval_folder PATH'
        )
    return classes(split, quality)
