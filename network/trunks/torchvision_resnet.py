"""ResNet-50 and ResNet-101 as torchvision's segmentation networks use them: its layer names, and its way to stride 8.

Its ImageNet files, and the trunk part of its FCN and DeepLabv3 files, fit by name. The first block of layer3 is not
dilated and that of layer4 by 2 only, other than in `resnet-50`, whose weights would otherwise do for both.
"""

from typing import Any

from torch import Tensor, nn

from network.layers import conv_bn
from network.registry import TRUNKS
from network.trunks.blocks import dilate
from network.trunks.resnet import ResNet, initialised


class TorchvisionResNet(ResNet):
    """images (N, 3, h, w) -> {4: layer1's map, 8: layer4's, 'aux': layer3's, at stride 8 too, for an auxiliary
    head}."""

    aux_channels = 1024

    def __init__(self, *blocks: int):
        super().__init__(blocks, layer0=nn.MaxPool2d(3, stride=2, padding=1))
        self.conv1, self.bn1 = conv_bn(3, 64, kernel=7, stride=2)
        self.relu = nn.ReLU(inplace=True)
        dilate(self.layer3[0], 1)
        dilate(self.layer4[0], 2)

    def forward(self, images: Tensor) -> dict[Any, Tensor]:
        x = self.relu(self.bn1(self.conv1(images)))
        fine = self.layer1(self.layer0(x))
        aux = self.layer3(self.layer2(fine))
        return {4: fine, 8: self.layer4(aux), 'aux': aux}


@TRUNKS.register('torchvision/resnet50')
def resnet50(align_corners: bool = False) -> TorchvisionResNet:
    return initialised(TorchvisionResNet(3, 4, 6, 3))


@TRUNKS.register('torchvision/resnet101')
def resnet101(align_corners: bool = False) -> TorchvisionResNet:
    return initialised(TorchvisionResNet(3, 4, 23, 3))
