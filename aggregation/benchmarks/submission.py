"""Submissions: the images that there must be and their sizes, and files that appear whole or not at all."""

import glob
import os
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from aggregation.benchmarks.trees import Tree, shape_name
from utils.cli.progress import progress
from utils.cli.wording import left_out_lines, listed
from utils.files.archives import printed
from utils.files.atomic import atomic_write, remove_temporaries, write_bytes, write_error

LISTS = ('.txt', '.json', '.csv', '.lst')


class Written(NamedTuple):
    """path of the submission, how many images it holds, what a person should know of it, and the messages about images
    that were left out."""

    path: Path
    images: int
    notes: list[str]
    faults: Sequence[str] = ()

    def tell(self) -> int:
        """Print the notes, what was written and what was left out; returns the exit code."""
        told = [*(f'note: {note}' for note in self.notes), f'{self.path}: {self.images} images, written and read back']
        print('\n'.join([*told, *left_out_lines(self.faults, self.images)]))
        return int(bool(self.faults))


def usable(keys: Iterable[str], read: Callable, faults: list | None, description: str, log=None) -> Iterator[tuple]:
    """(key, read(key)) of the keys for which that raises no error.

    faults: takes the message about each of the others; None: it is raised, as it is when there is no other key.
    """
    keys = list(keys)
    for key in progress(keys, total=len(keys), desc=description, log=log):
        try:
            content = read(key)
        except (ValueError, OSError) as error:
            if faults is None or len(faults) + 1 == len(keys):
                raise
            faults.append(str(error))
        else:
            yield key, content


def wanted_of(path, found: Iterable[str], wanted: Iterable[str], allow_missing: bool) -> tuple[list[str], list[str]]:
    """(the keys to write, sorted, notes): what of `wanted` was `found` in `path`.

    What is not wanted is left out, and a note says so. Raises ValueError naming what is missing unless allow_missing,
    and when nothing is left.
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
    """The open file that becomes `out` when the block ends without an error.

    What a run that was killed left of it is removed first.
    """
    remove_temporaries(out.parent, glob.escape(f'{out.name[:40]}.'))
    with atomic_write(out) as file:
        yield file


def write_folder(out: Path, sources: dict, encode: Callable, verify: Callable[[Path], None]):
    """Write a folder that appears, or takes the place of an older one, when all of it is written and verified.

    Args:
        out: the folder.
        sources: name of a file -> its source.
        encode: source -> the bytes of the file.
        verify: called with the folder before it appears; raises ValueError when it is not as it should be.

    Raises:
        ValueError: `out` holds other files, which would be submitted too, or lost.
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


def check_read_back(name: str, same: bool):
    """Raise ValueError unless the file `name` of a submission holds the `same` as was to be written."""
    if not same:
        raise ValueError(
            f'{name}: what was written is not what was predicted; check memory and disk, then write it again'
        )


class Images:
    """The images of a benchmark as --images names them, and whether predictions have their sizes.

    names: key -> file of every image that `path` names.

    Args:
        path: a folder, tar or zip of images or of their masks, or a text file: a list of names, or the manifest.json
            of a dump; None: no image is known, nothing is compared.
        key_of: name -> the key of an image's or mask's path, None for other files.

    Raises:
        ValueError: `path` names no image.
    """

    def __init__(self, path, key_of: Callable[[str], str | None]):
        self.path, self._tree, self._shapes, self._compared = path, None, {}, set()
        self.names = {}
        if path is None:
            return
        if Path(path).suffix in LISTS and Path(path).is_file():
            found = re.split(r'["\r\n\t,]', Path(path).read_text(encoding='utf-8', errors='replace'))
        else:
            self._tree = Tree(path)
            found = self._tree.names
        for name in found:
            key = key_of(printed(name))
            if key is not None:
                self.names.setdefault(key, name)
        if not self.names:
            raise ValueError(
                f'--images {path}: holds no images of the benchmark; give the folder or archive of its images or masks,'
                ' or a list of their names'
            )

    def check(self, key: str, shape: tuple[int, int], where: str):
        """Raise ValueError, which begins with `where`, when the `shape` (H, W) of a prediction is not its image's.

        Images whose size cannot be read are not compared; `notes` tells which.
        """
        expected, self._shapes[key] = self._shape(key), shape
        if expected is not None:
            self._compared.add(key)
            if expected != shape:
                raise ValueError(
                    f'{where} is {shape_name(shape)} pixels, its image {self.path}: {self.names[key]}'
                    f' {shape_name(expected)}; predict at the size of the images'
                )

    def _shape(self, key: str) -> tuple[int, int] | None:
        if self._tree is None or key not in self.names:
            return None
        # Pillow has many for a damaged file
        with suppress(Exception), self._tree.open(self.names[key]) as file, Image.open(file) as image:
            return image.size[::-1]  # of the header; the pixels are not read
        return None

    def notes(self, group_of: Callable[[str], str]) -> list[str]:
        """How many images could not be compared, and which of them differ from most of their group, group_of(key)."""
        alone = sorted(self._shapes.keys() - self._compared)
        told = (
            [f'the sizes of {len(alone)} images cannot be read from {self.path} and were not compared: {listed(alone)}']
            if alone and self.path
            else []
        )
        groups = defaultdict(dict)
        for key in alone:
            groups[group_of(key)][key] = self._shapes[key]
        return told + [note for group, shapes in sorted(groups.items()) for note in _unusual(group, shapes)]


def _unusual(group: str, shapes: dict[str, tuple[int, int]]) -> list[str]:
    usual, count = Counter(shapes.values()).most_common(1)[0]
    others = [f'{key} {shape_name(shape)}' for key, shape in shapes.items() if shape != usual]
    if not others or 2 * count <= len(shapes):
        return []
    return [
        f'{len(others)} of {len(shapes)} predictions of {group} are not {shape_name(usual)} as most are:'
        f' {listed(others)}; --images compares them with the images'
    ]
