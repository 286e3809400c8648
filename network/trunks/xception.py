"""Xception-71, aligned and modified, at output stride 8 (Chollet, arXiv 1610.02357; Chen et al., arXiv 1802.02611).

Built of separable convolutions: one 3x3 per channel, a norm, a 1x1 across channels, and no activation between them.
"""

import math

from torch import Tensor, nn

from network.layers import Module, conv_bn
from network.registry import TRUNKS
from network.trunks.blocks import DilatedTrunk


class SeparableConv(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels,
            in_channels,
            3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=in_channels,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.bn(self.conv1(x)))


class Block(Module):
    """Separable convolutions with norms, ReLUs between them, plus a shortcut: a 1x1 convolution where x does not fit,
    else x.

    Args:
        widths: output channels of the convolutions, of which the last has the stride.
        dilations: of each.
        relu_first: whether x is activated first. The published code did that in place, so its shortcut read the
            activated x too, and the published weights were trained so.
    """

    is_stage = True

    def __init__(
        self, in_channels: int, widths: list[int], dilations: list[int], stride: int = 1, relu_first: bool = True
    ):
        super().__init__()
        self.relu = nn.ReLU(inplace=False) if relu_first else nn.Identity()
        # holds the place of that ReLU, whose number is part of the keys
        layers: list[nn.Module] = [nn.Identity()] * relu_first
        inputs = in_channels
        for number, (width, dilation) in enumerate(zip(widths, dilations), start=1):
            last = number == len(widths)
            layers += [SeparableConv(inputs, width, stride if last else 1, dilation), nn.BatchNorm2d(width)]
            layers += [nn.ReLU(inplace=True)] * (not last)
            inputs = width
        self.rep = nn.Sequential(*layers)
        self.skip = None
        if stride > 1 or in_channels != inputs:
            self.skip, self.skipbn = conv_bn(in_channels, inputs, kernel=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        out = self.rep(x)
        out += x if self.skip is None else self.skipbn(self.skip(x))
        return out


class Xception71(DilatedTrunk):
    """images (N, 3, h, w) -> {2: the map of the second convolution, 4: of block1, 8: of the last}, each after its
    ReLU."""

    channels = {2: 64, 4: 128, 8: 2048}

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv1, self.bn1 = conv_bn(3, 32, kernel=3, stride=2)
        self.conv2, self.bn2 = conv_bn(32, 64, kernel=3)
        self.block1 = Block(64, [128] * 3, [1] * 3, stride=2, relu_first=False)
        self.block2 = Block(128, [256] * 2, [1] * 2, relu_first=False)
        self.block3 = Block(256, [728] * 3, [1] * 3, stride=2)
        for number in range(4, 20):
            self.add_module(f'block{number}', Block(728, [728] * 3, [2] * 3))
        self.block20 = Block(728, [728, 1024, 1024], [2, 2, 1])
        for number, inputs, outputs in ((3, 1024, 1536), (4, 1536, 1536), (5, 1536, 2048)):
            self.add_module(f'conv{number}', SeparableConv(inputs, outputs, dilation=4))
            self.add_module(f'bn{number}', nn.BatchNorm2d(outputs))
        self._initialise()

    def _initialise(self):
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=math.sqrt(2 / (math.prod(module.kernel_size) * module.out_channels)))

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = self.relu(self.bn1(self.conv1(images)))
        half = self.relu(self.bn2(self.conv2(x)))
        quarter = self.relu(self.block1(half))
        x = quarter
        for number in range(2, 21):
            x = getattr(self, f'block{number}')(x)
        x = self.relu(x)
        for number in (3, 4, 5):
            x = self.relu(getattr(self, f'bn{number}')(getattr(self, f'conv{number}')(x)))
        return {2: half, 4: quarter, 8: x}


@TRUNKS.register('xception71')
def xception71(align_corners: bool = False) -> Xception71:
    return Xception71()
