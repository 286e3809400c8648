"""Label files to trainIds: colours to raw ids by a table of all colours, raw ids to trainIds by a table of 256.

The tables send what the dataset does not know to a value that nothing else has. Looking for that value costs a tenth
of the look-up; an id that is wrongly treated as ignored would cost a training run.
"""

import cv2
import numpy as np

from utils.classes import Classes, lookup_table
from utils.cli.wording import listed


class LabelMapper:
    """Raw ids of one dataset's label files to trainIds 0..K - 1 and ignore_label.

    ignore_ids: further raw ids that become ignore_label, known or not (--ignore_ids). remedy: the end of the error
    about ids that classes.id_map does not hold.
    """

    remedy = 'correct the file, choose the right --dataset, or list them under --ignore_ids'

    def __init__(self, dataset: str, classes: Classes, ignore_ids=()):
        wrong = [raw for raw in ignore_ids if not 0 <= raw <= 255]
        if wrong:
            raise ValueError(f'--ignore_ids: {wrong} are no label ids; a label file holds ids from 0 to 255')
        count, ignored = len(classes), classes.ignore_label
        self.dataset, self.unknown = dataset, count if count != ignored else count + 1
        assert self.unknown <= 255, 'no free value for ids outside the map'
        self.table = lookup_table({**classes.id_map, **dict.fromkeys(ignore_ids, ignored)}, self.unknown)

    def __call__(self, raw: np.ndarray, path) -> np.ndarray:
        """trainIds uint8 (H, W) of raw ids uint8 (H, W); ValueError naming `path` when an id is not in the map."""
        label = cv2.LUT(raw, self.table)
        outside = label == self.unknown
        if outside.any():
            raise ValueError(self._complaint(raw, outside, path))
        return label

    def values(self, ids: np.ndarray, raw: np.ndarray, path) -> np.ndarray:
        """trainIds of `ids`, some of the values in the label `raw`; the same error as above."""
        mapped = self.table[ids]
        if (mapped == self.unknown).any():
            raise ValueError(self._complaint(raw, self.table[raw] == self.unknown, path))
        return mapped

    def _complaint(self, raw, outside, path):
        row, column = np.argwhere(outside)[0]
        return (
            f'{path}: label ids {listed(np.unique(raw[outside]), 12)} are not in the map of dataset {self.dataset!r}'
            f' (first at row {row}, column {column}); {self.remedy}'
        )


class UnknownColours(ValueError):
    """A label shows colours that the table does not hold. pixels: {(r, g, b): how many} of every such colour."""

    pixels: dict = {}


class ColorTable:
    """Label images (H, W, 3) RGB to raw ids by color_map {(r, g, b): raw id}.

    One look-up in a table of 2^24 bytes (made at the first use, once in a process) is faster than comparing with every
    colour. Raises ValueError for a colour or id out of range. remedy: the end of the error about other colours; strict:
    when off, these become the id `unknown`, which no colour has.
    """

    remedy = 'correct the file or add the colour to the table'
    strict = True

    def __init__(self, dataset: str, color_map: dict):
        self.dataset, self.color_map = dataset, {tuple(color): raw for color, raw in color_map.items()}
        for color, raw in self.color_map.items():
            if len(color) != 3 or not all(0 <= value <= 255 for value in (*color, raw)):
                raise ValueError(
                    f'dataset {dataset!r}: the colour {color} with id {raw} is not three values from 0 to 255 and an id'
                    ' from 0 to 255; correct it'
                )
        self.unknown = next((raw for raw in range(256) if raw not in self.color_map.values()), None)
        if self.unknown is None:
            raise ValueError(
                f'dataset {dataset!r}: its colours stand for all 256 ids, and none is left for other colours; use 255'
                ' ids at most'
            )
        self.table = None

    def __getstate__(self):
        return {**self.__dict__, 'table': None}  # a worker makes its own, faster than 16 MiB reach it

    def __call__(self, image: np.ndarray, path) -> np.ndarray:
        """Raw ids uint8 (H, W) of an image uint8 (H, W, 3) RGB; ValueError naming `path` and the first colour that is
        not in the table."""
        if self.table is None:
            table = np.full(1 << 24, self.unknown, np.uint8)
            for (red, green, blue), raw in self.color_map.items():
                table[red | green << 8 | blue << 16] = raw
            self.table = table
        raw = self.table.take(colour_codes(image))
        outside = raw == self.unknown if self.strict else None
        if self.strict and outside.any():
            error = UnknownColours(self._complaint(image, outside, path))
            colours, counts = np.unique(image[outside], axis=0, return_counts=True)
            error.pixels = dict(zip(map(tuple, colours.tolist()), counts.tolist()))
            raise error
        return raw

    def _complaint(self, image, outside, path):
        row, column = np.argwhere(outside)[0]
        return (
            f'{path}: the colour {tuple(image[row, column].tolist())} at row {row}, column {column} is not in the'
            f' colour table of dataset {self.dataset!r} ({int(outside.sum())} of its {outside.size} pixels have such'
            f' colours); {self.remedy}'
        )


def colour_codes(image: np.ndarray) -> np.ndarray:
    """R + 256 G + 65536 B of every pixel of an image uint8 (H, W, 3) RGB, uint32 (H, W)."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2RGBA).view('<u4')[..., 0] & 0xFFFFFF
