"""Length of a training that has so many minutes (--minutes): epochs, validations and batches that fit them.

Decided from the first steps, corrected after the first epoch, and made shorter later where the machine has become
slower. The learning rate follows the schedule of the epochs that there will be.
"""

import time
from typing import NamedTuple

RESERVE = 0.05  # of the time, for saving and pictures
VALIDATION_SHARE, VALIDATIONS = 0.15, 20  # of the time, and the most
FEWEST_EPOCHS = 10  # shorter epochs rather than fewer: validations, and a schedule of epochs
MOST_EPOCHS = 100_000
DECIDED = ('max_epoch', 'val_freq', 'epoch_batches')


class Length(NamedTuple):
    """Of a training. epoch_batches: None for whole epochs."""

    max_epoch: int
    val_freq: int
    epoch_batches: int | None


def fit_length(seconds: float, batch_seconds: float, validation_seconds: float, batches: int, held: dict) -> Length:
    """The Length that takes `seconds`, of batches and validations that take so long each.

    Args:
        batches: of a whole epoch.
        held: flags of DECIDED that were given: --max_epoch and --epoch_batches are the most, --val_freq stays.

    Raises ValueError where there is no time for a batch and a validation.
    """
    usable = (1 - RESERVE) * seconds
    validations = max(1, min(VALIDATIONS, int(VALIDATION_SHARE * usable / validation_seconds)))
    affordable = int((usable - validations * validation_seconds) / batch_seconds)
    if affordable < 1:
        raise ValueError(
            f'--minutes {seconds / 60:g}: a batch takes {batch_seconds:.2g} s here and a validation'
            f' {validation_seconds:.2g} s, so nothing could be trained; give more minutes, a smaller network or smaller'
            ' crops'
        )
    most = min(batches, held.get('epoch_batches') or batches)
    if affordable // most >= FEWEST_EPOCHS:
        epochs, short = affordable // most, held.get('epoch_batches')
    else:
        epochs = min(FEWEST_EPOCHS, affordable)
        short = min(most, affordable // epochs)
        short = None if short == batches else short
    epochs = min(epochs, held.get('max_epoch') or epochs)
    return Length(epochs, held.get('val_freq') or max(1, -(-epochs // validations)), short)


class Stopwatch:
    """Seconds of a training, those of the runs that it continues among them, and how they were spent."""

    def __init__(self, minutes: float, before: float = 0.0, clock=time.monotonic):
        self.clock, self.total = clock, 60 * minutes
        self.started = self.entered = clock() - before
        self.validating, self.validations, self.epochs = 0.0, 0, 0

    @property
    def used(self) -> float:
        return self.clock() - self.started

    @property
    def left(self) -> float:
        return self.total - self.used

    def begin(self):
        """The first step is next: from here on epochs are timed."""
        self.entered = self.clock()

    def add_validation(self, seconds: float):
        self.validating, self.validations = self.validating + seconds, self.validations + 1

    def max_epoch(self, done: int, now: int, val_freq: int, most: int | None) -> int:
        """The --max_epoch that fits the time that is left, after `done` epochs; `now`, the present one, where it fits.

        It grows after the first epoch of this run only. most: the given --max_epoch, or None.
        """
        self.epochs += 1
        epoch = (self.clock() - self.entered - self.validating) / self.epochs
        validation = self.validating / max(1, self.validations)
        left, end = self.left - validation, done  # the last epoch is validated in any case
        while left > 0 and end < (most or done + MOST_EPOCHS):
            left -= epoch + (validation if end % val_freq == 0 else 0)
            end += left >= 0
        return end if end < now or self.epochs == 1 else now
