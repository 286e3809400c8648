"""Training loop: steps, accumulation, skipped steps, logging, and saving so that nothing is lost.

The position in the run is (epoch, batches done in it); with the random states it is part of every checkpoint, so a
resumed run takes the same steps as one that was never stopped.
"""

import contextlib
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from engine.teacher import Teacher
from loss.criterion import OutputsCriterion
from network.averaging import autocast
from utils.cli.progress import progress
from utils.cli.wording import listed


@dataclass
class TrainOptions:
    """The flags that the loop reads. save_minutes: the longest time between two saves of a long epoch."""

    max_epoch: int
    precision: str = 'fp32'
    accumulate: int = 1
    clip_grad: float | None = None
    max_skipped_steps: int = 10
    log_freq: int = 10
    schedule_per_step: bool = False
    save_minutes: float = 30.0
    max_batches: int | None = None

    def batches(self, loader) -> int:
        """Batches of one epoch."""
        return min(len(loader), self.max_batches or len(loader))


@dataclass
class Position:
    """How far a run has come."""

    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    step: int = 0  # optimizer steps of the whole run
    skipped: int = 0  # steps left out because of a non-finite loss or gradient


class Stopped(Exception):
    """Raised by a validation that was asked to stop: the epoch is trained, its validation is not done."""


@dataclass
class Learner:
    """The parts of a training that have a state, or compute a step.

    net: the bare network; wrapped: the same inside DistributedDataParallel, or itself. normalize: uint8 images -> what
    the network takes; augment(images, numbers): the photometric work that the loaders leave to the device; ema: the
    average of the weights over steps, or None; swa: that over the last epochs, or None; teacher: of a distillation, or
    None.
    """

    net: torch.nn.Module
    wrapped: torch.nn.Module
    normalize: Callable
    criterion: OutputsCriterion
    optimizer: torch.optim.Optimizer
    scheduler: object
    scaler: torch.amp.GradScaler
    ema: AveragedModel | None = None
    swa: AveragedModel | None = None
    augment: Callable | None = None
    teacher: Teacher | None = None


class Meter:
    """Means since the last line, kept on the device so that no step waits for the host, and the time a batch took."""

    def __init__(self):
        self._reset()

    def _reset(self):
        self.sums, self.batches, self.images, self.started = {}, 0, 0, time.monotonic()

    def add(self, losses, images):
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()
        self.batches += 1
        self.images += images

    def take(self):
        """(means by name, images per batch, seconds per batch, batches), and start anew."""
        means = {name: float(value) / self.batches for name, value in self.sums.items()}
        images, seconds, batches = self.images, time.monotonic() - self.started, self.batches
        self._reset()
        return means, images / batches, seconds / batches, batches


class EpochMeans:
    """Means over the batches of an epoch since the last start, from the means over some of them. Those that are not
    finite are left out: the step of such a batch is."""

    def __init__(self):
        self._sums: dict[str, float] = {}
        self._batches: dict[str, int] = {}
        self._rate: float | None = None

    def add(self, means: dict, batches: int):
        """Take the means over some batches, and the learning rate `lr` of the last of them."""
        self._rate = means['lr']
        for name, mean in means.items():
            if name != 'lr' and math.isfinite(mean):
                self._sums[name] = self._sums.get(name, 0) + mean * batches
                self._batches[name] = self._batches.get(name, 0) + batches

    def take(self) -> dict:
        """The means of all and the last learning rate, {} of none; and start anew."""
        means = {name: total / self._batches[name] for name, total in self._sums.items()}
        rate = {} if self._rate is None else {'lr': self._rate}
        self.__init__()
        return {**means, **rate}


def ema_of(net, decay):
    """An exponential moving average of the weights of net, warmed up; its batch statistics are averaged along."""
    average = AveragedModel(net, use_buffers=True)

    def update(averaged, current, _):
        get_ema_multi_avg_fn(warm_decay(decay, int(average.n_averaged)))(averaged, current, _)

    average.multi_avg_fn = update
    return average


def warm_decay(decay: float, updates: int) -> float:
    """The decay after `updates` steps: a young average forgets the weights that it began with (as in TensorFlow and
    timm)."""
    return min(decay, (1 + updates) / (10 + updates))


