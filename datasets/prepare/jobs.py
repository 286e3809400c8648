"""One output file of a preparation: what it is made from, whether it stands already, and making it."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from utils.files.archives import ArchivePath, fingerprint
from utils.files.atomic import write_bytes

# raised when a program makes something else from the same files, so that its old results are made anew
VERSION = 1


class Job(NamedTuple):
    """`target` is made from `sources` by make(sources, *arguments), which returns bytes or Made.

    make: a function of a module, so that another process can call it. arguments: numbers, strings, bytes and tuples of
    these, everything beside the sources that decides about the result.
    """

    target: Path
    sources: tuple
    make: Callable
    arguments: tuple = ()

    def recipe(self) -> str:
        """Changes when the program or one of the arguments does."""
        text = repr((VERSION, self.make.__module__, self.make.__qualname__, self.arguments))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Made(NamedTuple):
    """The bytes of a file and what a person should know about them, such as ids that are in no table."""

    data: bytes
    notes: tuple = ()


class Outcome(NamedTuple):
    """What became of a job. state: 'written', 'up to date' (the right file stood there) or 'refused', for the reason
    `why`. made: the stamp of the file, when it stands."""

    state: str
    why: str = ''
    notes: tuple = ()
    made: tuple | None = None


def stamp(path):
    """Numbers that change when the content of a file does (size, time of the last change); None when there is no
    file."""
    try:
        return fingerprint(path)
    except (FileNotFoundError, NotADirectoryError, KeyError):  # KeyError: not in its archive
        return None


def perform(task) -> Outcome:
    """Make the file of task = (job, ours): ours says that a file in its place was made by an earlier run and may be
    replaced.

    A file of somebody else is left alone: it is taken over when its content is right, otherwise the job is refused.
    Raises WriteError when the file cannot be written; other errors refuse the job.
    """
    job, ours = task
    try:
        for source in job.sources:
            if not source.is_file():
                raise FileNotFoundError(f'{source}: the file does not exist; unpack or download it again')
        made = job.make(job.sources, *job.arguments)
    except (ValueError, OSError) as error:
        return Outcome('refused', ' '.join(str(error).split()))
    data, notes = made if isinstance(made, Made) else Made(made)
    if not ours and os.path.lexists(job.target):
        if not _holds(job.target, data):
            return Outcome(
                'refused',
                f'{job.target}: stands there with another content and was not written by this program; '
                'move it away, or add --overwrite to replace it',
            )
        return Outcome('up to date', '', notes, stamp(job.target))
    write_bytes(job.target, data, durable=False)
    return Outcome('written', '', notes, stamp(job.target))


def _holds(path, data: bytes) -> bool:
    """True when the file holds these bytes, or a picture with the same pixels that was compressed by another
    program."""
    try:
        found = Path(path).read_bytes()
    except OSError:
        return False
    if found == data:
        return True
    try:
        return bool(np.array_equal(_pixels(found), _pixels(data)))
    except (OSError, SyntaxError, ValueError):
        return False


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def check_unpacked(path):
    """Raise ValueError when `path`, where results go, is in an archive."""
    if isinstance(path, ArchivePath):
        raise ValueError(
            f'{path.archive.file}: the results are written beside the originals, so these cannot stay in an archive;'
            ' unpack it'
        )


def check_targets(jobs):
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
        check_unpacked(job.target)
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
