"""Label maps that hold colours instead of ids: from RGB to raw ids by one table of all colours."""

import cv2
import numpy as np


class ColorTable:
    """Maps label images (H, W, 3) RGB to raw ids by color_map {(r, g, b): raw id}.

    One look-up in a table of 2^24 bytes (made at the first use, once in a process) is faster than comparing with every
    colour. Raises ValueError for a colour or id out of range. remedy: the end of the error about other colours; strict:
    off, these become the id `unknown`, which no colour has.
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
        return {**self.__dict__, 'table': None}

    def __call__(self, image: np.ndarray, path) -> np.ndarray:
        """Raw ids uint8 (H, W) of an image uint8 (H, W, 3) RGB; ValueError naming `path` and the first colour that is
        not in the table."""
        if self.table is None:
            table = np.full(1 << 24, self.unknown, np.uint8)
            for (red, green, blue), raw in self.color_map.items():
                table[red | green << 8 | blue << 16] = raw
            self.table = table
        codes = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA).view('<u4')[..., 0]
        raw = self.table.take(codes & 0xFFFFFF)
        outside = raw == self.unknown if self.strict else None
        if self.strict and outside.any():
            raise ValueError(self._complaint(image, outside, path))
        return raw

    def _complaint(self, image, outside, path):
        row, column = (int(index) for index in np.argwhere(outside)[0])
        color, pixels = tuple(image[row, column].tolist()), int(outside.sum())
        return (
            f'{path}: the colour {color} at row {row}, column {column} is not in the colour table of dataset'
            f' {self.dataset!r} ({pixels} of its {outside.size} pixels have such colours); {self.remedy}'
        )
