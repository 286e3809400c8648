"""Inputs of the loss tests, and the value and gradient of a criterion."""

import numpy as np
import torch

CITYSCAPES_WEIGHTS = [
    0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023,
    0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507,
]  # fmt: skip


def rational_case():
    """float64 logits (2, 19, 24, 36) that are multiples of 1/12, and labels with all 19 classes and ignored pixels."""
    n, c, y, x = np.meshgrid(np.arange(2), np.arange(19), np.arange(24), np.arange(36), indexing='ij')
    k = (7 * n + 31 * c + 17 * y + 11 * x + 5 * x * y + 3 * c * x + 2 * c * y**2 + 13 * n * y) % 97
    n, y, x = n[:, 0], y[:, 0], x[:, 0]
    labels = np.where((x + y) % 11 == 0, 255, (3 * n + y // 4 + 2 * (x // 6)) % 19)
    return torch.from_numpy((k - 48) / 12), torch.from_numpy(labels)


def two_pixels(p, q, labels=(0, 1), classes=2):
    """Logits (1, classes, 1, 2) float64 whose softmax gives classes 0 and 1 p, 1 - p at the left pixel and q, 1 - q at
    the right one, and their labels; further classes are impossible."""
    probabilities = torch.zeros(1, classes, 1, 2, dtype=torch.float64)
    probabilities[0, :2, 0] = torch.tensor([[p, q], [1 - p, 1 - q]])
    return probabilities.clamp(min=1e-300).log(), torch.tensor([[list(labels)]])


def random_case(shape, classes, dtype=torch.float64, seed=0):
    """Logits (N, classes, H, W) and labels with about one pixel in classes + 1 ignored, for shape (N, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape[0], classes, *shape[1:], dtype=dtype, generator=generator)
    labels = torch.randint(0, classes + 1, shape, generator=generator)
    return logits, torch.where(labels == classes, 255, labels)


def value_and_gradient(criterion, logits, labels, **kwargs):
    logits = logits.detach().clone().requires_grad_()
    loss = criterion(logits, labels, **kwargs)
    loss.backward()
    return loss.detach(), logits.grad
