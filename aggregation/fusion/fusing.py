"""Fusion of one image: from a pool of members to its labels, confidence and scores."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from aggregation.fusion.pooling import OF_ONE_KIND, Pool
from aggregation.fusion.scores import FUSIONS, SCORES, confidence, fuse, label, score
from aggregation.statistics import calibration
from aggregation.tensors import bands


@dataclass(frozen=True)
class FuseOptions:
    """What is made of a pool of members.

    fusion: what labels come from. score: what the confidence comes from. scores: maps that are written besides.
    calibrator: of the confidence, or None. change_labels: let it change labels too. Raises ValueError for an unknown
    name or a calibrator that does not fit the score.
    """

    fusion: str = 'mean'
    score: str = 'msp'
    scores: tuple[str, ...] = ()
    calibrator: object = None
    change_labels: bool = False

    def __post_init__(self):
        scores = [(self.score, SCORES, '--score'), *((name, SCORES, '--write_scores') for name in self.scores)]
        for name, table, flag in ((self.fusion, FUSIONS, '--fusion'), *scores):
            if name not in table:
                raise ValueError(f'{flag} {name}: there is none, choose one of {", ".join(table)}')
        if self.calibrator is not None:
            check_method(self.calibrator.method, self.score)
        if self.change_labels and not isinstance(self.calibrator, calibration.Vector):
            raise ValueError(
                '--change_labels needs --calibration with a file of method vector; no other changes labels'
            )

    @property
    def needs(self) -> set[str]:
        """The statistics of the pool that are read."""
        found = set(FUSIONS[self.fusion].needs)
        for name in (self.score, *self.scores):
            found |= set(SCORES[name].needs)
        return found

    @property
    def needs_kinds(self) -> set[str]:
        """The kinds that every member has to be of."""
        return {kind for statistic, kind in OF_ONE_KIND.items() if statistic in self.needs}


def check_method(method: str, score: str):
    """Raise ValueError unless a calibration of `method` can be the confidence that --score asks for."""
    if method != calibration.Isotonic.method and score != 'msp':
        raise ValueError(
            f'a calibration of probabilities ({method}) gives the confidence itself, found --score {score}; leave'
            ' --score out, or calibrate that score with --method isotonic'
        )


class Fused(NamedTuple):
    """probabilities (C, H, W) that sum to 1, or None; prediction (H, W) uint8; confidence (H, W) in [0, 1].

    scores: name -> (H, W).
    """

    probabilities: Tensor | None
    prediction: Tensor
    confidence: Tensor
    scores: dict[str, Tensor]


def finish(pool: Pool, options: FuseOptions, num_members: int, probabilities=False) -> Fused:
    """What `options` ask of a pool, made band by band for memory and speed.

    Args:
        num_members: of the ensemble, which scale mutual information, however many have this image.
        probabilities: whether to keep them.
    """
    found, kept = [], None
    for rows in bands(pool.num_classes, pool.size):
        band = finish_band(pool.band(rows), options, num_members, probabilities)
        if probabilities:
            kept = band.probabilities.new_empty(pool.num_classes, *pool.size) if kept is None else kept
            kept[:, rows] = band.probabilities
        found.append(band._replace(probabilities=None))
    scores = {name: torch.cat([band.scores[name] for band in found]) for name in options.scores}
    return Fused(
        kept, torch.cat([band.prediction for band in found]), torch.cat([band.confidence for band in found]), scores
    )


def finish_band(pool: Pool, options: FuseOptions, num_members: int, probabilities=True) -> Fused:
    """The same at once, for pools of few rows.

    Without `probabilities` they are made only if a calibration needs them.
    """
    p = fuse(pool, options.fusion) if probabilities or options.calibrator else None
    prediction = label(pool, options.fusion)
    sure = confidence(score(pool, options.score), options.score, pool.num_classes, num_members)
    p, prediction, sure = calibration.calibrate(options.calibrator, p, prediction, sure, options.change_labels)
    return Fused(p, prediction.to(torch.uint8), sure, {name: score(pool, name) for name in options.scores})
