"""Best metric (--best_metric): the number of a validation that chooses the best checkpoint, and which of two is
better."""

import math
from collections.abc import Mapping

from engine.score import MEASURED, NUMBERS
from utils.cli.wording import did_you_mean

NAMES = (*NUMBERS, *MEASURED)
LOWEST = ('loss', 'ece')  # of these the lowest value is the best
OF_CLASS = 'iou/'


class BestMetric:
    """A number of validations by its name: one of NAMES, or iou/<class>."""

    def __init__(self, name: str, class_names=None):
        """class_names: of the data set, where they are known. Raises ValueError for a name that is none."""
        classes = [f'{OF_CLASS}{one}' for one in class_names or ()]
        known = [*NAMES, *(classes or [f'{OF_CLASS}CLASS'])]
        if name not in known and not (class_names is None and name.startswith(OF_CLASS) and len(name) > len(OF_CLASS)):
            hint = did_you_mean(name, known, '', 2)
            raise ValueError(
                f'--best_metric {name}: there is no such number of a validation; {hint}{" " if hint else ""}choose one'
                f' of {", ".join(NAMES)}, or {OF_CLASS} and the name of a class'
            )
        self.name, self.is_lowest = name, name in LOWEST

    @property
    def measures(self) -> tuple[str, ...]:
        """What a validation has to measure for it, of score.MEASURES."""
        return (MEASURED[self.name],) if self.name in MEASURED else ()

    @property
    def words(self) -> str:
        return 'mean IoU' if self.name == 'mean_iu' else self.name

    def shown(self, value: float | None) -> str:
        """A value for a person: in percent, but for the loss."""
        return 'none' if value is None else f'{value:.4f}' if self.name == 'loss' else f'{100 * value:.2f} %'

    def rank(self, value: float) -> float:
        """A number that is larger for a better value; nan is the worst."""
        return -math.inf if math.isnan(value) else -value if self.is_lowest else value

    def is_better(self, value: float | None, best: float | None) -> bool:
        """Whether a value beats the best one before it; None: there is none."""
        if value is None or math.isnan(value):
            return False
        return best is None or self.rank(value) > self.rank(best)


def check_same(name: str, state: Mapping, source):
    """Raise ValueError where the run that wrote the checkpoint `state` chose its best one by another number."""
    before = state.get('best_metric') or 'mean_iu'
    if before != name:
        raise ValueError(
            f'--best_metric {name}: the run to resume chooses its best checkpoint by {before} ({source}), and scores of'
            f' two kinds cannot be compared; give --best_metric {before}, or start a new run with --snapshot'
        )
