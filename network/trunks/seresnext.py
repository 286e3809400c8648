"""SE-ResNeXt-50 and -101 (32x4d) at output stride 8: grouped bottlenecks whose channels are weighted by what the image
holds.

Xie et al., "Aggregated Residual Transformations" (arXiv 1611.05431); Hu et al., "Squeeze-and-Excitation Networks"
(arXiv 1709.01507). Names and layers are those of the Caffe-converted ImageNet files.
"""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from network.layers import conv, conv_bn
from network.registry import TRUNKS
from network.trunks.blocks import Bottleneck
from network.trunks.resnet import ResNet


class SqueezeExcitation(nn.Module):
    """maps (N, C, h, w) times a factor in (0, 1) per image and channel, made from the channels' means."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.fc1 = conv(channels, channels // reduction, kernel=1, bias=True)
        self.fc2 = conv(channels // reduction, channels, kernel=1, bias=True)

    def forward(self, maps: Tensor) -> Tensor:
        squeezed = torch.relu(self.fc1(maps.mean(dim=(2, 3), keepdim=True)))
        return maps * torch.sigmoid(self.fc2(squeezed))


class SEBottleneck(Bottleneck):
    """32 groups of 4 planes per 64, the result recalibrated before the shortcut is added."""

    groups = 32
    widening = 2

    def __init__(self, in_channels: int, planes: int, stride: int = 1):
        super().__init__(in_channels, planes, stride)
        self.se_module = SqueezeExcitation(planes * self.expansion)

    def residual(self, x: Tensor) -> Tensor:
        return self.se_module(super().residual(x))


class SEResNeXt(ResNet):
    """As ResNet, but for the pooling of the stem: its last window hangs over an even side, and it pads nothing.

    So a map at stride 4 or 8 is rounded up only if half the image (rounded up) is even, as sides that are multiples of
    4 have it; else one row or column is left out at the end. Raises ValueError for images of less than 3 pixels a side.
    """

    def __init__(self, *blocks: int):
        conv1, bn1 = conv_bn(3, 64, kernel=7, stride=2)
        pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        super().__init__(
            blocks,
            nn.Sequential(OrderedDict(conv1=conv1, bn1=bn1, relu1=nn.ReLU(inplace=True), pool=pool)),
            SEBottleneck,
        )

    def forward(self, images: Tensor) -> dict[Any, Tensor]:
        height, width = images.shape[-2:]
        if min(height, width) < 3:
            raise ValueError(
                f'images of {height}x{width} pixels are too small for SE-ResNeXt; both sides must be at least 3 pixels'
            )
        return super().forward(images)


@TRUNKS.register('seresnext-50')
def seresnext_50(align_corners: bool = False) -> SEResNeXt:
    return SEResNeXt(3, 4, 6, 3)


@TRUNKS.register('seresnext-101')
def seresnext_101(align_corners: bool = False) -> SEResNeXt:
    return SEResNeXt(3, 4, 23, 3)
