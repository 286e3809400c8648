"""Run of a program: a directory with its log, its metrics and the record of how it was started, and the signals that
end it early. Checkpoints lie there too (utils.checkpoint)."""

import csv
import os
import sys
import threading
import traceback
from argparse import Namespace
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from runx.logx import logx
from tqdm import tqdm

import config
from engine import machine
from engine.distributed import Dist, init_from_env
from engine.keeper import CheckpointKeeper
from engine.lock import RunLock
from engine.provenance import describe_start
from engine.seeding import seed_everything, set_deterministic
from utils.cli.wording import told
from utils.files import stamps
from utils.files.atomic import atomic_write, write_error, write_json


@dataclass
class Run:
    """A started program: where it writes and which process this is. Nothing is written before `open`."""

    directory: Path
    dist: Dist
    args: Namespace
    is_training: bool
    is_open: bool = False
    failures: list = field(default_factory=list)  # OSErrors of background threads, such as TensorBoard's writer
    _waiting: list = field(default_factory=list)  # lines for logging.log, which is not open yet

    def __post_init__(self):
        self._lock, self._found = RunLock(self.directory, self.log), newest_checkpoint(self.directory)

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
                _open_log(self.directory, self.dist.rank)
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
                logx.log_file.write(line + '\n')
            logx.log_file.flush()

    def amend(self, args: Namespace, values: Mapping):
        """Take over flags that were decided after the start, `values` of `args`, in hparams.json too."""
        self.args = args
        if self.is_open:
            path = self.directory / 'hparams.json'
            write_json(path, {**(stamps.read(path, 'remove it', 'record of a run') or {}), **values})

    def close(self):
        """Close the log and give the directory back."""
        if self.is_open:
            self.is_open = False
            _close_tensorboard()
            for file in (logx.metrics_fp, logx.log_file):
                with suppress(OSError):
                    file.close()
        self._lock.release()

    @property
    def device(self) -> torch.device:
        return self.dist.device

    @property
    def is_main(self) -> bool:
        return self.dist.is_main

    def log(self, line: str):
        """Print a line and append it to logging.log, as soon as that is open; on rank 0 only."""
        if not self.is_main:
            return
        self._raise_failure()
        try:
            with tqdm.external_write_mode(file=sys.stdout):  # progress bars step aside
                if self.is_open:
                    logx.msg(line)
                else:
                    print(line)
                    self._waiting.append(line)
                sys.stdout.flush()
        except BrokenPipeError:  # the reader of the output has ended
            raise
        except OSError as error:
            raise write_error(self.directory / 'logging.log', error) from error

    def metric(self, phase: str, numbers: Mapping, step: int):
        """Numbers of phase 'train' or 'val' to TensorBoard, and those of 'val' to metrics.csv; on rank 0 only."""
        if not self.is_main:
            return
        self._raise_failure()
        try:
            logx.metric(phase, numbers, step)
        except OSError as error:
            raise write_error(self.directory, error) from error

    def picture(self, name: str, picture, step: int):
        """A picture uint8 (3, H, W) to TensorBoard; on rank 0 only."""
        if not self.is_main:
            return
        self._raise_failure()
        logx.add_image(name, picture, step)

    def _raise_failure(self):
        """A dead TensorBoard writer takes no more events: its bounded queue would block the next ones for ever."""
        if self.failures:
            raise write_error(self.directory, self.failures[0]) from self.failures[0]


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
        with _background_failures(run.failures), _ending_log(run), machine.told():
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
            'continue it with --resume auto, or give another --result_dir'
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


def _open_log(directory: Path, rank: int):
    # logx would torch.load the best checkpoint of the directory for its score; utils.checkpoint alone reads
    # checkpoints.
    logx.get_best_checkpoint = lambda: None
    try:
        logx.initialize(logdir=str(directory), tensorboard=True, global_rank=rank)
        if logx.rank0:
            _reopen_as_utf8(directory)
    except OSError as error:
        logx.initialized = False
        raise write_error(directory, error) from error


def _reopen_as_utf8(directory: Path):
    """logx opens its text files in the encoding of the locale, which need not have the names of classes and images."""
    for file in (logx.log_file, logx.metrics_fp):
        file.close()
    logx.log_file, logx.metrics_fp = (
        open(directory / name, 'a', encoding='utf-8', errors='backslashreplace')  # noqa: SIM115 (the run closes them)
        for name in ('logging.log', 'metrics.csv')
    )
    logx.metrics_writer = csv.writer(logx.metrics_fp)


@contextmanager
def _background_failures(failures):
    """Collect in a list the OSErrors that end background threads within the block."""

    def collect(ended):
        if isinstance(ended.exc_value, OSError):
            failures.append(ended.exc_value)
        else:
            before(ended)

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
            _log_error(error)
        raise
    finally:
        run.close()


def _log_error(error):
    """One line for a person's mistake or Ctrl-C, the whole trace for anything else; the program prints its own."""
    short = isinstance(error, (ValueError, OSError, KeyboardInterrupt))
    text = f'{type(error).__name__}: {told(error)}' if short else ''.join(traceback.format_exception(error)).rstrip()
    with suppress(OSError):
        logx.log_file.write(f'stopped by {text}\n')
        logx.log_file.flush()


def _close_tensorboard():
    try:
        logx.tb_writer.close()
    except OSError:  # the full disk has been reported; a writer that is not ended here prints traces at exit
        with suppress(AttributeError, OSError):
            writer = logx.tb_writer.file_writer.event_writer
            writer._closed = True
            if writer._worker.is_alive():
                writer._worker.stop()


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
