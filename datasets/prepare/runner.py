"""Runner of a converter: makes, in parallel, the files that are not done yet, and says what happened.

The originals are only read. A result appears under its name when it is complete and is then recorded, so a run that was
killed continues where it stopped, and a second run finds nothing to do.
"""

import io
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
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datasets.collection.layout import find_directory
from datasets.prepare.converter import Converter
from datasets.prepare.record import REFUSED, STANDS, WRITTEN, Record, stamp
from utils.cli.progress import progress
from utils.files.archives import ArchivePath
from utils.files.atomic import remove_temporaries, write_bytes


def prepare(converter: Converter, args) -> int:
    """Prepare the download below args.root; returns 0, or 1 when some files were refused. Raises ValueError and OSError
    for mistakes."""
    names, root = converter.dataset.directories(), Path(os.path.expanduser(args.root))
    base = find_directory(root, names, converter.markers, converter.name, converter.remedy)
    _check_unpacked(base)
    record = Record(base, converter.name)
    jobs = converter.plan(base, args, record.made)
    return run(converter.name, record, jobs, args.workers, args.dry_run, args.overwrite)


def run(name: str, record: Record, jobs: list, workers=1, dry_run=False, overwrite=False) -> int:
    """Make the files of `jobs` and print what came of it.

    Args:
        name: of the converter.
        record: of the folder that all targets are below.
        workers: number of processes.
        dry_run: only say what would be made.
        overwrite: replace files of other origin too.

    Returns: 0, or 1 when some were refused.

    Raises: ValueError for jobs that would harm an original, WriteError when results cannot be written.
    """
    if not jobs:
        raise ValueError(f'{record.base}: holds no files that {name} could be made from; unpack the download there')
    _check_targets(jobs)
    todo = [job for job in jobs if not record.is_done(job)]
    if dry_run:
        record.print_plan(todo)
        return 0
    if todo:
        _clean(todo)
        sources = [[stamp(source) for source in job.sources] for job in todo]
        tasks = [(job, overwrite or record.made(job.target)) for job in todo]
        with record.appending(), _outcomes(tasks, min(workers, len(todo))) as outcomes:
            done = progress(zip(todo, sources, outcomes), len(todo), f'preparing {name}', 'files')
            for job, before, outcome in done:
                record.add(job, before, *outcome)
    record.print_summary()
    return 1 if record.reasons else 0


@contextmanager
def _outcomes(tasks, workers):
    """An iterator over the outcomes of `tasks`; leaving the block early stops what has not begun."""
    if workers <= 1:
        yield map(_make, tasks)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context('spawn'), initializer=_start_worker)
    try:
        yield pool.map(_make, tasks, chunksize=max(1, min(8, len(tasks) // (4 * workers))))
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


def _make(task) -> tuple:
    """(state, notes, reason) of making the file of task = (job, ours); see Record.add.

    ours: a file in its place was made by an earlier run and may be replaced. A file of other origin is left alone: it
    is taken over when its content is right, otherwise the job is refused. Raises WriteError when the file cannot be
    written; other errors refuse the job.
    """
    job, ours = task
    try:
        for source in job.sources:
            if not source.is_file():
                raise FileNotFoundError(f'{source}: the file does not exist; unpack or download it again')
        data, notes = job.make(job.sources, *job.arguments)
    except (ValueError, OSError) as error:
        return REFUSED, (), ' '.join(str(error).split())
    if ours or not os.path.lexists(job.target):
        write_bytes(job.target, data, durable=False)
        return WRITTEN, notes, ''
    if _holds(job.target, data):
        return STANDS, notes, ''
    return (
        REFUSED,
        (),
        f'{job.target}: stands there with another content and was not written by this program; '
        'move it away, or add --overwrite to replace it',
    )


def _holds(path, data: bytes) -> bool:
    """True when the file holds these bytes, or a picture with the same pixels that was compressed by another
    program."""
    try:
        found = Path(path).read_bytes()
        return found == data or bool(np.array_equal(_pixels(found), _pixels(data)))
    except (OSError, SyntaxError, ValueError):
        return False


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _check_unpacked(path):
    """Raise ValueError when `path`, where results go, is in an archive."""
    if isinstance(path, ArchivePath):
        raise ValueError(
            f'{path.archive.file}: the results are written beside the originals, so these cannot stay in an archive;'
            ' unpack it'
        )


def _check_targets(jobs):
    """Raise ValueError when two jobs would write one file, or one would write into an archive or over a file that
    another reads.

    Links are followed: a results folder that is a link to the folder of the labels would be such a case.
    """
    folders = {}

    def real(path):
        if path.parent not in folders:
            folders[path.parent] = os.path.realpath(path.parent)
        return folders[path.parent], path.name

    read = {real(source): source for job in jobs for source in job.sources if not isinstance(source, ArchivePath)}
    written = {}
    for job in jobs:
        _check_unpacked(job.target)
        target = real(job.target)
        if target in read:
            raise ValueError(
                f'{job.target}: would be written over {read[target]}, which is an original; the folder of the results'
                ' must be another one (is it a link to it?)'
            )
        if target in written:
            raise ValueError(
                f'{job.target}: would be made twice, from {written[target][0]} and from {job.sources[0]}; keep one of'
                ' them'
            )
        written[target] = job.sources


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
