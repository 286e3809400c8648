"""Run of a program: a directory with its log, its metrics and the record of how it was started, and the signals that
end it early. Checkpoints lie there too (utils.checkpoint)."""

import os
import sys
import threading
import time
import traceback
from argparse import Namespace
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

import config
from engine import logx_calls, machine, trackers
from engine.distributed import Dist, init_from_env
from engine.keeper import CheckpointKeeper
from engine.lock import RunLock
from engine.provenance import describe_start
from engine.record import Record
from engine.seeding import seed_everything, set_deterministic
from utils.cli.wording import told
from utils.files import stamps
from utils.files.atomic import atomic_write, remove_stale_temporaries, remove_temporaries, write_error, write_json


@dataclass
class Run:
    """A started program: where it writes and which process this is. Nothing is written before `open`. started: when the
    program was, by time.monotonic."""

    directory: Path
    dist: Dist
    args: Namespace
    is_training: bool
    is_open: bool = False
    started: float = field(default_factory=time.monotonic)
    _waiting: list = field(default_factory=list)  # lines for logging.log, which is not open yet

    def __post_init__(self):
        self._lock, self._found = RunLock(self.directory, self.log), newest_checkpoint(self.directory)
        args = self.args
        names = args.log_to if 'log_to' in args else trackers.DEFAULT  # flags made by hand may lack it
        trackers.check_installed(names)
        self._record = Record(self.directory, names, vars(args))

    def check(self):
        """Raise ValueError where this run may not write: beside another training, or while another process does."""
        self._lock.check()
        if self.is_training:
            check_directory_is_free(self.directory, self.args.resume)

    def open(self):
        """Take the directory, once everything that was given has been found right: its lock, its log and hparams.json.

        Raises, on every rank, ValueError as `check` does, and WriteError where it cannot be written.
        """
        fault = None
        if self.is_main:
            try:
                _check_space(self.directory)
                self._lock.acquire()
                if self.is_training and newest_checkpoint(self.directory) != self._found:
                    raise ValueError(
                        f'--result_dir {self.directory}: another process has trained there since this one started;'
                        ' start it again with --resume auto, or give another --result_dir'
                    )
                for folder in (self.directory, *self.directory.glob('best_images/**/')):
                    remove_temporaries(folder, alone=True)
                remove_stale_temporaries(self.directory)  # of other folders below, which may hold another run
                self._waiting += self._record.open()
                write_hparams(self.directory, self.args, self.dist)
            except (ValueError, OSError) as error:
                fault = error
        self.is_open = self.is_main and fault is None
        refused = self.dist.broadcast_object(fault and str(fault))
        if fault is not None:
            raise fault
        if refused is not None:
            raise ValueError(refused)
        if self.is_open:
            for line in self._waiting:
                self._record.line(line)

    def amend(self, args: Namespace, values: Mapping):
        """Take over flags that were decided after the start, `values` of `args`, in hparams.json too."""
        self.args = args
        if self.is_open:
            path = self.directory / 'hparams.json'
            write_json(path, {**(stamps.read(path, 'remove it', 'record of a run') or {}), **values})

    def close(self):
        """Close the record and give the directory back."""
        if self.is_open:
            with suppress(OSError):
                self._record.end_trackers()
                self._tell_failures()
            self.is_open = False
            self._record.close()
        self._lock.release()

    @property
    def device(self) -> torch.device:
        return self.dist.device

    @property
    def is_main(self) -> bool:
        return self.dist.is_main

    def log(self, line: str, shown=True):
        """Append a line to logging.log, as soon as that is open, and print it, if it is to be shown; on rank 0 only."""
        if not self.is_main:
            return
        if shown:
            self._print(line)
        if not self.is_open:
            self._waiting.append(line)
            return
        self._record.check_stands()
        self._record.line(line)
        self._tell_failures()

    @staticmethod
    def _print(line: str):
        try:
            with tqdm.external_write_mode(file=sys.stdout):  # progress bars step aside
                print(line)
                sys.stdout.flush()
        except BrokenPipeError:  # the reader of the output has ended
            raise
        except OSError as error:
            raise write_error('the output of the program', error) from error

    def note(self, line: str):
        """Append a line to logging.log alone, which is open; on rank 0 only."""
        if self.is_open:
            self._record.check_stands()
            self._record.line(line)

    def begin(self, epochs: int, step: int):
        """Go on after `epochs` epochs and `step` optimizer steps: numbers of later ones are of work that was lost."""
        if self.is_open:
            self._record.begin(epochs, step)

    def metric(self, phase: str, numbers: Mapping, step: int):
        """Numbers of phase 'train' at an optimizer step, or of 'val' at an epoch, to the trackers, and those of 'val'
        to metrics.csv; on rank 0 only."""
        if phase == 'val':
            self.row('val', step, numbers)
        axis = 'step' if phase == 'train' else 'epoch'
        self.scalars({f'{phase}/{name}': value for name, value in numbers.items()}, step, axis)

    def row(self, phase: str, epoch: int, numbers: Mapping):
        """A row of metrics.csv; on rank 0 only."""
        if self.is_open:
            self._record.check_stands()
            self._record.row(phase, epoch, numbers)

    def scalars(self, values: Mapping, step: int, axis: str = 'step'):
        """Numbers by tag to the trackers; axis: what `step` counts, 'step' or 'epoch'; on rank 0 only."""
        self._track('scalars', dict(values), step, axis)

    def picture(self, name: str, picture, epoch: int):
        """A picture uint8 (3, H, W) to the trackers; on rank 0 only."""
        self._track('picture', name, picture, epoch)

    def flush(self):
        """Have everything written that was recorded so far, before a checkpoint that stands for it."""
        if self.is_open:
            self._record.check_stands()
            self._record.flush()
            self._tell_failures()

    def _track(self, *call):
        if self.is_open:
            self._record.track(*call)
            self._tell_failures()

    def _tell_failures(self):
        """What has failed in the background, once each; it ends nothing."""
        for line in self._record.take_failures():
            self.log(told(line))


