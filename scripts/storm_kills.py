"""Kills of programs: at a random moment or at a random file operation, then the same command once more, whose results
have to be those of a program that was never killed."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.io import savemat

import ensemble
import predict
import train
from datasets.prepare import __main__ as prepare
from datasets.prepare.synthetic import render
from datasets.verify import __main__ as verify
from scripts.storm_trials import Kind, Process
from utils import checkpoint
from utils.files.metrics_csv import MetricsTable

SECONDS = 240.0  # after which a program that does not end is said to hang
SIZE = (64, 128)
SMALL = '--arch basic.Linear --trunk hrnetv2_w18_small_v1 --num_workers 0 --skip_verify'
TRAIN = f'{SMALL} --crop_size 32,64 --bs_trn 2 --max_epoch 2 --class_uniform_tile 64 --log_freq 1 --save_minutes 0.003'
OF_A_START = r'hparams(_\d+)?\.json|logging\.log|events\..*|metrics\.csv|\.prepared_.*|sources\.jsonl'
OF_THE_LAST_START = ('args', 'command', 'scheduler')  # the schedule follows from the position
LEFT_BEHIND = r'.*\.tmp(\..*)?|\.lock|\.space'


class Site:
    """What the programs work on: a data set, two checkpoints, two folders of logits, a download to be prepared."""

    def __init__(self, folder: Path):
        self.folder, self.root = folder, folder / 'data'
        self.weights = [folder / f'run{seed}' / 'last_checkpoint_ep1.pth' for seed in (1, 2)]
        self.download = folder / 'download'
        self.logits = [folder / f'eval{seed}' / 'logits' for seed in (1, 2)]

    def data(self) -> list[str]:
        return f'--dataset synthetic --override_dataset_root {self.root} --assets_path {self.folder}/assets'.split()

    def training(self, run, *more) -> list[str]:
        return [*self.data(), *TRAIN.split(), '--result_dir', str(run), *more]

    def evaluation(self, run, weights) -> list[str]:
        flags = '--eval val --dump_logits --dump_for_submission --dump_all_images'.split()
        return [*self.data(), *SMALL.split(), *flags, '--snapshot', str(weights), '--result_dir', str(run)]

    def make(self):
        """Make everything, in a process of its own, as often as it is asked for."""
        if (self.folder / 'made').exists():
            return
        self.folder.mkdir(exist_ok=True)
        expect(Process(self._make, self.folder / 'log'))
        (self.folder / 'made').touch()

    def _make(self):
        torch.set_num_threads(1)
        cv2.setNumThreads(0)
        render(self.root / 'synthetic', train=6, val=6, size=SIZE, seed=3)
        for seed, weights, logits in zip((1, 2), self.weights, self.logits):
            assert train.main([*self.training(weights.parent), '--seed', str(seed)]) == 0
            assert train.main(self.evaluation(logits.parent, weights)) == 0
        rng = np.random.default_rng(0)
        frames = np.arange(1, 13)
        for folder, frame in product(('images', 'labels'), frames):
            path = self.download / 'GTA5' / folder / f'{frame:05d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(0, 20, SIZE, np.uint8))
        splits = {'trainIds': frames[:8], 'valIds': frames[8:], 'testIds': frames[:0]}
        savemat(self.download / 'GTA5' / 'split.mat', splits)
        return 0


def expect(process: Process):
    """RuntimeError with the end of its log unless a process ends with 0."""
    code = process.wait(SECONDS)
    process.stop()
    if code != 0:
        raise RuntimeError(f'ended with {code}: {process.printed[-2000:]}')


def counting(function: Callable[[], int | None], folder: Path, at: int = 0, number: int = signal.SIGKILL):
    """`function`, which gets the signal `number` at file operation `at` below `folder`, counted from 1, and prints how
    many there were when it is through."""

    def counted():
        count, below = 0, str(folder)

        def hook(event, arguments):
            nonlocal count
            if event not in OPERATIONS or not str(arguments[0]).startswith(below):
                return
            if event == 'open' and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
                return
            count += 1
            if count == at:
                os.kill(os.getpid(), number)

        sys.addaudithook(hook)
        torch.set_num_threads(1)
        cv2.setNumThreads(0)
        code = function()
        print(f'operations: {count}')
        return code

    return counted


OPERATIONS = ('open', 'os.rename', 'os.remove', 'os.link', 'os.mkdir', 'os.rmdir', 'os.truncate')
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Killed(Kind):
    """A program that is killed, and started again until it ends by itself.

    call: its main; argv: (site, folder of the trial) -> its arguments, whose results lie
    in `out` below that folder; codes: that it may end with when it has been asked to end by a signal.
    """

    group = 'kills'
    codes: tuple[int, ...] = (0, 130, -signal.SIGTERM)
    trouble = ' is killed, and started again until it ends'
    is_alone = True  # torchrun prints the stack trace of another process

    def __init__(self, name: str, call: Callable, argv: Callable, share=1.0):
        self.name, self.call, self.argv, self.share = name, call, argv, share
        self.what = f'{name}{self.trouble}'

    def prepare(self, folder):
        self.site = Site(folder.parent / 'site')
        self.site.make()
        self.reference = folder / 'reference'
        self.reference.mkdir()
        self.lay_out(self.reference)
        began = time.monotonic()
        process = Process(counting(self.program(self.reference), self.reference), folder / 'reference.log')
        expect(process)
        self.seconds = time.monotonic() - began
        self.operations = int(re.findall(r'operations: (\d+)', process.printed)[-1])

    def lay_out(self, folder: Path):
        """Put what the program works on into the folder of a trial, where it lies there."""

    def program(self, folder) -> Callable[[], int | None]:
        def run():
            sys.argv = [self.name, *map(str, self.argv(self.site, folder))]
            return self.call(sys.argv[1:])

        return run

    def attempt(self, rng, folder):
        tried = rng.choice((1, 1, 2, 3))
        self.lay_out(folder)
        for turn in range(tried):
            log = folder.with_suffix(f'.{turn}.log')
            broke = self.kill(rng, folder, log) or unreadable(folder)
            if broke:
                return turn + 1, broke
        log = folder.with_suffix('.end.log')
        return tried, self.finish(folder, log)

    def finish(self, folder: Path, log: Path) -> str | None:
        """Start the program for the last time; what did not hold in the end."""
        process = Process(counting(self.program(folder), folder), log)
        code = process.wait(SECONDS)
        process.stop()
        if code != 0:
            return f'the last start ended with {code}: {process.last_line}'
        return left_behind(folder) or self.compare(folder)

    def kill(self, rng: random.Random, folder: Path, log: Path) -> str | None:
        """Start the program and kill it; what did not hold."""
        number = rng.choice((signal.SIGKILL,) * 3 + (signal.SIGTERM, signal.SIGINT))
        at = rng.randint(1, self.operations) if self.operations and rng.random() < 0.6 else 0
        process = Process(counting(self.program(folder), folder, at, number), log)
        if process.wait(SECONDS if at else rng.uniform(0, self.seconds)) is None and not at:
            self.send(rng, process, number)
        return self.wrong_end(process, number)

    def send(self, rng, process, number):
        os.kill(process.number, number)

    def wrong_end(self, process: Process, number) -> str | None:
        """What did not hold of the end of a process that got the signal `number`, and of those that it started."""
        code = process.wait(SECONDS)
        alive = not process.all_ended(SECONDS)
        process.stop()
        if code is None or alive:
            return f'{number.name}: {"it" if code is None else "a process of it"} lives on: {process.last_line}'
        if code not in (*self.codes, -number):
            return f'{number.name}: ended with {code}: {process.last_line}'
        if code != -signal.SIGKILL and 'Traceback' in process.printed and self.is_alone:
            return f'{number.name}: a stack trace: {process.last_line}'
        return None

    def compare(self, folder) -> str | None:
        return difference(digests(self.reference), digests(folder))


class KilledTraining(Killed):
    """The same of a training, whose checkpoint has to be equal bit for bit."""

    codes = (0, 75, 130, -signal.SIGTERM)

    def __init__(self, name='a training', more='', share=4.0):
        self.more = more.split()
        super().__init__(name, train.main, self._argv, share)

    def _argv(self, site, folder):
        return [*site.training(folder / 'run', '--resume', 'auto'), *self.more]

    def compare(self, folder):
        found = [checkpoint.load(place / 'run' / 'last_checkpoint_ep1.pth') for place in (self.reference, folder)]
        for key in sorted(found[0].keys() | found[1].keys()):
            if key not in OF_THE_LAST_START and not same(found[0].get(key), found[1].get(key)):
                return f'the last checkpoint has another {key}'
        names = [sorted(path.name for path in (place / 'run').glob('*.pth')) for place in (self.reference, folder)]
        if names[0] != names[1]:
            return f'the checkpoints are {names[1]}, not {names[0]}'
        rows = [epochs(place / 'run' / 'metrics.csv') for place in (self.reference, folder)]
        return f'metrics.csv has epochs {rows[1]}, not {rows[0]}' if rows[0] != rows[1] else None


class KilledLoader(KilledTraining):
    """A loader process of a training is killed, as the system does it when the memory is full."""

    codes = (0, 2)

    def __init__(self):
        super().__init__('a loader process', '--num_workers 2', share=1.0)

    def kill(self, rng, folder, log):
        process = Process(counting(self.program(folder), folder), log)
        process.wait(rng.uniform(0, self.seconds))
        loaders = process.children() if process.code is None else []
        if loaders:
            os.kill(rng.choice(loaders), signal.SIGKILL)
        broke = self.wrong_end(process, signal.SIGKILL)
        if process.code == 2 and 'a loader process has' not in process.printed:
            return f'ended with 2 without the sentence: {process.last_line}'
        return broke


class KilledPair(KilledTraining):
    """A training of two processes under torchrun's agent: one of them, the agent, or all are killed."""

    codes, is_alone = (0, 1, 75, 130, -signal.SIGTERM, -signal.SIGINT), False

    def __init__(self):
        super().__init__('a training of two processes', '--bs_trn 1', share=1.5)

    def program(self, folder):
        def run():
            sys.argv = ['train.py', *map(str, self.argv(self.site, folder))]
            return launched(sys.argv[1:], nproc_per_node=2)

        return run

    def send(self, rng, process, number):
        whom = rng.choice(('all', 'one', 'agent'))
        if whom == 'all':
            os.killpg(process.number, number)
        else:
            os.kill(rng.choice(process.children() or [process.number]) if whom == 'one' else process.number, number)


