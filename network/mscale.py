"""Hierarchical multi-scale attention (Tao et al., arXiv 2005.10821): neighbouring scales are blended by a learnt map.

Every network that predicts logits and an attention map can be trained on two scales and run on any number of them:
`MultiScale` is mixed in before such a `Segmentor` and replaces its forward pass.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from network.heads import attention_head
from network.initialize import kaiming
from network.layers import Module
from network.options import Options
from network.plain import Reordered
from network.resize import Size, resize, size_of, without_autocast
from network.segmentor import FeatureSegmentor, Prediction, Segmentor


def scale_key(prefix: str, scale: float) -> str:
    """'pred', 0.5 -> 'pred_05x'; 'attn', 2 -> 'attn_20x'."""
    return f'{prefix}_{str(float(scale)).replace(".", "")}x'


def check_scales(n_scales) -> tuple[float, ...]:
    """The scales, largest first; ValueError unless they are positive, different and hold 1.0."""
    try:
        scales = sorted((float(scale) for scale in n_scales), reverse=True)
    except (TypeError, ValueError):
        raise ValueError(f'--n_scales: {n_scales!r} is no list of numbers; give for example 0.5,1.0,2.0') from None
    listed = ','.join(f'{scale:g}' for scale in scales)
    if 1.0 not in scales:
        raise ValueError(
            f'--n_scales {listed} lacks 1.0, the scale that predictions are returned at; add 1.0 to the list'
        )
    if len(set(scales)) < len(scales) or not all(0 < scale < math.inf for scale in scales):
        raise ValueError(f'--n_scales {listed}: scales must be positive, finite and each be given once')
    return tuple(scales)


def low_scale(options: Options) -> float:
    """The smaller of the two scales of the training, options.MSCALE_LO_SCALE; ValueError unless it is below the other,
    1.0."""
    scale = float(options.MSCALE_LO_SCALE)
    if not 0 < scale < 1:
        raise ValueError(
            f'--mscale_lo_scale {scale:g}: the low scale of the training has to be above 0 and below 1, the other one;'
            ' give for example 0.5'
        )
    return scale


def fuse(logits: Tensor, attention: Tensor, other: Tensor, align_corners: bool) -> Tensor:
    """Blend one scale with what the others have made, by its own attention (HMSA eq. 1).

    logits (N, C, h, w) and attention (N, 1, h, w) in [0, 1] of the scale; other (N, C, H, W), H >= h.
    Returns (N, C, H, W): up(attention * logits) + (1 - up(attention)) * other.
    """
    size = size_of(other)
    with without_autocast(other):  # fp32: nearly equal logits decide the class
        if logits.shape == other.shape:
            return torch.lerp(other, logits, attention)
        weighted = resize(attention * logits, size, align_corners)
        return torch.addcmul(weighted, 1 - resize(attention, size, align_corners), other)


class MultiScale(Reordered, Segmentor):
    """Mixin before another Segmentor whose `run_heads(images, attention=True)` fills `attention`.

    n_scales: the scales of hierarchical inference in eval mode, largest first, or () to evaluate as it was trained.
    The variants of the method override `predict_scale`, `attention_between` or `meeting_size`.
    """

    def __init__(self, *args, n_scales=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.n_scales = check_scales(n_scales) if n_scales else ()
        self.lo_scale = low_scale(self.options)
        self.output_names = (*self.output_names, scale_key('pred', self.lo_scale), scale_key('pred', 1.0))

    @property
    def hierarchical(self) -> bool:
        """Whether the next pass is one of hierarchical inference."""
        return bool(self.n_scales) and not self.training

    def scales(self) -> tuple[float, ...]:
        return self.n_scales if self.hierarchical else (1.0, self.lo_scale)

    def forward(self, images: Tensor, keep_scales: bool = False) -> dict[str, Tensor]:
        """images (N, 3, h, w) float, normalised -> dict of logits (N, K, h, w) and attention maps (N, 1, h, w).

        pred, in training aux, pred_<s>x of every scale and attn_<s>x of every scale but the largest, each at its
        scale's size. Evaluation returns only pred unless keep_scales. From the largest scale down, each scale's
        attention blends it with all larger ones: down to scale 1.0 at the size of the scale at hand, below it at the
        size of the images.
        """
        full = size_of(images)
        scales = self.scales()
        keep = self.training or keep_scales
        views = self._look(images, scales)
        largest, size = views[0]
        if len(views) > 1 and scales[1] >= 1.0 and not keep:
            size = self._first_size(largest.logits, size, self.meeting_size(views[1].size, full))
        blended = self._place(largest.logits, size, full)
        aux = self._place(largest.aux, size, full) if self.training and largest.aux is not None else None
        predictions, attentions = [(scales[0], blended)], []
        for scale, (prediction, size), larger in zip(scales[1:], views[1:], views):
            logits = self._place(prediction.logits, size, full)
            attention = self._place(self.attention_between(prediction, larger.prediction), size, full)[:, :1]
            if scale >= 1.0:
                blended = resize(blended, size_of(logits), self.align_corners)
            blended = fuse(logits, attention, blended, self.align_corners)
            if aux is not None and prediction.aux is not None:
                aux = fuse(self._place(prediction.aux, size, full), attention, aux, self.align_corners)
            if keep:
                predictions.append((scale, logits))
                attentions.append((scale, attention))
        outputs = {'pred': blended} if aux is None else {'pred': blended, 'aux': aux}
        if keep:
            outputs |= {scale_key('pred', scale): maps for scale, maps in reversed(predictions)}
            outputs |= {scale_key('attn', scale): maps for scale, maps in reversed(attentions)}
        return outputs

    def predict_scale(self, images: Tensor, full: Size, smaller: Prediction | None, attention: bool) -> Prediction:
        """What the heads say of the images of one scale, given what they said of the next smaller one (None at the
        smallest).

        images (N, 3, h, w); full is the size at scale 1.0; attention: whether its attention will be used.
        """
        return self.run_heads(images, attention)

    def attention_between(self, smaller: Prediction, larger: Prediction) -> Tensor:
        """The attention (N, 1 or more, h, w) by which `smaller` is blended with all that is larger; its first channel
        counts."""
        assert smaller.attention is not None
        return smaller.attention

    def meeting_size(self, size: Size, full: Size) -> Size:
        """The size that a scale, with images of `size`, is enlarged to before it is blended."""
        return size

    def _look(self, images: Tensor, scales: tuple[float, ...]) -> list['View']:
        """A view of the images at each of the scales, largest first; computed from the smallest, as it was trained."""
        views: list[View] = []
        for scale in reversed(scales):
            scaled, size = self.scale_images(images, scale)
            smaller = views[-1].prediction if views else None
            attention = len(views) < len(scales) - 1 or self.plain
            views.append(View(self.predict_scale(scaled, size_of(images), smaller, attention), size))
        return views[::-1]

    def _place(self, maps: Tensor, size: Size, full: Size) -> Tensor:
        """Head output for images of `size`, enlarged to these and then to where scales meet."""
        return resize(self.enlarge(maps, size), self.meeting_size(size, full), self.align_corners)

    def _first_size(self, logits: Tensor, size: Size, following: Size) -> Size:
        """The size to enlarge the largest scale's logits (N, K, h, w) to: its own, or the next scale's if that is the
        same.

        Bilinear halving without aligned corners is the mean of two neighbours. Enlarged by a multiple of 4, these two
        lie on one straight piece between the same two logits, so their mean is what direct resizing reads there.
        """
        if self.plain:
            return size
        (height, width), (h, w) = size, logits.shape[-2:]
        halves = all(full == 2 * half for full, half in zip(size, following))
        commutes = height * w == width * h and height % (4 * h) == 0
        return following if halves and commutes and not self.align_corners else size


class View(NamedTuple):
    """What a network sees at one scale, and the size (h, w) of the images there."""

    prediction: Prediction
    size: Size


class Attentive(MultiScale, FeatureSegmentor):
    """Mixin before a FeatureSegmentor: an attention head beside its class head, over the same features."""

    attention_channels = 1

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options, n_scales=None):
        super().__init__(num_classes, trunk, align_corners, options, n_scales=n_scales)
        self.scale_attn = self.make_attention_head()
        if options.INIT_DECODER:
            kaiming(self.scale_attn)

    def make_attention_head(self) -> nn.Module:
        return attention_head(self.feature_channels, self.options, self.attention_channels, self.align_corners)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        features = self.features(images)
        return Prediction(self.classify(features), attention=self.scale_attn(features) if attention else None)
