"""Pooled probabilities, and what is read from them: labels, confidences, anomaly scores.

A score's name always means one direction: all of them are high where a pixel is uncertain or
anomalous. `confidence` turns any of them round and into [0, 1]; that is the only way from one to the other.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from aggregation.fusion.pooling import Pool
from aggregation.tensors import entropy, largest


def _normalised(values: Tensor) -> Tensor:
    return values / values.sum(0).clamp_min(torch.finfo(torch.float32).tiny)


def _geometric(pool: Pool) -> Tensor:
    return torch.softmax(pool['log'] / pool.weights, 0)


class Fusion(NamedTuple):
    """How members become one distribution: needs are statistics of the pool; `pooled` may sum to less than 1."""

    needs: tuple[str, ...]
    pooled: Callable[[Pool], Tensor]


FUSIONS = {
    'mean': Fusion(('sum',), lambda pool: pool['sum'] / pool.weights),
    'max': Fusion(('max',), lambda pool: pool['max']),
    'min': Fusion(('min',), lambda pool: pool['min']),
    'geometric': Fusion(('log',), _geometric),
    'mean_logit': Fusion(('logit',), lambda pool: torch.softmax(pool['logit'] / pool.weights, 0)),
    'vote': Fusion(('votes',), lambda pool: pool['votes'] / _total(pool)),
}


def _total(pool: Pool) -> Tensor | float:
    """What the votes of a pixel sum to: members that weigh differently by class do not all give the same."""
    return pool['votes'].sum(0).clamp_min(1e-12) if isinstance(pool.weights, Tensor) else pool.weights


def fuse(pool: Pool, fusion: str) -> Tensor:
    """Probabilities (C, H, W) that sum to 1."""
    return _normalised(FUSIONS[fusion].pooled(pool))


def label(pool: Pool, fusion: str) -> Tensor:
    """The most probable class (H, W), which needs no probabilities that sum to 1."""
    if fusion in ('max', 'min'):
        return pool.largest(fusion)[1]
    if fusion == 'mean' and not isinstance(pool.weights, Tensor):
        return pool.largest('sum')[1]
    return largest(FUSIONS[fusion].pooled(pool))[1]


def mean_entropy(pool: Pool) -> Tensor:
    weights = pool.weights.mean() if isinstance(pool.weights, Tensor) else pool.weights
    return pool['entropy'] / weights


def _mean(pool: Pool) -> Tensor:
    """The mean probabilities (C, H, W), which sum to 1: where members weigh differently by class, only after a
    division."""
    mean = pool['sum'] / pool.weights
    return _normalised(mean) if isinstance(pool.weights, Tensor) else mean


def _largest_mean(pool: Pool) -> Tensor:
    """The largest mean probability (H, W); one weight for all classes can wait until the largest sum is found."""
    return _mean(pool).amax(0) if isinstance(pool.weights, Tensor) else pool.largest('sum')[0] / pool.weights


def _mean_logit(pool: Pool) -> Tensor:
    return pool['logit'] / pool.weights


def _mean_mask_score(pool: Pool) -> Tensor:
    return pool['mask_score'] / pool.weights


class Score(NamedTuple):
    """needs: statistics of the pool; value(pool) -> (H, W), high where anomalous; low, high: its range for C classes
    and M members, None where it has no bound."""

    needs: tuple[str, ...]
    value: Callable[[Pool], Tensor]
    range: Callable[[int, int], tuple[float | None, float | None]]


def _unit(classes, members):
    return 0.0, 1.0


def _no_bound(classes, members):
    return None, None


SCORES = {
    'msp': Score(('sum',), lambda pool: 1 - _largest_mean(pool), _unit),
    'msp_min': Score(('min',), lambda pool: 1 - pool.largest('min')[0], _unit),
    'msp_logit': Score(('logit',), lambda pool: 1 - torch.softmax(_mean_logit(pool), 0).amax(0), _unit),
    'least_sure': Score(('least_sure',), lambda pool: 1 - pool['least_sure'], _unit),
    'entropy': Score(('sum',), lambda pool: entropy(_mean(pool)), lambda c, m: (0.0, math.log(c))),
    'expected_entropy': Score(('entropy',), mean_entropy, lambda c, m: (0.0, math.log(c))),
    'mutual_information': Score(
        ('sum', 'entropy'),
        lambda pool: (entropy(_mean(pool)) - mean_entropy(pool)).clamp_min_(0),
        lambda c, m: (0.0, math.log(max(m, 2))),
    ),
    'variance': Score(
        ('sum', 'square'),
        lambda pool: (pool['square'] / pool.weights - (pool['sum'] / pool.weights).square()).clamp_min_(0).sum(0),
        _unit,
    ),
    'disagreement': Score(('votes',), lambda pool: 1 - (pool['votes'] / _total(pool)).amax(0), _unit),
    'max_logit': Score(('logit',), lambda pool: -_mean_logit(pool).amax(0), _no_bound),
    'energy': Score(('logit',), lambda pool: -torch.logsumexp(_mean_logit(pool), 0), _no_bound),
    'rba': Score(('logit',), lambda pool: -torch.tanh(_mean_logit(pool)).sum(0), lambda c, m: (-float(c), float(c))),
    'mask_rba': Score(
        ('mask_score',), lambda pool: -torch.tanh(_mean_mask_score(pool)).sum(0), lambda c, m: (-float(c), 0.0)
    ),
    'mask_max': Score(('mask_score',), lambda pool: 1 - _mean_mask_score(pool).amax(0), _unit),
}
# units of an unbounded score, in logits, over which its confidence falls from 0.73 to 0.27
SQUASH = 16.0


def score(pool: Pool, name: str) -> Tensor:
    """The anomaly score `name` (H, W) float32, high where anomalous."""
    return SCORES[name].value(pool)


def confidence(anomaly: Tensor, name: str, num_classes: int, members: int) -> Tensor:
    """The confidence in [0, 1], high where sure, that goes with an anomaly score; its order is the score's reversed."""
    low, high = SCORES[name].range(num_classes, members)
    if low is None:
        return torch.sigmoid(-anomaly * 2 / SQUASH)
    return ((high - anomaly) / (high - low)).clamp(0, 1)
