"""Reading of images and label maps, on the disk or in an archive: the same pixels whatever the format.

All are read as viewers show them, turned as their EXIF orientation says (datasets.loading.orientation).

What cannot be decoded whole is an error that names the file.
"""

import os
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from datasets.loading.formats import (
    BMP,
    HEADER_BYTES,
    PNG,
    TIFF,
    UNDECODABLE,
    WEBP,
    Undecodable,
    format_of,
    loss,
    opened,
    problem,
    tiff_pixels,
    tiff_shape,
)
from datasets.loading.orientation import orientation_of, shown, shown_size
from utils.files.archives import ArchivePath, gone
from utils.files.decoder_lines import caught, tell
from utils.files.limits import check_bytes

RULES = 2  # raised when the same file gives other pixels than before; part of a cache's name
_PNG_GRAY, _PNG_PALETTE = 0, 3
_PNG_KINDS = {0: 'grey', 2: 'RGB colour', 3: 'palette', 4: 'grey with alpha', 6: 'RGB colour with alpha'}
_GRAY_STEP = {1: 255, 2: 85, 4: 17, 8: 1}  # what a PNG decoder multiplies grey values of so many bits with
_PILLOW_IDS = ('1', 'L', 'P')  # modes whose values are ids of 8 bits and fewer
HUGE_BYTES, HUGE_PIXELS = 1 << 20, 1 << 27  # of an image file that is looked into for its size, and of a huge one
PEEK_BYTES, TAIL_BYTES = 1 << 16, 1 << 12  # of a file, to know its size and whether it is whole
REPLACE = 'replace the file or take it out of the dataset'
LABEL_KINDS = 'a label map holds class ids from 0 to 255 as grey values or palette indices, best in an 8-bit PNG'
COLOURS = 'or use a dataset with a table of its colours (rgb in the file of --data_yaml)'


def read_image(path) -> np.ndarray:
    """The image as uint8 (H, W, 3) RGB, whatever the file holds: grey is repeated, alpha dropped, a palette looked up,
    and of 16 bits the upper 8 are kept.

    Raises FileNotFoundError, or ValueError when the file is no whole image.
    """
    data = read_bytes(path)
    if isinstance(path, Path) and _is_huge(data):
        del data
        # into the array itself: imdecode holds the pixels twice
        image, lines = caught(cv2.imread, str(path), None, cv2.IMREAD_COLOR_RGB)
        if image is not None:
            tell(path, lines)
            return image
        data = read_bytes(path)
    return _decode(data, cv2.IMREAD_COLOR_RGB, path)


def _is_huge(data: bytes) -> bool:
    """Whether an image is whole, and so large that two copies of its pixels are one too many."""
    if len(data) < HUGE_BYTES or problem(data) is not None or format_of(data) in (None, TIFF):
        return False
    try:
        return _by_pillow(data, '', lambda image: image.width * image.height) >= HUGE_PIXELS
    except ValueError:
        return False


def read_label(path, colors=None) -> np.ndarray:
    """The raw ids of a label map as uint8 (H, W): grey values, palette indices (not the colours), or, with `colors`, a
    ColorTable, the ids of the colours that the file shows.

    Lossless files only. Raises FileNotFoundError, or ValueError when the file is no whole label map, holds ids above
    255, or a colour that is not in the table.
    """
    data = read_bytes(path)
    form = format_of(data)
    if colors is not None:
        return colors(_label_colors(data, form, path), path)
    return _png_ids(data, path) if form == PNG else _other_ids(data, form, path)


def label_size(path) -> tuple:
    """(H, W) of a label map as it is read, of a PNG from its first and last bytes alone.

    Raises as read_label does when it can be none.
    """
    head, tail = _ends(path, TAIL_BYTES)
    if format_of(head) == PNG and len(head) >= HEADER_BYTES:
        return shown_size(_png_size(head), orientation_of(head, tail))
    data = read_bytes(path)
    _check_label(data, format_of(data), path)
    return _pillow_size(data, path)


