"""Cache of decoded images and label maps: epochs without decoding (--cache_dir).

A file holds the pairs of one split as Dataset.load returns them, trainIds included. Its name holds a hash of everything
they depend on: the dataset, its tables, what archive.fingerprint tells of its files, the rules of reading. It is built
once, in parallel, before the first epoch; processes that need it at the same time wait for the one that builds it. All
processes of a machine share the pages that the operating system keeps of it.

    the 8 bytes MAGIC, n as int64, n x (H, W) as int64, then for each pair the image H*W*C and the label H*W, uint8
"""

import copy
import errno
import mmap
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from config import cfg
from datasets.base import Dataset
from datasets.loading.reading import RULES
from datasets.loading.threads import in_threads
from utils.cli.wording import counted
from utils.files.archives import fingerprint
from utils.files.atomic import atomic_write, remove_temporaries, write_error
from utils.files.stamps import digest

MAGIC = b'rawpair1'
MOST_SIDE = 1 << 30  # rows or columns of a picture; sizes of all pairs then stay below 2^63
SPARE = 1 << 28  # bytes that are left free on the disk
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # of file systems that have none


def with_cache(dataset: Dataset, folder=None, *, is_main=True, barrier=None, log=None) -> Dataset:
    """`dataset` with `load` and `sizes` that read the cache in `folder` (None: cfg.DATASET.CACHE_DIR; without one
    `dataset` itself), which is built now where it is missing. What load returns is read-only; its values are the same.

    Args:
        is_main, barrier, log: as in class_uniform.load_or_build.

    Raises:
        ValueError: a file cannot be read, or the disk has too little space.
        WriteError: the cache cannot be written.
    """
    folder = cfg.DATASET.CACHE_DIR if folder is None else folder
    log = log or (lambda line: None)
    if not folder:
        return dataset
    if not dataset.labelled or not dataset.label_files(dataset.items[0]):
        log(
            f'split {dataset.split!r} of dataset {dataset.name!r} has no label files, so --cache_dir is not used for it'
        )
        return dataset
    if not is_main and barrier is not None:
        barrier()
    pixels = _open_or_build(dataset, Path(os.path.expanduser(folder)), log)
    if is_main and barrier is not None:
        barrier()
    cached = copy.copy(dataset)
    cached.load, cached.sizes = pixels.load, pixels.sizes
    return cached


def cache_path(dataset: Dataset, folder) -> Path:
    """The file in which the pixels of this dataset, as its files are now, are kept."""
    made_with = (MAGIC, RULES, cv2.__version__, dataset.name, dataset.num_classes, dataset.ignore_label)
    if (dataset.channels, dataset.value_range) != (3, None):
        made_with = (*made_with, dataset.channels, dataset.value_range)
    parts = [repr((*made_with, dataset.color_map)), dataset.mapper.table.tobytes(), dataset.label_rules]
    for item in dataset.items:
        parts.append(repr((item.name, [fingerprint(file) for file in (item.image, *dataset.label_files(item))])))
    return Path(folder) / f'{dataset.name}_{dataset.split}_{digest(*parts)}.raw'


class PixelCache:
    """The pairs of `items` in the file `path`. Raises ValueError when the file is not that of as many items or
    incomplete."""

    def __init__(self, path: Path, items: list, channels: int = 3):
        self.channels = channels
        self.path, self.places, self.pixels = path, {item: place for place, item in enumerate(items)}, None
        with open(path, 'rb') as file:
            header = file.read(_header_bytes(len(items)))
            length = file.seek(0, os.SEEK_END)
        if header[:16] != MAGIC + np.int64(len(items)).tobytes() or len(header) < _header_bytes(len(items)):
            raise ValueError('another header')
        self.shapes = np.frombuffer(header, np.int64, offset=16).reshape(-1, 2)
        if not 0 < self.shapes.min() <= self.shapes.max() < MOST_SIDE:
            raise ValueError(f'a picture of {self.shapes.min()} or {self.shapes.max()} rows or columns')
        self.starts = _starts(self.shapes, channels)
        if length != self.starts[-1]:
            raise ValueError(f'{length} bytes instead of {self.starts[-1]}')

    def __getstate__(self):
        return {**self.__dict__, 'pixels': None}  # another process maps the file itself

    def load(self, item):
        """(image uint8 (H, W, C), label uint8 (H, W) of trainIds), read-only views of the file: only what is used is
        read."""
        if self.pixels is None:
            with open(self.path, 'rb') as file:
                self.pixels = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        place = self.places[item]
        height, width = self.shapes[place].tolist()
        pair = self.pixels[self.starts[place] : self.starts[place + 1]]
        end = self.channels * height * width
        return pair[:end].reshape(height, width, self.channels), pair[end:].reshape(height, width)

    def sizes(self):
        """As Dataset.sizes."""
        return (tuple(shape) for shape in self.shapes.tolist())


