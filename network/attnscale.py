"""Attention to scale (Chen et al., arXiv 1511.03339): every scale's logits are weighted by an attention map of its own
and summed.

Unlike hierarchical attention, one head reads the features of all scales at once, so training needs them all too. The
published networks normalise neither over scales nor to (0, 1).
"""

from typing import Any

from torch import Tensor, nn

from network.deepv3 import DeepV3Plus
from network.heads import PyramidHead, SegmentationHead, numbered_attention_head
from network.initialize import kaiming
from network.layers import Module
from network.mscale import check_scales, low_scale, scale_key
from network.options import Options
from network.pyramid import stack
from network.registry import ARCHS
from network.resize import Size, resize, size_of, without_autocast

SCALES = (0.5, 1.0, 2.0)
PLAIN_CHANNELS = 512


class AttentionToScale(DeepV3Plus):
    """DeepLabV3+ on every scale and one attention channel for each of n_scales, which are those of training and
    evaluation.

    n_scales: default 0.5, 1.0 and 2.0; their number is part of the head's shape. bn_head: a deeper attention head, with
    norms (always, if options.ATTNSCALE_BN_HEAD is set).
    """

    bn_head = False

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options, n_scales=None):
        super().__init__(num_classes, trunk, align_corners, options)
        self.n_scales = check_scales(n_scales or self.own_scales())
        self.scale_attn = self.make_attention_head()
        if options.INIT_DECODER:
            kaiming(self.scale_attn)

    def own_scales(self) -> tuple[float, ...]:
        return SCALES

    def scales(self) -> tuple[float, ...]:
        return self.n_scales

    def make_attention_head(self) -> PyramidHead:
        inputs, outputs = len(self.n_scales) * self.feature_channels, len(self.n_scales)
        if self.bn_head or self.options.ATTNSCALE_BN_HEAD:
            return SegmentationHead(inputs, outputs, self.options.SEGATTN_BOT_CH, self.align_corners)
        # The padding of the 1x1 convolution adds a rim of zeros, which resizing stretches: so were the networks
        # trained.
        return PyramidHead(
            nn.Conv2d(inputs, PLAIN_CHANNELS, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(PLAIN_CHANNELS, outputs, 1, padding=1, bias=False),
            align_corners=self.align_corners,
        )

    def forward(self, images: Tensor, keep_scales: bool = False) -> dict[str, Tensor]:
        """images (N, 3, h, w) float, normalised -> pred (N, K, h, w), in training also attn_<s>x (N, 1, h, w) of every
        scale.

        keep_scales: in evaluation return attn_<s>x too, and pred_<s>x of the same size.
        """
        size = size_of(images)
        ascending = sorted(self.scales())
        logits, features = {}, {}
        for scale in sorted(ascending, key=lambda scale: scale != 1.0):  # 1.0 first
            logits[scale], features[scale] = self._look(images, scale)
        weights = self.weigh(features, size)
        with without_autocast(images):
            pred: Any = sum(weights[scale] * logits[scale] for scale in ascending)
        outputs = {'pred': pred}
        if keep_scales and not self.training:
            outputs |= {scale_key('pred', scale): logits[scale] for scale in ascending}
        if keep_scales or self.training:
            outputs |= {scale_key('attn', scale): weights[scale] for scale in ascending}
        return outputs

    def _look(self, images: Tensor, scale: float) -> tuple[Tensor, list[Tensor]]:
        """Logits (N, K, h, w) of one scale at the size of the images, and its features."""
        scaled, size = self.scale_images(images, scale)
        features = self.features(scaled)
        return (
            resize(self.enlarge(self.classify(features), size), size_of(images), self.align_corners),
            features,
        )

    def weigh(self, features: dict[float, list[Tensor]], size: Size) -> dict[float, Tensor]:
        """Features by scale, 1.0 first and the others ascending -> the weight (N, 1, H, W) of each scale at `size`."""
        first, *others = features.values()
        maps = self.scale_attn([*first, *(stack(other, self.align_corners) for other in others)])
        return dict(zip(self.n_scales[::-1], self.enlarge(maps, size).split(1, dim=1)))


class AttentionToScaleBN(AttentionToScale):
    bn_head = True


class PairedAttentionToScale(AttentionToScale):
    """One head weighs two neighbouring scales, so that after training on two, evaluation may chain any number.

    Trained on options.MSCALE_LO_SCALE and 1.0. n_scales: those of evaluation; default: the same two.
    """

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options, n_scales=None):
        super().__init__(num_classes, trunk, align_corners, options, n_scales)
        self.training_scales = self.own_scales()
        if len(self.n_scales) < 2:
            raise ValueError(
                '--n_scales 1 is one scale, but this network weighs scales in pairs; give at least two, such as 0.5,1.0'
            )

    def own_scales(self) -> tuple[float, ...]:
        return low_scale(self.options), 1.0

    def scales(self) -> tuple[float, ...]:
        return self.training_scales if self.training else self.n_scales

    def make_attention_head(self) -> PyramidHead:
        return numbered_attention_head(2 * self.feature_channels, self.options, 2, self.align_corners)

    def weigh(self, features: dict[float, list[Tensor]], size: Size) -> dict[float, Tensor]:
        """From the smallest pair up, a pair shares out what the pair before gave to the scale that both hold."""
        target = size_of(features[1.0][0])
        maps = {
            scale: resize(stack(features[scale], self.align_corners), target, self.align_corners)
            for scale in sorted(features)
        }
        scales, weights, share = list(maps), {}, None
        for low, high in zip(scales, scales[1:]):
            pair = self.enlarge(self.scale_attn([maps[low], maps[high]]), size)
            ratio = 1 if share is None else share / pair.sum(dim=1, keepdim=True)
            share = pair[:, 1:]
            weights[low], weights[high] = (pair * ratio).split(1, dim=1)
        return weights


for _name, _trunk, _network in (
    ('DeepV3R50', 'resnet-50', AttentionToScale),
    ('DeepV3W38', 'wrn38', AttentionToScale),
    ('DeepV3R50B', 'resnet-50', AttentionToScaleBN),
    ('DeepV3R50BP', 'resnet-50', PairedAttentionToScale),
):
    ARCHS.register(f'attnscale.{_name}', trunk=_trunk, dilated=True)(_network)