def peek(path) -> tuple:
    """(H, W) of an image or label map as it is read, from the first and last bytes of the file where these tell it.

    Raises FileNotFoundError, or ValueError when the file is empty, cut off or no image; what is damaged in between is
    not seen, nor the end of a file in an archive.
    """
    return peek_turned(path)[0]


def peek_turned(path) -> tuple:
    """((H, W) as peek has it, EXIF orientation 1 to 8)."""
    head, tail = _ends(path, PEEK_BYTES)
    whole = len(head) < PEEK_BYTES
    if (whole or tail) and problem(head + tail, whole=False):  # of the parts; the whole file may say otherwise
        fault = problem(read_bytes(path))
        if fault is not None:
            raise unreadable(path, fault)
    form = format_of(head)
    if form == PNG and len(head) >= HEADER_BYTES:
        orientation = orientation_of(head, tail)
        return shown_size(_png_size(head), orientation), orientation
    if form != TIFF and not _says_more_at_its_end(head):  # the header of a TIFF may stand anywhere
        try:
            return _pillow_size(head, path), orientation_of(head)
        except ValueError:
            pass
    data = read_bytes(path)
    return _pillow_size(data, path), orientation_of(data)


def _ends(path, count: int) -> tuple:
    """The first `count` bytes of a file and, on the disk and when there are more, the last ones."""
    head = read_bytes(path, count)
    return head, b'' if len(head) < count or isinstance(path, ArchivePath) else read_bytes(path, start=-TAIL_BYTES)


def _says_more_at_its_end(head: bytes) -> bool:
    """True for a WebP with an EXIF record, which stands behind the pixels."""
    return format_of(head) == WEBP and head[12:16] == b'VP8X' and bool(int.from_bytes(head[20:21], 'big') & 8)


def _png_size(head: bytes) -> tuple:
    return int.from_bytes(head[20:24], 'big'), int.from_bytes(head[16:20], 'big')


def _pillow_size(data: bytes, path) -> tuple:
    """(H, W) as it is read; Pillow has turned that of a TIFF already, and opens none of more than four channels."""
    if format_of(data) == TIFF and tiff_shape(data)[2] > 4:
        return shown_size(tiff_shape(data)[:2], orientation_of(data))
    size = _by_pillow(data, path, lambda image: image.size[::-1])
    return size if format_of(data) == TIFF else shown_size(size, orientation_of(data))


def read_bytes(path, count=-1, start=0) -> bytes:
    """The bytes of a file, or `count` of them; start: where, from the end when negative (on the disk only)."""
    try:
        if isinstance(path, ArchivePath):
            return path.read_bytes(count)
        with open(path, 'rb') as file:
            if count < 0:
                check_bytes(os.fstat(file.fileno()).st_size, f'{path}:')
            if start:
                file.seek(start, 2)
            return file.read(count)
    except FileNotFoundError:
        raise gone(path) from None
    except OSError as error:
        raise ValueError(
            f'{path}: cannot be read ({error.strerror or error}); mend its permissions or its disk'
        ) from None


