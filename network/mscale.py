"""Hierarchical multi-scale attention (Tao et al., arXiv 2005.10821): neighbouring scales are blended by a learnt map.

Every network that predicts logits and an attention map can be trained on two scales and run on any number of them:
`MultiScale` is mixed in before such a `Segmentor` and replaces its forward pass.
"""
import torch
from torch import Tensor

from config import cfg
from network.resize import Size, resize, scaled_size, without_autocast


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
        raise ValueError(f'--n_scales {listed} lacks 1.0, the scale that predictions are returned at; add 1.0 to the list')
    if len(set(scales)) < len(scales) or min(scales) <= 0:
        raise ValueError(f'--n_scales {listed}: scales must be positive and each be given once')
    return tuple(scales)


def fuse(logits: Tensor, attention: Tensor, other: Tensor, align_corners: bool) -> Tensor:
    """Blend one scale with what the others have made, by its own attention (HMSA eq. 1).

    logits (N, C, h, w) and attention (N, 1, h, w) in [0, 1] of the scale; other (N, C, H, W), H >= h.
    Returns (N, C, H, W): up(attention * logits) + (1 - up(attention)) * other.
    """
    size = other.shape[-2:]
    with without_autocast(other):                    # fp32: nearly equal logits decide the class
        if logits.shape == other.shape:
            return torch.lerp(other, logits, attention)
        weighted = resize(attention * logits, size, align_corners)
        return torch.addcmul(weighted, 1 - resize(attention, size, align_corners), other)


class MultiScale:
    """Mixin before a Segmentor whose `predict(images, attention=True)` fills `attention`.

    n_scales: the scales of hierarchical inference in eval mode, largest first, or () to evaluate as it was trained.
    """

    def __init__(self, *args, n_scales=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.n_scales = check_scales(n_scales) if n_scales else ()
        self.lo_scale = float(cfg.MODEL.MSCALE_LO_SCALE)
        self.output_names = (*self.output_names, scale_key('pred', self.lo_scale), scale_key('pred', 1.0))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """images (N, 3, h, w) float, normalised -> dict of logits (N, K, h, w) and attention maps (N, 1, h, w).

        Two scales: pred, in training aux, pred_05x (at the low scale's size), pred_10x, attn_05x. More scales: pred,
        pred_<s>x of every scale and attn_<s>x of every scale but the largest, each at its scale's size.
        Evaluation returns only pred unless keep_scales.
        """
        if self.n_scales and not self.training:
            return self.forward_n_scales(images)
        return self.forward_two_scales(images)

    def scale_images(self, images: Tensor, scale: float) -> tuple[Tensor, Size]:
        """images (N, 3, h, w) resized by `scale`, and their size."""
        size = scaled_size(tuple(images.shape[-2:]), scale)
        self.check_size(images, size, scale)
        return resize(images, size, self.align_corners), size

    def forward_two_scales(self, images: Tensor) -> dict[str, Tensor]:
        """The pass of training: the low scale's attention blends both, the full scale's is not needed."""
        small, small_size = self.scale_images(images, self.lo_scale)
        images, size = self.scale_images(images, 1.0)
        low = self.predict(small, attention=True)
        full = self.predict(images)

        attention = self.enlarge(low.attention, small_size)
        low_logits, full_logits = self.enlarge(low.logits, small_size), self.enlarge(full.logits, size)
        outputs = {'pred': fuse(low_logits, attention, full_logits, self.align_corners)}
        if self.training and full.aux is not None:
            outputs['aux'] = fuse(self.enlarge(low.aux, small_size), attention, self.enlarge(full.aux, size), self.align_corners)
        if self.training or self.keep_scales:
            outputs |= {scale_key('pred', self.lo_scale): low_logits, scale_key('pred', 1.0): full_logits,
                        scale_key('attn', self.lo_scale): attention}
        return outputs

    def forward_n_scales(self, images: Tensor) -> dict[str, Tensor]:
        """Hierarchical inference: from the largest scale down, each scale's attention blends it with all larger ones.

        Down to scale 1.0 the blend is made at the size of the scale at hand, below it at the size of the images.
        """
        largest, *smaller = self.n_scales
        scaled, size = self.scale_images(images, largest)
        logits = self.predict(scaled).logits
        if smaller and smaller[0] >= 1.0 and not self.keep_scales:
            size = self._first_size(logits, size, scaled_size(tuple(images.shape[-2:]), smaller[0]))
        blended = self.enlarge(logits, size)
        predictions, attentions = {largest: blended}, {}
        for scale in smaller:
            scaled, size = self.scale_images(images, scale)
            prediction = self.predict(scaled, attention=True)
            logits, attention = self.enlarge(prediction.logits, size), self.enlarge(prediction.attention, size)
            if scale >= 1.0:
                blended = resize(blended, size, self.align_corners)
            blended = fuse(logits, attention, blended, self.align_corners)
            if self.keep_scales:
                predictions[scale], attentions[scale] = logits, attention
        if not self.keep_scales:
            return {'pred': blended}
        named = {scale_key('pred', scale): predictions[scale] for scale in reversed(predictions)}
        named |= {scale_key('attn', scale): attentions[scale] for scale in reversed(attentions)}
        return {'pred': blended} | named

    def _first_size(self, logits: Tensor, size: Size, following: Size) -> Size:
        """The size to enlarge the largest scale's logits (N, K, h, w) to: its own, or the next scale's if that is the same.

        Bilinear halving without aligned corners is the mean of two neighbours. Enlarged by a multiple of 4, these two lie
        on one straight piece between the same two logits, so their mean is what direct resizing reads there.
        """
        factors = {full / small for full, small in zip(size, logits.shape[-2:])}
        halves = all(full == 2 * half for full, half in zip(size, following))
        commutes = len(factors) == 1 and factors.pop() % 4 == 0
        return following if halves and commutes and not self.align_corners else size