def launched(argv, **how) -> int:
    """Run train.py under torchrun's agent, with forked processes; returns the exit code, 1 when one of them failed."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    alone = {'min_nodes': 1, 'max_nodes': 1, 'rdzv_backend': 'c10d', 'rdzv_endpoint': 'localhost:0', 'run_id': 'storm'}
    config = LaunchConfig(**{**alone, 'max_restarts': 0, 'monitor_interval': 0.1, 'start_method': 'fork', **how})
    try:
        elastic_launch(config, _one_of_them)(argv)
    except (ChildFailedError, SignalException) as error:
        print(f'torchrun: {" ".join(str(error).split())[:300]}')
        return 1
    return 0


def _one_of_them(argv):
    sys.exit(train.main(argv))


def same(one, other) -> bool:
    """Whether two values of checkpoints are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return isinstance(other, (list, tuple)) and len(one) == len(other) and all(map(same, one, other))
    return one == other or one != one and other != other


def epochs(path: Path) -> list:
    """The epochs of a metrics.csv and their scores; the means over training batches count from the last start."""
    return [(epoch, row['mean_iu'], row['loss']) for epoch, row in MetricsTable.read(path).of('val').items()]


def digests(folder: Path) -> dict[str, str]:
    """{file: hash} of what a program wrote, but for the records of each start."""
    own = str(folder).encode()  # which pages name
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes().replace(own, b'')).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file() and not re.fullmatch(OF_A_START, path.name)
    }


