"""Trials of the storm: what a kind of trouble is, and the forked processes in which its trials run.

The process of the storm has imported everything and computes nothing, so a trial costs a fork and no import.
"""

import mmap
import os
import random
import resource
import select
import shutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, NamedTuple

BROKEN = 70  # exit code of a forked process whose function raised


class Outcome(NamedTuple):
    """Of trial `number`: how often trouble was made, and what did not hold (None: all of it held)."""

    number: int
    tried: int = 1
    broke: str | None = None


class NotPossible(Exception):
    """This machine does not allow a kind of trouble; the message says what it lacks."""


class Kind:
    """One kind of trouble. name: as --only and the table have it; group: of kinds, another word for --only; what: is
    tried and has to hold, for the table; share: of the storm's time; burst: trials that are run in a row."""

    name, group, what = '', '', ''
    share, burst = 1.0, 1

    def prepare(self, folder: Path):
        """Make what all trials need below `folder`; NotPossible where this machine does not allow them."""

    def close(self):
        """Take away what lies outside the folder."""

    def run(self, seed: int, numbers: range, folder: Path) -> Iterator[Outcome]:
        """The outcome of each trial."""
        for number in numbers:
            place = folder / str(number)
            place.mkdir()
            tried, broke = self.attempt(self.random(seed, number), place)
            if not broke:  # what broke is kept to be looked at, with --keep
                shutil.rmtree(place)
            yield Outcome(number, tried, broke)

    def attempt(self, rng: random.Random, folder: Path) -> tuple[int, str | None]:
        """One trial in an empty folder: (how often trouble was made, what did not hold)."""
        raise NotImplementedError

    def random(self, seed: int, number: int) -> random.Random:
        """What decides a trial: the same for the same seed and number."""
        return random.Random(f'{seed} {self.name} {number}')


class Process:
    """A function in a forked process with a session of its own, whose output goes to the file `log`.

    code: with which it has ended: the function's result, BROKEN (and a stack trace in the log) where it raised, minus
    the signal that ended it; None while it runs.
    """

    running: ClassVar[set['Process']] = set()  # those that a storm which is interrupted has to stop

    def __init__(self, function: Callable[[], int | None], log: Path):
        self.log, self.code = log, None
        sys.stdout.flush()
        sys.stderr.flush()
        self.number = os.fork()
        if not self.number:
            self._run(function)
        self.running.add(self)

    def _run(self, function):
        code = BROKEN
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._redirect()
            code = function() or 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else BROKEN
        except KeyboardInterrupt:  # before or behind the program's own main
            code = 130
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _redirect(self):
        output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
            os.dup2(source, target)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout, sys.stderr = (os.fdopen(number, 'w', 1, closefd=False) for number in (1, 2))

    def wait(self, seconds: float) -> int | None:
        """The code; None when it still runs after `seconds`."""
        limit = time.monotonic() + seconds
        while self.code is None:
            done, status = os.waitpid(self.number, os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
                self.running.discard(self)
            elif time.monotonic() >= limit:
                break
            else:
                time.sleep(0.005)
        return self.code

    def all_ended(self, seconds: float) -> bool:
        """Whether no process of its session lives after at most `seconds`."""
        limit = time.monotonic() + seconds
        while True:
            self.wait(0)
            try:
                os.killpg(self.number, 0)
            except ProcessLookupError:
                return True
            if time.monotonic() >= limit:
                return False
            time.sleep(0.02)

    def stop(self):
        """End it and all of its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.number, signal.SIGKILL)
        self.wait(30)

    def children(self) -> list[int]:
        """The processes that it has started and that live."""
        with suppress(OSError):
            return [
                int(child)
                for task in Path(f'/proc/{self.number}/task').iterdir()
                for child in (task / 'children').read_text().split()
            ]
        return []

    @property
    def printed(self) -> str:
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    @property
    def last_line(self) -> str:
        """The end of what it printed, for a message."""
        lines = [line for line in self.printed.splitlines() if line.strip()]
        return lines[-1][:200] if lines else 'nothing was printed'


class Watched:
    """Many quick trials, one after the other in one forked process that is watched from outside.

    test: trial number -> what did not hold, or None. seconds: that one trial may take; memory: bytes that the process
    may take beyond what it has.
    """

    def __init__(self, test: Callable[[int], str | None], seconds: float, memory: int):
        self.test, self.seconds, self.memory = test, seconds, memory

    def run(self, numbers: range, log: Path) -> Iterator[Outcome]:
        """The outcomes; a process that crashes or hangs is one of them, and the next trial begins in a new one."""
        first = numbers.start
        while first < numbers.stop:
            for outcome in self._run_some(range(first, numbers.stop), log):
                yield outcome
                first = outcome.number + 1

    def _run_some(self, numbers, log):
        at = mmap.mmap(-1, 16)  # the number of the trial and when it began
        out, into = os.pipe()
        process = Process(lambda: self._child(numbers, at, into), log)
        os.close(into)
        with os.fdopen(out, 'rb', buffering=0) as pipe:
            done, rest = numbers.start, b''
            try:
                while done < numbers.stop:
                    ready = select.select([pipe], [], [], 0.2)[0]
                    data = os.read(out, 1 << 16) if ready else None
                    if data:
                        *lines, rest = (rest + data).split(b'\n')
                        for line in lines:
                            yield Outcome(done, 1, line.decode() or None)
                            done += 1
                    elif data == b'':
                        code = process.wait(5)
                        yield Outcome(done, 1, _words_for_code(code))
                        return
                    else:
                        number, began = struct.unpack('qd', at[:])
                        if number == done and began and time.monotonic() - began > self.seconds:
                            yield Outcome(done, 1, f'took more than {self.seconds:g} seconds')
                            return
            finally:
                process.stop()

    def _child(self, numbers, at, into):
        with open('/proc/self/statm') as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + self.memory, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in numbers:
            at[:] = struct.pack('qd', number, time.monotonic())
            broke = self.test(number)
            os.write(into, ((broke or '').replace('\n', ' ') + '\n').encode())
        return 0


def _words_for_code(code):
    if code is not None and code < 0:
        return f'the process was ended by {signal.Signals(-code).name}'
    return f'the process ended with code {code}'
