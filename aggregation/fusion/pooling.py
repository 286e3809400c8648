"""Pooling of an ensemble's members for one image: their kinds of output, and running statistics over them.

Members come one after the other and are forgotten; what is kept depends on what is asked for, not on their number.
Rows are taken in bands that fit a core's cache. Any device will do.

Logits go through a softmax. Mask scores (Mask2Former-like: sums over queries of class probability times mask
probability) are not logits: they are divided by their sum. A softmax over them is nearly uniform; averaged with another
model it ruins the calibration and silences the second model.
"""

import copy

import torch
from torch import Tensor

from aggregation.fusion.names import KINDS, LOGITS, MASK_SCORES
from aggregation.tensors import bands, entropy, largest

# statistic -> whether it has a value per class. Sums are weighted, extremes are not.
STATISTICS = {
    'sum': True,  # of probabilities p
    'square': True,  # of p squared
    'log': True,  # of log p
    'logit': True,  # of logits; every member must be of kind logits
    'mask_score': True,  # of mask scores as they are; every member must be of kind mask scores
    'max': True,  # largest p over the members
    'min': True,
    'votes': True,  # of the members' argmax, one-hot
    'entropy': False,  # of the members' own entropies
    'least_sure': False,  # smallest of the members' own largest p
}
OF_ONE_KIND = {'logit': LOGITS, 'mask_score': MASK_SCORES}
# which a member cannot be taken out of again
EXTREMES = {'max': torch.maximum, 'min': torch.minimum, 'least_sure': torch.minimum}


def known_kind(kind: str, source: str) -> str:
    """The one of KINDS that is meant, mask_scores being 'mask scores'; ValueError naming `source` for another."""
    kind = str(kind).replace('_', ' ')
    if kind not in KINDS:
        raise ValueError(
            f'{source}: kind {kind!r} is unknown, expected one of {", ".join(KINDS)}; correct its manifest.json, or'
            ' give --kind'
        )
    return kind


def wrong_kind(what: str, needed: str, found: str) -> str:
    """The sentence about something that needs members of another kind."""
    return f'{what} needs {needed} of every member, found {found}; choose a fusion or score of probabilities'


def to_probabilities(values: Tensor, kind: str) -> Tensor:
    """values (C, ...) float32 of `kind` -> probabilities (C, ...) that sum to 1 over C; values may be overwritten.

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


class Pool:
    """Statistics named in `needs` over members with values (C, H, W).

    `weights` sums what was added: a float, or (C, 1, 1) when members weigh differently by class.
    """

    def __init__(self, needs, num_classes: int, size: tuple[int, int], device='cpu'):
        self.needs, self.members, self.weights = set(needs), 0, 0.0
        assert self.needs <= set(STATISTICS), self.needs
        self.num_classes, self.size = num_classes, size
        self._values = {
            name: torch.empty((num_classes, *size) if STATISTICS[name] else size, device=device) for name in self.needs
        }
        self._largest = {}

    def __getitem__(self, name: str) -> Tensor:
        """The statistic `name`: sums as they are, not divided by the weights."""
        assert self.members, 'nothing was entered yet'
        return self._values[name]

    def largest(self, name: str) -> tuple[Tensor, Tensor]:
        """(the largest value over the classes, its class) of a statistic, each (H, W); labels and scores share it."""
        if name not in self._largest:
            self._largest[name] = largest(self[name])
        return self._largest[name]

    def clear(self) -> 'Pool':
        """Forget the members; the memory is kept for the next image of this size, which spares the system its pages."""
        self.members, self.weights, self._largest = 0, 0.0, {}
        return self

    def add(self, values: Tensor, kind: str, weight: float | Tensor = 1.0):
        """Enter a member: values (C, H, W) of any float type; weight a number or (C,), at least 0."""
        assert values.shape == (self.num_classes, *self.size), (values.shape, self.size)
        for name in self.needs & set(OF_ONE_KIND):
            if kind != OF_ONE_KIND[name]:
                raise ValueError(wrong_kind(f'the mean {name.replace("_", " ")}', OF_ONE_KIND[name], kind))
        weight = weight.view(-1, 1, 1).to(values.device) if isinstance(weight, Tensor) else float(weight)
        for rows in bands(self.num_classes, self.size):
            self._add_rows(rows, values[:, rows].float(), kind, weight)
        self.members, self._largest = self.members + 1, {}
        self.weights = self.weights + weight

    def band(self, rows: slice) -> 'Pool':
        """The rows `rows` of every statistic, as views."""
        part = copy.copy(self)
        part._values = {name: value[..., rows, :] for name, value in self._values.items()}
        part.size, part._largest = (len(range(*rows.indices(self.size[0]))), self.size[1]), {}
        return part

    def without(self, values: Tensor, kind: str, weight: float | Tensor = 1.0) -> 'Pool':
        """This pool as it would be without a member that was entered as `add(values, kind, weight)`; only of sums."""
        assert not self.needs & set(EXTREMES), 'an extreme cannot be undone'
        rest = copy.copy(self)
        rest._values = {name: value.clone() for name, value in self._values.items()}
        rest.add(values, kind, -weight)
        rest.members = self.members - 1
        for name in self.needs & {'sum', 'square', 'votes', 'entropy'}:
            rest._values[name].clamp_min_(0)  # what rounding leaves of zero
        return rest

    def _add_rows(self, rows: slice, values: Tensor, kind: str, weight):
        for name in OF_ONE_KIND:
            if name in self.needs:
                self._enter(name, rows, values * weight)
        if self.needs <= set(OF_ONE_KIND):
            return
        p = to_probabilities(values, kind)
        if 'sum' in self.needs:
            # spares a pass
            self._enter('sum', rows, p if isinstance(weight, float) and weight == 1 else p * weight)
        if 'square' in self.needs:
            self._enter('square', rows, p * p * weight)
        if 'log' in self.needs:
            self._enter('log', rows, p.clamp_min(torch.finfo(torch.float32).tiny).log_() * weight)
        if 'max' in self.needs:
            self._enter('max', rows, p)
        if 'min' in self.needs:
            self._enter('min', rows, p)
        if 'entropy' in self.needs:
            self._enter('entropy', rows, entropy(p) * _scalar(weight))
        if {'votes', 'least_sure'} & self.needs:
            sure, label = largest(p)
            if 'votes' in self.needs:
                label = label.long()[None]
                share = (
                    weight.expand(p.shape).gather(0, label)
                    if isinstance(weight, Tensor)
                    else torch.full(label.shape, weight, device=p.device)
                )
                self._enter('votes', rows, torch.zeros_like(p).scatter_(0, label, share))
            if 'least_sure' in self.needs:
                self._enter('least_sure', rows, sure)

    def _enter(self, name: str, rows: slice, value: Tensor):
        """Combine a member's `value` of some rows with what the members before it left there."""
        kept = self._values[name][..., rows, :]
        if not self.members:
            kept.copy_(value)
        elif name in EXTREMES:
            EXTREMES[name](kept, value, out=kept)
        else:
            kept += value


def _scalar(weight):
    """The weight of something that has no classes: the mean over them."""
    return weight.mean() if isinstance(weight, Tensor) else weight
