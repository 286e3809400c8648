"""Normalisation of uint8 images on the device: a batch travels as bytes, a quarter of its size in fp32."""

import torch
from torch import nn

RGB = 3


class Normalize(nn.Module):
    """(images / 255 - mean) / std per channel.

    mean and std: three values each, of RGB in [0, 1]. With channels_last the result is laid out NHWC in memory, which
    convolutions on tensor cores and on CPUs prefer. Holds no state that a checkpoint would have to carry.
    """

    factor: torch.Tensor
    offset: torch.Tensor

    def __init__(self, mean, std, channels_last=False):
        super().__init__()
        mean, std = torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
        if mean.shape != std.shape or mean.dim() != 1 or not (std > 0).all():
            raise ValueError(
                f'cfg.DATASET.MEAN {mean.tolist()} and STD {std.tolist()} do not fit: expected one value per '
                'channel each and standard deviations above 0; correct them in config.py'
            )
        self.register_buffer('factor', (1 / (255 * std)).float().view(1, -1, 1, 1), persistent=False)
        self.register_buffer('offset', (-mean / std).float().view(1, -1, 1, 1), persistent=False)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images uint8 (N, 3, h, w) -> float32 (N, 3, h, w)."""
        images = images.to(torch.float32, memory_format=self.memory_format)
        return torch.addcmul(self.offset, images, self.factor)
