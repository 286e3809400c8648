"""Image formats: what the bytes of a file are, whether they are whole, and what they hold, without OpenCV.

Broken files are looked for before decoding: OpenCV fills the missing part of a cut-off JPEG with grey and says nothing,
and prints to the terminal about others. TIFF goes through Pillow altogether: OpenCV multiplies colours by alpha there.
"""

import io
import math
import os
import warnings
from contextlib import contextmanager
from typing import Literal

import numpy as np
from PIL import Image

from utils.settings import SETTINGS

PNG, JPEG, WEBP, TIFF, BMP = 'PNG', 'JPEG', 'WebP', 'TIFF', 'BMP'
HEADER_BYTES = 33  # of a PNG: signature and the chunk with size, bits and kind
_START_OF_SCAN, _END_OF_IMAGE = b'\xff\xda', b'\xff\xd9'
# markers of a JPEG: of a frame in one scan, of its Huffman tables, of a scan
_FRAMES, _TABLES, _SCAN = (0xC0, 0xC1), 0xC4, 0xDA
_HOLE = bytes(64)  # no coded picture has so many zero bytes, see _zeros_are_pixels
_WIDTH, _HEIGHT, _SAMPLES = 256, 257, 277  # tags of a TIFF
_TIFF_SIZES = {3: 2, 4: 4, 16: 8}  # bytes of its whole numbers, by type
_LOSSY_IN_TIFF = ('jpeg', 'tiff_jpeg', 'jpeg2000', 'webp')
UNDECODABLE = 'is damaged or no image'
PIXELS_VARIABLE = 'HMSA_MAX_PIXELS'  # an environment variable, so that loader processes and threads have it too
MOST_PIXELS = 1 << 30  # what OpenCV decodes
Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # from twice as many on Pillow raises; below that `problem` decides
# about metadata that nothing here reads, or about a file that cannot be read, which is said then with its name
warnings.filterwarnings('ignore', category=UserWarning, module=r'PIL\.')


