"""Images of stored members, one after the other: files are read ahead in threads, sums are made in one.

So memory does not grow with members or images, and the result does not depend on the number of threads.
"""
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from aggregation.members import Members
from aggregation.pool import Pool
from aggregation.trees import listed


@contextmanager
def one_thread():
    """Arithmetic in one thread: how a loop is cut into threads decides the last bit of a sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pools(members: Members, needs, stems, readers: int = 2) -> Iterator[tuple[str, Pool]]:
    """(stem, Pool of its members) for each of `stems`. At most `readers` + 1 files are in memory at once.

    Raises ValueError naming files whose size or number of classes differ, or that hold nan.
    """
    jobs = [(stem, store, weight) for stem in stems for store, weight in members.of(stem)]
    with ThreadPoolExecutor(readers) as executor:
        ahead = [executor.submit(store.read, stem) for stem, store, _ in jobs[:readers]]
        pool, first = None, None
        for number, (stem, store, weight) in enumerate(jobs):
            logits = ahead.pop(0).result()
            if number + readers < len(jobs):
                following, its_store, _ = jobs[number + readers]
                ahead.append(executor.submit(its_store.read, following))
            shape = (len(logits.values), *logits.size)
            if pool is None:
                pool, first = Pool(needs, shape[0], logits.size), store.path(stem)
            elif shape != (pool.num_classes, *pool.size):
                raise ValueError(f'{store.path(stem)}: holds {shape[0]} classes of {shape[1]}x{shape[2]} pixels (height x width), {first} '
                                 f'{pool.num_classes} of {pool.size[0]}x{pool.size[1]}; dump both at the size of the image, with one label set')
            _check_weight(weight, shape[0], store)
            pool.add(logits.full(), store.kind, weight)
            if number + 1 == len(jobs) or jobs[number + 1][0] != stem:
                yield stem, pool
                pool = None


def _check_weight(weight, classes: int, store):
    if isinstance(weight, torch.Tensor) and len(weight) != classes:
        raise ValueError(f'{store.folder}: {len(weight)} weights ({listed(weight.tolist(), 3)}) for {classes} classes; give one number, or one per class')
