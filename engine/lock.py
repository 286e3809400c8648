"""Lock of a run directory: one process writes there at a time, and the second is told who does.

A POSIX record lock on the file `.lock`: the system drops it when its holder dies, and network file systems share it
between machines where they can. Where they cannot, the holder's beats are seen: it writes a number into the file every
BEAT seconds, and a record of another machine that still beats is one of a run that lives.
"""

import json
import os
import platform
import shlex
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: the process number alone
    fcntl = None  # type: ignore[assignment]

NAME = '.lock'
BEAT = 15.0  # seconds


class RunLock:
    """The lock of `directory`. say: takes a line while another machine's record is watched."""

    def __init__(self, directory, say=print):
        self.path, self._say = Path(directory) / NAME, say
        self._handle, self._record, self._ended, self._thread = None, {}, threading.Event(), None

    def check(self):
        """Raise ValueError when another process holds the lock; nothing is written."""
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            handle = os.open(self.path, os.O_RDWR)
            try:
                self._take(handle)
            finally:
                os.close(handle)

    def acquire(self):
        """Take the lock until `release`. ValueError, naming the holder, when another process has it."""
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                self._take(handle)
            except BaseException:
                os.close(handle)
                raise
            if self._stands(handle):
                break
            os.close(handle)  # its holder has released and removed it meanwhile
        self._handle = handle
        self._record = {
            'process': os.getpid(),
            'host': platform.node(),
            'since': time.strftime('%Y-%m-%d %H:%M:%S %z'),
            'command': shlex.join(sys.argv)[:300],
        }
        self._write(0)
        self._thread = threading.Thread(target=self._beat, daemon=True, name='lock')
        self._thread.start()

    def release(self):
        """Give the lock back."""
        if self._handle is None:
            return
        self._ended.set()
        self._thread.join()
        with suppress(OSError):
            if self._stands(self._handle):
                self.path.unlink()
        os.close(self._handle)
        self._handle = None

    def _take(self, handle):
        """The system's lock on `handle`, or ValueError; where there are none, the record in the file decides."""
        locked = self._lock(handle)
        record = parsed(os.pread(handle, 1 << 16, 0))
        if not record:
            return
        if record.get('host') != platform.node():
            if self._still_beats(record):
                raise self._held()
            self._lock(handle)  # looking at the file has dropped it
        elif not locked and record.get('process') != os.getpid() and _lives(record.get('process')):
            raise self._held()

    def _lock(self, handle) -> bool:
        """Lock `handle`; False where the file system has no locks, ValueError where another process has it."""
        try:
            if fcntl is not None:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fcntl is not None
        except (BlockingIOError, PermissionError):
            raise self._held() from None
        except OSError:
            return False

    def _still_beats(self, record) -> bool:
        """Whether the holder on another machine is seen to write; its end, unless it crashed, removes the file."""
        self._say(
            f'{self.path}: is of process {record.get("process")} on {record.get("host")}, which has not given it back;'
            f' looking for {3 * BEAT:g} seconds whether it lives'
        )
        limit = time.monotonic() + 3 * BEAT
        while time.monotonic() < limit:
            time.sleep(BEAT / 5)
            now = self._read()
            if now != record:
                return bool(now)
        return False

    def _stands(self, handle) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(handle))
        except FileNotFoundError:
            return False

    def _read(self) -> dict:
        """The record, from the file opened anew, which network file systems look after. Drops a lock of this process
        on it, as closing a file does."""
        try:
            return parsed(self.path.read_bytes())
        except OSError:
            return {}

    def _write(self, beat):
        data = json.dumps({**self._record, 'beat': beat}).encode()
        with suppress(OSError):  # a full disk ends the run elsewhere
            os.ftruncate(self._handle, len(data))
            os.pwrite(self._handle, data, 0)

    def _beat(self):
        beat = 0
        while not self._ended.wait(BEAT):
            beat += 1
            self._write(beat)

    def _held(self) -> ValueError:
        record = self._read()
        who = (
            f'process {record.get("process")} on {record.get("host")} since {record.get("since")}'
            f' ({record.get("command")})'
            if record
            else 'another process'
        )
        return ValueError(
            f'--result_dir {self.path.parent}: is being written by {who}; wait for its end or stop it, or give another'
            ' --result_dir'
        )


def parsed(data: bytes) -> dict:
    """The record that a lock file holds; {} where there is none."""
    try:
        record = json.loads(data)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _lives(process) -> bool:
    if not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
