"""Annotated photos: what a labelling program has written, in the form that all of them have in common."""

import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datasets.collection.layout import IMAGE_EXTENSIONS, walk_files
from datasets.custom.groups import SPLIT_NAMES
from datasets.custom.mistakes import Mistake
from datasets.custom.splits import Names
from datasets.prepare.converter import Job
from datasets.prepare.drawing.fill import rotated
from datasets.prepare.drawing.label import ELLIPSE, POLYGONS

VOID, BACKGROUND = '__ignore__', 'background'  # names, of pixels that are neither trained nor scored, and of the ground
VOID_NAMES, GROUND_NAMES = (VOID, 'void', 'ignore'), (BACKGROUND, '_background_', '__background__')
CORNERS = 360  # of the outline that stands for a turned ellipse


@dataclass
class Photo:
    """A photo and its annotation: shapes (class name, kind, data) to be drawn in this order, or a mask file.

    name: path below the root; source: the annotation; size: (H, W) that it is of, where it says so; split: where it
    belongs to one; extraction: the Job that writes the photo, where the annotation holds it.
    """

    path: Path
    name: str
    source: Path
    size: tuple | None = None
    shapes: list = field(default_factory=list)
    mask: Path | None = None
    split: str | None = None
    extraction: Job | None = None


class Annotated:
    """The annotated photos below `root`, without those below `out`, the folder of the results.

    photos: {name: Photo}; missing: names of photos that are not there; names: the classes that the annotation declares,
    None where it declares none; colors: {name: (r, g, b)}; notes: how many of what was not simply drawn; keys: {id, or
    code of a colour with by_colour: class name} of mask files.
    """

    def __init__(self, root: Path, out: Path, wanted=lambda path: True):
        self.root, self.out, self.wanted = root, out, wanted
        self.photos: dict[str, Photo] = {}
        self.missing: list[str] = []
        self.names: list | None = None
        self.colors: dict = {}
        self.notes: Counter = Counter()
        self.keys: dict = {}
        self.by_colour = False
        self._names: Names | None = None

    def files(self, ending: str) -> list[Path]:
        """The files below the root with an ending, sorted."""
        return [path for path in walk_files(self.root, [ending]) if self.out not in path.parents]

    def find(self, name: str, source: Path) -> Path | None:
        """The photo that the annotation `source` calls `name`: the file beside it, else the one whose path ends so.

        Raises ValueError where several do.
        """
        name = name.replace('\\', '/')
        beside = source.parent / name
        if self.wanted(beside) and beside.is_file() and self.root in beside.resolve().parents:
            return beside.resolve()
        if self._names is None:
            paths = [path for path in walk_files(self.root, IMAGE_EXTENSIONS) if self.out not in path.parents]
            self._names = Names([path.relative_to(self.root).as_posix() for path in paths if self.wanted(path)])
        try:
            found, _ = self._names.find(name, str(source))
        except Mistake as error:
            raise ValueError(f'{error}, or keep one of these files') from None
        return None if found is None else self.root / found

    def photo(self, name: str, source: Path, size=None, split=None) -> Photo | None:
        """The photo that `source` calls `name`, added; None, noted, where it is missing. Raises ValueError for one that
        is annotated twice."""
        path = self.find(name, source)
        if path is None:
            self.missing.append(name)
            return None
        return self.add(Photo(path, path.relative_to(self.root).as_posix(), source, size, split=split))

    def add(self, photo: Photo) -> Photo:
        """The same photo; ValueError where it is annotated twice."""
        other = self.photos.setdefault(photo.name, photo)
        if other is not photo:
            where = 'twice' if other.source == photo.source else f'as {other.source} does'
            raise ValueError(f'{photo.source}: annotates {photo.name} {where}; keep one of the two')
        return photo

    # Shapes: (class name, kind, data), or None, noted, for those without an area

    def outline(self, name: str, points):
        """The shape of an outline of (x, y) pairs."""
        flat = tuple(float(value) for x, y in points for value in (x, y))
        if len(flat) < 6:
            self.notes['polygons of fewer than 3 points, left out'] += 1
            return None
        return name, POLYGONS, (flat,)

    def box(self, name: str, left, top, right, bottom, degrees=0.0):
        """The shape of a box, whichever corners were given, turned around its middle."""
        left, right, top, bottom = *sorted((float(left), float(right))), *sorted((float(top), float(bottom)))
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return self.outline(name, rotated(corners, degrees) if degrees else corners)

    def ellipse(self, name: str, x, y, rx, ry, degrees=0.0):
        """The shape of an ellipse."""
        if not (rx > 0 and ry > 0):
            self.notes['circles and ellipses without an area, left out'] += 1
            return None
        if degrees:
            angles = [2 * math.pi * corner / CORNERS for corner in range(CORNERS)]
            points = [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]
            return self.outline(name, rotated(points, degrees))
        return name, ELLIPSE, (float(x), float(y), float(rx), float(ry))

    def without_area(self, kind: str):
        """Note a shape that covers no pixels of its own, such as a line."""
        self.notes[f'shapes of the kind {kind}, which has no area, left out'] += 1


def split_named(words) -> str | None:
    """The split that one of some words names, as 'validation' does."""
    words = {word.lower() for word in words}
    return next((split for split, spellings in SPLIT_NAMES.items() if words & set(spellings)), None)


@contextmanager
def whole(source: Path, what: str):
    """Errors of the block about values that are missing or of another kind, as a sentence about the file `source`."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, ValueError) as error:
        if isinstance(error, ValueError) and str(error).startswith(str(source)):  # a sentence already
            raise
        raise ValueError(
            f'{source}: is not {what} ({type(error).__name__}: {error}); save or export it again'
        ) from None


def told(notes: Counter) -> list[str]:
    """Lines about what was not simply drawn."""
    return [f'{what}: {count:,}' for what, count in sorted(notes.items())]
