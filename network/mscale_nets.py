"""Hierarchical multi-scale attention over the heads without OCR, and its chained form, in which ASPP features are
blended too."""

from torch import Tensor

from network.basic import Basic, BasicASPP, Linear, Upscale
from network.decoders.dpt import DPT
from network.decoders.fpn import FPN
from network.decoders.segformer import SegFormer
from network.decoders.upernet import UPerNet
from network.deeper import Deeper
from network.deepv3 import DeepV3Plus
from network.mscale import Attentive, fuse
from network.registry import ARCHS
from network.resize import Size, resize, single, size_of
from network.segmentor import Prediction


class MultiScaleBasic(Attentive, Basic):
    classifier = 'cls_head'
    class_layers = ('cls_head.6',)
    kaiming_parts = ()
    decoder_parts = ('cls_head',)


class MultiScaleASPP(Attentive, BasicASPP):
    kaiming_parts = ('final',)
    decoder_parts = ('bot_aspp', 'final')


class MultiScaleDeepV3Plus(Attentive, DeepV3Plus):
    pass


class MultiScaleDeeper(Attentive, Deeper):
    pass


class MultiScaleLinear(Attentive, Linear):
    pass


class MultiScaleUpscale(Attentive, Upscale):
    pass


class MultiScaleFPN(Attentive, FPN):
    pass


class MultiScaleUPerNet(Attentive, UPerNet):
    pass


class MultiScaleSegFormer(Attentive, SegFormer):
    pass


class MultiScaleDPT(Attentive, DPT):
    pass


class ChainedDeepV3Plus(MultiScaleDeepV3Plus):
    """From the smallest scale up, a scale's attention also blends its ASPP features into those of the next larger one.

    Hierarchical inference blends at the size of the images, to which logits and attention of every scale are resized.
    """

    def predict_scale(self, images: Tensor, full: Size, smaller: Prediction | None, attention: bool) -> Prediction:
        maps = self.run_trunk(images)
        aspp = self.aspp(self.head_maps(maps))
        if smaller is not None:
            aspp = self._blend_aspp(aspp, smaller, full)
        features = [self.bot_fine(maps[self.skip_stride]), self.bot_aspp(aspp)]
        return Prediction(
            self.classify(features),
            attention=self.scale_attn(features) if attention else None,
            context=(aspp, size_of(images)) if attention else None,
        )

    def _blend_aspp(self, aspp: Tensor, smaller: Prediction, full: Size) -> Tensor:
        """aspp (N, C, h, w) blended with that of the next smaller scale by the last channel of its attention."""
        assert smaller.attention is not None
        size = size_of(aspp)
        smaller_aspp, smaller_size = smaller.context
        attention = resize(self._place(smaller.attention[:, -1:], smaller_size, full), size, self.align_corners)
        return fuse(
            single(resize(smaller_aspp, size, self.align_corners)), attention, single(aspp), self.align_corners
        ).to(aspp.dtype)

    def meeting_size(self, size: Size, full: Size) -> Size:
        return full if self.hierarchical else size


class TwiceChainedDeepV3Plus(ChainedDeepV3Plus):
    """A second attention channel for the ASPP features."""

    attention_channels = 2


for _network, _trunks in {
    MultiScaleBasic: {'HRNet': 'hrnetv2', 'Basic': 'hrnetv2'},
    MultiScaleASPP: {'HRNet_ASP': 'hrnetv2', 'ASPP': 'resnet-50'},
    MultiScaleDeepV3Plus: {
        'DeepV3R50': 'resnet-50',
        'DeepV3W38': 'wrn38',
        'DeepV3EffB4': 'efficientnet_b4',
        'DeepV3X71': 'xception71',
        'DeepV3Plus': 'resnet-50',
    },
    ChainedDeepV3Plus: {'DeepV3W38Fuse': 'wrn38', 'DeepV3EffB4Fuse': 'efficientnet_b4'},
    TwiceChainedDeepV3Plus: {'DeepV3W38Fuse2': 'wrn38'},
    MultiScaleDeeper: {'DeeperW38': 'wrn38', 'DeeperX71': 'xception71', 'DeeperEffB4': 'efficientnet_b4'},
}.items():
    for _name, _trunk in _trunks.items():
        ARCHS.register(f'mscale.{_name}', trunk=_trunk, dilated=_network is not MultiScaleBasic)(_network)
ARCHS.register('mscale.Upscale', trunk='timm/vit_base_patch14_dinov2', dilated=True)(MultiScaleUpscale)
for _name, _network in {
    'Linear': MultiScaleLinear,
    'FPN': MultiScaleFPN,
    'UPerNet': MultiScaleUPerNet,
    'SegFormer': MultiScaleSegFormer,
    'DPT': MultiScaleDPT,
}.items():
    ARCHS.register(f'mscale.{_name}')(_network)