class Trainer:
    """Trains a Learner, one optimizer step after another. dist: the process group; position: how far it has come.

    What surrounds the steps does nothing here: engine.training.Training, the training of a run, overrides it.
    """

    stop_requested = False  # looked at after every step: save, then end

    def __init__(self, learner: Learner, options: TrainOptions, dist):
        self.learner, self.options, self.dist = learner, options, dist
        self.parameters = [parameter for parameter in learner.net.parameters() if parameter.requires_grad]
        self.position = Position()
        self.group_names = []  # images of the step that is being accumulated, for the message about a bad one

    def log(self, line: str):
        """Take a line."""

    def metric(self, numbers: dict, step: int, batches: int):
        """Take the means over the last `batches` batches, up to an optimizer step."""

    def trained(self, seconds: float):
        """Take note that the epoch is trained, in so many seconds; its validation and save come next."""

    def save(self, score=None):
        """Write a checkpoint of the present position; score: what the validation returned, when it was just done."""

    def validate(self, epoch: int):
        """The numbers of an epoch, None where it has no validation; Stopped when it was asked to stop."""

    def predicted(self, logits, labels):
        """Take the main logits (N, K, h, w) and the labels (N, h, w) of a batch."""

    def is_enough(self) -> bool:
        """Whether to end before the last epoch."""
        return False

    def end_epoch(self):
        """Called when an epoch is trained and validated, before it is saved."""

    def fit(self, loader):
        """Train to the last epoch; True when it was reached, False when the run was asked to stop before."""
        while self.position.epoch < self.options.max_epoch and not self.is_enough():
            began = time.monotonic()
            finished = self._epoch(loader)
            if not finished:
                self.save()
                return False
            self.trained(time.monotonic() - began)
            try:
                score = self.validate(self.position.epoch)
            except Stopped:
                self.save()
                return False
            self.position.epoch, self.position.batch = self.position.epoch + 1, 0
            self.end_epoch()
            self.save(score)
            if self.dist.any(self.stop_requested):
                return self.position.epoch >= self.options.max_epoch
        return True

    def _epoch(self, loader):
        """Train the rest of this epoch; False when asked to stop within it."""
        loader.set_epoch(self.position.epoch, self.position.batch)
        self.learner.criterion.set_epoch(self.position.epoch)
        self.learner.net.train()
        total = self.options.batches(loader)
        remaining = itertools.islice(loader, total - self.position.batch)
        bar = progress(
            remaining,
            total=total,
            desc=f'epoch {self.position.epoch}',
            unit='batches',
            initial=self.position.batch,
            is_shown=total - self.position.batch > 1,  # the line of a single batch says it all
        )
        meter, saved = Meter(), time.monotonic()
        self.learner.optimizer.zero_grad(set_to_none=True)
        for batch in bar:
            last = self._accumulate(batch, total, meter)
            self.position.batch += 1
            if not last:
                continue
            self._update()
            if self.position.step % self.options.log_freq == 0 or self.position.batch == total:
                bar.note(self._report(meter, total))
            if self.position.batch == total:
                if not self.options.schedule_per_step:
                    self.learner.scheduler.step()
                break
            if self.dist.any(self.stop_requested):
                return False
            if self.options.save_minutes and self.dist.any(time.monotonic() - saved > 60 * self.options.save_minutes):
                self.save()
                saved = time.monotonic()
        return not self.dist.any(self.stop_requested)

    def _accumulate(self, batch, total, meter):
        """Forward and backward of one batch; True when it completes a step."""
        first = self.position.batch - self.position.batch % self.options.accumulate
        group = min(self.options.accumulate, total - first)
        last = self.position.batch + 1 == first + group
        learner, images = self.learner, self.augmented(batch)
        taught = learner.teacher.logits(images, batch.get('beside')) if learner.teacher else None
        images = learner.normalize(images)
        learner.net.set_progress((self.position.epoch + self.position.batch / total) / self.options.max_epoch)
        labels = batch['label'].to(self.dist.device, non_blocking=True).long()
        with contextlib.nullcontext() if last or learner.wrapped is learner.net else learner.wrapped.no_sync():
            with self.autocast():
                outputs = learner.wrapped(images)
            losses = learner.criterion(outputs, labels)
            if taught is not None:
                losses = learner.teacher.join(losses, taught, outputs, labels)
            learner.scaler.scale(losses['loss'] / group).backward()
        self.predicted(outputs['pred'], labels)
        meter.add(losses, len(batch['name']))
        self.group_names += batch['name']
        return last

    def augmented(self, batch):
        """The images of a batch of the loader on the device, with what is left to it done."""
        images = batch['image'].to(self.dist.device, non_blocking=True)
        return self.learner.augment(images, batch['photometric']) if 'photometric' in batch else images

    def autocast(self):
        """The context of a forward pass in the precision of the training."""
        return autocast(self.dist.device, self.options.precision)

    def _update(self):
        """One optimizer step, left out when a gradient is not finite (DDP has averaged them, so all ranks agree)."""
        learner = self.learner
        learner.scaler.unscale_(learner.optimizer)
        norm = get_total_norm([parameter.grad for parameter in self.parameters if parameter.grad is not None])
        finite = bool(torch.isfinite(norm))
        if finite:
            if self.options.clip_grad is not None:
                clip_grads_with_norm_(self.parameters, self.options.clip_grad, norm)
            learner.scaler.step(learner.optimizer)
            if learner.ema is not None:
                learner.ema.update_parameters(learner.net)
        else:
            self._skip()
        learner.scaler.update()
        learner.optimizer.zero_grad(set_to_none=True)
        self.position.step += 1
        self.group_names = []
        if self.options.schedule_per_step:
            learner.scheduler.step()

    def _skip(self):
        """Count a step whose gradient is not finite; fp16 loss scaling makes some at the start, which cost nothing."""
        broken = [
            name
            for name, buffer in self.learner.net.named_buffers()
            if buffer.is_floating_point() and not torch.isfinite(buffer).all()
        ]
        names, broken = (
            [item for part in self.dist.gather_objects(mine) for item in part] for mine in (self.group_names, broken)
        )
        where = f'epoch {self.position.epoch}, batch {self.position.batch}, images {", ".join(names)}'
        if broken:
            raise ValueError(
                f'non-finite activations at {where}: they have reached the batch statistics'
                f' ({listed(broken, 1)}), which cannot recover; resume from the last checkpoint with a lower --lr or'
                ' --precision bf16'
            )
        if self.learner.scaler.is_enabled() and self.learner.scaler.get_scale() > 1:
            return
        self.position.skipped += 1
        self.log(
            f'non-finite loss or gradient: step skipped ({self.position.skipped} of {self.options.max_skipped_steps}'
            f' allowed; {where})'
        )
        if self.position.skipped > self.options.max_skipped_steps:
            raise ValueError(
                f'{self.position.skipped} steps had a non-finite loss or gradient, the last at {where}; expected at'
                f' most --max_skipped_steps {self.options.max_skipped_steps}: look at these images and labels, or lower'
                ' --lr'
            )

    def _report(self, meter, total):
        """Log the means since the last line, over all ranks; returns the short form for the progress bar."""
        means, images, seconds, batches = meter.take()
        means = self.over_ranks(means)
        rate = self.learner.optimizer.param_groups[-1]['lr']
        self.log(
            f'[epoch {self.position.epoch}], [iter {self.position.batch} / {total}], [train main loss'
            f' {means["loss"]:0.6f}], [lr {rate:0.6f}] [batchtime {seconds:0.3g}] [images/s'
            f' {images * self.dist.world / seconds:0.3g}]'
        )
        self.metric({**means, 'lr': rate}, self.position.step, batches)
        return f'loss {means["loss"]:.4f}'

    def over_ranks(self, numbers: dict) -> dict:
        """Numbers by name, each the mean over all ranks."""
        totals = self.dist.all_reduce_sum(torch.tensor(list(numbers.values()), dtype=torch.float64))
        return dict(zip(numbers, (totals / self.dist.world).tolist()))