def _decode(data: bytes, flags: int, path) -> np.ndarray:
    fault = problem(data)
    if fault is not None:
        raise unreadable(path, fault)
    if format_of(data) == TIFF:
        return _by_pillow(data, path, tiff_pixels)  # which Pillow turns
    decoded, lines = None, []
    with suppress(cv2.error):
        decoded, lines = caught(cv2.imdecode, np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if decoded is None:
        raise unreadable(path, f'{UNDECODABLE} ({lines[0]})' if lines else UNDECODABLE)
    tell(path, lines)
    return shown(decoded, orientation_of(data))


def unreadable(path, fault: str) -> ValueError:
    """The error about a file that cannot be used."""
    return ValueError(f'{path}: {fault}; {REPLACE}')


def _check_label(data: bytes, form, path):
    """Raise ValueError when this cannot be a whole, lossless label map."""
    fault = problem(data)
    if fault is not None:
        raise unreadable(path, fault)
    if form is None:
        raise ValueError(f'{path}: is no PNG, TIFF, BMP or WebP file; {LABEL_KINDS}: convert it')
    try:
        lossy = loss(data, form)
    except Undecodable as error:
        raise unreadable(path, str(error)) from None
    if lossy:
        raise ValueError(
            f'{path}: is a {lossy} file, whose compression changes values, so its class ids are lost; {LABEL_KINDS}: '
            'take the original label files'
        )


def _label_colors(data: bytes, form, path) -> np.ndarray:
    _check_label(data, form, path)
    bits = data[24] if form == PNG else _by_pillow(data, path, lambda image: 16 if image.mode[0] in 'IF' else 8)
    if bits > 8:
        raise ValueError(f'{path}: is a {bits}-bit {form}; a label map of colours has 8 bits per channel, convert it')
    return _decode(data, cv2.IMREAD_COLOR_RGB, path)


def _png_ids(data: bytes, path) -> np.ndarray:
    bits, kind = (data[24], data[25]) if len(data) >= HEADER_BYTES else (8, _PNG_GRAY)
    if kind == _PNG_PALETTE:  # OpenCV turns palettes into colours; Pillow also unpacks 1, 2 and 4-bit indices
        _check_label(data, PNG, path)
        indices = _by_pillow(data, path, lambda image: np.array(image, dtype=np.uint8))
        return shown(indices, orientation_of(data))
    if kind != _PNG_GRAY:
        raise ValueError(
            f'{path}: is a PNG of {bits}-bit {_PNG_KINDS.get(kind, "unknown")} values, not of ids; '
            f'{LABEL_KINDS}: convert it, {COLOURS}'
        )
    flags = cv2.IMREAD_UNCHANGED if bits == 16 else cv2.IMREAD_GRAYSCALE
    values = _decode(data, flags, path)
    return _as_bytes(values, path) if bits == 16 else values if bits == 8 else values // _GRAY_STEP[bits]


def _other_ids(data: bytes, form, path) -> np.ndarray:
    _check_label(data, form, path)
    mode = _by_pillow(data, path, lambda image: image.mode)
    if form in (TIFF, BMP) and mode in _PILLOW_IDS:
        return _by_pillow(data, path, lambda image: np.array(image, dtype=np.uint8))
    if form == TIFF and mode.startswith('I;16'):
        return _as_bytes(_by_pillow(data, path, np.array), path)
    reason = 'which holds colours' if form == WEBP else f'of mode {mode}'
    raise ValueError(f'{path}: is a {form} file {reason}; {LABEL_KINDS}: convert it, {COLOURS}')


def _by_pillow(data: bytes, path, function):
    def look():
        with opened(data) as image:
            return function(image)

    try:
        result, lines = caught(look)
    except Undecodable as error:
        raise unreadable(path, str(error)) from None
    tell(path, lines)
    return result


def _as_bytes(values: np.ndarray, path) -> np.ndarray:
    """Ids that a file keeps in 16 bits as uint8. Raises ValueError that says what values above 255 look like."""
    if values.max(initial=0) <= 255:
        return values.astype(np.uint8)
    row, column = (int(index) for index in np.argwhere(values > 255)[0])
    large = np.unique(values[values > 255])
    if large.min() >= 24000 and large.max() < 34000:
        looks = 'instances as Cityscapes writes them (id * 1000 + number): take the files *_labelIds.png'
    else:
        looks = (
            'instances (id * 256 + number, as Mapillary Vistas writes them: take the folder labels) or more classes'
            ' than a label map may have (as in the full ADE20K): convert them'
        )
    raise ValueError(
        f'{path}: holds values up to {large.max()} (first at row {row}, column {column}), ids end at 255; these look'
        f' like {looks}'
    )
