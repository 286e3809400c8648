"""Atrous spatial pyramid pooling (Chen et al., arXiv 1706.05587, section 3.3), with the rates of output stride 8.

A 1x1 convolution, three dilated 3x3 convolutions and the mean of the whole image, side by side.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from network.layers import conv_bn_relu
from network.plain import Reordered
from network.pyramid import conv_over_pyramid, mean_over_pyramid

RATES = (12, 24, 36)


class ASPP(Reordered, nn.Module):
    """Maps of in_channels together -> `channels` = 5 x bottleneck, at the size of the finest.

    Keys features.0 (1x1), features.1 to 3 (dilated) and img_conv, each .0 (convolution) and .1 (norm).
    """

    def __init__(self, in_channels: int, bottleneck: int, align_corners: bool = False):
        super().__init__()
        self.align_corners = align_corners
        self.channels = (2 + len(RATES)) * bottleneck
        self.features = nn.ModuleList([conv_bn_relu(in_channels, bottleneck, kernel=1)])
        self.features.extend(conv_bn_relu(in_channels, bottleneck, kernel=3, dilation=rate) for rate in RATES)
        self.img_conv = conv_bn_relu(in_channels, bottleneck, kernel=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """maps (N, c_i, h_i, w_i), finest first -> (N, channels, h_0, w_0): image mean, 1x1, rates 12, 24 and 36."""
        branches = [image_branch(self.img_conv, maps, self.align_corners, self.plain)]
        layers: Any
        for layers in self.features:
            convolve, norm, activate = layers
            branches.append(activate(norm(conv_over_pyramid(convolve, maps, self.align_corners, plain=self.plain))))
        return torch.cat(branches, dim=1)


def image_branch(layers: Any, maps: list[Tensor], align_corners: bool, plain: bool) -> Tensor:
    """layers (1x1 convolution, norm, ReLU) of the mean over the image, the same at every pixel: (N, bottleneck, h_0,
    w_0).

    A batch of one image: see `norm_of_means`.
    """
    convolve, norm, activate = layers
    mean = norm_of_means(norm, convolve(mean_over_pyramid(maps, align_corners, plain=plain)))
    return activate(mean).expand(-1, -1, *maps[0].shape[-2:])


def norm_of_means(norm: Any, means: Tensor) -> Tensor:
    """A batch norm of one value per image and channel, means (N, C, 1, 1).

    In training a batch of one image has no variance to normalise by. The norm then uses its running statistics, as in
    evaluation, and leaves them as they are.
    """
    if norm.training and _normalised_together(norm, means) == 1:
        return F.batch_norm(means, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    return norm(means)


def _normalised_together(norm: nn.Module, values: Tensor) -> int:
    """How many images a norm takes its statistics of: those of all processes if it is synchronised."""
    alone = type(norm) is nn.BatchNorm2d or not dist.is_initialized()
    return len(values) * (1 if alone else dist.get_world_size())
