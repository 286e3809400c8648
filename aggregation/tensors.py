"""Tensors of whole images, worked on in bands of rows that fit a core's cache."""

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 19  # values of one band, 2 MiB in float32


def bands(num_classes: int, size: tuple[int, int]) -> list[slice]:
    """The rows of an image (H, W) in slices of about BLOCK values."""
    rows = max(1, BLOCK // (num_classes * size[1]))
    return [slice(top, min(top + rows, size[0])) for top in range(0, size[0], rows)]


def largest(values: Tensor) -> tuple[Tensor, Tensor]:
    """(maximum, its index) over the first dimension, the first index where several are largest.

    The same as values.max(0), which takes a CPU four times as long for values (C, h, w) of a band.
    """
    if values.device.type != 'cpu' or len(values) > 255:
        return tuple(values.max(0))
    best = values.amax(0)
    # NumPy compares in half the time
    found = torch.from_numpy(np.equal(values.numpy(), best.numpy()).view(np.uint8))
    # the first class has the highest
    places = torch.arange(len(values), 0, -1, dtype=torch.uint8).view(-1, *[1] * best.dim())
    return best, len(values) - found.mul_(places).amax(0)


def entropy(probabilities: Tensor) -> Tensor:
    """-sum p log p over the first dimension, in nats; 0 log 0 is 0."""
    return torch.special.entr(probabilities).sum(0)
