"""Trouble that the machine makes, or a second program: a full disk, a limit on file sizes, two runs in one directory,
two machines of which one is killed or cut off (network namespaces)."""

import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import ensemble
import predict
import train
from scripts.storm_kills import (
    SECONDS,
    Killed,
    KilledTraining,
    counting,
    evaluation,
    fusion,
    launched,
    left_behind,
    prediction,
    unreadable,
)
from scripts.storm_trials import BROKEN, NotPossible, Process

ROOM = 1 << 28  # bytes of a disk that has room again
LEAST = 1 << 16  # bytes that a process may write into one file: its output is one too
HELD = ('is being written by', 'another process has trained there', 'holds last_checkpoint')
PEER = ('another process has ended', 'another process has not answered', 'a signal to another process')


class Full:
    """A disk without room, as a mixin of a kind of kills: a mistake that says so, nothing half, and it goes on once
    there is room."""

    group, trouble = 'disk', ', then with room'

    def attempt(self, rng, folder):
        size = sum(path.stat().st_size for path in self.reference.rglob('*') if path.is_file())
        self.fill(folder, rng, size)
        try:
            process = Process(self.limited(counting(self.program(folder), folder)), folder.with_suffix('.0.log'))
            process.wait(SECONDS)
            process.stop()
            broke = self.wrong_words(process) or unreadable(folder)
            if broke:
                return 1, broke
            self.make_room(folder)
            return 1, self.finish(folder, folder.with_suffix('.end.log'))
        finally:
            self.give_back(folder)

    def wrong_words(self, process) -> str | None:
        if 'Traceback' in process.printed:
            return f'a stack trace: {process.last_line}'
        if process.code not in (0, 1, 2) or process.code and 'cannot be written' not in process.printed:
            return f'ended with {process.code}: {process.last_line}'
        return None

    def limited(self, function):
        return function

    def make_room(self, folder):
        pass

    def give_back(self, folder):
        pass


class FullDisk(Full):
    """A file system of random size."""

    def prepare(self, folder):
        place = folder / 'disk'
        place.mkdir()
        mount(place, 1 << 16)
        unmount(place)
        super().prepare(folder)

    def fill(self, folder, rng, size):
        self.size = int(size * rng.uniform(0.01, 1.0))
        mount(folder, self.size)

    def make_room(self, folder):
        subprocess.run(['mount', '-o', f'remount,size={ROOM}', str(folder)], check=True)

    def give_back(self, folder):
        unmount(folder)


class SmallFiles(Full):
    """A limit on the size of one file (ulimit -f), as quotas and old file systems have it."""

    def fill(self, folder, rng, size):
        largest = max(path.stat().st_size for path in self.reference.rglob('*') if path.is_file())
        self.size = rng.randint(LEAST, max(largest, LEAST))

    def limited(self, function):
        size = self.size

        def run():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            return function()

        return run


