"""Border relaxation (Zhu et al., CVPR 2019, arXiv 1812.01593, eq. 3): near a border any class of the neighbourhood is
right.

The loss of a pixel is minus the log of the summed probability of the classes in its window. In terms of the relaxed
one-hot maps T (K + 1 channels, the last for ignored pixels) it is -(1/n) sum_c T_c w_c log(sum_c' T_c' p_c'), n the
number of classes: every class that is active has the same logarithm. So the maps are never built: a pixel keeps the
few distinct classes of its window, and the gradient is written down.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from loss.base import PixelLoss
from loss.registry import register

REPEATED = -1  # a class that an earlier place of the window has


@register(
    'border',
    bound='wt_bound',
    batch_weighting='batch_weighting',
    window='border_window',
    strict='strict_bdr_cls',
    off_epoch='rlx_off_epoch',
)
class BorderLoss(PixelLoss):
    """Sum over images of the relaxed cross-entropy, each divided by its number of pixels that have a class plus one.

    Classes weigh 1 + bound * (1 - share of the active maps) where they occur in the image. From the epoch after
    off_epoch on (`.epoch` says which one it is) only a pixel's own class is right, and pixels that differ from one of
    their four neighbours count twice.

    Args:
        ignore_label: besides labels outside [0, num_classes).
        bound: the most that is added to a class's weight.
        batch_weighting: take the shares over the batch, not over each image.
        window: how many pixels the neighbourhood reaches to each side.
        strict: classes whose pixels are never relaxed.
        off_epoch: the last epoch with relaxation; -1 for no last one.
    """

    is_strict: Tensor

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = 255,
        bound: float = 1.0,
        batch_weighting: bool = False,
        window: int = 1,
        strict: Sequence[int] = (),
        off_epoch: int = -1,
    ):
        super().__init__(num_classes, ignore_label)
        unknown = [c for c in strict if not 0 <= c < num_classes]
        if unknown:
            raise ValueError(
                f'--strict_bdr_cls: {unknown[0]} is not a class of the data set; expected numbers from 0 to'
                f' {num_classes - 1}'
            )
        self.bound = bound
        self.batch_weighting = batch_weighting
        self.window = window
        self.off_epoch = off_epoch
        self.epoch = 0
        is_strict = torch.zeros(num_classes + 1, dtype=torch.bool)
        is_strict[list(strict)] = True
        self.register_buffer('is_strict', is_strict, persistent=False)

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        classes = labels.masked_fill(~valid, self.num_classes).to(torch.int16)
        if self.off_epoch != -1 and self.epoch > self.off_epoch:
            active, times = classes.unsqueeze(0), 1 + differs_from_neighbour(classes).to(logits.dtype)
        else:
            active, times = window_classes(classes, self.window, self.is_strict), torch.ones_like(logits[:, 0])
        number = ((active >= 0) & (active < self.num_classes)).sum(0)
        weight = self._pixel_weights(active, times) / number.clamp(min=1)
        per_image = (weight * RelaxedNLL.apply(logits, active)).sum((1, 2))
        return {'border': (per_image / ((number > 0).sum((1, 2)) + 1)).sum()}

    def _pixel_weights(self, active: Tensor, times: Tensor) -> Tensor:
        """The summed weights of each pixel's active classes (N, H, W)."""
        images, flat = active.shape[1], times.double().flatten(1)
        # two more bins: for ignored pixels, and for repeated classes, which do not count
        counts = flat.new_zeros(images, self.num_classes + 2)
        for found in active:
            counts.scatter_add_(1, self._bins(found), flat)
        counts = counts[:, :-1]
        if self.batch_weighting:
            counts = counts.sum(0, keepdim=True).expand_as(counts)
        weights = 1 + (counts > 0) * self.bound * (1 - counts / counts.sum(1, keepdim=True))
        weights = F.pad(weights[:, :-1], (0, 2)).to(times.dtype)
        return times * sum(weights.gather(1, self._bins(found)).view(times.shape) for found in active)

    def _bins(self, found: Tensor) -> Tensor:
        return found.long().masked_fill_(found == REPEATED, self.num_classes + 1).flatten(1)


def window_classes(classes: Tensor, window: int, is_strict: Tensor) -> Tensor:
    """The distinct classes around each pixel (S, N, H, W), REPEATED where there are fewer than S = (2 window + 1)^2.

    classes (N, H, W) int16 in [0, K], K for ignored pixels and for what lies outside of the image; is_strict (K + 1)
    bool: pixels of these classes have no other.
    """
    height, width = classes.shape[1:]
    outside = F.pad(classes, (window,) * 4, value=len(is_strict) - 1)
    side = range(2 * window + 1)
    centre_first = sorted(((y, x) for y in side for x in side), key=lambda place: place != (window, window))
    views = [outside[:, y : y + height, x : x + width] for y, x in centre_first]
    alone = is_strict[classes.long()]
    found = [classes]
    for place in range(1, len(views)):
        repeated = alone.clone()
        for earlier in views[:place]:
            repeated |= views[place] == earlier
        found.append(views[place].masked_fill(repeated, REPEATED))
    return torch.stack(found)


def differs_from_neighbour(classes: Tensor) -> Tensor:
    """Where one of the four neighbours within the image has another class (N, H, W), bool."""
    differs = torch.zeros_like(classes, dtype=torch.bool)
    down, right = classes[:, 1:] != classes[:, :-1], classes[:, :, 1:] != classes[:, :, :-1]
    differs[:, 1:] |= down
    differs[:, :-1] |= down
    differs[:, :, 1:] |= right
    differs[:, :, :-1] |= right
    return differs


class RelaxedNLL(torch.autograd.Function):
    """(logits (N, K, H, W), active (S, N, H, W) distinct classes) -> -log of their summed probability (N, H, W).

    Entries outside [0, K) are no class; a pixel without any has 0. The gradient, softmax of all classes minus softmax
    of the active ones, needs one map of the size of logits.
    """

    @staticmethod
    def forward(ctx, logits, active):
        every = logits.logsumexp(1)
        chosen = torch.full_like(every, -torch.inf)
        for found in active:
            index, used = _index(found, logits.shape[1])
            value = logits.gather(1, index).squeeze(1)
            chosen = torch.logaddexp(chosen, value.masked_fill_(~used, -torch.inf))
        ctx.save_for_backward(logits, active, every, chosen)
        return (every - chosen).masked_fill_(chosen == -torch.inf, 0)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        logits, active, every, chosen = ctx.saved_tensors
        grad = grad.masked_fill(chosen == -torch.inf, 0)
        result = (logits - every.unsqueeze(1)).exp_().mul_(grad.unsqueeze(1))
        for found in active:
            index, used = _index(found, logits.shape[1])
            share = (logits.gather(1, index).squeeze(1) - chosen).exp_().mul_(grad)
            result.scatter_add_(1, index, share.masked_fill_(~used, 0).neg_().unsqueeze(1))
        return result, None


def _index(found: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Classes as an index along the channels (N, 1, H, W), and where they are one (N, H, W)."""
    used = (found >= 0) & (found < num_classes)
    return found.long().masked_fill_(~used, 0).unsqueeze(1), used
