"""What goes on in the processes that load samples: threads, signals, and errors that stay readable."""
import os
import signal
import threading
import traceback

import cv2
from torch.utils.data import Dataset as TorchDataset


class Failure:
    """An error on its way from a worker, in place of a sample or batch; origin: where it was raised, for a developer."""

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
            raise batch.error from LoadedBy(batch.origin)
        yield batch


def start_worker(worker_id: int):
    """Set up a worker process: no threads of OpenCV in it, and signals left to the main process.

    A terminal, torchrun or a cluster sends its signals to every process of a run. The main process answers them by
    finishing its step, for which it needs its workers, and stops them itself.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'SIGUSR1'):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):          # Linux; elsewhere SIGTERM ends a worker whoever sends it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_the_parent_says, args=(os.getppid(),), daemon=True).start()


def _end_when_the_parent_says(parent: int):
    """Wait for a SIGTERM of the parent, which a DataLoader sends to the workers it has no more use for; others pass."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
