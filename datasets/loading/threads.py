"""Threads for the same work on many files: decoding leaves Python, so processes are not needed."""

from concurrent.futures import ThreadPoolExecutor

from utils.cli.progress import progress
from utils.cores import usable_cores

MAX_THREADS = 32  # what does not leave Python holds its lock: more threads would only wait


def in_threads(function, items, description: str, unit: str, threads=None, log=None):
    """Yield function(item) of every item, in order, and show the progress.

    The first error is raised, and what has not begun by then is left undone.

    Args:
        description, unit: of the progress, such as 'reading' and 'files'.
        threads: how many; as many as there are usable cores when None.
        log: takes lines of progress, as in utils.cli.progress.
    """
    pool = ThreadPoolExecutor(threads or min(usable_cores(), MAX_THREADS))
    try:
        yield from progress(pool.map(function, items), total=len(items), desc=description, unit=unit, log=log)
    finally:
        pool.shutdown(cancel_futures=True)
