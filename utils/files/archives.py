"""Archives (.zip, .tar) read in place: nothing is unpacked, and an archive stands for the folder of its name.

`locate` gives a Path for what lies on the disk and an ArchivePath for what lies in an archive; callers take either. The
members of an archive are listed once, and the list goes along to worker processes. Members are read by position
(pread), so threads and forked processes share one open file.

An archive is trusted in nothing. Names are never used as paths to write to, and memory is taken only for what the file
holds: a member ends inside the archive, and is never unpacked to more bytes than its entry says.
"""

import os
import posixpath
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from utils.files.limits import check_bytes

ENDINGS = ('.zip', '.tar')
SEALED_ENDINGS = ('.tar.gz', '.tgz', '.tar.bz2', '.tbz2', '.tar.xz', '.txz', '.tar.zst', '.gz', '.7z', '.rar')
LOCAL_HEADER_BYTES = 30  # of a zip member, before its name
DEFLATE_SLACK = 1024  # bytes of code tables that may stand before the first unpacked byte


class Member(NamedTuple):
    """A file in an archive.

    start: of its zip header, or of its bytes in a tar; packed, size: bytes there and unpacked; deflated: how a zip
    holds it; stamp: its time and, in a zip, its checksum.
    """

    start: int
    packed: int
    size: int
    deflated: bool
    stamp: tuple


class Archive:
    """The members of one zip or uncompressed tar by name, and their bytes.

    Raises ValueError, naming the file and the remedy, for one that is damaged, encrypted or compressed as a whole, or
    that holds links that lead nowhere, or names that lead out of it or stand twice.
    """

    def __init__(self, file: Path):
        self.file = file
        self.is_zip = _is_zip(file)
        status = file.stat()
        self.state = status.st_size, status.st_mtime_ns
        self.files, self.folders = {}, {PurePosixPath(): set()}  # name -> Member; name -> names in it
        for name, member in _zip_members(file) if self.is_zip else _tar_members(file, status.st_size):
            self._add(name, member)
        self.descriptor = os.open(file, os.O_RDONLY)

    def _add(self, name, member):
        path = PurePosixPath(name.replace('\\', '/'))
        if path.is_absolute() or '..' in path.parts or PureWindowsPath(name).drive:
            raise ValueError(
                f'{self.file}: holds the name {name!r}, which leads out of the archive; pack it anew with relative'
                ' names'
            )
        if path.parts[:1] in ((), ('__MACOSX',)):  # the top itself; what macOS adds to its zip files
            return
        if path in self.files or member is not None and path in self.folders:
            raise ValueError(
                f'{self.file}: holds {str(path)!r} twice, and which of them is meant is not known; pack it anew'
            )
        if member is not None:
            self.files[path] = member
        else:
            self.folders.setdefault(path, set())
        while path.parts and path.name not in self.folders.setdefault(path.parent, set()):
            self.folders[path.parent].add(path.name)
            path = path.parent
            if path in self.files:
                raise ValueError(f'{self.file}: holds {str(path)!r} as a file and as a folder; pack it anew')

    def __getstate__(self):
        """Without what belongs to this process; the list of members goes along."""
        return {key: value for key, value in self.__dict__.items() if key != 'descriptor'}

    def __setstate__(self, state):
        self.__dict__.update(state)
        status = os.stat(self.file)
        if (status.st_size, status.st_mtime_ns) != self.state:
            raise ValueError(f'{self.file}: changed while the program ran; start it again')
        self.descriptor = os.open(self.file, os.O_RDONLY)

    def __del__(self, close=os.close):
        if 'descriptor' in self.__dict__:  # not when the archive could not be used
            close(self.descriptor)

    @property
    def top(self) -> PurePosixPath:
        """The folder that stands for the archive: the only one at the top when it has the archive's name, else the
        top."""
        top = [PurePosixPath(name) for name in self.folders[PurePosixPath()] if not name.startswith('.')]
        folders = [path for path in top if path in self.folders]
        return (
            folders[0] if len(folders) == 1 and folders[0].name.lower() == self.file.stem.lower() else PurePosixPath()
        )

    def read(self, name: PurePosixPath, count=-1) -> bytes:
        """The bytes of a member, or its first `count`. Raises FileNotFoundError, or ValueError when they are
        damaged."""
        member = self.files.get(name)
        if member is None:
            raise FileNotFoundError(f'{self.file}: holds no {str(name)!r}')
        if count < 0:
            check_bytes(max(member.size, member.packed), f'{self.file / name}:')
        start = member.start + (self._zip_header(name, member) if self.is_zip else 0)
        wanted = member.packed if count < 0 else min(member.packed, count + DEFLATE_SLACK * member.deflated)
        # pread takes memory for whatever it is asked for
        if member.start < 0 or start + wanted > self.state[0]:
            raise self._damaged(name)
        data = os.pread(self.descriptor, wanted, start)
        if len(data) < wanted:
            raise self._damaged(name)
        if member.deflated:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1 if count < 0 else count)
            except zlib.error:
                raise self._damaged(name) from None
        if count < 0 and (len(data) != member.size or self.is_zip and zlib.crc32(data) != member.stamp[1]):
            raise self._damaged(name)
        return data

    def _zip_header(self, name, member) -> int:
        """Bytes before a member's own: its header, whose name and extra field may be longer than the list of members
        says."""
        header = os.pread(self.descriptor, LOCAL_HEADER_BYTES, min(max(member.start, 0), self.state[0]))
        if header[:4] != b'PK\x03\x04':
            raise self._damaged(name)
        return LOCAL_HEADER_BYTES + int.from_bytes(header[26:28], 'little') + int.from_bytes(header[28:30], 'little')

    def _damaged(self, name):
        return ValueError(f'{self.file / name}: is damaged in its archive; fetch or pack the archive anew')


