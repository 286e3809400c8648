"""Training that has so many minutes (--minutes): its length is decided before the first step and kept to the time."""

import time

from engine.builders import train_options
from engine.planning.probe import probe
from engine.planning.time_plan import DECIDED, Length, Stopwatch, fit_length
from engine.training import Training
from loss.optimizer import get_scheduler
from utils.cli import flags

TOLD = 0.1  # of the epochs: a smaller change than this is said in logging.log alone


class TimedTraining(Training):
    """A Training whose --max_epoch, --val_freq and --epoch_batches follow from --minutes. What was decided stands in
    hparams.json and in the checkpoints, and a run that is resumed keeps it; the time of all its runs counts."""

    def __init__(self, args, run, learner, train_set, val_set, stop):
        super().__init__(args, run, learner, train_set, val_set, stop)
        self.watch, self.is_decided = self._stopwatch(), False
        self.batches, self.longest = 0, 0  # of an epoch, now and at most
        self.begun = 0  # batches of the first epoch that an earlier run has done
        self.given = {name: getattr(args, name) for name in DECIDED if name in args.given}
        self.told = args.max_epoch  # the epochs that were said last

    def resume(self, state, loader):
        super().resume(state, loader)
        self.is_decided = bool((state.get('args') or {}).get('minutes'))
        self.watch = self._stopwatch(float(state.get('seconds') or 0))

    def plan(self, loader):
        if not self.is_decided:
            seconds = self.dist.broadcast_object(self.watch.left)
            length = fit_length(seconds, *probe(self, loader, seconds), len(loader), self.given)
            epochs = f'{length.max_epoch} epochs of {length.epoch_batches or len(loader)} of {len(loader)} batches'
            self.log(f'--minutes {self.args.minutes:g}: {epochs}, validated every {length.val_freq} (--val_freq)')
            self._change(**length._asdict())
        self.told = self.args.max_epoch
        self.batches = self.longest = self.options.batches(loader)
        self.begun = self.position.batch
        self._follow_schedule()
        self.watch.begin()

    def validate(self, epoch):
        began = time.monotonic()
        try:
            return super().validate(epoch)
        finally:
            if epoch % self.args.val_freq == 0:
                self.watch.add_validation(time.monotonic() - began)

    def end_epoch(self):
        super().end_epoch()
        now, done = Length(self.args.max_epoch, self.args.val_freq, self.batches), self.position.epoch
        trained, self.begun = self.batches - self.begun, 0
        new = self.watch.plan(done, trained, now, self.longest, self.given.get('max_epoch'))
        new = Length(*self.dist.broadcast_object(tuple(new)))
        if new != now and done < now.max_epoch:
            self._tell(now, new)
            self._change(max_epoch=max(1, new.max_epoch), epoch_batches=new.epoch_batches)
            self.batches = new.epoch_batches
            self._follow_schedule()
            self.learner.scheduler.enter(done)

    def _tell(self, now: Length, new: Length):
        """Say how long it will be, on the screen where the epochs are not nearly those that were said last."""
        is_small = abs(new.max_epoch - self.told) < TOLD * self.told
        before = now.max_epoch if is_small else self.told
        changes = [
            f'--max_epoch {new.max_epoch} instead of {before}' if new.max_epoch != before else '',
            f'--epoch_batches {new.epoch_batches} instead of {now.epoch_batches}'
            if new.epoch_batches != now.epoch_batches
            else '',
        ]
        line = f'--minutes {self.args.minutes:g}: {", ".join(filter(None, changes))}, as long as epochs take here'
        if is_small:
            self.run.note(line)
        else:
            self.log(line)
            self.told = new.max_epoch

    def save(self, score=None):
        self.description = {**self.description, 'seconds': self.watch.used}
        super().save(score)

    def _stopwatch(self, before=0.0):
        """A Stopwatch from the start of the run, after `before` seconds of earlier ones."""
        return Stopwatch(self.args.minutes, before + time.monotonic() - self.run.started)

    def _change(self, **values):
        """Go on with other values of the flags that decide the length; records follow."""
        self.args = flags.with_values(self.args, **values)
        self.options = train_options(self.args)
        self.run.amend(self.args, values)

    def _follow_schedule(self):
        steps = -(-self.batches // self.options.accumulate)
        self.learner.scheduler = get_scheduler(self.learner.optimizer, self.args, steps)