def _header_bytes(count: int) -> int:
    return 16 + 16 * count


def _starts(shapes: np.ndarray, channels: int) -> np.ndarray:
    """Where each pair of shapes int64 (n, 2) begins, and where the last one ends; a pixel has its channels and a
    trainId."""
    return np.concatenate([[0], np.cumsum((channels + 1) * shapes.prod(axis=1))]) + _header_bytes(len(shapes))


def _open_or_build(dataset, folder, log) -> PixelCache:
    path = cache_path(dataset, folder)
    # the process that builds it anew says what is wrong with it
    pixels = _open(path, dataset, lambda line: None)
    if pixels is None:
        with _lock(path, log):
            pixels = _open(path, dataset, log)  # built while this process waited
            if pixels is None:
                _build(path, dataset, log)
                pixels = PixelCache(path, dataset.items, dataset.channels)
    return pixels


def _open(path, dataset, log):
    """The cache in `path`, or None when there is no usable one; a damaged file is reported."""
    try:
        return PixelCache(path, dataset.items, dataset.channels)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        log(f'{path}: is no whole cache of this dataset ({error}); building it anew')
        return None


@contextmanager
def _lock(path, log):
    """Only one process at a time is in the block for one `path`. The system releases the lock of a process that
    dies."""
    import fcntl  # of Unix systems only

    beside = path.with_suffix('.lock')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(beside, 'wb')  # noqa: SIM115 - closed below
    except OSError as error:
        raise write_error(beside, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f'{path}: another process builds this cache; waiting for it')
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise write_error(beside, error) from error
            log(f'{path.parent}: its file system has no locks; processes that start together each build the cache')
        try:
            yield
        finally:
            beside.unlink(missing_ok=True)  # a process that waits for the lock looks for the cache first


def _build(path, dataset, log):
    shapes = np.array(list(dataset.sizes()), np.int64).reshape(-1, 2)
    starts = _starts(shapes, dataset.channels)
    remove_temporaries(path.parent, path.name[:40])  # of processes that were killed
    _check_space(path.parent, int(starts[-1]), dataset, log)

    def write(place):
        image, label = dataset.load(dataset.items[place])
        if label.shape != tuple(shapes[place]):
            raise ValueError(f'{dataset.items[place].label}: changed while the cache was built; start again')
        _write_at(file.fileno(), image, int(starts[place]))
        _write_at(file.fileno(), label, int(starts[place]) + image.size)

    with atomic_write(path) as file:
        file.write(MAGIC + np.int64(len(shapes)).tobytes() + shapes.tobytes())
        file.flush()
        for _ in in_threads(write, range(len(shapes)), f'cache of split {dataset.split!r}', 'pairs', log=log):
            pass


def _write_at(descriptor, array, place):
    data = memoryview(np.ascontiguousarray(array)).cast('B')
    while data:
        count = os.pwrite(descriptor, data, place)
        data, place = data[count:], place + count


def _check_space(folder, size, dataset, log):
    """Say how large the cache is; ValueError when the disk has no room for it."""
    others = [path.stat().st_size for path in folder.glob(f'{dataset.name}_{dataset.split}_*.raw')]
    there = (
        f'; {counted(len(others), "earlier cache")} of this split there: {gigabytes(sum(others))}, remove what no run'
        ' needs'
        if others
        else ''
    )
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise ValueError(
            f'--cache_dir {folder}: the cache of split {dataset.split!r} takes {gigabytes(size)}, but only'
            f' {gigabytes(free)} are free there{there}; free some space, give another folder, or leave the flag out'
        )
    log(
        f'the decoded pixels of split {dataset.split!r} ({len(dataset)} pairs, {gigabytes(size)}) are written to'
        f' {folder}, once{there}'
    )


def gigabytes(size: int) -> str:
    """25000000000 -> '25.0 GB'; below 0.1 GB in MB."""
    return f'{size / 1e9:.1f} GB' if size >= 1e8 else f'{size / 1e6:.1f} MB'