def mount(folder: Path, size: int):
    """A tmpfs of `size` bytes on `folder`; NotPossible where that is not allowed."""
    command = ['mount', '-t', 'tmpfs', '-o', f'size={max(size, 4096)}', 'storm', str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NotPossible('there is no program mount') from None
    except subprocess.CalledProcessError as error:
        raise NotPossible(f'no file system may be mounted ({error.stderr.strip()[:80]})') from None


def unmount(folder: Path):
    subprocess.run(['umount', '-l', str(folder)], check=True)


class FullTraining(FullDisk, KilledTraining):
    def __init__(self):
        super().__init__('a training on a full disk', share=1.0)


class FullProgram(FullDisk, Killed):
    pass


class LimitedTraining(SmallFiles, KilledTraining):
    def __init__(self):
        super().__init__('a training with a limit on file sizes', share=0.5)


class LimitedProgram(SmallFiles, Killed):
    pass


class TwoRuns(KilledTraining):
    """Two trainings are started in one directory, one shortly after the other."""

    group, trouble = 'runs', ': one trains, the other is told'

    def __init__(self):
        super().__init__('two trainings in one directory', share=1.0)

    def attempt(self, rng, folder):
        one = Process(counting(self.program(folder), folder), folder.with_suffix('.0.log'))
        time.sleep(rng.choice((0.0, rng.uniform(0, 0.3), rng.uniform(0, self.seconds))))
        other = Process(counting(self.program(folder), folder), folder.with_suffix('.1.log'))
        for process in (one, other):
            process.wait(SECONDS)
        for process in (one, other):
            process.stop()
            told = any(words in process.printed for words in HELD) and 'Traceback' not in process.printed
            if process.code != 0 and not (process.code == 2 and told):
                return 1, f'ended with {process.code}: {process.last_line}'
        if 0 not in (one.code, other.code):
            return 1, f'none of them was allowed to train: {one.last_line}'
        return 1, unreadable(folder) or left_behind(folder) or self.compare(folder)


class TwoNodes(KilledTraining):
    """A training on two machines, one process each. One is killed, or its cable is pulled; the other ends with its
    sentence, after --timeout for the cable, and both go on from there."""

    group, trouble = 'nodes', ': one is killed or cut off, the other is told'
    names, address = ('storm0', 'storm1'), '10.213.7'

    def __init__(self):
        super().__init__('two machines', '--timeout 1 --bs_trn 1', share=1.5)

    def prepare(self, folder):
        if shutil.which('ip') is None:
            raise NotPossible('there is no program ip (package iproute2)')
        try:
            for name in self.names:
                ip('netns', 'add', name)
            ip('link', 'add', 'storm0', 'netns', 'storm0', 'type', 'veth', 'peer', 'name', 'storm1', 'netns', 'storm1')
            for number, name in enumerate(self.names, 1):
                ip('-n', name, 'address', 'add', f'{self.address}.{number}/24', 'dev', name)
                for link in ('lo', name):
                    ip('-n', name, 'link', 'set', link, 'up')
        except subprocess.CalledProcessError as error:
            self.close()
            raise NotPossible(f'no network namespace may be made ({error.stderr.strip()[:80]})') from None
        super().prepare(folder)

    def close(self):
        for name in self.names:
            subprocess.run(['ip', 'netns', 'delete', name], capture_output=True)

    def program(self, folder):
        """Both machines, started by one process, which ends with the worse of their exit codes."""

        def run():
            nodes = self.nodes(folder)
            for node in nodes:
                node.wait(SECONDS)
                node.stop()
                print(node.printed)
            return max(BROKEN if node.code is None else abs(node.code) for node in nodes)

        return run

    def nodes(self, folder) -> list[Process]:
        return [
            Process(counting(self.node(folder, number), folder), folder.with_suffix(f'.node{number}.log'))
            for number in (0, 1)
        ]

    def node(self, folder, number):
        def run():
            with open(f'/var/run/netns/{self.names[number]}') as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
                    raise OSError(ctypes.get_errno(), 'setns')
            os.environ['GLOO_SOCKET_IFNAME'] = self.names[number]
            return launched(
                [*map(str, self.argv(self.site, folder))],
                nproc_per_node=1,
                min_nodes=2,
                max_nodes=2,
                rdzv_backend='static',
                rdzv_endpoint=f'{self.address}.1:29511',
                rdzv_configs={'rank': number, 'timeout': SECONDS},
            )

        return run

    def attempt(self, rng, folder):
        broke = self.one_lost(rng, folder)
        return 1, broke or unreadable(folder) or self.finish(folder, folder.with_suffix('.end.log'))

    def one_lost(self, rng: random.Random, folder: Path) -> str | None:
        nodes, lost, is_cut = self.nodes(folder), rng.randrange(2), rng.random() < 0.3
        other, link = nodes[1 - lost], ('-n', self.names[lost], 'link', 'set', self.names[lost])
        other.wait(rng.uniform(0.3, 1) * self.seconds)
        had_met, began = 'epoch 0' in other.printed + nodes[0].printed, time.monotonic()
        if is_cut:
            ip(*link, 'down')
        else:
            nodes[lost].stop()
        other.wait(SECONDS)
        seconds = time.monotonic() - began
        for node in nodes:
            node.stop()
        if is_cut:
            ip(*link, 'up')
        how = f'machine {lost} was {"cut off" if is_cut else "killed"}: the other'
        if other.code is None or other.code == -signal.SIGKILL:
            return f'{how} did not end within {SECONDS:g} seconds: {other.last_line}'
        if other.code and had_met and not any(words in other.printed for words in PEER):
            return f'{how} ended after {seconds:.0f} s without its sentence: {other.last_line}'
        return None


def ip(*arguments):
    subprocess.run(['ip', *arguments], check=True, capture_output=True, text=True)


KINDS = [
    FullTraining(),
    FullProgram('an evaluation on a full disk', train.main, evaluation, share=0.5),
    FullProgram('a fusion on a full disk', ensemble.main, fusion, share=0.5),
    FullProgram('a prediction on a full disk', predict.main, prediction, share=0.5),
    LimitedTraining(),
    LimitedProgram('a prediction with a limit on file sizes', predict.main, prediction, share=0.3),
    TwoRuns(),
    TwoNodes(),
]
