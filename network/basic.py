"""A trunk under one plain segmentation head."""
from torch import Tensor, nn

from network.heads import SegmentationHead
from network.initialize import kaiming
from network.registry import ARCHS
from network.segmentor import Prediction, Segmentor


class Basic(Segmentor):
    class_layers = ('seg_head.6',)

    def __init__(self, num_classes: int, trunk: nn.Module, align_corners: bool = False):
        super().__init__(trunk, align_corners)
        self.seg_head = kaiming(SegmentationHead(self.head_channels, num_classes, align_corners))

    def predict(self, images: Tensor, attention: bool = False) -> Prediction:
        return Prediction(self.seg_head(self.trunk_maps(images)))


@ARCHS.register('basic.HRNet')
def hrnet(num_classes: int, trunk: nn.Module, align_corners: bool = False) -> Basic:
    return Basic(num_classes, trunk, align_corners)
