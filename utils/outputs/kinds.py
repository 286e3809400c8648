"""Kinds of the per-pixel class values that networks give, and how each becomes probabilities.

Logits go through a softmax. Mask scores (EoMT, Mask2Former and their kin: sums over queries of class probability times
mask probability) are not logits: they are divided by their sum.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names are needed before torch is imported, which takes seconds
    from torch import Tensor

LOGITS, PROBABILITIES, MASK_SCORES = 'logits', 'probabilities', 'mask scores'
KINDS = (LOGITS, PROBABILITIES, MASK_SCORES)
TINY = 2.0**-126  # the smallest normal number of single precision


def kind_of(net) -> str:
    """The kind of what a network returns as `pred` in evaluation."""
    return getattr(net, 'kind', LOGITS)


def as_logits(values: 'Tensor', kind: str) -> 'Tensor':
    """Values (of any shape) whose softmax over the classes gives the probabilities: logits as they are, of other kinds
    the logarithm. A pixel whose mask scores are all 0 gets all classes alike."""
    return values if kind == LOGITS else values.clamp_min(TINY).log()
