"""ResNet-50 and ResNet-101 under torchvision's layer names, dilated to stride 8 as its segmentation networks use them.

He et al., arXiv 1512.03385. torchvision's ImageNet files, and the trunk part of its FCN and DeepLabv3 files, fit by name.
"""
from torch import Tensor, nn

from network.registry import TRUNKS

STEM = ('conv1', 'bn1', 'relu', 'maxpool')


class TorchvisionResNet(nn.Module):
    """images (N, 3, h, w) -> {4: layer1's map, 8: layer4's, 'aux': layer3's, at stride 8 too, for an auxiliary head}."""
    head_strides = (8,)
    skip_strides = (4,)
    deepest_stride = 8
    channels = {4: 256, 8: 2048}
    aux_channels = 1024

    def __init__(self, name: str):
        from torchvision.models import get_model       # here: importing torchvision takes as long as torch itself
        super().__init__()
        resnet = get_model(name, weights=None, replace_stride_with_dilation=(False, True, True))
        for part, module in resnet.named_children():
            if part not in ('avgpool', 'fc'):
                self.add_module(part, module)

    def forward(self, images: Tensor) -> dict[int | str, Tensor]:
        x = images
        for part in STEM:
            x = getattr(self, part)(x)
        fine = self.layer1(x)
        aux = self.layer3(self.layer2(fine))
        return {4: fine, 8: self.layer4(aux), 'aux': aux}


@TRUNKS.register('torchvision/resnet50')
def resnet50(align_corners: bool = False) -> TorchvisionResNet:
    return TorchvisionResNet('resnet50')


@TRUNKS.register('torchvision/resnet101')
def resnet101(align_corners: bool = False) -> TorchvisionResNet:
    return TorchvisionResNet('resnet101')
