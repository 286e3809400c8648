"""Folders of logits as `--dump_logits` leaves them, without networks."""

from types import SimpleNamespace

import numpy as np
import torch

from utils.classes import Classes
from utils.outputs import logits as logit_files

CLASSES, SIZE = 5, (12, 16)
WHOLE = logit_files.Storage()
NAMES = ('val/ulm/a.png', 'val/ulm/b.png', 'val/bonn/[c].png')
LABELS = Classes.numbered(CLASSES)


def logits_of(seed, name, size=SIZE, spread=3.0):
    seed = seed * 100 + NAMES.index(name)
    return (torch.randn(CLASSES, *size, generator=torch.Generator().manual_seed(seed)) * spread).half()


def make(folder, seed, names=NAMES, storage=WHOLE, size=SIZE, manifest=True):
    """Writes a folder of logits and returns it."""
    entries, files = {}, {}
    for name in names:
        files[name] = name.replace('.png', storage.suffix)
        values = logit_files.reduce(logits_of(seed, name, size).float(), storage.stride).half().numpy()
        logit_files.write_logits(folder / files[name], values, size, storage)
        entries[name] = logit_files.describe(folder / files[name], size, values.shape)
    if manifest:
        about = {'model': f'model {seed}', 'weights_sha256': f'{seed}', 'dataset': 'toy', 'storage': storage._asdict()}
        logit_files.write_manifest(folder, entries, files, LABELS, about)
    return folder


def truth_of(name, size=SIZE):
    """Labels that the mean of members 0 and 1 gets right more often than not."""
    mean = sum(torch.softmax(logits_of(seed, name, size).float(), 0) for seed in (0, 1))
    truth = mean.argmax(0).to(torch.uint8).numpy()
    truth[np.random.default_rng(0).random(size) < 0.2] = 0
    truth[0] = 255
    return truth


def dataset(names=NAMES, size=SIZE):
    """A data set of those images, with the labels of truth_of."""
    return SimpleNamespace(
        name='toy',
        split='val',
        classes=LABELS,
        items=[SimpleNamespace(name=name, label=name) for name in names],
        load_label=lambda item: truth_of(item.name, size),
        load=lambda item: (np.full((*size, 3), 90, np.uint8), truth_of(item.name, size)),
    )
