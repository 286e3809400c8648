"""Lines that decoders print by themselves: caught, so that a message says them together with the file they are about.

libjpeg, libpng and libtiff write to the variable `stderr` of the C library, which is turned to memory while a thread
decodes. What Python, C++ and child processes print goes to the terminal by its number and is not touched. The own logs
of OpenCV and its FFmpeg are turned off: where they fail, the readers here say so. With another C library than glibc the
lines are printed as before.
"""

import ctypes
import functools
import os
import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar

import cv2
from tqdm import tqdm

HARMLESS = ('libpng warning', 'Warning', 'Invalid SOS parameters', 'Unknown Adobe')  # about metadata, not about pixels
_gathered: ContextVar[list | None] = ContextVar('gathered', default=None)
_told: set[str] = set()  # files that were told about


def caught(function, *args):
    """(function(*args), lines): what it returns, and what was printed about the pixels by C libraries on its behalf.

    Lines of an error that it raises are dropped. When several threads decode and something was printed, the call is
    repeated alone, to know whose lines they are.
    """
    silence_logs()
    stream = _stream()
    if stream is None:
        return function(*args), []
    result, lines = stream.listen(function, args)
    if lines:
        result, lines = stream.listen(function, args, alone=True)
    return result, [line for line in lines if not line.startswith(HARMLESS)]


@contextmanager
def gathered():
    """A list of the (path, line) that `tell` is called with in the block, by this thread, in place of printing them."""
    found: list = []
    token = _gathered.set(found)
    try:
        yield found
    finally:
        _gathered.reset(token)


def tell(path, lines):
    """Print, once for each file and process, what the decoder of a file that was read said about its pixels."""
    if not lines:
        return
    found = _gathered.get()
    if found is not None:
        found.append((path, lines[0]))
    elif str(path) not in _told:
        tqdm.write(
            f'{path}: was read, but its decoder says "{lines[0]}"; look at it, part of it may be damaged', sys.stderr
        )
    _told.add(str(path))


@functools.cache
def silence_logs():
    """Turn OpenCV's and its FFmpeg's own messages off, but where the environment variables for them are set."""
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # AV_LOG_QUIET, read with the first video
    if 'OPENCV_LOG_LEVEL' not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@functools.cache
def _stream():
    try:
        libc = ctypes.PyDLL(None)
        libc.gnu_get_libc_version  # noqa: B018, of glibc alone: elsewhere the variable may not be written to
        return _Stream(libc)
    except (AttributeError, OSError, TypeError, ValueError):
        return None


class _Stream:
    """The memory that C's `stderr` is while at least one call of `listen` goes on."""

    def __init__(self, libc):
        self.libc, self.variable = libc, ctypes.c_void_p.in_dll(libc, 'stderr')
        libc.open_memstream.restype = ctypes.c_void_p
        libc.fflush.argtypes = libc.rewind.argtypes = (ctypes.c_void_p,)
        self.terminal = self.variable.value
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self):
        """The state without any call; a child process has none of its parent's threads, and locks of its own."""
        self.variable.value, self.inside, self.waiting = self.terminal, 0, 0
        self.changed, self.data, self.size = threading.Condition(), ctypes.c_void_p(), ctypes.c_size_t()
        self.memory = self.libc.open_memstream(ctypes.byref(self.data), ctypes.byref(self.size))

    def listen(self, function, args, alone=False):
        """(function(*args), lines printed meanwhile, by any thread); alone: while no other call goes on."""
        before = self._enter(alone)
        try:
            result = function(*args)
        finally:
            lines = self._leave(before, alone)
        return result, lines

    def _enter(self, alone) -> int:
        with self.changed:
            self.waiting += alone
            self.changed.wait_for(lambda: not self.inside if alone else not self.waiting)
            self.inside += 1
            if self.inside == 1:
                self.libc.rewind(self.memory)
                self.variable.value = self.memory
            return self._written()

    def _leave(self, before, alone) -> list[str]:
        with self.changed:
            written = self._written()
            text = ctypes.string_at(self.data, written)[before:] if written > before else b''
            self.waiting -= alone
            self.inside -= 1
            if not self.inside:
                self.variable.value = self.terminal
                self.changed.notify_all()
            return text.decode('utf-8', 'replace').splitlines()

    def _written(self) -> int:
        self.libc.fflush(self.memory)
        return self.size.value
