"""Pictures of an evaluated image: labels with a palette, overlays, grey maps, and the grid for TensorBoard.

Arrays are NumPy, images uint8 (h, w, 3) RGB, label maps uint8 (h, w) trainIds. Nothing here touches a device.
"""

from pathlib import Path

import numpy as np
from PIL import Image

COMPOSITE_ALPHA = 0.4  # share of the coloured prediction in a composite
GRID_SIDE, GRID_PADDING = 384, 5  # pixels
LARGE_SIDE = 1024  # pixels


def palette_image(labels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """A palette-mode image whose pixel values are the trainIds; ids without a colour (ignore) are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    image = Image.fromarray(np.ascontiguousarray(labels, np.uint8))
    image.putpalette(table.tobytes())
    return image


def composite(image: np.ndarray, coloured: Image.Image, alpha=COMPOSITE_ALPHA) -> Image.Image:
    """(1 - alpha) image + alpha coloured."""
    return Image.blend(Image.fromarray(image), coloured.convert('RGB'), alpha)


def quantise(values: np.ndarray, levels: int, what: str) -> np.ndarray:
    """Probabilities in [0, 1] as the nearest of 0..levels: uint8 for levels up to 255, else uint16.

    Computed in float64, so that a half-precision probability neither overflows nor ties. Raises ValueError on NaN.
    """
    scaled = np.rint(values.astype(np.float64) * levels)
    if np.isnan(scaled).any():
        raise ValueError(
            f'{what} holds NaN: the network is not finite on this image; evaluate with --precision fp32 or another'
            ' checkpoint'
        )
    return np.clip(scaled, 0, levels).astype(np.uint8 if levels <= 255 else np.uint16)


def grey_image(values: np.ndarray, what: str) -> Image.Image:
    """Values in [0, 1] as an RGB image of equal channels."""
    return Image.fromarray(quantise(values, 255, what)).convert('RGB')


def error_mask(prediction: np.ndarray, labels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """1.0 where a valid pixel is predicted wrongly, else 0.0."""
    return ((prediction != labels) & valid).astype(np.float32)


def make_grid(records, folder, crop=True) -> np.ndarray:
    """The grid of page records, input, label and prediction in each row; see picture_grid. folder: the page's."""
    layers = [[record.layer(key) for key in ('input', 'gt', 'prediction')] for record in records]
    return picture_grid([[Path(folder) / layer.file for layer in row if layer is not None] for row in layers], crop)


def large_picture(record, folder) -> np.ndarray:
    """Input, label and prediction of a page record as one uint8 array (3, H, W), as large as they are up to LARGE_SIDE
    pixels: side by side, or below each other where they are wider than twice their height."""
    parts = []
    for layer in filter(None, map(record.layer, ('input', 'gt', 'prediction'))):
        with Image.open(Path(folder) / layer.file) as image:
            picture = image.convert('RGB')
        picture.thumbnail((LARGE_SIDE, LARGE_SIDE), Image.Resampling.BILINEAR)
        parts.append(np.asarray(picture))
    height, width = parts[0].shape[:2]
    return np.concatenate(parts, axis=0 if width > 2 * height else 1).transpose(2, 0, 1)


def picture_grid(rows, crop=True) -> np.ndarray:
    """Image files as one uint8 array (3, H, W) for TensorBoard: a row per list of paths, 5 pixels between pictures.

    Every picture's shorter side becomes 384 pixels; with `crop` the central square is kept, which lets images of
    different shapes share a grid.
    """
    grid = [[_thumbnail(path, crop) for path in row] for row in rows]
    height = max(picture.shape[0] for row in grid for picture in row) + GRID_PADDING
    width = max(picture.shape[1] for row in grid for picture in row) + GRID_PADDING
    canvas = np.zeros((len(grid) * height + GRID_PADDING, max(map(len, grid)) * width + GRID_PADDING, 3), np.uint8)
    for i, row in enumerate(grid):
        for j, picture in enumerate(row):
            top, left = i * height + GRID_PADDING, j * width + GRID_PADDING
            canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas.transpose(2, 0, 1)


def _thumbnail(path, crop) -> np.ndarray:
    with Image.open(path) as image:
        picture = image.convert('RGB')
    factor = GRID_SIDE / min(picture.size)
    width, height = (max(GRID_SIDE, round(side * factor)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    if crop:
        left, top = (width - GRID_SIDE) // 2, (height - GRID_SIDE) // 2
        picture = picture.crop((left, top, left + GRID_SIDE, top + GRID_SIDE))
    return np.asarray(picture)
