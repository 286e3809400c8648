"""Mask classification: queries that each predict a class and a mask, and the scores of pixels that they give together.

Cheng et al., NeurIPS 2021, arXiv 2107.06278: the score of class c at a pixel is the sum over queries of the probability
that the query is of class c, with "no object" among the classes but left out of the result, times the probability that
its mask covers the pixel. Scores are at least 0 and may exceed 1: they are no logits.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from network.resize import Size, single, without_autocast
from network.trunks.timm_trunk import corner

AT_ONCE = 25  # queries whose masks are enlarged together: bounds the memory of large images


class Queries(NamedTuple):
    """masks (N, Q, h, w) logits; classes (N, Q, K + 1) logits, those of "no object" last."""

    masks: Tensor
    classes: Tensor

    def mean(self) -> Tensor:
        """A scalar that depends on everything, as the mean of a map of logits does."""
        return self.masks.mean() + self.classes.mean()


def class_scores(queries: Queries, size: Size, shown: Size) -> Tensor:
    """The scores (N, K, h, w) of the upper left `shown` (h, w) pixels of masks that are enlarged to `size`; float32,
    float64 for queries in that."""
    with without_autocast(queries.masks):
        probabilities = single(queries.classes).softmax(-1)[..., :-1]
        total = None
        for masks, weights in zip(queries.masks.split(AT_ONCE, 1), probabilities.split(AT_ONCE, 1)):
            enlarged = F.interpolate(single(masks), size, mode='bilinear', align_corners=False)
            part = torch.einsum('nqhw,nqk->nkhw', corner(enlarged, *shown).sigmoid(), weights)
            total = part if total is None else total + part
    assert total is not None
    return total.contiguous()
