"""Small pictures of samples for a person: the image with its label's colours over it."""

import cv2
import numpy as np
from PIL import Image

from utils.outputs.pictures import composite, palette_image

SIDE = 640  # pixels of the longer side


def fitted(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """An image uint8 (H, W, 3), or a label (H, W) by nearest neighbours, with a longer side of at most `side` pixels.

    Small ones are enlarged by a whole number, so that their pixels can be seen.
    """
    factor = side / max(image.shape[:2])
    factor = int(factor) if factor >= 1 else factor
    size = tuple(max(1, round(length * factor)) for length in image.shape[1::-1])
    return cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if image.ndim == 3 and factor < 1 else cv2.INTER_NEAREST
    )


def overlay(image: np.ndarray, label: np.ndarray, palette: np.ndarray, side: int = SIDE) -> Image.Image:
    """The image (H, W, 3), fitted, with the colours of its label (H, W) of trainIds over it; ignored pixels become
    darker."""
    return composite(np.ascontiguousarray(fitted(image, side)), palette_image(fitted(label, side), palette))
