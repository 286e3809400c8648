"""Pixels of an image as a file that a page reads when the pointer asks for them.

A page that is opened from the disk may neither fetch files nor read the pixels of pictures beside it, but it may run
scripts there. The file is one call, `pagePixels({"size": [w, h], "planes": {"prediction": "...", ...}})`. A plane is
uint8 (h, w): differences to the pixel on the left, modulo 256, deflated (zlib), in base64.
"""

import base64
import json
import math
import zlib

import numpy as np

from utils.files.atomic import write_text

MOST = 1 << 23  # pixels of a plane; of larger images every 2nd, 3rd, ... row and column is kept
CONFIDENCE = 100  # the levels of a confidence: percent


def coarse(values: np.ndarray) -> np.ndarray:
    """A view of values (h, w, ...) with at most MOST pixels."""
    step = max(1, math.ceil(math.sqrt(values.shape[0] * values.shape[1] / MOST)))
    return values[::step, ::step]


def write_pixels(path, **planes: np.ndarray | None):
    """Write the planes, uint8 (h, w) of one size: `label` and `prediction` of trainIds, `confidence` in percent."""
    found = {name: coarse(plane) for name, plane in planes.items() if plane is not None}
    height, width = next(iter(found.values())).shape
    packed = {name: _packed(plane) for name, plane in found.items()}
    write_text(path, f'pagePixels({json.dumps({"size": [width, height], "planes": packed})})\n', durable=False)


def _packed(plane: np.ndarray) -> str:
    differences = np.diff(plane, axis=1, prepend=np.zeros((len(plane), 1), plane.dtype))
    return base64.b64encode(zlib.compress(differences.astype(np.uint8).tobytes(), 1)).decode('ascii')
