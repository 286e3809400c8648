"""Random generators, seeded, captured and put back, and deterministic kernels."""

import os
import random
from collections.abc import Mapping

import numpy as np
import torch


def seed_everything(seed: int, rank: int = 0):
    """Seed python, NumPy and torch (every device) from (seed, rank), so that ranks and neighbouring seeds share no
    stream."""
    if seed < 0:
        raise ValueError(f'--seed {seed}: expected a number of 0 or more')
    first, second, third = (int(word) for word in np.random.SeedSequence([seed, rank]).generate_state(3))
    random.seed(first)
    np.random.seed(second)
    torch.manual_seed(third)


def set_deterministic(deterministic: bool):
    """Choose kernels by repeatability (--deterministic) or by speed: cuDNN then times its algorithms for each new
    shape.

    An operation without a deterministic GPU kernel warns and runs. Call before the first CUDA operation.
    """
    if deterministic:
        # cuBLAS is only deterministic with a fixed workspace
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    if deterministic or torch.are_deterministic_algorithms_enabled():  # the call imports torch's compiler: seconds
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic


def capture_rng() -> dict:
    """The state of every random generator of this process, as tensors and plain values."""
    name, keys, position, has_gauss, cached = np.random.get_state()
    assert name == 'MT19937'
    state = {
        'python': random.getstate(),
        'numpy': (torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached),
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_rng(state: Mapping):
    """Put every generator back to where `capture_rng` found it."""
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state['numpy']
    np.random.set_state(('MT19937', keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state['torch'])
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'])
