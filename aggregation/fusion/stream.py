"""Images of stored members, one after the other: files are read ahead in threads, sums are made in one.

So memory does not grow with members or images, and the result does not depend on the number of threads.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from aggregation.fusion.members import Members
from aggregation.fusion.pool import Pool
from aggregation.fusion.store import Store
from utils.cli.wording import listed
from utils.outputs.logits import Logits


@contextmanager
def one_thread():
    """Arithmetic in one thread: how a loop is cut into threads decides the last bit of a sum."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read_ahead(members: Members, stems, readers: int = 2, passes: int = 1) -> Iterator[Logits]:
    """The logits of every member of each of `stems`, in the order of `members.of`; all members of an image `passes`
    times.

    At most `readers` + 2 files are in memory at once: one that is summed up, one that waits, and those that are being
    read.
    """
    jobs = ((store, stem) for stem in stems for _ in range(passes) for store, _ in members.of(stem))
    with ThreadPoolExecutor(readers) as executor:
        ahead = []
        for store, stem in jobs:
            ahead.append(executor.submit(store.read, stem))
            if len(ahead) > readers + 1:
                yield ahead.pop(0).result()
        while ahead:
            yield ahead.pop(0).result()


def pool_of(
    members: Members, stem: str, stream: Iterator[Logits], needs, seen: Callable | None = None, used: Pool | None = None
) -> Pool:
    """The Pool of an image, whose members come next in `stream`; seen(store, values (C, H, W)) is called for each of
    them.

    used: a pool of another image with the same `needs` that is read no more; its memory is taken where the sizes are
    equal. Raises ValueError naming files whose size or number of classes differ, or that hold nan.
    """
    pool, first = None, None
    for store, weight in members.of(stem):
        logits = next(stream)
        shape = (len(logits.values), *logits.size)
        if pool is None:
            fits = used is not None and shape == (used.num_classes, *used.size)
            pool, first = used.clear() if fits else Pool(needs, shape[0], logits.size), store.path(stem)
        elif shape != (pool.num_classes, *pool.size):
            raise ValueError(
                f'{store.path(stem)}: holds {shape[0]} classes of {shape[1]}x{shape[2]} pixels (height x width),'
                f' {first} {pool.num_classes} of {pool.size[0]}x{pool.size[1]}; dump both at the size of the image,'
                ' with one label set'
            )
        _check_weight(weight, shape[0], store)
        values = logits.full()
        pool.add(values, store.kind, weight)
        if seen is not None:
            seen(store, values)
    if not bool((torch.as_tensor(pool.weights) > 0).all()):
        raise ValueError(f'{stem}: in some class all its members have weight 0; give one of them a weight there')
    return pool


def _check_weight(weight, classes: int, store: Store):
    if isinstance(weight, torch.Tensor) and len(weight) != classes:
        raise ValueError(
            f'{store.folder}: {len(weight)} weights ({listed(weight.tolist(), 3)}) for {classes} classes; give one'
            ' number, or one per class'
        )