@contextmanager
def run_context(args, training: bool, device=None):
    """Start a run and end it in order: process group, seeds, and what `Run.open` opens. Yields a Run.

    args: every flag, among them result_dir, seed, deterministic, distributed and, for a training, resume. The flags are
    merged into cfg before. An error that leaves the block after `open` is written to logging.log too.
    Raises ValueError for a training that would mix with another one in the same directory.
    """
    run = Run(Path(args.result_dir), Dist(), args, training)
    run.check()
    run.dist = dist = init_from_env(args.distributed, device, args.timeout)
    try:
        seed_everything(args.seed, dist.rank)
        set_deterministic(args.deterministic)
        with _background_failures(run._record.failures), _ending_log(run), logx_calls.served_by(run), machine.told():
            yield run
            dist.barrier()  # a rank that leaves early would break the collectives of the others
    finally:
        dist.shutdown()


def newest_checkpoint(directory):
    """(name, time) of the newest last checkpoint in a directory, None without one."""
    for file in CheckpointKeeper(directory).last_files()[:1]:
        with suppress(FileNotFoundError):
            return file.name, file.stat().st_mtime_ns
    return None


def evaluation_directory(args, log) -> str:
    """--result_dir of an evaluation: a folder of its own in a directory that holds a training, whose record and
    metrics.csv stay as they are. `log` takes a line about it."""
    directory = Path(args.result_dir)
    keeper, path = CheckpointKeeper(directory), directory / 'hparams.json'
    record = stamps.read(path, 'remove it, or give another --result_dir', 'record of a run')
    if not (keeper.last_files() or keeper.best_files() or (record is not None and not record.get('eval'))):
        return args.result_dir
    own = directory / f'eval_{args.eval}'
    log(f'--result_dir {directory}: holds a training; this evaluation writes to {own}')
    return str(own)


def check_directory_is_free(directory: Path, resume):
    """Raise ValueError when a new training would write its checkpoints among those of another one."""
    keeper = CheckpointKeeper(directory)
    files = keeper.last_files() or keeper.best_files()
    if not files or (resume == 'auto' and keeper.last_files()):
        return
    if resume == 'auto':
        raise ValueError(
            f'--result_dir {directory}: holds {files[0].name} but no last_checkpoint to continue; start a new run from'
            ' it with --snapshot and another --result_dir'
        )
    if not resume:
        raise ValueError(
            f'--result_dir {directory}: holds {files[0].name} of an earlier training; '
            f'continue it with --resume {directory}, or give another --result_dir'
        )
    if Path(resume).resolve() != files[0].resolve():
        raise ValueError(
            f'--result_dir {directory}: holds {files[0].name}, --resume gives {resume}; continue the newest with'
            ' --resume auto, or give another --result_dir to branch off'
        )


def _check_space(directory: Path):
    """Raise WriteError where not even a run's first lines would fit: a TensorBoard writer that fails as it starts
    cannot be silenced."""
    path = directory / '.space'
    try:
        with atomic_write(path) as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        raise write_error(directory, error) from error
    path.unlink()


@contextmanager
def _background_failures(failures):
    """Collect in a list what ends background threads within the block, as lines for the log."""

    def collect(ended):
        kind = getattr(ended.exc_type, '__name__', 'an error')
        failures.append(f'the thread {getattr(ended.thread, "name", "")} has ended: {kind}: {ended.exc_value}')

    before, threading.excepthook = threading.excepthook, collect
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def _ending_log(run):
    """Write the error that ends the block to logging.log, and close the run."""
    try:
        yield
    except BaseException as error:
        if run.is_open:
            _log_error(run, error)
        raise
    finally:
        run.close()


def _log_error(run, error):
    """One line for a person's mistake or Ctrl-C, the whole trace for anything else; the program prints its own."""
    short = isinstance(error, (ValueError, OSError, KeyboardInterrupt))
    text = f'{type(error).__name__}: {told(error)}' if short else ''.join(traceback.format_exception(error)).rstrip()
    with suppress(OSError):
        run._record.line(f'stopped by {text}')


def write_hparams(directory: Path, args, dist: Dist):
    """Write hparams.json: every flag and cfg value, and under `command` how, when, where and from which code it was
    started.

    The layout suits runx's sumx, which compares the top-level entries of runs and leaves `command` out. The record of
    an earlier start in the same directory becomes hparams_<n>.json, the earliest with n = 1.
    """
    path = directory / 'hparams.json'
    if path.exists():
        earlier = 1
        while (directory / f'hparams_{earlier}.json').exists():
            earlier += 1
        os.replace(path, directory / f'hparams_{earlier}.json')
    flags = dict(vars(args))
    given = flags.pop('given', [])
    write_json(
        path,
        {
            **flags,
            **_flat('cfg', config.as_dict()),
            'command': {**describe_start(dist.device, dist.world), 'given': given},
        },
    )


def _flat(name, section) -> dict:
    """{'cfg.MODEL.OCR.MID_CHANNELS': 512, ...}"""
    if not isinstance(section, Mapping):
        return {name: section}
    return {path: value for key, item in section.items() for path, value in _flat(f'{name}.{key}', item).items()}
