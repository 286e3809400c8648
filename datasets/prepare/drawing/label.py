"""Label map of one photo: the job that draws the shapes of an annotation, or takes over a mask, in the size in which
the photo is read (datasets.loading.orientation)."""

import io

import numpy as np
from PIL import Image

from datasets.loading.orientation import TURNED, UPRIGHT, shown, shown_size
from datasets.loading.reading import peek_turned, read_image, read_label
from datasets.prepare.convert import IGNORE, MOST_PIXELS, UNKNOWN, codes_of, id_table, label_png, look_up, look_up_codes
from datasets.prepare.drawing.fill import fill_ellipse, fill_polygon
from datasets.prepare.drawing.runs import runs_mask, unpack

POLYGONS, ELLIPSE, RUNS, BOX_RUNS, PICTURE = 'polygons', 'ellipse', 'runs', 'box runs', 'picture'
OUTSIDE = 0.01  # pixels beyond the border that are rounding


def draw_photo(sources, size, shapes, rest, palette) -> tuple:
    """The label of the photo sources[0], with `shapes` drawn in their order on ground of the value `rest`.

    Args:
        size: (H, W) of the picture that was annotated, None where it is not known.
        shapes: ((value, kind, data), ...), see `shape_mask`.
        palette: 3 bytes a colour.
    """
    size, turn, notes = fitted(sources[0], size)
    label = np.full(size, rest, np.uint8)
    try:
        for value, kind, data in shapes:
            (top, left), mask = shape_mask(kind, data, size)
            label[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = value
        outside = any(leaves(kind, data, size) for _, kind, data in shapes)
    except ValueError as error:
        raise ValueError(f'{sources[0]}: {error}; correct its annotation') from None
    if outside:
        notes += ('shapes reach beyond the picture and are cut off at its border',)
    return label_png(shown(label, turn), palette), notes


def shape_mask(kind: str, data, size) -> tuple:
    """((top, left), mask bool (h, w)) of a shape in a picture of `size` (H, W).

    data of POLYGONS: outlines (x, y, x, y, ...), together; ELLIPSE: x, y, rx, ry; RUNS: (h, w), lengths or their packed
    text, of the whole picture by columns; BOX_RUNS: top, left, (h, w), lengths, by rows; PICTURE: top, left, the bytes
    of an image file.
    """
    if kind == ELLIPSE:
        return fill_ellipse(data[:2], data[2:], size)
    if kind == RUNS:
        if tuple(data[0]) != tuple(size):
            raise ValueError(f'a mask is {data[0][1]}x{data[0][0]} pixels, the picture {size[1]}x{size[0]}')
        lengths = unpack(data[1]) if isinstance(data[1], str) else data[1]
        return (0, 0), runs_mask(lengths, size, by_columns=True)
    if kind == POLYGONS:
        parts = [fill_polygon(part, size) for part in data]
        if len(parts) == 1:
            return parts[0]
        whole = np.zeros(size, bool)
        for (top, left), mask in parts:
            whole[top : top + mask.shape[0], left : left + mask.shape[1]] |= mask
        return (0, 0), whole
    top, left, *rest = data
    mask = runs_mask(rest[1], _bounded(rest[0]), by_columns=False) if kind == BOX_RUNS else _picture_mask(rest[0])
    above, before = max(0, -top), max(0, -left)
    mask = mask[above : max(above, size[0] - top), before : max(before, size[1] - left)]
    return (top + above, left + before) if mask.size else (0, 0), mask


def _bounded(size):
    if not 0 < size[0] * size[1] <= MOST_PIXELS:
        raise ValueError(f'a mask is {size[1]}x{size[0]} pixels, possible are 1 to {MOST_PIXELS:,}')
    return size


def _picture_mask(data: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            _bounded(image.size[::-1])
            return np.array(image.convert('L')) > 0
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f'a mask is no image that can be read ({type(error).__name__})') from None


def leaves(kind: str, data, size) -> bool:
    """Whether a shape reaches beyond a picture of `size`."""
    if kind == RUNS:
        return False
    if kind == POLYGONS:
        x, y = np.concatenate([np.reshape(part, -1) for part in data]).reshape(-1, 2).T
        low, high = (min(x.min(), y.min()), (x.max(), y.max()))
    elif kind == ELLIPSE:
        low, high = min(data[0] - data[2], data[1] - data[3]), (data[0] + data[2], data[1] + data[3])
    else:
        height, width = data[2] if kind == BOX_RUNS else _picture_mask(data[2]).shape
        low, high = min(data[:2]), (data[1] + width, data[0] + height)
    return bool(low < -OUTSIDE or high[0] > size[1] + OUTSIDE or high[1] > size[0] + OUTSIDE)


def fitted(photo, size) -> tuple:
    """((H, W) to draw in, orientation to turn the drawing by, notes) for an annotation of a picture of `size`.

    Raises ValueError where the photo has another size, for which no turn by its EXIF record accounts.
    """
    found, orientation = peek_turned(photo)
    if not 0 < found[0] * found[1] <= MOST_PIXELS:
        raise ValueError(f'{photo}: has {found[1]}x{found[0]} pixels, labels are drawn of at most {MOST_PIXELS:,}')
    stored = shown_size(found, orientation)
    if size is not None and tuple(size) != tuple(found):
        if tuple(size) == tuple(stored) and orientation in TURNED:
            return stored, orientation, ('was annotated as stored, and is turned as the EXIF record of the photo says',)
        raise ValueError(
            f'{photo}: is {found[1]}x{found[0]} pixels (width x height), but its annotation is of a picture of'
            f' {size[1]}x{size[0]}; bring the original photo back, or scale the annotation with it'
        )
    unsure = orientation != UPRIGHT and found == stored
    note = (f'the photo has an EXIF orientation of {orientation}: taken to be annotated as viewers show it',)
    return found, UPRIGHT, note if unsure else ()


def copy_mask(sources, values, by_colour, palette) -> tuple:
    """The label of the photo sources[0] from the mask sources[1]; values: ((id, or code of a colour, value), ...) of
    what it may hold."""
    if by_colour:
        label = look_up_codes(codes_of(sources[1]), dict(values), UNKNOWN)
        outside = label == UNKNOWN
        label[outside] = IGNORE
        notes = ('pixels of a colour that is no class became void',) if outside.any() else ()
    else:
        label, notes = look_up(read_label(sources[1]), id_table(dict(values)))
    _, turn, more = fitted(sources[0], label.shape)
    return label_png(shown(label, turn), palette), (*notes, *more)


def shows_colours(path) -> bool:
    """Whether a mask can only be read by its colours."""
    try:
        read_label(path)
    except ValueError:
        read_image(path)
        return True
    return False
