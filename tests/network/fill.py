"""Deterministic weights, images and labels: what the numbers in `parity/` were computed from.

Every state-dict entry has a random stream of its own, seeded by its key, so networks with the same keys and shapes get
the same weights whoever wrote them. Weights pass through float32, as in a checkpoint.
"""

import zlib

import numpy as np
import torch
import torch.nn.functional as F

IGNORE = 255


def entry(key, shape):
    """The float64 array of state-dict entry `key`; scaled so that a hundred layers stay finite."""
    noise = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    match key.rpartition('.')[2]:
        case 'num_batches_tracked':
            return np.zeros(shape)
        case 'running_mean' | 'bias':
            return 0.1 * noise
        case 'running_var':
            return 1 + 0.2 * np.abs(noise)
    if len(shape) == 1:
        return 0.6 + 0.05 * noise
    return noise * np.sqrt(2 / np.prod(shape[1:]))


def fill(net):
    """Overwrite the float32 weights and statistics of net; returns net."""
    with torch.no_grad():
        for key, tensor in net.state_dict().items():
            tensor.copy_(torch.as_tensor(entry(key, tuple(tensor.shape))))
    return net


def image(height, width, batch=1, seed=0):
    """A float64 batch (batch, 3, height, width): coarse noise with fine noise on it. Sides are multiples of 8."""
    random = np.random.RandomState(seed)
    coarse = torch.as_tensor(random.standard_normal((batch, 3, height // 8, width // 8)))
    fine = torch.as_tensor(0.3 * random.standard_normal((batch, 3, height, width)))
    return F.interpolate(coarse, size=(height, width), mode='bilinear', align_corners=False) + fine


def labels(height, width, classes, batch=1, seed=0):
    """int64 (batch, height, width): squares of 8 pixels, one in classes + 1 of them ignored. Sides are multiples of
    8."""
    squares = np.random.RandomState(seed + 1).randint(0, classes + 1, (batch, height // 8, width // 8))
    squares[squares == classes] = IGNORE
    return torch.as_tensor(squares).long().repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
