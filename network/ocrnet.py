"""Networks with an OCR block: one scale, and hierarchical multi-scale attention on top of it."""

from torch import Tensor

from network.aspp import ASPP
from network.heads import attention_head
from network.initialize import kaiming
from network.layers import Module
from network.mscale import MultiScale
from network.ocr import OCRBlock
from network.options import Options
from network.registry import ARCHS
from network.segmentor import Prediction, Segmentor


class OCRNet(Segmentor):
    """Object-contextual representations on a trunk (arXiv 1909.11065)."""

    output_names = ('pred', 'aux')
    class_layers = ('ocr.cls_head', 'ocr.aux_head.2')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        self.ocr = OCRBlock(self.head_channels, num_classes, align_corners, options)
        if options.INIT_DECODER:
            kaiming(self.ocr)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        logits, aux, _ = self.ocr(self.trunk_maps(images))
        return Prediction(logits, aux)


class OCRNetASPP(OCRNet):
    """An ASPP between trunk and OCR block.

    outer_channels: of each of its branches, options.ASPP_BOT_CH if None. inner_aspp: another one inside the block
    (always, if options.OCR_ASPP is set).
    """

    outer_channels: int | None = None
    inner_aspp = False

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        Segmentor.__init__(self, trunk, align_corners, options)
        self.aspp = ASPP(self.head_channels, self.outer_channels or options.ASPP_BOT_CH, align_corners)
        self.ocr = OCRBlock(self.aspp.channels, num_classes, align_corners, options, self.inner_aspp)
        if options.INIT_DECODER:
            kaiming(self.aspp)
            kaiming(self.ocr)

    def trunk_maps(self, images: Tensor) -> list[Tensor]:
        return [self.aspp(super().trunk_maps(images))]


class MultiScaleOCR(MultiScale, OCRNet):
    """OCRNet whose attention head reads the OCR features (HMSA, arXiv 2005.10821, section 3)."""

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options, n_scales=None):
        super().__init__(num_classes, trunk, align_corners, options, n_scales=n_scales)
        self.scale_attn = attention_head(self.ocr.channels, options, align_corners=align_corners)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        logits, aux, feats = self.ocr(self.trunk_maps(images))
        return Prediction(logits, aux, self.scale_attn(feats) if attention else None)


for _name in ('ocrnet.OCR', 'ocrnet.HRNet'):
    ARCHS.register(_name)(OCRNet)
for _name in ('ocrnet.Mscale', 'ocrnet.HRNet_Mscale'):
    ARCHS.register(_name)(MultiScaleOCR)
ARCHS.register('ocrnet.HRNet_ASPP', dilated=True)(OCRNetASPP)
