"""Files by name in a folder, a .tar or a .zip, read one at a time and by several threads.

Nothing is unpacked and no name is ever used as a path to write to, so a hostile archive has nothing to attack.
"""
import os
import tarfile
import zipfile
import zlib
from pathlib import Path
from threading import Lock

import cv2
import numpy as np


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
        self._file = zipfile.ZipFile(self.path)
        for member in self._file.infolist():
            if not member.is_dir():
                if member.filename in self._places:
                    self.duplicates.append(member.filename)
                self._places[member.filename] = member

    def _list_archive(self):
        try:
            with tarfile.open(self.path, 'r:') as archive:
                for member in archive:
                    if not member.isfile():
                        continue
                    name = member.name.removeprefix('./')
                    if name in self._places:
                        self.duplicates.append(name)
                    self._places[name] = (member.offset_data, member.size)
        except tarfile.ReadError as error:
            raise ValueError(f'{self.path}: is cut off, or no uncompressed tar and no zip archive ({error}); copy it again, '
                             'or give a folder, a .tar or a .zip') from None
        self._file = open(self.path, 'rb')          # noqa: SIM115 (lives as long as the tree, closed by close)

    @property
    def names(self) -> list[str]:
        """The names relative to the root, sorted."""
        return sorted(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def read(self, name: str) -> bytes:
        """The bytes of `name`. Raises KeyError for an unknown name, ValueError for a file that is cut off."""
        place = self._places[name]
        if isinstance(place, Path):
            return place.read_bytes()
        if isinstance(place, zipfile.ZipInfo):
            return self._read_zipped(place)
        offset, size = place
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) < size:
            raise ValueError(f'{self.path}: {name} is cut off after {len(data)} of {size} bytes; copy the archive again')
        return data

    def _read_zipped(self, member: zipfile.ZipInfo) -> bytes:
        try:
            with self._lock:
                return self._file.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f'{self.path}: {member.filename} cannot be unpacked ({error}); make the archive again') from None

    def close(self):
        if self._file is not None:
            self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_gray(tree: Tree, name: str) -> np.ndarray:
    """The values (H, W) of a one-channel image as they are stored, 8 or 16 bits; ValueError naming the file otherwise."""
    try:
        image = cv2.imdecode(np.frombuffer(tree.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:                               # an empty file, or sizes that no image has
        image = None
    if image is None or image.ndim != 2:
        raise ValueError(f'{tree.path}: {name} is {"damaged or no image" if image is None else "a colour image"}, expected one channel of grey values; '
                         'write it again')
    return image


def image_size(image: np.ndarray) -> str:
    """'2048x1024 (width x height)', for messages."""
    return f'{image.shape[1]}x{image.shape[0]} (width x height)'

