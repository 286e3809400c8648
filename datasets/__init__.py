"""Datasets, how an epoch is drawn from them, and the loaders that batch it.

A name is imported when it is first asked for. So `python -m datasets.prepare` and the processes that it starts come up
without torch, which takes longer to import than everything else together.
"""
import importlib

_HOME = {
    'Dataset': 'base', 'EvalSet': 'sets', 'Item': 'base', 'TrainSet': 'sets', 'check_before_training': 'verify.quick', 'dataset_class': 'registry',
    'dataset_names': 'registry', 'dump_augmented': 'augmented', 'eval_loader': 'loader', 'get_dataset': 'registry', 'join': 'joined', 'on_disk': 'archive',
    'train_loader': 'loader', 'training_qualities': 'joined', 'with_cache': 'cache',
}

__all__ = [*_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = globals()[name] = getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
    return value
