"""Length of a training that has so many minutes (--minutes): epochs, validations and batches that fit them.

Decided from the first steps, and corrected after every epoch where the time would not do or much of it would be left.
The learning rate follows the schedule of the epochs that there will be.
"""

import time
from typing import NamedTuple

RESERVE = 0.05  # of the time, for saving and pictures
VALIDATION_SHARE, VALIDATIONS = 0.15, 20  # of the time, and the most
FEWEST_EPOCHS = 10  # shorter epochs rather than fewer: validations, and a schedule of epochs
IDLE, LONG = 0.02, 0.04  # of the time: what may be left over; an epoch of more is shortened to leave less
RECENT = 3  # epochs at least, or a third of them, by whose speed the others are planned
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
        self.validating, self.training = 0.0, 0.0  # seconds until the end of the last epoch
        self.batch_seconds: list[float] = []  # in each epoch
        self.validation = 0.0  # seconds of the last one

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
        self.validating, self.validation = self.validating + seconds, seconds

    def plan(self, done: int, trained: int, now: Length, longest: int, most: int | None) -> Length:
        """The Length that fits the time that is left, after `done` epochs; `now` where it fits and leaves little.

        Args:
            trained: batches of the last epoch.
            now: the present Length, with a number of batches.
            longest: batches that an epoch has at most.
            most: the given --max_epoch, or None.
        """
        before, self.training = self.training, self.clock() - self.entered - self.validating
        if trained:
            self.batch_seconds.append((self.training - before) / trained)
        batch, left = recent_mean(self.batch_seconds), self.left - self.validation  # the last epoch is validated
        if not batch or 0 <= left - self._cost(done, now, batch) < IDLE * self.total:
            return now
        whole = now._replace(max_epoch=done, epoch_batches=longest)
        while whole.max_epoch < (most or done + MOST_EPOCHS):
            longer = whole._replace(max_epoch=whole.max_epoch + 1)
            if self._cost(done, longer, batch) > left:
                break
            whole = longer
        else:
            return whole
        if longest * batch > LONG * self.total and left - self._cost(done, whole, batch) >= IDLE * self.total:
            validations = self._cost(done, longer, 0.0)
            short = int((left - validations) / ((longer.max_epoch - done) * batch))
            return longer._replace(epoch_batches=short) if short else whole
        return whole

    def _cost(self, done: int, length: Length, batch: float) -> float:
        """Seconds of the epochs after the first `done` ones, without the last validation."""
        epochs = range(done, length.max_epoch)
        validations = sum(epoch % length.val_freq == 0 for epoch in epochs)
        return len(epochs) * (length.epoch_batches or 0) * batch + validations * self.validation


def recent_mean(values: list[float]) -> float:
    """The mean of the last third of some values, RECENT of them at least; 0 of none."""
    last = values[-max(RECENT, len(values) // 3) :]
    return sum(last) / max(1, len(last))