def format_of(data: bytes):
    """PNG, JPEG, WEBP, TIFF, BMP, or None for something else."""
    if data.startswith(b'\x89PNG\r\n\x1a\n'):
        return PNG
    if data.startswith(b'\xff\xd8\xff'):
        return JPEG
    if data.startswith(b'RIFF') and data[8:12] == b'WEBP':
        return WEBP
    if data.startswith((b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')):
        return TIFF
    return BMP if data.startswith(b'BM') else None


def limit_pixels(count: int):
    """Refuse images of more pixels from now on, in this process and those it starts (--max_pixels)."""
    os.environ[PIXELS_VARIABLE] = str(count)


def pixel_limit() -> int:
    return int(os.environ.get(PIXELS_VARIABLE) or SETTINGS['max_pixels'].default)


def problem(data: bytes, whole=True):
    """Why these bytes are certainly not a whole image that can be read, or None.

    whole: False for the first and last bytes of a file, of which what lies between is not looked at.
    """
    if not data:
        return 'is empty'
    form = format_of(data)
    if (
        form == PNG
        and data.rfind(b'IEND') < 0
        or form == JPEG
        and not _has_jpeg_end(data)
        or form == WEBP
        and int.from_bytes(data[4:8], 'little') + 8 > len(data)
    ):
        return f'is a {form} cut off after {len(data)} bytes'
    if form == PNG and whole and not _has_png_chunks(data):
        return 'is a PNG with a chunk that is longer than the file'
    pixels = math.prod(_declared_size(data, form))
    if pixels > pixel_limit():
        return f'has {pixels:,} pixels, expected at most the {pixel_limit():,} of --max_pixels'
    if form == JPEG:
        hole = _hole(data)
        return None if hole < 0 else f'is a JPEG with a hole of zero bytes at byte {hole}'
    return None


def _has_png_chunks(data: bytes) -> bool:
    """Whether the chunks up to the end mark lie in the file: OpenCV takes memory for any length that a chunk says."""
    place = 8
    while place + 8 <= len(data):
        if data[place + 4 : place + 8] == b'IEND':
            return True
        place += 12 + int.from_bytes(data[place : place + 4], 'big')  # length, kind, check sum (PNG, 5.3)
    return False


def _declared_size(data: bytes, form) -> tuple:
    """The (width, height) that the header says, (0, 0) where it says none."""
    if form == PNG:
        return int.from_bytes(data[16:20], 'big'), int.from_bytes(data[20:24], 'big')
    try:
        with opened(data) as image:
            return image.size
    except Undecodable:
        return tiff_shape(data)[1::-1] if form == TIFF else (0, 0)


def _has_jpeg_end(data: bytes) -> bool:
    """True when the end marker follows the start of the last scan: an EXIF thumbnail has both, but before the image's
    own scan, coded pixels never look like a marker, and cameras may write more behind the image."""
    return _END_OF_IMAGE in data[-64:] or data.rfind(_END_OF_IMAGE) > data.rfind(_START_OF_SCAN)


def _hole(data: bytes) -> int:
    """Where zero bytes stand in place of the coded pixels of a JPEG, as after a lost block of a disk; -1 when nowhere.

    Only where zeros cannot be pixels: in the one scan of a sequential JPEG. Those before the end marker may be padding.
    """
    place, first_symbols, components = 2, {}, 0
    while data[place : place + 1] == b'\xff' and place + 4 <= len(data):
        marker, end = data[place + 1], place + 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
        segment = data[place + 4 : end]
        if marker in _FRAMES and len(segment) > 5:
            components = segment[5]
        elif marker == _TABLES:
            first_symbols.update(_first_symbols(segment))
        elif marker == _SCAN:
            if not components or segment[:1] != bytes([components]) or _zeros_are_pixels(segment, first_symbols):
                return -1
            found = data[end : max(data.find(_END_OF_IMAGE, end), 0)].rstrip(b'\0').find(_HOLE)
            return found if found < 0 else end + found
        place = end
    return -1


def _first_symbols(segment: bytes):
    """(class and number, symbol whose code is nothing but zeros) of each table in a segment of Huffman tables."""
    place = 0
    while place + 17 < len(segment):
        yield segment[place], segment[place + 17]
        place += 17 + sum(segment[place + 1 : place + 17])


def _zeros_are_pixels(scan: bytes, first_symbols: dict) -> bool:
    """True when blocks of one colour may be coded as zeros in every component: when "end of block" (0) has the code of
    zeros.

    Where it has another one, as for the luminance of the usual tables, zeros are blocks of 63 equal coefficients.
    """
    tables = [0x10 | selector & 15 for selector in scan[2 : 2 + 2 * scan[0] : 2]]
    return all(first_symbols.get(table, 0) == 0 for table in tables)


class Undecodable(Exception):
    """What is wrong with an image, to be completed by the file's name."""


@contextmanager
def opened(data: bytes):
    """The image as Pillow sees it, not yet decoded. Raises Undecodable, also for errors of decoding in the block."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except Image.DecompressionBombError:
        raise Undecodable(f'has more than {MOST_PIXELS:,} pixels, more than any reader decodes') from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError):
        raise Undecodable(UNDECODABLE) from None


def tiff_shape(data: bytes) -> tuple[int, int, int]:
    """(height, width, channels) that the first directory of a TIFF or BigTIFF says; (0, 0, 0) where it cannot be
    read."""
    order: Literal['little', 'big'] = 'little' if data[:2] == b'II' else 'big'
    big = data[2:4] in (b'+\0', b'\0+')

    def number(place: int, size: int) -> int:
        return int.from_bytes(data[place : place + size], order)

    start = number(8, 8) if big else number(4, 4)
    head, entry = (8, 20) if big else (2, 12)
    found = {_SAMPLES: 1}
    for place in range(start + head, start + head + entry * min(number(start, head), 4096), entry):
        size = _TIFF_SIZES.get(number(place + 2, 2))
        if size:
            found[number(place, 2)] = number(place + (12 if big else 8), size)
    return found.get(_HEIGHT, 0), found.get(_WIDTH, 0), found[_SAMPLES] if _HEIGHT in found else 0


def tiff_pixels(image) -> np.ndarray:
    """An opened TIFF as uint8 (H, W, 3) RGB; of 16 bits the upper 8. Raises Undecodable."""
    if image.mode in ('I', 'F'):
        raise Undecodable('is a TIFF of 32-bit values, images have 8 or 16 bits: convert it')
    if image.mode.startswith('I;16'):
        return np.repeat((np.array(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    return np.array(image.convert('RGB'))


def loss(data: bytes, form: str):
    """How the file has changed the values of its pixels when it was written, or None when they are as they were."""
    if form == JPEG:
        return 'JPEG'
    if form == WEBP and not _is_lossless_webp(data):
        return 'lossy WebP'
    if form == TIFF:
        with opened(data) as image:
            if image.info.get('compression') in _LOSSY_IN_TIFF:
                return f'TIFF with {image.info["compression"]} compression'
    return None


def _is_lossless_webp(data: bytes) -> bool:
    """True when the picture is in a chunk VP8L; others may stand before it."""
    place = 12
    while place + 8 <= len(data) and data[place : place + 4] not in (b'VP8 ', b'ANMF'):
        if data[place : place + 4] == b'VP8L':
            return True
        size = int.from_bytes(data[place + 4 : place + 8], 'little')
        place += 8 + size + size % 2
    return False
