"""Running statistics over the members of an ensemble, for one image.

Members come one after the other and are forgotten; what is kept depends on what is asked for, not on their number.
Rows are taken in blocks that fit a core's cache. It works on any device.
"""
import copy

import torch
from torch import Tensor

from aggregation.kinds import LOGITS, to_probabilities

BLOCK = 1 << 20                         # values of one block, 4 MiB in float32

# statistic -> whether it has a value per class. Sums are weighted, extremes are not.
STATISTICS = {
    'sum': True,                        # of probabilities p
    'square': True,                     # of p squared
    'log': True,                        # of log p
    'logit': True,                      # of logits; every member must be of kind logits
    'max': True,                        # largest p over the members
    'min': True,
    'votes': True,                      # of the members' argmax, one-hot
    'entropy': False,                   # of the members' own entropies
    'least_sure': False,                # smallest of the members' own largest p
}
_START = {'max': 0.0, 'min': 1.0, 'least_sure': 1.0}


def bands(num_classes: int, size: tuple[int, int]) -> list[slice]:
    """The rows of an image (H, W) in slices of about BLOCK values."""
    rows = max(1, BLOCK // (num_classes * size[1]))
    return [slice(top, min(top + rows, size[0])) for top in range(0, size[0], rows)]


def entropy(probabilities: Tensor) -> Tensor:
    """-sum p log p over the first dimension, in nats; 0 log 0 is 0."""
    return torch.special.entr(probabilities).sum(0)


class Pool:
    """Statistics named in `needs` over members with values (C, H, W).

    `weights` sums what was added: a float, or (C, 1, 1) when members weigh differently by class.
    """

    def __init__(self, needs, num_classes: int, size: tuple[int, int], device='cpu'):
        self.needs, self.members, self.weights = set(needs), 0, 0.0
        assert self.needs <= set(STATISTICS), self.needs
        self.num_classes, self.size = num_classes, size
        self._values = {name: torch.full((num_classes, *size) if STATISTICS[name] else size, _START.get(name, 0.0), device=device)
                        for name in self.needs}

    def __getitem__(self, name: str) -> Tensor:
        """The statistic `name`: sums as they are, not divided by the weights."""
        return self._values[name]

    def add(self, values: Tensor, kind: str, weight: float | Tensor = 1.0):
        """Enter a member: values (C, H, W) of any float type; weight a number or (C,), at least 0."""
        assert values.shape == (self.num_classes, *self.size), (values.shape, self.size)
        assert kind == LOGITS or 'logit' not in self.needs, 'mean logits need logits'
        weight = weight.view(-1, 1, 1).to(values.device) if isinstance(weight, Tensor) else float(weight)
        for rows in bands(self.num_classes, self.size):
            self._add_rows(rows, values[:, rows].float(), kind, weight)
        self.members += 1
        self.weights = self.weights + weight

    def band(self, rows: slice) -> 'Pool':
        """The rows `rows` of every statistic, as views."""
        part = copy.copy(self)
        part._values = {name: value[..., rows, :] for name, value in self._values.items()}
        part.size = (len(range(*rows.indices(self.size[0]))), self.size[1])
        return part

    def without(self, values: Tensor, kind: str, weight: float | Tensor = 1.0) -> 'Pool':
        """This pool as it would be without a member that was entered as `add(values, kind, weight)`. Only sums can do that."""
        assert not self.needs & set(_START), 'an extreme cannot be undone'
        rest = copy.copy(self)
        rest._values = {name: value.clone() for name, value in self._values.items()}
        rest.add(values, kind, -weight)
        rest.members = self.members - 1
        for name in self.needs & {'sum', 'square', 'votes', 'entropy'}:
            rest._values[name].clamp_min_(0)            # what rounding leaves of zero
        return rest

    def _add_rows(self, rows: slice, values: Tensor, kind: str, weight):
        if 'logit' in self.needs:
            self._values['logit'][:, rows] += values * weight
        if self.needs == {'logit'}:
            return
        p = to_probabilities(values, kind)
        kept = {name: value[:, rows] if STATISTICS[name] else value[rows] for name, value in self._values.items()}
        if 'sum' in kept:
            kept['sum'] += p if isinstance(weight, float) and weight == 1 else p * weight         # spares a pass
        if 'square' in kept:
            kept['square'] += p * p * weight
        if 'log' in kept:
            kept['log'] += p.clamp_min(torch.finfo(torch.float32).tiny).log_() * weight
        if 'max' in kept:
            torch.maximum(kept['max'], p, out=kept['max'])
        if 'min' in kept:
            torch.minimum(kept['min'], p, out=kept['min'])
        if 'entropy' in kept:
            kept['entropy'] += entropy(p) * _scalar(weight)
        if {'votes', 'least_sure'} & kept.keys():
            largest, label = p.max(0)
            if 'votes' in kept:
                share = (weight.expand(p.shape).gather(0, label[None]) if isinstance(weight, Tensor)
                         else torch.full((1, *label.shape), weight, device=p.device))
                kept['votes'].scatter_add_(0, label[None], share)
            if 'least_sure' in kept:
                torch.minimum(kept['least_sure'], largest, out=kept['least_sure'])


def _scalar(weight):
    """The weight of something that has no classes: the mean over them."""
    return weight.mean() if isinstance(weight, Tensor) else weight
