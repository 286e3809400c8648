"""Keeper of the checkpoints of a run: the last one, the one with the best score and that of averaged weights, each
written before an older one goes."""

import math
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from utils.checkpoint import load, save
from utils.files.atomic import atomic_write, remove_temporaries, sync_folder, write_error
from utils.files.run_directory import checkpoints


class CheckpointKeeper:
    """The checkpoints of one run directory: the last one, and the one with the best score. One process may save.

    An old file goes only after the new one stands, so a run killed at any moment can be continued.
    """

    def __init__(self, run_dir, is_better=None):
        """is_better(score, best): whether a score beats the best one before, None where there is none (default: the
        larger one does)."""
        self.run_dir, self.is_better = Path(run_dir), is_better or is_larger
        self.best_score, self.best_epoch = None, None

    def save(self, state: Mapping, epoch: int, score=None, is_epoch_end=True) -> Path:
        """Write last_checkpoint_ep<epoch>.pth, and best_checkpoint_ep<epoch>.pth when `score` is better than all
        before it.

        Within an epoch (is_epoch_end False) `state` holds batch_in_epoch. Returns the path of the last checkpoint.
        """
        assert is_epoch_end or 'batch_in_epoch' in state, 'a checkpoint within an epoch needs its batch_in_epoch'
        self.clean()
        is_best = self.is_better(score, self.best_score)
        best_score, best_epoch = (float(score), epoch) if is_best else (self.best_score, self.best_epoch)
        path = self._last(epoch)
        save(
            path,
            {
                **state,
                'epoch': epoch,
                'epoch_done': is_epoch_end,
                'score': score,
                'best_score': best_score,
                'best_epoch': best_epoch,
            },
        )
        self.best_score, self.best_epoch = best_score, best_epoch
        if is_best:
            link_or_copy(path, self._best(epoch))
        self._tidy(epoch)
        return path

    def save_average(self, state: Mapping, epoch: int, score) -> Path:
        """Write swa_checkpoint_ep<epoch>.pth, the only one of its kind, which is the best checkpoint too when `score`
        is better than all before it. Save the last checkpoint after it, which says so."""
        path = self.run_dir / f'swa_checkpoint_ep{epoch}.pth'
        is_best = self.is_better(score, self.best_score)
        save(path, {**state, 'epoch': epoch, 'epoch_done': True, 'score': score})
        for file in checkpoints(self.run_dir, 'swa'):
            if file != path:
                file.unlink(missing_ok=True)
        if is_best:
            link_or_copy(path, self._best(epoch))
            self.best_score, self.best_epoch = float(score), epoch
        return path

    def continue_from(self, state: Mapping):
        """Take over the best score of a checkpoint that the run resumes from, if its best checkpoint is here.

        A run killed between the two files of a save gets its best checkpoint now.
        """
        best_epoch = state.get('best_epoch')
        if best_epoch is None:
            return
        if state.get('epoch') == best_epoch and self._last(best_epoch).exists() and not self._best(best_epoch).exists():
            link_or_copy(self._last(best_epoch), self._best(best_epoch))
        if self._best(best_epoch).exists():
            self.best_score, self.best_epoch = state['best_score'], best_epoch

    def clean(self):
        """Remove the temporary files that a killed writer left."""
        remove_temporaries(self.run_dir, 'last_checkpoint_ep')
        remove_temporaries(self.run_dir, 'best_checkpoint_ep')
        remove_temporaries(self.run_dir, 'swa_checkpoint_ep')

    def last_files(self) -> list[Path]:
        """Every last_checkpoint_ep*.pth here, the newest epoch first."""
        return checkpoints(self.run_dir, 'last')

    def best_files(self) -> list[Path]:
        """Every best_checkpoint_ep*.pth here, the newest epoch first."""
        return checkpoints(self.run_dir, 'best')

    def find_last(self, log=print):
        """(path, content) of the newest last checkpoint that can be read, or None when there is none.

        A damaged one is passed over, saying so through `log`, if there is another; else its ValueError is raised.
        """
        files = self.last_files()
        for position, path in enumerate(files):
            try:
                return path, load(path)
            except ValueError as error:
                if position == len(files) - 1:
                    raise
                log(f'{error}; passing it over for {files[position + 1].name}')
        return None

    def _last(self, epoch) -> Path:
        return self.run_dir / f'last_checkpoint_ep{epoch}.pth'

    def _best(self, epoch) -> Path:
        return self.run_dir / f'best_checkpoint_ep{epoch}.pth'

    def _tidy(self, epoch):
        """Remove what the file of `epoch` replaces. Later epochs stay: they are not this run's past."""
        for file in checkpoints(self.run_dir, 'last'):
            if int(file.stem.rpartition('ep')[2]) < epoch:
                file.unlink(missing_ok=True)
        if self.best_epoch is not None and self._best(self.best_epoch).exists():
            for file in checkpoints(self.run_dir, 'best'):
                if file != self._best(self.best_epoch):
                    file.unlink(missing_ok=True)


def is_larger(score, best) -> bool:
    """Whether a score beats the best one before; None where there is none, and nan, beat nothing."""
    return score is not None and not math.isnan(score) and (best is None or score > best)


def link_or_copy(source: Path, target: Path):
    """Make `target` a second name of `source`, or a copy where the file system has no links; atomic either way."""
    temporary = target.parent / f'.{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp'
    try:
        os.link(source, temporary)
    except OSError:
        with open(source, 'rb') as original, atomic_write(target) as copy:
            shutil.copyfileobj(original, copy, 1 << 20)
        return
    try:
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(target, error) from error
    sync_folder(target.parent)
