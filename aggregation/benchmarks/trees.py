"""Files by name in a folder, a .tar or a .zip, read one at a time and by several threads.

Nothing is unpacked and no name is ever used as a path to write to, so a hostile archive has nothing to attack; and a
file of more than FILE_LIMIT bytes, or an image of more than PIXEL_LIMIT pixels, is refused before memory is taken for
it.
"""

import io
import math
import os
import tarfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

FILE_LIMIT = 1 << 27  # bytes of one file, unpacked: every pixel of the largest image as float64
PIXEL_LIMIT = 1 << 24  # of one image or map, such as 4096x4096
PNG = b'\x89PNG\r\n\x1a\n'


class Tree:
    """`names` of every file below `path`, a folder, an uncompressed tar or a zip, and `read(name)`.

    Raises FileNotFoundError or ValueError naming the path when it is missing or no archive.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(f'{path}: no such folder or archive; give one that exists')
        self._places, self._file, self._lock = {}, None, Lock()
        self.duplicates = []
        if self.path.is_dir():
            self._list_folder()
        elif zipfile.is_zipfile(self.path):
            self._list_zip()
        else:
            self._list_archive()

    def _list_folder(self):
        for parent, folders, files in os.walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith('.'))
            relative = Path(parent).relative_to(self.path)
            for name in sorted(files):
                if not name.startswith('.'):
                    self._places[(relative / name).as_posix()] = Path(parent) / name

    def _list_zip(self):
        try:
            self._file = zipfile.ZipFile(self.path)
        # zipfile has no error of its own for most of what a damaged directory can say
        except Exception as error:
            raise ValueError(
                f'{self.path}: is a damaged zip archive ({type(error).__name__}: {error}); copy it again or make it'
                ' again'
            ) from None
        for member in self._file.infolist():
            if not member.is_dir():
                if member.filename in self._places:
                    self.duplicates.append(member.filename)
                self._places[member.filename] = member

    def _list_archive(self):
        try:
            with tarfile.open(self.path, 'r:') as archive:
                for member in archive:
                    if member.size < 0:  # tarfile would go back and read the same header for ever
                        raise tarfile.ReadError(f'{member.name} has {member.size} bytes')
                    if not member.isfile():
                        continue
                    name = member.name.removeprefix('./')
                    if name in self._places:
                        self.duplicates.append(name)
                    self._places[name] = (member.offset_data, member.size)
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            raise ValueError(
                f'{self.path}: is cut off, or no uncompressed tar and no zip archive ({error}); copy it again, '
                'or give a folder, a .tar or a .zip'
            ) from None
        self._file = open(self.path, 'rb')  # noqa: SIM115 (lives as long as the tree, closed by close)

    @property
    def names(self) -> list[str]:
        """The names relative to the root, sorted."""
        return sorted(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def read(self, name: str) -> bytes:
        """The bytes of `name`. Raises KeyError for an unknown name, ValueError for a file that is cut off, or larger
        than FILE_LIMIT."""
        place = self._places[name]
        if isinstance(place, Path):
            self._check_size(name, place.stat().st_size)
            return place.read_bytes()
        if isinstance(place, zipfile.ZipInfo):
            return self._read_zipped(place)
        offset, size = place
        self._check_size(name, size)
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) < size:
            raise ValueError(
                f'{self.path}: {name} is cut off after {len(data)} of {size} bytes; copy the archive again'
            )
        return data

    def open(self, name: str):
        """A binary file of `name`, for one of which only the first bytes are wanted; raises as `read` does."""
        place = self._places[name]
        return open(place, 'rb') if isinstance(place, Path) else io.BytesIO(self.read(name))

    def _check_size(self, name: str, size: int):
        if size > FILE_LIMIT:
            raise ValueError(
                f'{self.path}: {name} has {size:,} bytes, expected at most {FILE_LIMIT:,}; it is no file of a'
                ' submission, take it out'
            )

    def _read_zipped(self, member: zipfile.ZipInfo) -> bytes:
        self._check_size(member.filename, member.file_size)
        try:
            with self._lock, open_member(self._file, member) as file:
                # with no number it would unpack all there is before it looks at the size
                return file.read(member.file_size)
        except Exception as error:  # as in _list_zip, and zlib's
            raise ValueError(
                f'{self.path}: {member.filename} cannot be unpacked ({error}); make the archive again'
            ) from None

    def close(self):
        if self._file is not None:
            self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo):
    """The member opened for reading: read(n) never unpacks more than n bytes, whatever the archive says. Raises what
    zipfile raises."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile bounds no other method
        raise NotImplementedError(f'it is packed with method {member.compress_type}, expected stored or deflated')
    return archive.open(member)


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
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2:
        found = 'damaged or no image in PNG form' if image is None else 'a colour image'
        raise ValueError(f'{tree.path}: {name} is {found}, expected one channel of grey values; write it again')
    return image


def _is_whole_png(data: bytes) -> bool:
    """Whether the chunks of a PNG are there to the last, with their check sums: OpenCV takes memory for any length that
    one says."""
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
    """Raise ValueError, with words before and after, for an image or map whose header says a `shape` of more than
    PIXEL_LIMIT pixels."""
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
