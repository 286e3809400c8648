"""Which images there must be, and whether predictions have their sizes: as --images names them, a folder, archive or
list."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from PIL import Image

from aggregation.benchmarks.trees import Tree, shape_name
from utils.cli.wording import listed

LISTS = ('.txt', '.json', '.csv', '.lst')


class Images:
    """`names`: key -> file of every image that `path` names; `check` compares sizes, `notes` tells what could not be
    compared.

    path: a folder, tar or zip of images or of their masks, or a text file: a list of names, or the manifest.json of a
    dump; None: no image is known, nothing is compared. key_of(name): the key of an image's or mask's path, None for
    other files. Raises ValueError when `path` names no image.
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
            key = key_of(name)
            if key is not None:
                self.names.setdefault(key, name)
        if not self.names:
            self.close()
            raise ValueError(
                f'--images {path}: holds no images of the benchmark; give the folder or archive of its images or masks,'
                ' or a list of their names'
            )

    def check(self, key: str, shape: tuple[int, int], where: str):
        """Raise ValueError, which begins with `where`, unless the prediction of `key` has the `shape` (H, W) of its
        image, where that can be read."""
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
        """Of the images checked, how many could not be compared, and those that differ from most of their group,
        group_of(key)."""
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

    def close(self):
        if self._tree is not None:
            self._tree.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _unusual(group: str, shapes: dict[str, tuple[int, int]]) -> list[str]:
    usual, count = Counter(shapes.values()).most_common(1)[0]
    others = [f'{key} {shape_name(shape)}' for key, shape in shapes.items() if shape != usual]
    if not others or 2 * count <= len(shapes):
        return []
    return [
        f'{len(others)} of {len(shapes)} predictions of {group} are not {shape_name(usual)} as most are:'
        f' {listed(others)}; --images compares them with the images'
    ]
