"""Training of a run: what surrounds the steps of the loop, saving, validating, resuming, and stopping early."""

import shlex
import sys
import time

import torch

from datasets.sampling.listing import changes, files_of, order_of, stamps_of
from engine import gpu, swa
from engine.best_metric import BestMetric, check_same
from engine.builders import build_evaluator, describe_network, train_options
from engine.evaluation import score_alone, validate, validation_criterion
from engine.keeper import CheckpointKeeper
from engine.planning.forecast import tell_if_long, tell_speed
from engine.score import line_of
from engine.seeding import capture_rng
from engine.state import pack_state, resume_learner, resume_optimizer, resume_random_state
from engine.trainer import EpochMeans, Position, Stopped, Trainer, warm_decay
from utils import checkpoint
from utils.cli import flags
from utils.files.atomic import sha256
from utils.metrics import ConfusionMatrix, accuracy, mean_dice, mean_iou

GAIN = 0.01  # of the score, by which a network's own weights must be better to be kept: less is noise
FIRST_STEPS = 10  # whose speed is taken for that of the training
BELOW_0 = (
    'the loss is below 0, which is no fault: the part of region mutual information is half a log-determinant, minus a'
    ' lower bound of that information, and ends at no 0; lower is better (docs/training.md)'
)
AVERAGED, OWN = 'averaged', 'own'  # the weights of --ema, and those of the network itself