class ArchivePath:
    """A file or folder in an archive, with those methods of a Path that listing and reading need.

    str() is the archive's path and the name in it; relative_to takes folders on the disk too, as if the archive were
    unpacked.
    """

    __slots__ = ('archive', 'inner')

    def __init__(self, archive: Archive, inner: PurePosixPath):
        self.archive, self.inner = archive, inner

    name = property(lambda self: self.inner.name or self.archive.file.stem)
    stem = property(lambda self: PurePosixPath(self.name).stem)
    suffix = property(lambda self: self.inner.suffix)
    parent = property(lambda self: ArchivePath(self.archive, self.inner.parent))
    size = property(lambda self: self.archive.files[self.inner].size)

    def __truediv__(self, name):
        return ArchivePath(self.archive, self.inner / name)

    def with_name(self, name: str):
        return ArchivePath(self.archive, self.inner.with_name(name))

    def with_suffix(self, suffix: str):
        return ArchivePath(self.archive, self.inner.with_suffix(suffix))

    def relative_to(self, folder):
        """The PurePosixPath from `folder` to here. Raises ValueError when this is not below it."""
        if isinstance(folder, ArchivePath) and folder.archive.file == self.archive.file:
            return self.inner.relative_to(folder.inner)
        top, inner = self.archive.top, self.inner
        unpacked = self.archive.file.with_suffix('') / (inner.relative_to(top) if inner.is_relative_to(top) else inner)
        return PurePosixPath(unpacked.relative_to(folder))

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        return self.inner in self.archive.files

    def is_dir(self) -> bool:
        return self.inner in self.archive.folders

    def iterdir(self):
        """What is in this folder, sorted by name. Raises NotADirectoryError when it is none."""
        if not self.is_dir():
            raise NotADirectoryError(f'{self}: is no folder of the archive')
        return iter([self / name for name in sorted(self.archive.folders[self.inner])])

    def walk(self) -> list:
        """Every file in and below this folder."""
        return [ArchivePath(self.archive, inner) for inner in self.archive.files if inner.is_relative_to(self.inner)]

    def read_bytes(self, count: int = -1) -> bytes:
        """All bytes, or the first `count`. Raises FileNotFoundError, or ValueError when they are damaged."""
        return self.archive.read(self.inner, count)

    def read_text(self, encoding='utf-8') -> str:
        return self.read_bytes().decode(encoding)

    def as_posix(self) -> str:
        return str(self)

    def __str__(self):
        return str(self.archive.file / self.inner)

    def __repr__(self):
        return f'ArchivePath({str(self)!r})'

    def _key(self):
        return self.archive.file, self.inner

    def __eq__(self, other):
        return isinstance(other, ArchivePath) and self._key() == other._key()

    def __lt__(self, other):
        return self._key() < other._key()

    def __hash__(self):
        return hash(self._key())


_opened = {}  # archive file -> Archive, as long as the file stays as it is


def _archive(file: Path) -> Archive:
    status = file.stat()
    known = _opened.get(file)
    if known is None or known.state != (status.st_size, status.st_mtime_ns):
        known = _opened[file] = Archive(file)
    return known


def locate(path):
    """Where `path` is: itself when it exists, else an ArchivePath in the .zip or .tar file that it names or that stands
    for a folder of it that is missing; itself again when there is none.

    `camvid.zip` stands for the folder `camvid`, whether or not everything in it is in one folder `camvid`.
    Raises ValueError for an archive that cannot be used.
    """
    if isinstance(path, ArchivePath) or path.is_dir():
        return path
    for part in (path, *path.parents):
        if part.is_dir():
            break
        if part.is_file() and part.name.lower().endswith(SEALED_ENDINGS):
            raise ValueError(
                f'{part}: is compressed as a whole, so no file in it can be read in place; unpack it, or pack it as'
                ' .zip or .tar'
            )
        for file in (part, *(part.with_name(part.name + ending) for ending in (*ENDINGS, *map(str.upper, ENDINGS)))):
            if file.name.lower().endswith(ENDINGS) and file.is_file():
                return _below(_archive(file), PurePosixPath(path.relative_to(part)))
    return alike(path) or path