def difference(expected: dict, found: dict) -> str | None:
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            return (
                f'{name}: {"is missing" if name not in found else "is another" if name in expected else "is too much"}'
            )
    return None


def left_behind(folder: Path) -> str | None:
    found = [path.relative_to(folder).as_posix() for path in folder.rglob('*') if re.fullmatch(LEFT_BEHIND, path.name)]
    return f'left behind: {", ".join(found[:3])}' if found else None


READ = {
    '.pth': checkpoint.load,
    '.json': lambda path: json.loads(path.read_text()),
    '.png': lambda path: cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape,
    '.jpg': lambda path: cv2.imread(str(path)).shape,
    '.npz': lambda path: {name: value.shape for name, value in np.load(path).items()},
    '.npy': np.load,
    '.csv': MetricsTable.read,
}


def unreadable(folder: Path) -> str | None:
    """The first file of a killed program that stands under its name and cannot be read."""
    for path in sorted(folder.rglob('*')):
        if path.is_file() and not path.name.startswith('.') and path.suffix in READ:
            try:
                READ[path.suffix](path)
            except Exception as error:
                return f'{path.name}: cannot be read after the kill: {type(error).__name__}: {str(error)[:120]}'
    return None


def prediction(site, folder):
    images = site.root / 'synthetic' / 'leftImg8bit' / 'val'
    kinds = 'labels,color,confidence,overlay,page'
    return [images, '--weights', site.weights[0], '--out', folder / 'out', '--write', kinds, '--device', 'cpu']


class KilledPreparation(Killed):
    """The originals lie beside the results."""

    def lay_out(self, folder):
        shutil.copytree(self.site.download, folder, dirs_exist_ok=True)


def preparation(site, folder):
    return ['gta5', '--root', folder, '--workers', '1']


def evaluation(site, folder):
    return site.evaluation(folder / 'run', site.weights[0])


def fusion(site, folder):
    return ['fuse', *site.logits, '--out', folder / 'out']


def verification(site, folder):
    return [*site.data(), '--out', folder / 'out', '--workers', '1']


def rendering(site, folder):
    return f'synthetic --root {folder} --train 6 --val 6 --size 64,128 --workers 1'.split()


KINDS = [
    KilledTraining(),
    KilledPair(),
    KilledLoader(),
    Killed('an evaluation with dumps', train.main, evaluation, share=0.8),
    Killed('a fusion', ensemble.main, fusion, share=2.0),
    Killed('a prediction', predict.main, prediction),
    Killed('a verification', verify.main, verification, share=1.0),
    KilledPreparation('a preparation', prepare.main, preparation, share=1.8),
    Killed('a rendering', prepare.main, rendering, share=0.3),
]
