"""Batches for the tests of dumps, with everything that follows from random logits, and what a sink makes of one."""

import numpy as np
import torch

from utils.classes import Classes
from utils.outputs.sink import EvalBatch

PALETTE = np.array([[128, 64, 128], [244, 35, 232], [70, 70, 70]], np.uint8)
CLASSES = Classes(('road', 'sidewalk', 'building'), PALETTE, ids=(7, 8, 11))


def evaluate(names, indices=None, size=(6, 8), labelled=True, seed=0):
    """A batch of random logits with everything that follows from them."""
    generator = torch.Generator().manual_seed(seed)
    count, (height, width) = len(names), size
    logits = torch.randn(count, 3, height, width, generator=generator) * 3
    labels = torch.randint(0, 3, (count, height, width), generator=generator)
    labels[:, 0] = 255
    return EvalBatch(
        names=names,
        images=torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8),
        labels=labels if labelled else None,
        logits=logits,
        assets={
            'attn_05x': torch.rand(count, 1, height // 2, width // 2, generator=generator),
            'pred_05x': torch.randn(count, 3, height // 2, width // 2, generator=generator),
        },
        indices=list(range(count)) if indices is None else indices,
    )


def write(sink, batch):
    sink.open()
    sink.process(batch)
    sink.close()
    return sink


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())