def printed(name: str) -> str:
    """A name in one of the ways (NFC) in which Unicode spells what prints alike: macOS spells ü as u and two
    dots."""
    return name if name.isascii() else unicodedata.normalize('NFC', name)


def alike(path):
    """The file or folder that exists and whose path prints as `path` does, None when there is none."""
    if path.exists():
        return path
    if str(path).isascii():
        return None
    parent = alike(path.parent)
    if parent is None or not parent.is_dir():
        return None
    return next((entry for entry in parent.iterdir() if printed(entry.name) == printed(path.name)), None)


def _below(archive, rest):
    top = ArchivePath(archive, archive.top)
    return alike(top / rest) or alike(ArchivePath(archive, rest)) or top / rest


def on_disk(path) -> Path:
    """The file or folder on the disk that `path` is, or the archive that it is in."""
    return path.archive.file if isinstance(path, ArchivePath) else path


def fingerprint(path) -> tuple:
    """What changes when the file does: its size and time; in a zip its checksum too, in a tar, which has none and may
    have been packed with fixed times, the size and time of the archive."""
    if isinstance(path, ArchivePath):
        member = path.archive.files[path.inner]
        return (
            (member.size, *member.stamp) if path.archive.is_zip else (member.size, *member.stamp, *path.archive.state)
        )
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise gone(path) from None
    return status.st_size, status.st_mtime_ns


def gone(path) -> FileNotFoundError:
    """The error for a file of a dataset that stood there before."""
    return FileNotFoundError(f'{path}: the file does not exist any more; restore it or list the dataset anew')


def _is_zip(file: Path) -> bool:
    """By its first bytes, as temporary names have no ending; by its ending where they are of neither kind."""
    try:
        with open(file, 'rb') as opened:
            head = opened.read(512)
    except OSError as error:
        raise _unusable(file, error) from None
    return head[:2] == b'PK' or file.suffix.lower() == '.zip' and head[257:262] != b'ustar'


def _zip_members(file):
    """(name, Member; None for a folder) of every entry."""
    try:
        with zipfile.ZipFile(file) as opened:
            infos = opened.infolist()
    except Exception as error:  # zipfile has no error of its own for most of what a damaged directory can say
        raise _unusable(file, error) from None
    for info in infos:
        if not info.filename:  # for which zipfile has an IndexError
            raise ValueError(f'{file}: holds a member without a name; pack it anew')
        if info.is_dir():
            yield info.filename, None
            continue
        if info.flag_bits & 1:
            raise ValueError(f'{file}: {info.filename!r} in it is encrypted; unpack it with its password')
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile bounds no other method
            method = zipfile.compressor_names.get(info.compress_type, info.compress_type)
            raise ValueError(
                f'{file}: {info.filename!r} in it is compressed with {method}, only stored and deflated files are read;'
                ' unpack it, or pack it anew'
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ValueError(f'{file}: {info.filename!r} in it is a link; pack it anew with the files themselves')
        stamp = '-'.join(map(str, info.date_time)), info.CRC
        deflated = info.compress_type == zipfile.ZIP_DEFLATED
        yield info.filename, Member(info.header_offset, info.compress_size, info.file_size, deflated, stamp)


def _tar_members(file, file_size):
    """(name, Member; None for a folder) of every entry; a link is the file that it links to."""
    members, links = {}, {}
    try:
        with tarfile.open(file, 'r:') as opened:
            for info in opened:
                if info.isdir():
                    yield info.name, None
                elif info.islnk() or info.issym():
                    folder = '' if info.islnk() else posixpath.dirname(info.name)
                    links[info.name] = posixpath.join(folder, info.linkname)
                # of a negative size tarfile would go back and read the same header for ever
                elif info.issparse() or not info.isreg() or not 0 <= info.size <= file_size - info.offset_data:
                    raise tarfile.ReadError(f'{info.name!r} is cut off or no plain file')
                else:
                    member = Member(info.offset_data, info.size, info.size, False, (info.mtime,))
                    members[posixpath.normpath(info.name)] = member
                    yield info.name, member
    except (tarfile.TarError, OSError, EOFError, OverflowError) as error:
        raise _unusable(file, error) from None
    for name, target in links.items():
        member = members.get(posixpath.normpath(target))
        if member is None:
            raise ValueError(
                f'{file}: {name!r} in it is a link to {target!r}, which is no file of the archive; pack it anew with'
                ' the files themselves'
            )
        yield name, member


def _unusable(file, error):
    if isinstance(error, OSError) and error.strerror:
        return ValueError(f'{file}: cannot be read ({error.strerror}); mend its permissions or its disk')
    kind = file.suffix[1:] if file.suffix.lower() in ENDINGS else 'zip or uncompressed tar'
    return ValueError(f'{file}: is damaged or no {kind} archive ({error}); fetch or pack it anew')
