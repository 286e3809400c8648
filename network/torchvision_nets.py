"""FCN and DeepLabv3 as torchvision builds them, with as many classes as the data set has; its COCO files fit by name.

Long et al., arXiv 1411.4038; Chen et al., arXiv 1706.05587. Nothing is ever downloaded. Beside the deepest map an earlier
one of the trunk is classified in training; under a trunk that offers none the auxiliary head reads what the main one reads.
"""
import torch
from torch import Tensor, nn

from config import cfg
from network.initialize import kaiming
from network.layers import conv, conv_bn_relu
from network.registry import ARCHS
from network.resize import resize
from network.segmentor import Prediction, Segmentor

RATES = (12, 24, 36)


class FCNHead(nn.Sequential):
    """A 3x3 convolution to a quarter of the channels, norm, ReLU, dropout, classifier; keys 0, 1 and 4."""

    def __init__(self, in_channels: int, num_classes: int):
        inner = in_channels // 4
        super().__init__(*conv_bn_relu(in_channels, inner, kernel=3), nn.Dropout(0.1), conv(inner, num_classes, kernel=1, bias=True))
