"""What goes on in the processes that load samples: threads, signals, and errors that stay readable."""

import atexit
import functools
import multiprocessing
import os
import signal
import traceback

import cv2
from torch.utils.data import Dataset as TorchDataset


class Failure:
    """An error on its way from a worker, in place of a sample or batch; origin: where it was raised, for a
    developer."""

    def __init__(self, error: Exception):
        self.error = error
        self.origin = ''.join(traceback.format_exception(error))


class LoadedBy(Exception):
    """The cause of an error that came from a worker: its text is the worker's traceback."""


class Guarded(TorchDataset):
    """A dataset whose samples are Failures where loading one raises an error that is meant for a person.

    A DataLoader would wrap such an error in the traceback of its worker; this way the main process raises the error
    itself. Errors of the program are left to the DataLoader, traceback and all.
    """

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, key):
        try:
            return self.samples[key]
        except (ValueError, OSError) as error:
            return Failure(error)


def raised(batches):
    """Iterate over `batches`, raising the error of the first Failure among them."""
    for batch in batches:
        if isinstance(batch, Failure):
            error, origin = batch.error, batch.origin
            # The error will hold this frame; a frame that held the error would keep the workers until Python collects
            # cycles, and a DataLoader collected that way waits five seconds for each of its workers.
            del batch
            try:
                raise error from LoadedBy(origin)
            finally:
                del error
        yield batch


def worker_start():
    """The worker_init_fn of a DataLoader; see start_worker."""
    leaving = multiprocessing.RawValue('b', 0)
    atexit.register(setattr, leaving, 'value', 1)  # runs before multiprocessing ends what is left of its children
    return functools.partial(start_worker, leaving)


def start_worker(leaving, worker_id: int):
    """Set up a worker process: no threads of OpenCV in it, and signals left to the main process.

    A terminal, torchrun or a cluster sends its signals to every process of a run. The main process answers them by
    finishing its step, for which it needs its workers, and stops them itself. leaving: a shared value, not zero once
    the main process exits; from then on SIGTERM ends a worker. (A worker whose main process dies notices within
    seconds.)
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, functools.partial(_end_if, leaving))
    if hasattr(signal, 'SIGUSR1'):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def _end_if(leaving, number, frame):
    if leaving.value:
        os._exit(0)
