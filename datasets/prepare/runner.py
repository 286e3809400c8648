"""Runs the jobs of a preparation: in parallel, only those that are not done yet, with a summary of what happened.

The originals are only read. A result appears under its name when it is complete and is then recorded, so a run that was
killed continues where it stopped, and a second run finds nothing to do.
"""

import multiprocessing
import os
import re
import signal
import threading
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context

import cv2

from datasets.prepare.jobs import check_targets, perform, stamp
from datasets.prepare.record import Record
from datasets.prepare.summary import Summary
from utils.cli.progress import progress
from utils.files.atomic import remove_temporaries


def run(name: str, record: Record, jobs: list, workers=1, dry_run=False, overwrite=False) -> int:
    """Make the files of `jobs`, all of them below record.base, and print what came of it; returns 0, or 1 when some
    were refused.

    workers: number of processes. dry_run: only say what would be made. overwrite: replace files of other origin too.
    Raises ValueError for jobs that would harm an original, WriteError when results cannot be written.
    """
    if not jobs:
        raise ValueError(f'{record.base}: holds no files that {name} could be made from; unpack the download there')
    check_targets(jobs)
    todo, summary = [], Summary(record.base, len(jobs))
    for job in jobs:
        if record.is_done(job):
            summary.add(job, 'up to date', record.notes(job))
        else:
            todo.append(job)
    if dry_run:
        summary.print_plan(todo)
        return 0
    if todo:
        _clean(todo)
        with record.appending():
            for job, sources, outcome in _perform_all(name, todo, record, overwrite, workers):
                summary.add(job, outcome.state, outcome.notes, outcome.why)
                if outcome.made:
                    record.add(job, sources, outcome)
    summary.print()
    return 1 if summary.refused else 0


def _perform_all(name, todo, record, overwrite, workers):
    """Yield (job, stamps of its sources from before, outcome) of every job, in order."""
    sources = [[stamp(source) for source in job.sources] for job in todo]
    tasks = [(job, overwrite or record.made(job.target)) for job in todo]
    with _outcomes(tasks, min(workers, len(todo))) as outcomes:
        yield from progress(zip(todo, sources, outcomes), len(todo), f'preparing {name}', 'files')


@contextmanager
def _outcomes(tasks, workers):
    """An iterator over the outcomes of `tasks`; leaving the block early stops what has not begun."""
    if workers <= 1:
        yield map(perform, tasks)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context('spawn'), initializer=_start_worker)
    try:
        yield pool.map(perform, tasks, chunksize=max(1, min(8, len(tasks) // (4 * workers))))
    except BrokenProcessPool:
        raise ValueError(
            f'--workers {workers}: a process was killed, perhaps because the memory is full; what was done is kept, '
            'continue with fewer workers'
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker():
    """One thread for OpenCV; Ctrl-C is answered by the main process; a worker whose main process dies goes too."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def follow():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _clean(jobs):
    """Remove the half-written files that killed runs left beside the targets of `jobs`, and nothing else."""
    names = defaultdict(set)
    for job in jobs:
        names[job.target.parent].add(job.target.name[:40])
    for folder, known in names.items():
        if not folder.is_dir():
            continue
        found = [re.fullmatch(r'\.(.+)\.\d+\.[0-9a-f]{8}\.tmp', entry) for entry in os.listdir(folder)]
        for stem in {match[1] for match in found if match and match[1] in known}:
            remove_temporaries(folder, stem)
