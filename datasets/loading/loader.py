"""Loaders: batches for training (an epoch's list, shuffled, shared by the ranks) and for evaluation (every image once).

Samples come from worker processes, whose threads, signals and errors are set up here.
"""

import atexit
import functools
import multiprocessing
import os
import signal
import traceback
import warnings

import cv2
import torch
from torch.utils.data import DataLoader, default_collate
from torch.utils.data import Dataset as TorchDataset

from datasets.sampling.epoch import EpochBatches
from datasets.sampling.sets import EvalSet, TrainSet


def collate(samples: list):
    """Samples of one size -> {'image' uint8 (N, 3, h, w), 'label' uint8 (N, h, w) if any, 'name' list, 'scale' float32
    (N,)}.

    'photometric' becomes float32 (N, 12), 'beside' gets a first axis, 'index' and 'size' are lists. A Failure among the
    samples is returned in place of the batch. Raises ValueError when sizes differ.
    """
    failure = next((sample for sample in samples if isinstance(sample, Failure)), None)
    if failure is not None:
        return failure
    shapes = [tuple(sample['image'].shape[1:]) for sample in samples]
    if len(set(shapes)) > 1:
        other = next(place for place, shape in enumerate(shapes) if shape != shapes[0])
        return Failure(
            ValueError(
                f'{samples[0]["name"]} and {samples[other]["name"]} have different sizes {shapes[0]} and'
                f' {shapes[other]} (height, width) after the transforms and cannot stand in one batch; give --crop_size'
                ' without --full_crop_training, or --bs_trn 1'
            )
        )
    stacked = [key for key in ('image', 'label', 'beside') if key in samples[0]]
    batch = {key: _stack([sample[key] for sample in samples]) for key in stacked}
    batch['scale'] = torch.tensor([sample['scale'] for sample in samples], dtype=torch.float32)
    if 'photometric' in samples[0]:
        batch['photometric'] = torch.stack([sample['photometric'] for sample in samples])
    for key in ('name', 'index', 'size'):
        if key in samples[0]:
            batch[key] = [sample[key] for sample in samples]
    return batch


def _stack(tensors):
    """One tensor is a view, which keeps the page-locked memory it may lie in; default_collate stacks into shared
    memory."""
    return tensors[0][None] if len(tensors) == 1 else default_collate(tensors)


def _worker_options(num_workers):
    """Options of both loaders. A generator of its own: a DataLoader draws from torch's global one at every start
    otherwise, which would make the random numbers of the network depend on how often a run was resumed."""
    warnings.filterwarnings('ignore', message='This DataLoader will create')  # too many processes: the flags say it
    return {
        'num_workers': num_workers,
        'persistent_workers': num_workers > 0,
        'pin_memory': torch.cuda.is_available(),
        'worker_init_fn': worker_start(),
        'generator': torch.Generator().manual_seed(0),
    }


def train_loader(
    train_set: TrainSet, batch_size: int, num_workers: int, world: int = 1, rank: int = 0, seed: int = 0
) -> 'TrainLoader':
    """The loader of one rank; see TrainLoader.

    Args:
        batch_size: samples per batch and rank.
        num_workers: processes that load; 0 loads in this one.
        world, rank: of the process group.

    Raises:
        ValueError: the dataset does not fill a single step of all ranks.
    """
    if len(train_set) < batch_size * world:
        dataset = train_set.dataset
        processes = f' on each of {world} processes' if world > 1 else ''
        raise ValueError(
            f'--bs_trn {batch_size}{processes} needs {batch_size * world} images per step, but split {dataset.split!r}'
            f' of dataset {dataset.name!r} has {len(train_set)}; give a smaller --bs_trn'
        )
    return TrainLoader(train_set, EpochBatches(len(train_set), batch_size, world, rank, seed), num_workers)


class TrainLoader:
    """Iterates over the batches of one epoch (see collate); len() is their number in a whole epoch."""

    def __init__(self, train_set, batches, num_workers):
        self.train_set, self.batches = train_set, batches
        self.loader = DataLoader(
            Guarded(train_set), batch_sampler=batches, collate_fn=collate, **_worker_options(num_workers)
        )

    def set_epoch(self, epoch: int, start_batch: int = 0):
        """Go to `epoch`, leaving out the first `start_batch` batches, which a resumed run has done before."""
        self.train_set.set_epoch(epoch)
        self.batches.set_epoch(epoch, start_batch)

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return raised(self.loader)


def eval_loader(
    eval_set: EvalSet, batch_size: int, num_workers: int, world: int = 1, rank: int = 0, faults: list | None = None
) -> 'EvalLoader':
    """The loader of one rank: images rank, rank + world, ... in order, none padded, dropped or repeated.

    Args:
        batch_size: images per batch at most.
        num_workers, world, rank: as of train_loader.
        faults: takes the message about each image that cannot be read, which is then left out; None: it is raised.
    """
    return EvalLoader(eval_set, batch_size, num_workers, range(rank, len(eval_set), world), faults)


class EvalLoader:
    """Iterates over batches (see collate, with 'index') of up to batch_size images that all have one size.

    Images of another size than the one before start a new batch. len() is the number of batches when all sizes are
    equal, num_images the number of images of this rank.
    """

    def __init__(self, eval_set, batch_size, num_workers, chosen, faults=None):
        self.batch_size, self.num_images, self.faults = batch_size, len(chosen), faults
        self.loader = DataLoader(Guarded(eval_set), batch_size=None, sampler=chosen, **_worker_options(num_workers))

    def __len__(self):
        return -(-self.num_images // self.batch_size)

    def __iter__(self):
        group = []
        for sample in raised(self.loader, self.faults):
            if group and (len(group) == self.batch_size or sample['image'].shape != group[0]['image'].shape):
                yield collate(group)
                group = []
            group.append(sample)
        if group:
            yield collate(group)


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


def raised(batches, faults=None):
    """Iterate over `batches`, raising the error of the first Failure among them, or adding all messages to `faults`."""
    for batch in batches:
        if isinstance(batch, Failure) and faults is not None:
            faults.append(str(batch.error))
            continue
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
