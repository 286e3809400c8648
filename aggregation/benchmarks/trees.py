"""Submissions and ground truth as trees of files, in a folder, a .tar or a .zip, and the grey pictures in them.

Files are read one at a time, by any number of threads. One of more than FILE_LIMIT bytes, or an image of more than
PIXEL_LIMIT pixels, is refused before memory is taken for it.
"""

import io
import math
import os
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from utils.files.archives import Archive, ArchivePath, printed
from utils.files.decoder_lines import caught

FILE_LIMIT = 1 << 27  # bytes of one file, unpacked: every pixel of the largest image as float64
PIXEL_LIMIT = 1 << 24  # of one image or map, such as 4096x4096
PNG = b'\x89PNG\r\n\x1a\n'


class Tree:
    """`names` of every file below `path`, a folder, an uncompressed tar or a zip, and `read(name)`; names are in one
    spelling (NFC) of what prints alike.

    Raises FileNotFoundError or ValueError naming the path when it is missing or no archive.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f'{path}: no such folder or archive; give one that exists')
        if self.path.is_dir():
            files = _visible_files(self.path)
        else:
            archive = Archive(self.path)
            files = ((str(inner), ArchivePath(archive, inner)) for inner in archive.files)
        self._files, names = {}, {}
        for name, file in files:
            other = names.setdefault(printed(name), name)
            if other != name:
                raise ValueError(f'{path}: holds {other!a} and {name!a}, which print alike; keep one of them')
            self._files[printed(name)] = file

    @property
    def names(self) -> list[str]:
        """The names relative to the root, sorted."""
        return sorted(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def read(self, name: str) -> bytes:
        """The bytes of `name`.

        Raises KeyError for an unknown name, ValueError for a damaged file and for one of more than FILE_LIMIT bytes.
        """
        file = self._files[name]
        size = file.size if isinstance(file, ArchivePath) else file.stat().st_size
        if size > FILE_LIMIT:
            raise ValueError(
                f'{self.path}: {name} has {size:,} bytes, expected at most {FILE_LIMIT:,}; it is no file of a'
                ' submission, take it out'
            )
        return file.read_bytes()

    def open(self, name: str):
        """A binary file of `name`, for one of which only the first bytes are wanted; raises as `read` does."""
        file = self._files[name]
        return io.BytesIO(self.read(name)) if isinstance(file, ArchivePath) else open(file, 'rb')


def _visible_files(root: Path):
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        for name in sorted(files):
            if not name.startswith('.'):
                path = Path(parent) / name
                yield path.relative_to(root).as_posix(), path


def read_gray(tree: Tree, name: str) -> np.ndarray:
    """The values (H, W) of a one-channel PNG as they are stored, 8 or 16 bits; ValueError naming the file otherwise."""
    data, image = tree.read(name), None
    if _is_whole_png(data):
        check_pixels(
            (int.from_bytes(data[20:24], 'big'), int.from_bytes(data[16:20], 'big')),
            f'{tree.path}: {name} ',
            '; write it again',
        )
        with suppress(cv2.error):  # sizes that no image has
            image, _ = caught(cv2.imdecode, np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2:
        found = 'damaged or no image in PNG form' if image is None else 'a colour image'
        raise ValueError(f'{tree.path}: {name} is {found}, expected one channel of grey values; write it again')
    return image


def _is_whole_png(data: bytes) -> bool:
    """Whether all chunks are there, with their check sums: OpenCV takes memory for any length that a chunk says."""
    view, at = memoryview(data), len(PNG)
    if not data.startswith(PNG) or data[12:16] != b'IHDR':
        return False
    while at + 12 <= len(data):  # length, kind, content, check sum (PNG, third edition, 5.3)
        end = at + 12 + int.from_bytes(view[at : at + 4], 'big')
        if end > len(data) or zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], 'big'):
            return False
        if view[at + 4 : at + 8] == b'IEND':
            return True
        at = end
    return False


def check_pixels(shape, before: str = '', after: str = ''):
    """Raise ValueError, with words before and after, for a header that says a `shape` of more than PIXEL_LIMIT."""
    if math.prod(shape) > PIXEL_LIMIT:
        raise ValueError(
            f'{before}announces {"x".join(map(str, shape[::-1]))} pixels, expected at most {PIXEL_LIMIT:,}{after}'
        )


def image_size(image: np.ndarray) -> str:
    """'2048x1024 (width x height)', for messages."""
    return shape_name(image.shape)


def shape_name(shape) -> str:
    """The same of a shape (H, W)."""
    return f'{shape[1]}x{shape[0]} (width x height)'
