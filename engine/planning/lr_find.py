"""Learning-rate range test (`--lr_find`; Smith, WACV 2017, arXiv 1506.01186): the loss of a training while its rate
grows by the same factor from step to step.

The steps are taken back: weights, moments, averages and random states are afterwards what they were. Two rates are
read from the smoothed curve, that of its steepest descent and a tenth of that of its minimum.
"""

import csv
import io
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.planning.probe import taken_back
from engine.trainer import Meter
from utils.cli.wording import counted
from utils.files.atomic import write_text
from utils.pages.sheet import Series, line_chart, write_sheet

SMOOTHING = 0.9  # share of the earlier losses in the smoothed one
SETTLING = 0.1  # of the steps, at the start: the smoothed loss is not yet a mean of several
FEWEST = 3  # steps beyond these that tell something
TABLE, PAGE = 'lr_find.csv', 'lr_find.html'


class Curve(NamedTuple):
    """What was found. rates, losses: of the steps taken; settling: those at the start that are not looked at; ending:
    why it ended before the last rate, '' where it did not."""

    rates: list[float]
    losses: list[float]
    settling: int
    ending: str = ''

    def suggestions(self) -> dict[str, float]:
        """The rates by where they were read: 'steepest descent', 'a tenth of the lowest loss'; {} where the loss does
        not fall."""
        smoothed, rates = np.array(smooth(self.losses)[self.settling :]), self.rates[self.settling :]
        lowest = int(smoothed.argmin()) if len(smoothed) >= FEWEST else 0
        if not lowest:
            return {}
        reach = min(max(1, self.settling), lowest)  # a single step is noise; each has the same factor
        steepest = int((smoothed[reach : lowest + 1] - smoothed[: lowest + 1 - reach]).argmin())
        return {
            'steepest descent': math.sqrt(rates[steepest] * rates[steepest + reach]),
            'a tenth of the lowest loss': rates[lowest] / 10,
        }


def smooth(losses: Sequence[float]) -> list[float]:
    """The exponential mean of each loss and those before it, divided by the sum of its weights, so that it does not
    begin near 0 (Kingma and Ba, arXiv 1412.6980, section 3)."""
    mean, means = 0.0, []
    for step, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        means.append(mean / (1 - SMOOTHING**step))
    return means


def rate_at(step: int, steps: int, ends: Sequence[float]) -> float:
    """The rate of a step from 0 to steps - 1, which take it from the first of `ends` to the second."""
    return ends[0] * (ends[1] / ends[0]) ** (step / max(1, steps - 1))


def sweep(training, loader, steps: int, ends: Sequence[float]) -> Curve:
    """The curve of a training that is at its start or resumed, and afterwards again where it was.

    Every group of parameters keeps its ratio to --lr. A loss is the mean over all processes. The end comes early with a
    loss or gradient that is not finite, and where the smoothed loss has grown by as much as it was at the start.
    """
    learner, accumulate = training.learner, training.options.accumulate
    ratios = [base / training.args.lr for base in learner.scheduler.base_lrs]
    curve = Curve([], [], int(SETTLING * steps))
    with taken_back(training, loader):
        batches, skipped = _endless(training, loader), training.position.skipped
        learner.criterion.set_epoch(training.position.epoch)
        learner.net.train()
        learner.optimizer.zero_grad(set_to_none=True)
        for step in range(steps):
            if training.dist.any(training.stop_requested):
                return curve._replace(ending='asked to stop')
            rate, meter = rate_at(step, steps, ends), Meter()
            for group, ratio in zip(learner.optimizer.param_groups, ratios):
                group['lr'] = ratio * rate
            for batch in range(accumulate):
                training.position.batch = batch
                training._accumulate(next(batches), accumulate, meter)
            loss = training.over_ranks(meter.take()[0])['loss']
            if not math.isfinite(loss) or not _updated(training, skipped):
                return curve._replace(ending=f'not finite at a rate of {rate:.3g}')
            curve.rates.append(rate)
            curve.losses.append(loss)
            means = smooth(curve.losses)
            first, last = means[min(curve.settling, step)], means[-1]
            if last > first + abs(first):
                return curve._replace(ending=f'the loss had doubled at a rate of {rate:.3g}')
    return curve


def _endless(training, loader):
    """Batches of this epoch and those after it."""
    for epoch in itertools.count(training.position.epoch):
        loader.set_epoch(epoch, 0)
        yield from itertools.islice(loader, training.options.batches(loader))


def _updated(training, skipped: int) -> bool:
    """Take the step; False where its gradient, or what it left in the batch statistics, is not finite."""
    try:
        training._update()
    except ValueError:  # said so by the trainer, on every rank
        return False
    return training.position.skipped == skipped


def find(training, loader, directory) -> int:
    """Sweep, write the table and the page into the run directory, and log the rates to choose from; the exit code."""
    args, log = training.args, training.log
    low, high = args.lr_find_range
    log(f'--lr_find: up to {counted(args.lr_find_steps, "step")} at rates from {low:g} to {high:g}, then taken back')
    curve = sweep(training, loader, args.lr_find_steps, args.lr_find_range)
    if training.dist.any(training.stop_requested):
        return training.stop.exit_code
    found = curve.suggestions()
    log(f'--lr_find: {counted(len(curve.rates), "step")}{curve.ending and f", ended: {curve.ending}"}')
    for where, rate in found.items():
        log(f'--lr {rate:.2g}: {where}')
    if not found:
        log(
            '--lr_find: the loss does not fall at any of these rates; look at the data and the loss, or give another'
            ' --lr_find_range or more --lr_find_steps'
        )
    if training.run.is_main:
        write(curve, directory, training.args)
        log(f'curve: {directory / PAGE}, {directory / TABLE}')
    return 0


def write(curve: Curve, directory, args):
    """Write the table of the steps and the page with the curve and the suggestions."""
    means, text = smooth(curve.losses), io.StringIO()
    table = csv.writer(text, lineterminator='\n')
    table.writerow(['step', 'lr', 'loss', 'smoothed'])
    table.writerows([step, *values] for step, values in enumerate(zip(curve.rates, curve.losses, means)))
    write_text(directory / TABLE, text.getvalue())
    if not curve.rates:
        return
    x, found, ends = np.log10(curve.rates), curve.suggestions(), _ends(means)
    steps = Series('loss of the step', x, np.clip(curve.losses, *ends))
    series = [Series('smoothed', x, np.array(means), bold=True), steps]
    series += [
        Series(f'--lr {rate:.2g}: {where}', np.log10([rate, rate]), np.array(ends)) for where, rate in found.items()
    ]
    facts = {'network': f'{args.arch} on {args.trunk}', 'optimizer': args.optimizer, 'batch': args.bs_trn}
    facts |= {where: f'--lr {rate:.2g}' for where, rate in found.items()}
    facts |= {'ended': curve.ending} if curve.ending else {}
    note = 'Losses of single steps beyond the axis stand at its ends.'
    chart = line_chart('Loss over the learning rate', series, 'log10 of the learning rate', 'loss', note, y_range=ends)
    write_sheet(directory / PAGE, 'Learning-rate range test', facts, [chart])


def _ends(means) -> tuple[float, float]:
    """The ends of the axis of losses: what the smoothed curve needs and half of that above and below."""
    low, high = min(means), max(means)
    rest = (high - low) / 2 or 0.5
    return low - rest, high + rest
