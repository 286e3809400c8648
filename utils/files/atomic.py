"""Files that are written whole or not at all.

Every result goes to a hidden temporary name in the folder of its destination and is renamed when it is complete, so a
killed program, a full disk or a crash leaves either the old file or the new one, never half of one.
"""

import errno
import glob
import hashlib
import json
import math
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

_REASONS = {
    errno.ENOSPC: 'the disk is full',
    errno.EDQUOT: 'the disk quota is used up',
    errno.EFBIG: 'the file is larger than this process or file system may write',
    errno.EACCES: 'permission is denied',
    errno.EPERM: 'permission is denied',
    errno.EROFS: 'the file system is read-only',
    errno.EISDIR: 'it is a folder',
    errno.ENOTDIR: 'a part of the path is a file, not a folder',
    errno.EEXIST: 'a part of the path is a file, not a folder',
    errno.ENAMETOOLONG: 'the name is too long',
    errno.EIO: 'the device reports an input/output error',
}
_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None)


class WriteError(OSError):
    """A file could not be written; the message names it, the reason, the space left and the remedy."""


def write_error(path, error: OSError, needed: int | None = None) -> WriteError:
    """`error`, met while writing `path`, as one sentence for the person at the terminal; keeps its errno.

    needed: the bytes of the file, as far as they are known.
    """
    reason = _REASONS.get(error.errno, error.strerror or str(error) or type(error).__name__)
    if error.errno is None:  # NumPy writes arrays past Python and only reports how many items went through
        reason = f'the disk took only part of it ({reason})'
    if error.errno in _SPACE:
        free = _free_bytes(Path(path).parent)
        reason += f' ({free:,} bytes free{f", {needed:,} needed" if needed else ""})'
        remedy = 'free some space or write to another folder'
    else:
        remedy = 'name a folder that can be written'
    told = WriteError(f'{path}: cannot be written, {reason}; {remedy}')
    told.errno = error.errno
    return told


def _free_bytes(folder: Path) -> int:
    for existing in (folder, *folder.parents):
        with suppress(OSError):
            return shutil.disk_usage(existing).free
    return 0


@contextmanager
def atomic_write(path, mode='wb', durable=True, needed=None):
    """Open a temporary file beside `path`; when the block ends without an error it becomes `path`, else it is removed.

    mode 'wb' or 'w' (UTF-8). Folders on the way are made. durable=False leaves the flush to the disk to the operating
    system: for thousands of results that can be computed again. needed: the bytes to come, where they are known, for
    the message about a full disk. Raises WriteError, naming `path` and the remedy.
    """
    path = Path(path)
    temporary = path.parent / f'.{path.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}.tmp'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with open(temporary, mode.replace('w', 'x'), encoding=None if 'b' in mode else 'utf-8') as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        _discard(temporary)
        if isinstance(error, WriteError) or _is_of_another_file(error, path, temporary):
            raise
        raise write_error(path, error, needed) from error
    except BaseException:
        _discard(temporary)
        raise


def _is_of_another_file(error: OSError, path: Path, temporary: Path) -> bool:
    """True for an error of the block's own, such as an input that is missing; write errors carry no name or ours."""
    if error.filename is None:
        return False
    return str(error.filename) not in {str(path), str(temporary), *map(str, path.parents)}


def _discard(temporary: Path):
    with suppress(OSError):
        temporary.unlink()


def sync_folder(folder):
    """Make a rename in `folder` survive a power cut, where the file system can promise that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_temporaries(folder, prefix='', suffix='', alone=False):
    """Remove what killed writers of files or folders `prefix...` left in `folder`; returns the removed names, sorted.

    suffix: what stands behind .tmp, for writers that go by the ending of a name.

    The name of a temporary file holds the process that writes it; files of processes that live are left alone, unless
    the caller is `alone`: nobody else may write there, and the number is another process's now, as in a container.
    """
    removed = []
    for leftover in sorted(Path(folder).glob(f'.{prefix}*.tmp{suffix}')):
        if alone or not _is_being_written(leftover.name.removesuffix(suffix)):
            with suppress(OSError):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
                removed.append(leftover.name)
    return removed


def _is_being_written(temporary: str) -> bool:
    process = temporary.split('.')[-3]
    if not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it lives and is somebody else's
        return True
    return True


def write_text(path, text: str, durable=True):
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_write(path, 'w', durable, len(text.encode(errors='replace'))) as file:
        file.write(text)


def write_json(path, value, durable=True):
    """Write `value` as indented JSON, after `plain`. What killed writers of this file left is removed, if durable: a
    record has a writer at a time, results of images are too many to look for them."""
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False) + '\n', durable)
    if durable:
        remove_temporaries(Path(path).parent, glob.escape(f'{Path(path).name[:40]}.'))


def plain(value):
    """`value` in JSON's own types: NumPy numbers and arrays, tuples and sets unpacked, nan and inf None, the rest
    str()."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def write_npy(path, array: np.ndarray, durable=True):
    """Write `array` in NumPy's own format, without pickled objects."""
    with atomic_write(path, 'wb', durable, array.nbytes + 128) as file:
        np.save(file, array, allow_pickle=False)


def write_bytes(path, data, durable=True):
    """Write bytes-like `data`, for example what `cv2.imencode` returns."""
    with atomic_write(path, 'wb', durable, memoryview(data).nbytes) as file:
        file.write(data)


def sha256(path) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def remove_stale_temporaries(result_dir):
    """Remove what killed writers left in result_dir and the folders below it; returns the number of files."""
    folders = [Path(result_dir)] + [
        folder
        for entry in Path(result_dir).glob('*')
        if entry.is_dir()
        for folder in (entry, *entry.rglob('*'))
        if folder.is_dir()
    ]
    return sum(len(remove_temporaries(folder)) for folder in folders)
