"""What the numbers of a stored model output are, and how each kind becomes probabilities.

Logits go through a softmax. Mask scores (Mask2Former-like: sums over queries of class probability times mask
probability) are not logits: they are divided by their sum. A softmax over them is nearly uniform; averaged with another
model it ruins the calibration and silences the second model.
"""

import torch
from torch import Tensor

LOGITS, PROBABILITIES, MASK_SCORES = 'logits', 'probabilities', 'mask scores'
KINDS = (LOGITS, PROBABILITIES, MASK_SCORES)


def known_kind(kind: str, source: str) -> str:
    """The one of KINDS that is meant, mask_scores being 'mask scores'; ValueError naming `source` for another."""
    kind = str(kind).replace('_', ' ')
    if kind not in KINDS:
        raise ValueError(
            f'{source}: kind {kind!r} is unknown, expected one of {", ".join(KINDS)}; correct its manifest.json, or'
            ' give --kind'
        )
    return kind


def to_probabilities(values: Tensor, kind: str) -> Tensor:
    """values (C, ...) float32 of `kind` -> probabilities of the same shape that sum to 1 over C; values may be
    overwritten.

    A pixel whose mask scores are all zero or below belongs to no class: every class gets 1 / C.
    """
    if kind == LOGITS:
        return torch.softmax(values, 0)
    values = values.clamp_(min=0)
    total = values.sum(0)
    empty = total <= 0
    if bool(empty.any()):
        values[:, empty] = 1
        total = values.sum(0)
    return values.div_(total)
