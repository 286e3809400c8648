"""Random generators and deterministic kernels."""

import os
import random

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
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic
