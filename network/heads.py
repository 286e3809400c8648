"""Segmentation and attention heads: two 3x3 convolutions and a 1x1."""
from collections import OrderedDict

import torch
from torch import Tensor, nn

from config import cfg
from network.layers import conv, conv_bn, conv_bn_relu
from network.pyramid import conv_over_pyramid
from network.resize import single


class SingleSigmoid(nn.Module):
    """Sigmoid in float32: an attention of 8 bits would leave steps in the blend of two scales."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.sigmoid(single(maps))


class SegmentationHead(nn.Sequential):
    """Logits from a pyramid of maps; keys 0, 1, 3, 4 (convolutions and norms) and 6 (classifier)."""

    def __init__(self, in_channels: int, num_classes: int, align_corners: bool):
        inner = cfg.MODEL.SEGATTN_BOT_CH
        super().__init__(*conv_bn_relu(in_channels, inner, kernel=3),
                         *conv_bn_relu(inner, inner, kernel=3),
                         conv(inner, num_classes, kernel=1))
        self.align_corners = align_corners

    def forward(self, maps: list[Tensor]) -> Tensor:
        """maps (N, c_i, h_i, w_i), finest first -> logits (N, num_classes, h_0, w_0)."""
        first, *rest = self
        x = conv_over_pyramid(first, maps, self.align_corners)
        for layer in rest:
            x = layer(x)
        return x


def attention_head(in_channels: int, out_channels: int = 1) -> nn.Sequential:
    """maps (N, in_channels, h, w) -> attention (N, out_channels, h, w) in (0, 1), float32 or float64.

    Keys are names (conv0, bn0, conv1, ...), or with cfg.MODEL.MSCALE_OLD_ARCH the numbers of the oldest checkpoints.
    """
    inner = cfg.MODEL.SEGATTN_BOT_CH
    if cfg.MODEL.MSCALE_OLD_ARCH:
        return nn.Sequential(*conv_bn_relu(in_channels, inner, kernel=3),
                             *conv_bn_relu(inner, inner, kernel=3),
                             conv(inner, out_channels, kernel=1), SingleSigmoid())
    layers = OrderedDict()
    layers['conv0'], layers['bn0'] = conv_bn(in_channels, inner, kernel=3)
    layers['re0'] = nn.ReLU(inplace=True)
    if cfg.MODEL.MSCALE_INNER_3x3:
        layers['conv1'], layers['bn1'] = conv_bn(inner, inner, kernel=3)
        layers['re1'] = nn.ReLU(inplace=True)
    if cfg.MODEL.MSCALE_DROPOUT:
        layers['drop'] = nn.Dropout(0.5)
    layers['conv2'] = conv(inner, out_channels, kernel=1)
    layers['sig'] = SingleSigmoid()
    return nn.Sequential(layers)
