"""Stochastic weight averaging (--swa_epochs; Izmailov et al., UAI 2018, arXiv 1803.05407): the mean of the network's
weights at the ends of the last epochs, scored once, after the last one.

The batch statistics of the epochs are those of other weights. They are computed anew over training batches, each norm's
mean and variance over all of them together (precise statistics: Wu and Johnson, arXiv 2105.07576).
"""

import itertools
from collections.abc import Callable, Iterable

import torch
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from engine.builders import build_evaluator
from engine.evaluation import score_alone
from utils.cli.progress import progress
from utils.cli.wording import counted

BATCHES = 200  # of a process, that batch statistics are computed over: more change them less than another draw does


def add_epoch(average: AveragedModel, net, epoch: int, first: int):
    """Take the weights after `epoch` into the average, which begins with the epoch `first`."""
    if epoch <= first:
        average.n_averaged.zero_()  # what is in it is of an end that was put off
    if epoch >= first:
        average.update_parameters(net)


class _Moments:
    """Sums of the statistics that one norm has found, a batch at a time."""

    def __init__(self, norm):
        zero = torch.zeros_like(norm.running_mean, dtype=torch.float64)
        self.norm, self.sums = norm, torch.stack([zero, zero])
        self.calls = torch.zeros((), dtype=torch.float64, device=zero.device)

    def add(self, *_):
        mean, variance = self.norm.running_mean.double(), self.norm.running_var.double()
        self.sums += torch.stack([mean, variance + mean.square()])
        self.calls += 1

    def write(self, dist):
        for tensor in (self.sums, self.calls):
            dist.all_reduce_sum(tensor)
        mean, square = self.sums / self.calls
        self.norm.running_mean.copy_(mean)
        self.norm.running_var.copy_(square - mean.square())


@torch.no_grad()
def renew_statistics(net, batches: Iterable, forward: Callable, dist) -> int:
    """Give every batch norm of `net` that trains the mean and variance of its inputs over some batches, of all ranks.

    forward: runs net on a batch. Returns the number of batches, 0 for a network without such norms.
    """
    net.train()
    found = [norm for norm in net.modules() if isinstance(norm, _BatchNorm) and norm.running_mean is not None]
    moments = [_Moments(norm) for norm in found if norm.training]
    if not moments:
        return 0
    momenta, count = [one.norm.momentum for one in moments], 0
    hooks = [one.norm.register_forward_hook(one.add) for one in moments]
    try:
        for one in moments:
            one.norm.momentum = 1.0  # the running statistics are then those of the last call
        for batch in batches:
            forward(batch)
            count += 1
    finally:
        for one, momentum, hook in zip(moments, momenta, hooks):
            one.norm.momentum = momentum
            hook.remove()
    for one in moments:
        one.write(dist)
    return count


def score_average(training, loader):
    """Give the average its batch statistics, score it and keep it: swa_checkpoint_ep<last>.pth, and the best one where
    it is. A training that is asked to stop raises Stopped, and does it all again when it is resumed."""
    average, epoch, run = training.learner.swa, training.position.epoch - 1, training.run
    net, taken = average.module, int(average.n_averaged)
    if not taken:
        training.log('--swa_epochs: no epoch was averaged, there is nothing to score')
        return
    loader.set_epoch(epoch + 1)
    total = min(training.options.batches(loader), BATCHES)
    batches = progress(itertools.islice(loader, total), total=total, desc='batch statistics', unit='batches')
    devices = [run.device] if run.device.type == 'cuda' else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(training.args.seed)  # of dropout; the same when it is done again
        count = renew_statistics(net, batches, lambda batch: _forward(training, net, batch), run.dist)
    evaluator = build_evaluator(training.args, run, net, training.interrupt)
    what = f'the mean of the weights of {counted(taken, "epoch")}'
    score = score_alone(
        training.args, run, evaluator, training.val_set, f'validation of {what}', training.val_criterion
    )
    statistics = f', batch statistics of {counted(count, "batch", "batches")}' if count else ''
    metric = training.metric_of_best
    best, best_epoch = training.keeper.best_score, training.keeper.best_epoch
    before = 'no score before' if best is None else f'the best so far: {best:.4f} in epoch {best_epoch}'
    shown = 'none, not finite on every image' if score is None else f'{score[metric.name]:.4f}'
    training.log(f'--swa_epochs: {what}{statistics}: {metric.words} {shown}; {before}')
    if score is not None:
        run.row('swa', epoch, {'mean_iu': score['mean_iu']})
        run.scalars({'swa/mean_iu': score['mean_iu']}, epoch, 'epoch')
    training.keep_average(net, epoch, score, taken)


def _forward(training, net, batch):
    training.interrupt()
    with training.autocast():
        net(training.learner.normalize(training.augmented(batch)))
