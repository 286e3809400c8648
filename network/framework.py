"""HRNet and its OCR family as the MIC-DKFZ segmentation framework builds them, so that its checkpoints fit by name.

`hrnet` and `hrnet_ocr` have the layer names of the public HRNet-Semantic-Segmentation project, which has no prefix for
the trunk. The weights of the OCR family (all but `hrnet`) were trained with aligned corners: build them with
align_corners=True.
"""

from typing import Any

from torch import Tensor, nn

from network.heads import PyramidHead
from network.initialize import kaiming
from network.layers import Module, conv
from network.ocr import OCRBlock
from network.ocrnet import MultiScaleOCR, OCRNetASPP
from network.options import Options
from network.registry import ARCHS
from network.segmentor import Prediction, Segmentor
from network.trunks.hrnet import HRNet


class FlatSegmentor(Segmentor):
    """A segmentor whose HRNet trunk has no prefix: the trunk's layers are its own, beside those of its head.

    Any other trunk stays below `backbone`.
    """

    def __init__(self, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        self.trunk_layers: tuple[str, ...] = ()
        if isinstance(trunk, HRNet):
            self.backbone = None
            self.trunk_layers = self._adopt(trunk)

    def _adopt(self, module: nn.Module) -> tuple[str, ...]:
        """Take over the layers of `module` under their own names; returns these."""
        children = dict(module.named_children())
        for name, child in children.items():
            self.add_module(name, child)
        return tuple(children)

    def run_trunk(self, images: Tensor) -> dict[Any, Tensor]:
        # HRNet's forward pass reads nothing of itself but its layers, and these are here.
        here: Any = self
        return HRNet.forward(here, images) if self.trunk_layers else super().run_trunk(images)

    def trunk_parts(self) -> dict[str, nn.Module]:
        return {name: getattr(self, name) for name in self.trunk_layers} or super().trunk_parts()


class PlainHRNet(FlatSegmentor):
    """A 1x1 convolution of all branches, norm, ReLU, classifier."""

    class_layers = ('last_layer.3',)

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        channels = self.head_channels
        self.last_layer = PyramidHead(
            conv(channels, channels, kernel=1, bias=True),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            conv(channels, num_classes, kernel=1, bias=True),
            align_corners=align_corners,
        )
        if options.INIT_DECODER:
            kaiming(self.last_layer)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        return Prediction(self.last_layer(self.trunk_maps(images)))


class FlatOCR(FlatSegmentor):
    """`ocrnet.HRNet` under HRNet-OCR's names: no prefixes, and norms not nested in conv3x3_ocr and aux_head."""

    output_names = ('pred', 'aux')
    class_layers = ('cls_head', 'aux_head.3')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        ocr = OCRBlock(self.head_channels, num_classes, align_corners, options)
        ocr.conv3x3_ocr, ocr.aux_head = unnested(ocr.conv3x3_ocr), unnested(ocr.aux_head)
        if options.INIT_DECODER:
            kaiming(ocr)
        self._adopt(ocr)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        here: Any = self  # OCRBlock's forward pass too reads nothing but its layers
        logits, aux, _ = OCRBlock.forward(here, self.trunk_maps(images))
        return Prediction(logits, aux)


def unnested(head: PyramidHead) -> PyramidHead:
    """The same layers without Sequentials among them."""
    layers = [layer for part in head for layer in (part if isinstance(part, nn.Sequential) else [part])]
    return PyramidHead(*layers, align_corners=head.align_corners)


class TwoASPPs(OCRNetASPP):
    """`--aspp_bot_ch` is the width of the inner one."""

    outer_channels = 256
    inner_aspp = True


ARCHS.register('hrnet')(PlainHRNet)
ARCHS.register('hrnet_ocr')(FlatOCR)
ARCHS.register('hrnet_ocr_aspp', dilated=True)(TwoASPPs)
ARCHS.register('hrnet_ocr_ms')(MultiScaleOCR)
