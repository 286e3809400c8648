"""Orientation of a picture as its EXIF record says: how viewers turn or mirror the stored rows before they show them.

One rule holds for images and label maps, every format, training and use: what is read is the picture that viewers show.
The values 1 to 8 are those of tag 274 of TIFF 6.0; EXIF keeps them in JPEG, PNG (eXIf) and WebP.
"""

import numpy as np

from datasets.loading.formats import JPEG, PNG, TIFF, WEBP, Undecodable, format_of, opened

UPRIGHT = 1
TURNED = (5, 6, 7, 8)  # width and height change places
TURN_REMEDY = 'turn the one that is not, or remove the orientation (`exiftool -Orientation= FILE`)'
_TAG, _SHORT = 274, 3
_APP1, _SCAN = 0xE1, 0xDA  # markers of a JPEG: application data such as EXIF, the coded pixels


def orientation_of(data: bytes, tail: bytes = b'') -> int:
    """1 (as stored) to 8 of the bytes of a file, or of its first bytes and its last, `tail`; 1 when nothing is said.

    A TIFF has to be whole.
    """
    form = format_of(data)
    if form == TIFF:
        return _of_tiff(data)
    exif = {JPEG: _in_jpeg, PNG: _in_png, WEBP: _in_webp}.get(form, lambda _: b'')(data)
    if not exif and form == PNG and tail:  # some programs write the record behind the pixels
        place = tail.rfind(b'eXIf')
        exif = tail[place + 4 :] if place >= 0 else b''
    return _of_exif(exif.removeprefix(b'Exif\0\0'))


def shown(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels (H, W, ...) as viewers show them; the same array when there is nothing to turn."""
    if orientation == UPRIGHT:
        return pixels
    turned = {
        2: lambda: pixels[:, ::-1],
        3: lambda: pixels[::-1, ::-1],
        4: lambda: pixels[::-1],
        5: lambda: pixels.swapaxes(0, 1),
        6: lambda: np.rot90(pixels, -1),
        7: lambda: pixels.swapaxes(0, 1)[::-1, ::-1],
        8: lambda: np.rot90(pixels),
    }[orientation]()
    return np.ascontiguousarray(turned)


def shown_size(size: tuple, orientation: int) -> tuple:
    """(H, W) as shown of a picture stored as `size`."""
    return size[::-1] if orientation in TURNED else tuple(size)


def why_sizes_differ(image_size, label_size, image_orientation: int, label_orientation: int = UPRIGHT) -> str:
    """What to say about an image and a label whose sizes (H, W) differ by a turn that EXIF accounts for, or ''."""
    if tuple(image_size) != tuple(label_size)[::-1] or (image_orientation in TURNED) == (label_orientation in TURNED):
        return ''
    turned, other = ('image', 'label') if image_orientation in TURNED else ('label', 'image')
    return (
        f'EXIF: the {turned} has an orientation of {max(image_orientation, label_orientation)} and is read turned by 90'
        f' degrees, as viewers show it, but the {other} follows the stored rows'
    )


def _of_tiff(data: bytes) -> int:
    try:
        with opened(data) as image:
            return _checked(image.tag_v2.get(_TAG, UPRIGHT))
    except Undecodable:
        return UPRIGHT


def _checked(value) -> int:
    return value if value in range(1, 9) else UPRIGHT


def _in_jpeg(data: bytes) -> bytes:
    place = 2
    while data[place : place + 1] == b'\xff' and place + 4 <= len(data):
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], 'big')
        if marker == _SCAN:
            break
        if marker == _APP1 and data.startswith(b'Exif\0\0', place + 4):
            return data[place + 4 : place + 2 + length]
        place += 2 + length
    return b''


def _in_png(data: bytes) -> bytes:
    place = 8
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], 'big')
        if data.startswith(b'eXIf', place + 4):
            return data[place + 8 : place + 8 + length]
        place += 12 + length
    return b''


def _in_webp(data: bytes) -> bytes:
    place = 12
    while place + 8 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 8], 'little')
        if data.startswith(b'EXIF', place):
            return data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
    return b''


def _of_exif(exif: bytes) -> int:
    """The orientation in the first directory of an EXIF record, which is laid out as a TIFF."""
    order = {b'II': 'little', b'MM': 'big'}.get(exif[:2])
    if order is None:
        return UPRIGHT

    def number(place, size):
        return int.from_bytes(exif[place : place + size], order)

    start = number(4, 4)
    for entry in range(start + 2, start + 2 + 12 * number(start, 2), 12):
        if entry + 12 > len(exif):
            break
        if number(entry, 2) == _TAG and number(entry + 2, 2) == _SHORT:
            return _checked(number(entry + 8, 2))
    return UPRIGHT
