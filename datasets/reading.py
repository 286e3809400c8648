"""Images and label maps from files, decoded by OpenCV; what cannot be decoded whole is an error that names the file.

Broken files are looked for before decoding: OpenCV fills the missing part of a cut-off JPEG with grey and says nothing,
and its PNG decoder prints to the terminal.
"""
import io

import cv2
import numpy as np
from PIL import Image

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
HEADER_BYTES = 33               # of a PNG: signature and the chunk with size, bits and kind
JPEG_SIGNATURE = b'\xff\xd8\xff'
_START_OF_SCAN, _END_OF_IMAGE = b'\xff\xda', b'\xff\xd9'
_PNG_GRAY, _PNG_PALETTE = 0, 3
_PNG_KINDS = {0: 'grey', 2: 'RGB colour', 3: 'palette', 4: 'grey with alpha', 6: 'RGB colour with alpha'}


def read_image(path, upright=False) -> np.ndarray:
    """The image as uint8 (H, W, 3) RGB, whatever the file holds (grey, palette, alpha, 16 bits).

    upright: turn it as its EXIF orientation says. Off for images with labels, whose pixels follow the stored grid.
    Raises FileNotFoundError, or ValueError when the file is no whole image.
    """
    data = _read_bytes(path)
    flags = cv2.IMREAD_COLOR_RGB if upright else cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return _decode(data, flags, path)


def read_label(path) -> np.ndarray:
    """The raw ids of a label map as uint8 (H, W): the value of a grey PNG, the index (not the colour) of a palette PNG.

    Raises FileNotFoundError, or ValueError when the file is no whole 8-bit grey or palette PNG.
    """
    data = _read_bytes(path)
    _check_is_png(data, path)
    bits, kind = data[24], data[25]
    if kind == _PNG_GRAY and bits == 8:
        return _decode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION, path)
    if kind == _PNG_PALETTE:
        return _palette_indices(data, path)
    raise ValueError(f'{path}: is a {bits}-bit {_PNG_KINDS.get(kind, "unknown")} PNG; '
                     'a label map is an 8-bit grey or palette PNG that holds class ids, convert it to one')


def label_size(path) -> tuple:
    """(H, W) of a label map, from its first bytes alone. Raises as read_label does when it is no PNG."""
    data = _read_bytes(path, HEADER_BYTES)
    _check_is_png(data, path)
    return int.from_bytes(data[20:24], 'big'), int.from_bytes(data[16:20], 'big')


def _check_is_png(data: bytes, path):
    if not data.startswith(PNG_SIGNATURE) or len(data) < HEADER_BYTES:
        raise ValueError(f'{path}: is no PNG file; a label map is an 8-bit grey or palette PNG, convert it to one')


def _read_bytes(path, count=-1) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read(count)
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: the file does not exist any more; restore it or list the dataset anew') from None
    except OSError as error:
        raise ValueError(f'{path}: cannot be read ({error.strerror or error}); mend its permissions or its disk') from None


def _decode(data: bytes, flags: int, path) -> np.ndarray:
    problem = _problem(data)
    if problem is None:
        try:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error:
            decoded = None
        if decoded is not None:
            return decoded
        problem = 'is damaged or no image'
    raise _unreadable(path, problem)


def _unreadable(path, problem: str) -> ValueError:
    return ValueError(f'{path}: {problem}; replace the file or take it out of the dataset')


def _problem(data: bytes):
    """Why these bytes are certainly not a whole image, or None."""
    if not data:
        return 'is empty'
    if data.startswith(PNG_SIGNATURE) and data.rfind(b'IEND') < 0:
        return f'is a PNG cut off after {len(data)} bytes'
    if data.startswith(JPEG_SIGNATURE) and not _has_jpeg_end(data):
        return f'is a JPEG cut off after {len(data)} bytes'
    return None


def _has_jpeg_end(data: bytes) -> bool:
    """True when the end marker follows the start of the last scan: an EXIF thumbnail has both, but before the image's own
    scan, coded pixels never look like a marker, and cameras may write more behind the image."""
    return _END_OF_IMAGE in data[-64:] or data.rfind(_END_OF_IMAGE) > data.rfind(_START_OF_SCAN)


def _palette_indices(data: bytes, path) -> np.ndarray:
    """OpenCV turns palettes into colours, so these go through Pillow, which also unpacks 1, 2 and 4-bit indices."""
    problem = _problem(data)
    if problem is not None:
        raise _unreadable(path, problem)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image, dtype=np.uint8)
    except (OSError, SyntaxError, ValueError):
        raise _unreadable(path, 'is damaged or no image') from None
