"""FCN and DeepLabv3 as torchvision builds them, with as many classes as the data set has; its files fit by name.

Long et al., arXiv 1411.4038; Chen et al., arXiv 1706.05587. Nothing is ever downloaded. In training an earlier map of
the trunk is classified too; on a trunk that offers none, the auxiliary head reads what the main one reads.
"""

from typing import Any

import torch
from torch import Tensor, nn

from network.aspp import RATES, image_branch
from network.heads import PyramidHead
from network.initialize import kaiming
from network.layers import Module, conv, conv_bn_relu
from network.options import Options
from network.plain import Reordered
from network.pyramid import conv_over_pyramid
from network.registry import ARCHS
from network.segmentor import Prediction, Segmentor

BOTTLENECK = 256


class FCNHead(PyramidHead):
    """A 3x3 convolution to a quarter of the channels, norm, ReLU, dropout, classifier; keys 0, 1 and 4."""

    def __init__(self, in_channels: int, num_classes: int, align_corners: bool):
        inner = in_channels // 4
        super().__init__(
            *conv_bn_relu(in_channels, inner, kernel=3),
            nn.Dropout(0.1),
            conv(inner, num_classes, kernel=1, bias=True),
            align_corners=align_corners,
        )


class ProjectedASPP(Reordered, nn.Module):
    """Atrous spatial pyramid pooling and a 1x1 convolution of its branches; keys convs.0 to convs.4 (the image) and
    project."""

    def __init__(self, in_channels: int, align_corners: bool):
        super().__init__()
        self.align_corners = align_corners
        self.convs = nn.ModuleList([conv_bn_relu(in_channels, BOTTLENECK, kernel=1)])
        self.convs.extend(conv_bn_relu(in_channels, BOTTLENECK, kernel=3, dilation=rate) for rate in RATES)
        self.convs.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), *conv_bn_relu(in_channels, BOTTLENECK, kernel=1)))
        self.project = nn.Sequential(*conv_bn_relu(len(self.convs) * BOTTLENECK, BOTTLENECK, kernel=1), nn.Dropout(0.5))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """maps (N, c_i, h_i, w_i), finest first -> (N, 256, h_0, w_0)."""
        convs: list[Any] = list(self.convs)
        *local, image = convs
        branches = [
            activate(norm(conv_over_pyramid(convolve, maps, self.align_corners, plain=self.plain)))
            for convolve, norm, activate in local
        ]
        branches.append(image_branch(image[1:], maps, self.align_corners, self.plain))
        return self.project(torch.cat(branches, dim=1))


class DeepLabHead(nn.Sequential):
    """ASPP, a 3x3 convolution with norm and ReLU, classifier; keys 0, 1, 2 and 4."""

    def __init__(self, in_channels: int, num_classes: int, align_corners: bool):
        super().__init__(
            ProjectedASPP(in_channels, align_corners),
            *conv_bn_relu(BOTTLENECK, BOTTLENECK, kernel=3),
            conv(BOTTLENECK, num_classes, kernel=1, bias=True),
        )


class TorchvisionNet(Segmentor):
    """A head over a trunk and, in training, an FCN head over an earlier map of it."""

    output_names = ('pred', 'aux')
    class_layers = ('classifier.4', 'aux_classifier.4')

    head: type[nn.Module]

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        self.classifier = self.head(self.head_channels, num_classes, align_corners)
        self.aux_classifier = FCNHead(getattr(trunk, 'aux_channels', self.head_channels), num_classes, align_corners)
        if options.INIT_DECODER:
            kaiming(self.classifier)
            kaiming(self.aux_classifier)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        maps = self.run_trunk(images)
        deep = [maps[stride] for stride in self.head_strides]
        logits = self.classifier(deep)
        aux = self.aux_classifier([maps['aux']] if 'aux' in maps else deep) if self.training else None
        return Prediction(logits, aux)


class FCN(TorchvisionNet):
    head = FCNHead


class DeepLabv3(TorchvisionNet):
    head = DeepLabHead


for _network in (FCN, DeepLabv3):
    for _name, _trunk in (('', 'resnet101'), ('_resnet50', 'resnet50'), ('_resnet101', 'resnet101')):
        ARCHS.register(f'{_network.__name__}{_name}', trunk=f'torchvision/{_trunk}', dilated=True)(_network)
