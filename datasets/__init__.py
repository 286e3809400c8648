"""Datasets, how an epoch is drawn from them, and the loaders that batch it.

A name is imported when it is first asked for. So `python -m datasets.prepare` and the processes that it starts come up
without torch, which takes longer to import than everything else together.
"""

import importlib

_HOME = {
    'Dataset': 'base',
    'Item': 'base',
    'dataset_class': 'registry',
    'dataset_names': 'registry',
    'get_dataset': 'registry',
    'EvalSet': 'sampling.sets',
    'TrainSet': 'sampling.sets',
    'join': 'sampling.joined',
    'training_qualities': 'sampling.joined',
    'eval_loader': 'loading.loader',
    'train_loader': 'loading.loader',
    'with_cache': 'loading.cache',
    'check_before_training': 'verify.quick',
    'dump_augmented': 'browse.augmented',
}

__all__ = [*_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = globals()[name] = getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
    return value
