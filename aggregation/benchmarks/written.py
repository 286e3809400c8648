"""What writers of submissions share: which images there must be, archives and folders that appear whole or not at all,
and the report."""

import glob
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from utils.cli.wording import listed
from utils.files.atomic import atomic_write, remove_temporaries, write_bytes, write_error


class Written(NamedTuple):
    """path of the submission, how many images it holds, and what a person should know of it."""

    path: Path
    images: int
    notes: list[str]


def wanted_of(path, found: Iterable[str], wanted: Iterable[str], allow_missing: bool) -> tuple[list[str], list[str]]:
    """(the keys to write, sorted, notes): what of `wanted` was `found` in `path`.

    Raises ValueError naming what is missing, unless that is allowed, and when nothing is left. What is not wanted is
    left out, and a note says so.
    """
    found, wanted, notes = set(found), set(wanted), []
    missing, foreign = sorted(wanted - found), sorted(found - wanted)
    if missing and (not allow_missing or len(missing) == len(wanted)):
        raise ValueError(
            f'{path}: {len(missing)} of {len(wanted)} images have no prediction ({listed(missing)}); predict them'
            + ('' if allow_missing else ', or give --allow_missing for a submission that the server will refuse')
        )
    if missing:
        notes.append(f'{len(missing)} of {len(wanted)} images are missing: {listed(missing)}')
    if foreign:
        notes.append(
            f'{len(foreign)} predictions are of no image of the benchmark and were left out: {listed(foreign)}'
        )
    return sorted(wanted & found), notes


@contextmanager
def write_archive(out: Path):
    """The open file that becomes `out` when the block ends without an error; what a run that was killed left of it goes
    first."""
    remove_temporaries(out.parent, glob.escape(f'{out.name[:40]}.'))
    with atomic_write(out) as file:
        yield file


def write_folder(out: Path, sources: dict, encode: Callable, verify: Callable[[Path], None]):
    """Write the folder `out`: it appears, or takes the place of an older one, when everything in it is written and
    verified.

    sources: name of a file -> what encode(source) makes its bytes of; verify(folder) raises ValueError when what was
    written is not what it should be. A folder `out` that holds anything else is refused with ValueError: that would be
    submitted too, or lost.
    """
    foreign = sorted({path.name for path in out.iterdir()} - sources.keys()) if out.is_dir() else []
    if foreign:
        raise ValueError(
            f'{out}: holds {len(foreign)} files that are no part of this submission ({listed(foreign)}); give a new'
            ' folder, or remove them'
        )
    part, old = (out.parent / f'.{out.name}.{kind}' for kind in ('part', 'old'))

    def clear():
        if old.is_dir() and not out.exists():
            os.replace(old, out)  # what was there comes back
        for left in (part, old):
            shutil.rmtree(left, ignore_errors=True)

    clear()  # what a run that was killed left
    try:
        for name, source in sources.items():
            write_bytes(part / name, encode(source), durable=False)
        verify(part)
        if out.is_dir():
            os.replace(out, old)
        os.replace(part, out)
    except NotADirectoryError as error:  # `out` is a file
        raise write_error(out, error) from None
    finally:
        clear()