class Training(Trainer):
    """A training in the directory of `run`. Nothing that was trained is lost: it saves before every validation."""

    def __init__(self, args, run, learner, train_set, val_set, stop):
        """Prepare; `start` or `resume` comes next, then `fit`. Checkpoints name the classes of train_set, epochs are
        scored on val_set."""
        super().__init__(learner, train_options(args), run.dist)
        self.args, self.run, self.stop = args, run, stop
        self.train_set, self.val_set = train_set, val_set
        self.metric_of_best = BestMetric(args.best_metric, val_set.classes.names)
        self.keeper = CheckpointKeeper(run.directory, self.metric_of_best.is_better)
        self.description = describe_network(args, learner.net, train_set)
        nets = {AVERAGED: learner.ema.module, OWN: learner.net} if learner.ema else {OWN: learner.net}
        self.evaluators = {kept: build_evaluator(args, run, net, self.interrupt) for kept, net in nets.items()}
        self.kept = next(iter(nets))  # the weights that scored best in the last validation
        self.val_criterion = validation_criterion(args, run, val_set)
        self.epoch_means, self.epoch_began = EpochMeans(), time.monotonic()
        self.train_counts = ConfusionMatrix(train_set.num_classes) if args.train_metrics else None
        self.score = None  # of the last epoch
        self.swa_done = None  # the epochs after which the average of --swa_epochs was scored
        self.speed_from = None  # (time, step) of the first step, until the speed has been told
        self.steps_left = 0
        self.is_explained = False  # why the loss is below 0

    @property
    def stop_requested(self):
        return self.stop.requested

    def log(self, line):
        self.run.log(line)

    def metric(self, numbers, step, batches):
        self.run.metric('train', numbers, step)
        if not self.is_explained and is_negative_by_mutual_information(numbers):
            self.is_explained = True
            self.log(BELOW_0)
        if self.speed_from and step - self.speed_from[1] >= FIRST_STEPS:
            (began, first), self.speed_from = self.speed_from, None
            tell_speed(time.monotonic() - began, step - first, self.steps_left, self.log)
        self.epoch_means.add(numbers, batches)
        if self.run.is_main:
            self.run.scalars({**rates(self.learner.optimizer), **gpu.numbers(self.run.device)}, step)

    def predicted(self, logits, labels):
        if self.train_counts is not None:
            self.train_counts.update(logits.detach().argmax(1), labels)

    def trained(self, seconds):
        epoch, means = self.position.epoch, {**self.epoch_means.take(), **self._train_scores()}
        self.epoch_began = time.monotonic() - seconds
        if means:
            self.run.row('train', epoch, {**means, 'step': self.position.step, 'seconds': seconds})
            self.run.scalars({'time/train': seconds}, epoch, 'epoch')

    def _train_scores(self) -> dict:
        """Scores of the batches of the epoch since the last start, as they were predicted while the weights changed; {}
        without --train_metrics, and without a labelled pixel."""
        if self.train_counts is None:
            return {}
        counts = torch.as_tensor(self.train_counts.counts).to(self.dist.device)
        counts = self.dist.all_reduce_sum(counts).cpu().numpy()
        self.train_counts = ConfusionMatrix(len(counts))
        if not counts.any():  # the epoch was trained before this start
            return {}
        scores = {'mean_iu': mean_iou(counts), 'dice': mean_dice(counts), 'acc': accuracy(counts)}
        self.log(f'train : [epoch {self.position.epoch}], {line_of(scores)}')
        self.run.scalars({f'train_epoch/{name}': value for name, value in scores.items()}, self.position.epoch, 'epoch')
        return scores

    def start(self, state=None):
        """Begin at the first epoch of the flags; state: of the checkpoint whose weights the network has, or None."""
        if self.args.restore_optimizer:
            resume_optimizer(state, self.args.source, self.learner.optimizer)
        self.position = Position(epoch=self.args.start_epoch)

    def plan(self, loader):
        """Say where a CPU will take days. Comes after `start` or `resume`, before `fit`."""
        if self.run.device.type == 'cpu':
            batches = (self.options.max_epoch - self.position.epoch) * self.options.batches(loader)
            tell_if_long(self.args, self.train_set.num_classes, batches, self.log)
            self.speed_from = time.monotonic(), self.position.step
            self.steps_left = batches // self.options.accumulate

    def is_enough(self):
        """Whether --early_stop validations have passed since the best one."""
        args, keeper = self.args, self.keeper
        if not args.early_stop:
            return False
        first = args.start_epoch if keeper.best_epoch is None else keeper.best_epoch + 1
        last = args.max_epoch - 1
        later = sum(epoch % args.val_freq == 0 or epoch == last for epoch in range(first, self.position.epoch))
        return self.dist.any(self.run.is_main and later >= args.early_stop)

    def enough_because(self) -> str:
        """Why it is enough, for the log."""
        return f'{self.args.early_stop} validations without a better score'

    def resume(self, state, loader):
        """Put everything but the weights back to where the run that wrote the checkpoint `state` was; loader: the
        batches that it will go on with."""
        args, source, log = self.args, self.args.source, self.log
        try:
            epoch, batch = checkpoint.resume_point(state, source)
            if epoch > args.max_epoch:
                raise ValueError(
                    f'--max_epoch {args.max_epoch}: the run has done {epoch} epochs already ({source}); give more to'
                    ' train on, or evaluate it with --eval val --snapshot'
                )
            check_same(args.best_metric, state, source)
            if batch:
                flags.check_same_steps(args, state, self.dist.world)
            batch = self._same_list(state, loader, epoch, batch)
            resume_learner(state, source, self.learner, log)
            resume_random_state(state, source, self.dist, log)
        except (TypeError, KeyError, AttributeError, IndexError) as error:
            raise ValueError(
                f'{source}: its training state is not that of this program ({type(error).__name__}: {error}); '
                'start a new run from its weights with --snapshot'
            ) from error
        changed = flags.changed_since(args, state)
        pipeline = (state.get('data') or {}).get('albumentations')
        if args.albumentations and pipeline not in (None, sha256(args.albumentations)):
            changed.append(f'--albumentations {args.albumentations}, whose content has changed')
        if changed:
            log(f'resumed with other flags, so not bit for bit: {", ".join(changed)}')
        self.keeper.continue_from(state)
        value = state.get('score')
        self.score = None if value is None else {'mean_iu': state.get('mean_iu'), self.metric_of_best.name: value}
        self.swa_done = state.get('swa_done')
        if self.learner.swa is not None and epoch > self._first_averaged and not state.get('swa'):
            log(f'{source}: holds no averaged weights, the mean of --swa_epochs begins with epoch {epoch}')
        self.kept = state.get('kept') if state.get('kept') in self.evaluators else self.kept
        log(f'continuing at epoch {epoch}, batch {batch}')
        self.position = Position(epoch, batch, state.get('global_step', 0), state.get('skipped', 0))

    def _same_list(self, state, loader, epoch, batch):
        """The batch to go on with, 0 where --restart_epoch asks for that; ValueError where `batch` is a place in a list
        of samples that has changed since."""
        args, before = self.args, state.get('data') or {}
        changed = changes(before, loader.train_set.dataset)
        if not batch:
            if changed:
                self.log(f'the training images have changed since: {", ".join(changed)}')
            return batch
        if args.restart_epoch:
            self.log(f'--restart_epoch: epoch {epoch} begins anew, {batch} batches of it were done before')
            return 0
        loader.set_epoch(epoch, batch)
        is_same = before.get('order') in (None, order_of(loader.train_set)) and batch <= self.options.batches(loader)
        if changed or not is_same:
            changed += flags.changed_since(args, state)
            what = ', '.join(changed) or 'other labels or places of classes'
            raise ValueError(
                f'{args.source}: the run stopped after batch {batch} of epoch {epoch}, a place in a list of'
                f' samples that is another one now: {what}; bring the old'
                ' data and flags back, or give --restart_epoch to begin the epoch anew'
            )
        return batch

    def fit(self, loader):
        """Train from the present position to the last epoch, or until the run is asked to stop; logs how it ended.

        Returns the exit code: 0 when the last epoch was reached, else StopSignal.exit_code."""
        position, self.samples = self.position, loader.train_set
        self.data = {}
        if self.run.is_main:
            dataset = self.samples.dataset
            self.data = {'files': files_of(dataset), 'stamps': stamps_of(dataset)}
        if self.args.albumentations:
            self.data['albumentations'] = sha256(self.args.albumentations)
        is_trained = position.batch == self.options.batches(loader)  # the run was stopped in the validation
        steps = 0 if is_trained else position.batch // self.args.accumulate
        self.learner.scheduler.enter(position.epoch + is_trained, steps)
        self.run.begin(position.epoch + is_trained, position.step)
        is_over = position.epoch >= self.options.max_epoch
        ending, code = f'nothing to train, all {self.options.max_epoch} epochs are done' if is_over else 'finished', 0
        if not (super().fit(loader) and self._score_average(loader)):
            code = self.stop.exit_code
            signal = self.stop.reason or 'a signal to another process'
            ending = f'stopped by {signal}, saved; continue with --resume {self.run.directory}'
        elif position.epoch < self.options.max_epoch:
            ending = f'ended before epoch {position.epoch}: {self.enough_because()}'
        best = self.keeper.best_score
        metric = self.metric_of_best
        score = metric.shown(best) if best is None else f'{metric.shown(best)} in epoch {self.keeper.best_epoch}'
        self.log(f'{ending}; best {metric.words}: {score}; see {self.run.directory}')
        return code

    def save(self, score=None):
        """Write the last checkpoint, and the best one when the --best_metric of `score`, the numbers of a validation,
        is better than all before it."""
        at = self.position
        is_epoch_end = at.batch == 0  # the position is then the start of the next epoch
        epoch = at.epoch - is_epoch_end
        self.score = score
        rng = self.dist.gather_objects(capture_rng())
        self.run.flush()
        if self.run.is_main:
            state = pack_state(
                self.learner,
                Position(epoch, at.batch, at.step, at.skipped),
                rng,
                **self.description,
                mean_iu=score and score['mean_iu'],
                best_metric=self.metric_of_best.name,
                kept=self.kept,
                swa_done=self.swa_done,
                data={**self.data, 'order': None if is_epoch_end else order_of(self.samples)},
                args=vars(self.args),
                command=shlex.join(sys.argv),
            )
            self.keeper.save(state, epoch, score and score[self.metric_of_best.name], is_epoch_end)
        self.dist.barrier()

    def end_epoch(self):
        if self.learner.swa is not None:
            swa.add_epoch(self.learner.swa, self.learner.net, self.position.epoch - 1, self._first_averaged)

    @property
    def _first_averaged(self):
        """The first epoch of --swa_epochs."""
        return max(0, self.args.max_epoch - self.args.swa_epochs)

    def _score_average(self, loader):
        """Score the average of --swa_epochs, once all epochs are done; False when asked to stop before the end."""
        done = self.position.epoch
        if self.learner.swa is None or self.swa_done == done or done < self.options.max_epoch:
            return True
        try:
            swa.score_average(self, loader)
        except Stopped:
            return False
        return True

    def keep_average(self, net, epoch, score, epochs):
        """Write the checkpoint of averaged weights, then the last one again, which says that it is there."""
        self.swa_done = epoch + 1
        if self.run.is_main:
            content = {
                'state_dict': net.state_dict(),
                **self.description,
                'mean_iu': score and score['mean_iu'],
                'best_metric': self.metric_of_best.name,
                'averaged_epochs': epochs,
                'args': vars(self.args),
                'command': shlex.join(sys.argv),
            }
            self.keeper.save_average(content, epoch, score and score[self.metric_of_best.name])
        self.save(self.score)

    def validate(self, epoch):
        """Save, then score the epoch; None where --val_freq leaves it out."""
        score = self._validate(epoch)
        self.run.scalars({'time/epoch': time.monotonic() - self.epoch_began}, epoch, 'epoch')
        return score

    def _validate(self, epoch):
        args, learner = self.args, self.learner
        if epoch % args.val_freq and epoch != args.max_epoch - 1:
            return None
        # every rank scores the network that is saved
        self.dist.broadcast([*learner.net.buffers(), *(learner.ema.module.buffers() if learner.ema else ())])
        self.save()  # a validation that runs out of memory loses nothing
        failures = learner.criterion.failures
        if failures:
            self.log(f'region mutual information: {failures} matrices of this run were singular and left out')
        other = self._rival()
        if other is None:
            return self._score(epoch)
        title, metric = f'validation of the {other} weights', self.metric_of_best
        rival = score_alone(args, self.run, self.evaluators[other], self.val_set, title, self.val_criterion)
        gain = GAIN if other == AVERAGED else -GAIN
        bar = None if rival is None else metric.rank(rival[metric.name]) + gain
        score = self._score(epoch, bar)
        if bar is not None and (score is None or bar > metric.rank(score[metric.name])):
            self.kept, other = other, self.kept
            rival, score = score, self._score(epoch)
        words = [metric.shown(numbers and numbers[metric.name]) for numbers in (score, rival)]
        self.log(f'scored: the {self.kept} weights, {metric.words} {words[0]}; the {other} ones have {words[1]}')
        return score

    def _rival(self):
        """The weights to score beside those that are kept: while the average is young, or worse than the network's own
        weights; else None."""
        ema, decay = self.learner.ema, self.args.ema
        if ema is None or (self.kept == AVERAGED and warm_decay(decay, int(ema.n_averaged)) == decay):
            return None
        return OWN if self.kept == AVERAGED else AVERAGED

    def _score(self, epoch, rival=None):
        """The numbers of the kept weights; where their rank is below `rival` they are not reported."""
        evaluator = self.evaluators[self.kept]
        best, criterion = self.keeper.best_score, self.val_criterion
        return validate(self.args, self.run, evaluator, self.val_set, epoch, best, criterion, rival)

    def interrupt(self):
        """End a validation that was asked to stop; several ranks finish it together, the epoch is saved already."""
        if self.dist.world == 1 and self.stop.requested:
            raise Stopped


def rates(optimizer) -> dict:
    """{'lr/<name or number of the group>': its learning rate}"""
    return {f'lr/{group.get("name", number)}': group['lr'] for number, group in enumerate(optimizer.param_groups)}


def is_negative_by_mutual_information(numbers) -> bool:
    """Whether the loss of some steps, by the names of its parts, is below 0 and that of mutual information too."""
    return numbers['loss'] < 0 and any(name.endswith('/mi') and value < 0 for name, value in numbers.items())
