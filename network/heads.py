"""Segmentation and attention heads: two 3x3 convolutions and a 1x1."""

from typing import Any

import torch
from torch import Tensor, nn

from network.layers import conv, conv_bn, conv_bn_relu
from network.options import Options
from network.plain import Reordered
from network.pyramid import conv_over_pyramid
from network.resize import single


class SingleSigmoid(nn.Module):
    """Sigmoid in float32: an attention of 8 bits would leave steps in the blend of two scales."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.sigmoid(single(maps))


class PyramidHead(Reordered, nn.Sequential):
    """Layers over a pyramid of maps; the first is a convolution."""

    def __init__(self, *layers: nn.Module, align_corners: bool):
        super().__init__(*layers)
        self.align_corners = align_corners

    def forward(self, maps: list[Tensor] | Tensor) -> Tensor:
        """maps (N, c_i, h_i, w_i), finest first, or one -> what the layers make of all of them at the size of the
        first."""
        first: Any
        first, *rest = self
        x = (
            first(maps)
            if isinstance(maps, Tensor)
            else conv_over_pyramid(first, maps, self.align_corners, plain=self.plain)
        )
        for layer in rest:
            x = layer(x)
        return x


class SegmentationHead(PyramidHead):
    """Logits from a pyramid of maps; keys 0, 1, 3, 4 (convolutions and norms) and 6 (classifier)."""

    def __init__(self, in_channels: int, num_classes: int, inner: int, align_corners: bool):
        super().__init__(*_numbered(in_channels, num_classes, inner), align_corners=align_corners)


def _numbered(in_channels: int, out_channels: int, inner: int) -> list[nn.Module]:
    """inner: the channels between the convolutions (options.SEGATTN_BOT_CH)."""
    return [
        *conv_bn_relu(in_channels, inner, kernel=3),
        *conv_bn_relu(inner, inner, kernel=3),
        conv(inner, out_channels, kernel=1),
    ]


def numbered_attention_head(
    in_channels: int, options: Options, out_channels: int = 1, align_corners: bool = False
) -> PyramidHead:
    """The layers of `attention_head` with the numbers 0, 1, 3, 4 and 6 for keys."""
    layers = _numbered(in_channels, out_channels, options.SEGATTN_BOT_CH)
    return PyramidHead(*layers, SingleSigmoid(), align_corners=align_corners)


def attention_head(
    in_channels: int, options: Options, out_channels: int = 1, align_corners: bool = False
) -> PyramidHead:
    """Maps of in_channels together -> attention (N, out_channels, h, w) in (0, 1), float32 or float64.

    Keys are names (conv0, bn0, conv1, ...), or with options.MSCALE_OLD_ARCH the numbers of the oldest checkpoints.
    """
    if options.MSCALE_OLD_ARCH:
        return numbered_attention_head(in_channels, options, out_channels, align_corners)
    inner = options.SEGATTN_BOT_CH
    head = PyramidHead(align_corners=align_corners)
    head.conv0, head.bn0 = conv_bn(in_channels, inner, kernel=3)
    head.re0 = nn.ReLU(inplace=True)
    if options.MSCALE_INNER_3x3:
        head.conv1, head.bn1 = conv_bn(inner, inner, kernel=3)
        head.re1 = nn.ReLU(inplace=True)
    if options.MSCALE_DROPOUT:
        head.drop = nn.Dropout(0.5)
    head.conv2 = conv(inner, out_channels, kernel=1)
    head.sig = SingleSigmoid()
    return head
