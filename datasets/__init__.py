"""Datasets, how an epoch is drawn from them, and the loaders that batch it."""
from datasets.archive import on_disk
from datasets.augmented import dump_augmented
from datasets.base import Dataset, Item
from datasets.cache import with_cache
from datasets.joined import join, training_qualities
from datasets.loader import eval_loader, train_loader
from datasets.registry import dataset_class, dataset_names, get_dataset
from datasets.sets import EvalSet, TrainSet
from datasets.verify.quick import check_before_training

__all__ = [
    'Dataset', 'EvalSet', 'Item', 'TrainSet', 'check_before_training', 'dataset_class', 'dataset_names', 'dump_augmented', 'eval_loader', 'get_dataset',
    'join', 'on_disk', 'train_loader', 'training_qualities', 'with_cache',
]
