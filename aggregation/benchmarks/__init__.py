"""Benchmarks (BRAVO, Cityscapes, SegmentMeIfYouCan, any masks of anomalies): their files, scores and submissions.

A benchmark is added by one file in this folder that declares its commands; see aggregation/commands.py.
"""

import importlib
import pkgutil


def register():
    """Import every file of this folder, whose commands so become known."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f'{__name__}.{module.name}')
