"""SE-ResNeXt-50 and -101 (32x4d) at output stride 8: grouped bottlenecks whose channels are weighted by what the image holds.

Xie et al., "Aggregated Residual Transformations" (arXiv 1611.05431); Hu et al., "Squeeze-and-Excitation Networks"
(arXiv 1709.01507). Names and layers are those of the Caffe-converted ImageNet files.
"""
from collections import OrderedDict

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


class CeilPool(nn.Module):
    """3x3 maximum, stride 2, without padding on the left and above: side s -> s / 2, rounded up.

    The published pooling has no padding and `ceil_mode`, so that the last window of an even side hangs over by one pixel.
    Of an odd side it would drop half a pixel, and shift all that follows against the image; here one more window, of the
    last pixel alone, covers it as well. Values are not negative, so zeros are as good as no pixel.
    """

    def forward(self, maps: Tensor) -> Tensor:
        return nn.functional.max_pool2d(nn.functional.pad(maps, (0, 2, 0, 2)), 3, stride=2)


def build(*blocks: int) -> ResNet:
    conv1, bn1 = conv_bn(3, 64, kernel=7, stride=2)
    layer0 = nn.Sequential(OrderedDict(conv1=conv1, bn1=bn1, relu1=nn.ReLU(inplace=True), pool=CeilPool()))
    return ResNet(blocks, layer0, SEBottleneck)


@TRUNKS.register('seresnext-50')
def seresnext_50(align_corners: bool = False) -> ResNet:
    return build(3, 4, 6, 3)


@TRUNKS.register('seresnext-101')
def seresnext_101(align_corners: bool = False) -> ResNet:
    return build(3, 4, 23, 3)
