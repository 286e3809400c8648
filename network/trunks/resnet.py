"""ResNet-50 and -101 at output stride 8 (He et al., arXiv 1512.03385; dilation: Chen et al., arXiv 1706.05587).

Strides stand in the 3x3 convolutions, as in torchvision, whose ImageNet files name the layers the same but for the
stem: conv1 and bn1 there are layer0.0 and layer0.1 here. All of layer3 is dilated by 2 and all of layer4 by 4, the
first block of each too.
"""

from typing import Any, TypeVar

from torch import Tensor, nn

from network.layers import conv_bn
from network.registry import TRUNKS
from network.trunks.blocks import Block, Bottleneck, DilatedTrunk, dilate, make_blocks

Trunk = TypeVar('Trunk', bound=nn.Module)
PLANES = (64, 128, 256, 512)


class ResNet(DilatedTrunk):
    """images (N, 3, h, w) -> {4: the map of layer1, for decoders, 8: the map of layer4}.

    blocks: their number in each of the four layers; layer0: three channels to 64 at stride 4.
    """

    skip_strides = (4,)

    def __init__(self, blocks: tuple[int, ...], layer0: nn.Module, block: type[Block] = Bottleneck):
        super().__init__()
        outputs = [planes * block.expansion for planes in PLANES]
        self.channels = {4: outputs[0], 8: outputs[-1]}
        self.layer0 = layer0
        for number, (inputs, planes, count) in enumerate(zip([64, *outputs], PLANES, blocks), start=1):
            self.add_module(f'layer{number}', make_blocks(block, inputs, planes, count, stride=2 if number == 2 else 1))
        dilate(self.layer3, 2)
        dilate(self.layer4, 4)

    def forward(self, images: Tensor) -> dict[Any, Tensor]:
        fine = self.layer1(self.layer0(images))
        return {4: fine, 8: self.layer4(self.layer3(self.layer2(fine)))}


def build(*blocks: int) -> ResNet:
    layer0 = nn.Sequential(
        *conv_bn(3, 64, kernel=7, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
    )
    return initialised(ResNet(blocks, layer0))


def initialised(trunk: Trunk) -> Trunk:
    """trunk with Kaiming-normal convolutions that keep the variance of gradients."""
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
    return trunk


@TRUNKS.register('resnet-50')
def resnet_50(align_corners: bool = False) -> ResNet:
    return build(3, 4, 6, 3)


@TRUNKS.register('resnet-101')
def resnet_101(align_corners: bool = False) -> ResNet:
    return build(3, 4, 23, 3)
