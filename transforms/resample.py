"""Resizing of a window of an image, on the sampling grid of the whole image.

A training crop of an enlarged image needs a small part of the file's pixels, so the crop is chosen first and only its
window is computed. Bicubic means Pillow's: Catmull-Rom (a = -0.5), widened when an image shrinks (antialiased), the
horizontal pass rounded to 8 bits before the vertical one (Pillow 12 and older always, newer ones where it is cheaper).
PyTorch's uint8 kernel computes the same with 14-bit weights, several times faster: it equals Pillow's result, but for
one grey level in less than 1 % of the values and two in about 0.001 %. OpenCV's bicubic is another filter (a = -0.75,
not antialiased).
"""

import numpy as np
import torch
import torch.nn.functional as F

Span = tuple[int, int]
SUPPORT = 2  # pixels that the bicubic kernel reaches to each side, in units of the coarser of the two grids


def resize_window(image: np.ndarray, resized: Span, rows: Span, cols: Span) -> np.ndarray:
    """Bicubic resize, of which only a window is computed: the same as resizing all and cropping.

    Args:
        image: uint8 (H, W, 3).
        resized: (h, w) of the whole image.
        rows, cols: (start, stop) of the window in it.

    Returns: uint8 (rows, cols, 3).
    """
    (height, width), (new_height, new_width) = image.shape[:2], resized
    top, bottom = _source_span(height, new_height, *rows)
    right = _source_span(width, new_width, *cols)[1]
    strip = _resize_columns(image[top:bottom, :right], width, new_width, cols)
    return _resize_rows(strip, top, height, new_height, rows)


def nearest_window(label: np.ndarray, resized: Span, rows: Span, cols: Span) -> np.ndarray:
    """As resize_window, for a label (H, W) of any integer type: nearest neighbour, Pillow's choice at every tie."""
    (height, width), (new_height, new_width) = label.shape, resized
    if (height, width) != (new_height, new_width):
        label = label.take(_nearest(height, new_height)[slice(*rows)], axis=0)
        return label.take(_nearest(width, new_width)[slice(*cols)], axis=1)
    return np.ascontiguousarray(label[slice(*rows), slice(*cols)])


def _nearest(size: int, new_size: int) -> np.ndarray:
    """The source index of each of new_size pixels: the pixel under the new pixel's centre.

    The positions are summed up, not multiplied, because Pillow does: where a centre falls between two pixels, the
    rounding of that sum decides.
    """
    steps = np.full(new_size, size / new_size)
    steps[0] *= 0.5
    return np.minimum(np.cumsum(steps).astype(np.intp), size - 1)


def _source_span(size: int, new_size: int, start: int, stop: int) -> Span:
    """The source pixels (first, last + 1) that new pixels start to stop depend on, and for which `_factor` is safe."""
    step = size / new_size
    reach = SUPPORT * max(step, 1.0) + 1
    first, last = max(0, int(start * step - reach)), min(size, int(stop * step + reach) + 1)
    out = int(last * _factor(size, new_size))
    if out < stop or out == last:  # torch copies instead of resampling where the size happens to stay
        last = size
    return first, last


def _factor(size: int, new_size: int) -> float:
    """The scale factor by which `size` pixels become exactly new_size; the grid is shifted by at most 1e-6 pixels."""
    return (new_size + 1e-6) / size


def _resize_columns(image: np.ndarray, width: int, new_width: int, cols: Span) -> np.ndarray:
    if width == new_width:
        return image[:, slice(*cols)]
    return _bicubic(image, (1.0, _factor(width, new_width)))[:, slice(*cols)]


def _resize_rows(strip: np.ndarray, top: int, height: int, new_height: int, rows: Span) -> np.ndarray:
    """The rows of the resized image.

    Args:
        strip: the source rows from `top`; those above are never looked at, so they stay uninitialised.
        height, new_height: of the whole image before and after.
        rows: which of the new ones.
    """
    if height == new_height:
        return np.ascontiguousarray(strip[rows[0] - top : rows[1] - top])
    tall = np.empty((top + len(strip), *strip.shape[1:]), np.uint8)
    tall[top:] = strip
    return _bicubic(tall, (_factor(height, new_height), 1.0))[slice(*rows)]


def _bicubic(image: np.ndarray, factors: tuple[float, float]) -> np.ndarray:
    """The grid of `factors` (vertical, horizontal) begins at the first pixel, hence no window may begin elsewhere."""
    tensor = torch.from_numpy(np.require(image, requirements=('C', 'W')))[None].permute(0, 3, 1, 2)
    out = F.interpolate(tensor, scale_factor=factors, mode='bicubic', antialias=True, recompute_scale_factor=False)
    return out[0].permute(1, 2, 0).numpy()
