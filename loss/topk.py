"""Cross-entropy of the hardest pixels: the top share of them, or those below a probability (OHEM).

`topk` is nnU-Net's (Isensee et al., Nature Methods 2021; Wu et al., arXiv 1605.06885), `ohem` online hard example
mining (Shrivastava et al., CVPR 2016) in the form that HRNet trained with. Both choose among all pixels of the batch.
"""

import math

from torch import Tensor

from loss.base import PixelLoss, pixel_nll, valid_mean
from loss.registry import register


@register('topk', share='topk_share')
class TopKLoss(PixelLoss):
    """Mean of the largest floor(share * N H W) values of cross-entropy, at least one; ignored pixels count as 0."""

    def __init__(self, num_classes: int, ignore_label: int = 255, share: float = 0.1):
        super().__init__(num_classes, ignore_label)
        self.share = share

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        nll = pixel_nll(logits, labels).flatten()
        return {'topk': nll.topk(max(1, math.floor(self.share * nll.numel())), sorted=False).values.mean()}


@register('ohem', threshold='ohem_threshold', min_kept='ohem_min_kept')
class OhemLoss(PixelLoss):
    """Mean cross-entropy of the pixels whose true class has a probability of at most `threshold`.

    At least the min_kept hardest pixels take part, all of them where there are fewer; pixels as hard as the last of
    these do too.
    """

    def __init__(self, num_classes: int, ignore_label: int = 255, threshold: float = 0.7, min_kept: int = 100_000):
        super().__init__(num_classes, ignore_label)
        self.threshold = threshold
        self.min_kept = min_kept

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        nll = pixel_nll(logits, labels)
        hardest = nll.detach().flatten().topk(min(self.min_kept, nll.numel()), sorted=False).values
        kept = valid & (nll.detach() >= hardest.min().clamp(max=-math.log(self.threshold)))
        return {'ohem': valid_mean(nll * kept, kept)}
