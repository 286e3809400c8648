"""Multi-scale attention read from the features of two neighbouring scales together, rather than from those of the
smaller."""

from torch import Tensor, nn

from network.basic import Basic
from network.deepv3 import DeepV3Plus
from network.heads import numbered_attention_head
from network.mscale import Attentive
from network.pyramid import stack
from network.registry import ARCHS
from network.resize import resize, size_of
from network.segmentor import Prediction


class Pairwise(Attentive):
    """Mixin before a FeatureSegmentor: the attention head reads the features of a scale and of the next larger one."""

    def make_attention_head(self) -> nn.Module:
        return numbered_attention_head(2 * self.feature_channels, self.options, align_corners=self.align_corners)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        features = self.features(images)
        return Prediction(self.classify(features), context=stack(features, self.align_corners))

    def attention_between(self, smaller: Prediction, larger: Prediction) -> Tensor:
        """At the size of the smaller scale's features."""
        return self.scale_attn([smaller.context, larger.context])


class PairwiseDeepV3Plus(Pairwise, DeepV3Plus):
    pass


class PairwiseBasic(Pairwise, Basic):
    classifier = 'cls_head'
    class_layers = ('cls_head.6',)
    kaiming_parts = ()
    decoder_parts = ('cls_head',)

    def attention_between(self, smaller: Prediction, larger: Prediction) -> Tensor:
        """At the size of the larger scale's features."""
        return self.scale_attn([resize(smaller.context, size_of(larger.context), self.align_corners), larger.context])


ARCHS.register('mscale2.DeepV3R50', trunk='resnet-50', dilated=True)(PairwiseDeepV3Plus)
ARCHS.register('mscale2.HRNet')(PairwiseBasic)
