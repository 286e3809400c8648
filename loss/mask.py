"""Mask classification loss, of networks whose queries each predict a class and a mask (Mask2Former: Cheng et al., CVPR
2022, arXiv 2112.01527; weights of EoMT, arXiv 2503.19108).

The truth of an image is one binary mask for each class that it shows. Queries are assigned to masks; of the pairs the
masks are compared at points, by binary cross-entropy and Dice, and of all queries the classes, by cross-entropy, where
those without a mask should say "no object". As published, pixels of the ignore label lie in no mask.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from loss.base import full_precision, pixel_nll
from loss.mask_matching import assign, pair_costs
from loss.mask_points import uncertain_points, values_at
from loss.registry import register

CLASS, MASK, DICE = 2.0, 5.0, 5.0  # weights of the terms, in the costs of pairs too


@register('mask', of_queries=True, points='mask_points', no_object='mask_no_object')
class MaskLoss(nn.Module):
    """criterion(queries, labels (N, H, W)) -> scalar; queries: masks (N, Q, h, w) and classes (N, Q, K + 1), logits.

    Everything is computed in float32 (float64 for float64 logits) whatever autocast says. `.parts` holds the unweighted
    terms of the last call, detached: 'class', 'mask', 'dice'. Masks may have any size. Where processes train together,
    the sums over masks are divided by the mean number of masks of a process, 1 at least.
    """

    of_queries = True

    def __init__(self, num_classes: int, ignore_label: int = 255, points: int = 12544, no_object: float = 0.1):
        super().__init__()
        self.num_classes, self.ignore_label, self.points, self.no_object = num_classes, ignore_label, points, no_object
        self.parts: dict[str, Tensor] = {}

    def forward(self, queries: Any, labels: Tensor) -> Tensor:
        if not isinstance(queries, tuple):
            raise ValueError(
                f'--loss mask: needs masks and classes of queries, found logits of pixels {tuple(queries.shape)};'
                ' choose another loss, or a network of queries such as --arch eomt.EoMT'
            )
        masks, classes = map(full_precision, queries)
        with torch.autocast(masks.device.type, enabled=False):
            terms = self.terms(masks, classes, *self.truth(labels, masks.dtype))
        self.parts = {name: term.detach() for name, term in terms.items()}
        return CLASS * terms['class'] + MASK * terms['mask'] + DICE * terms['dice']

    def truth(self, labels: Tensor, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
        """(classes (M,) int64, masks (M, H, W) of 0 and 1) of every image: those that it shows, in order."""
        shown, masks = [], []
        for image in labels:
            present = image.unique().long()
            counts = (present >= 0) & (present < self.num_classes) & (present != self.ignore_label)
            shown.append(present[counts])
            masks.append((image == shown[-1][:, None, None]).to(dtype))
        return shown, masks

    def terms(self, masks: Tensor, classes: Tensor, shown: list[Tensor], truth: list[Tensor]) -> dict[str, Tensor]:
        """The unweighted terms by name. shown, truth: the classes and masks of each image, masks of one size."""
        pairs = [self.match(*image) for image in zip(masks, classes, shown, truth)]
        chosen = torch.cat([image[queries] for image, (queries, _) in zip(masks, pairs)])
        wanted = torch.cat([image[places] for image, (_, places) in zip(truth, pairs)])
        points = uncertain_points(chosen.detach(), self.points)
        logits, labels = values_at(chosen, points), values_at(wanted, points)
        count = mean_over_processes(sum(map(len, shown)), masks.device).clamp(min=1)
        entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction='none').mean(1)
        shares = logits.sigmoid()
        dice = 1 - (2 * (shares * labels).sum(1) + 1) / (shares.sum(1) + labels.sum(1) + 1)
        return {
            'class': self.class_term(classes, shown, pairs),
            'mask': entropy.sum() / count,
            'dice': dice.sum() / count,
        }

    @torch.no_grad()
    def match(self, masks: Tensor, classes: Tensor, shown: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """(queries, masks): positions of the pairs of one image, of the least cost at random points."""
        points = torch.rand(1, self.points, 2, device=masks.device, dtype=masks.dtype)
        entropy, dice = pair_costs(values_at(masks, points), values_at(truth, points))
        return assign(MASK * entropy - CLASS * classes.softmax(-1)[:, shown] + DICE * dice)

    def class_term(self, classes: Tensor, shown: list[Tensor], pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Cross-entropy of the classes (N, Q, K + 1), the weighted mean over all queries."""
        wanted = classes.new_full(classes.shape[:2], self.num_classes, dtype=torch.int64)
        for row, image, (queries, places) in zip(wanted, shown, pairs):
            row[queries] = image[places]
        weights = torch.where(wanted == self.num_classes, self.no_object, 1.0).to(classes)
        return (pixel_nll(classes.transpose(1, 2), wanted) * weights).sum() / weights.sum()


def mean_over_processes(number: int, device) -> Tensor:
    """The mean of a number over the processes that train together, float32."""
    total = torch.tensor(float(number), device=device)
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return total
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
