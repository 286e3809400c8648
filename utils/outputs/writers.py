"""Background writers: files are encoded and written by threads while the device computes the next image.

Threads are enough because deflate, PNG encoding and file writes release the interpreter lock. The pool is bounded, so
a slow disk slows the program down instead of filling the memory with arrays that wait for it. Tensors reach the writers
as a HostCopy: a pageable copy would make the caller wait until everything queued on the device before it has run, this
one goes to pinned memory behind the forward pass, and only the thread that needs the values waits for it.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from utils.cores import own_cores


def default_threads() -> int:
    """Half of this process's share of the machine's cores, from 1 to 8; the other half feeds the device."""
    return max(1, min(8, own_cores() // 2))


class WriterPool:
    """Runs functions in threads; at most `max_pending` of them (waiting or running) exist at a time.

    The first error of any function is raised in the caller's thread by the next `submit` or by `close`; what was still
    waiting then is dropped. As a context manager it closes at the end of the block, and aborts when the block fails.
    """

    def __init__(self, num_threads: int | None = None, max_pending: int | None = None):
        num_threads = num_threads or default_threads()
        self.max_pending = max_pending or 2 * num_threads
        assert self.max_pending >= 1
        self._slots = threading.BoundedSemaphore(self.max_pending)
        self._executor = ThreadPoolExecutor(num_threads, thread_name_prefix='writer')
        self._stopped = threading.Event()
        self._error = None

    def submit(self, function, *args, **kwargs):
        """Queue function(*args, **kwargs); waits while the pool is full, raises the first error of an earlier call."""
        self._raise_error()
        self._slots.acquire()
        if self._error is not None:
            self._slots.release()
            self._raise_error()
        try:
            self._executor.submit(self._run, function, args, kwargs)
        except BaseException:
            self._slots.release()
            raise

    def _run(self, function, args, kwargs):
        try:
            if not self._stopped.is_set():
                function(*args, **kwargs)
        except BaseException as error:  # for the caller's thread; what a writer thread prints is not read
            if not self._stopped.is_set():
                self._error = error
                self._stopped.set()
        finally:
            self._slots.release()

    def _raise_error(self):
        if self._error is not None:
            raise self._error

    def close(self):
        """Wait until everything is written; raises the first error of any function."""
        self._executor.shutdown(wait=True)
        self._raise_error()

    def abort(self):
        """Drop what waits, let the running functions finish, raise nothing."""
        self._stopped.set()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.close()
        else:
            self.abort()


class HostCopy:
    """A copy of `tensor` in host memory; On a CPU it is the tensor itself."""

    def __init__(self, tensor: torch.Tensor):
        self._arrived = None
        if tensor.is_cuda:
            with torch.cuda.device(tensor.device):
                self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                self._host.copy_(tensor, non_blocking=True)
                self._arrived = torch.cuda.Event(blocking=True)  # blocking: the thread sleeps instead of spinning
                self._arrived.record()
        else:
            self._host = tensor.detach().cpu().contiguous()

    def numpy(self):
        """The values; waits until they have arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host.numpy()


def half_saturated(tensor: torch.Tensor) -> torch.Tensor:
    """A float16 copy in which what does not fit is the largest finite value, +-65504, instead of infinity."""
    limit = torch.finfo(torch.float16).max
    return tensor.to(torch.float16, copy=True).clamp_(-limit, limit)
