"""What goes on in the processes that load samples: threads, signals, and errors that stay readable."""
import signal

import cv2
from torch.utils.data import Dataset as TorchDataset


class Failure:
    """An error on its way from a worker, in place of a sample or batch."""

    def __init__(self, error: Exception):
        self.error = error


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
            raise batch.error
        yield batch


def start_worker(worker_id: int):
    """Set up a worker process: no threads of OpenCV in it, and signals left to the main process.

    A cluster or terminal sends its signals to every process of a run. The main process answers them by finishing its
    step, for which it needs its workers, and stops them itself; so here the first SIGTERM passes and the second counts.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _pass_once)
    if hasattr(signal, 'SIGUSR1'):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def _pass_once(number, frame):
    signal.signal(number, signal.SIG_DFL)
