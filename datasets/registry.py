"""Datasets by name: the classes of one, or its images and labels."""

from config import cfg
from datasets import collection, custom  # noqa: F401 - their datasets register themselves
from datasets.base import DATASETS, Dataset
from datasets.collection.folder import Folder
from utils.classes import Classes
from utils.cli.wording import did_you_mean


def dataset_names() -> list:
    """What --dataset accepts. 'folder' stands for images of --eval_folder with the classes of Cityscapes."""
    return sorted([*DATASETS, 'folder'], key=str.lower)


def get_classes(name: str) -> Classes:
    """What the labels of dataset `name` mean, without looking for images.

    Raises ValueError with the nearest names when there is none, and for a mistake in the file of --data_yaml.
    """
    return _dataset_class(name).describe()[0]


def splits_of(name: str) -> tuple:
    """The splits that dataset `name` knows, whether their files are there or not. Raises as get_classes does."""
    return _dataset_class(name).describe()[1]


def own_name(name: str) -> str:
    """What results and records call dataset `name`: custom by its file. Raises as get_classes does."""
    return _dataset_class(name).own_name()


def get_dataset(name: str, split: str, *, quality: str = 'fine', eval_folder=None) -> Dataset:
    """The dataset `name` as a list of items, read from the folders in cfg.DATASET.

    Args:
        split: 'train', 'val', 'test', or 'folder' for the images below eval_folder with the classes of `name`.
        quality: of the labels: 'fine', and for Cityscapes 'coarse' or 'customcoarse' too.

    Raises:
        ValueError: for an unknown name or split, naming the flag that mends it.
        FileNotFoundError: for missing files, likewise.
    """
    dataset = _dataset_class(name)
    if split == 'folder':
        if not eval_folder:
            raise ValueError('--eval folder needs the folder of images; give it with --eval_folder')
        return Folder(dataset.own_name(), dataset.describe()[0], eval_folder)
    if name == 'folder':
        raise ValueError(
            f'--dataset folder has images only, no split {split!r}; use it with --eval folder --eval_folder PATH'
        )
    return dataset(split, quality)


def _dataset_class(name: str) -> type[Dataset]:
    found = DATASETS.get('cityscapes' if name == 'folder' else name)
    if found is None and name.startswith('custom_'):  # as manifests and records have it
        found = _custom(name)
    if found is None:
        hint = did_you_mean(name, dataset_names(), count=2)
        raise ValueError(
            f'--dataset {name}: there is no such dataset; {hint}{" " if hint else ""}choose one of'
            f' {", ".join(dataset_names())}'
        )
    if cfg.DATASET.DATA_YAML and found is not DATASETS['custom']:
        raise ValueError(
            f'--data_yaml {cfg.DATASET.DATA_YAML} describes --dataset custom, not {name}; give --dataset custom, or'
            ' leave the file out'
        )
    return found


def _custom(name):
    """The class Custom when --data_yaml describes dataset `name`."""
    found, file = DATASETS['custom'], cfg.DATASET.DATA_YAML
    if not file:
        raise ValueError(f'--dataset custom needs --data_yaml FILE, here the one that describes {name}')
    if found.own_name() != name:
        raise ValueError(
            f'dataset {name}: --data_yaml {file} describes {found.own_name()}; give the file that it is called after'
        )
    return found
