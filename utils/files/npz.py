"""Compressed .npz files written fast, to be read by `numpy.load` and every other zip reader.

`numpy.savez_compressed` searches the data for repeated strings. The low byte of a float16 logit is noise and has none,
so the search takes most of the time and gains little. Here deflate only entropy-codes the bytes: several times faster
on a logits file, within a few percent of its size. zlib-ng does that in two thirds of the time of zlib, which stands in
where the package is missing.
"""

import math
import struct
import zipfile
from io import BytesIO

import numpy as np

from utils.files.atomic import atomic_write
from utils.files.limits import check_bytes

try:
    from zlib_ng import zlib_ng as zlib
except ImportError:
    import zlib

CHUNK = 1 << 20  # bytes compressed at a time: one chunk fits a core's cache
PIECE = 1 << 16  # bytes of a file decompressed at a time
ZIP_LIMIT = (1 << 32) - (1 << 24)  # bytes a zip member may have without the 64-bit extension
_VERSION, _UTF8, _DEFLATED = 20, 0x800, 8
_DATE_1980 = 0x21  # 1980-01-01, so that equal arrays give equal files


def write_npz(path, arrays: dict, durable=True):
    """Write named arrays, whole or not at all; `np.load(path)[name]` returns each bit for bit."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with atomic_write(path, 'wb', durable) as file:
        if sum(array.nbytes for array in arrays.values()) > ZIP_LIMIT:
            np.savez_compressed(file, **arrays)
        else:
            directory = b''.join(_write_member(file, name, array) for name, array in arrays.items())
            start = file.tell()
            file.write(
                directory
                + b'PK\x05\x06'
                + struct.pack('<4H2IH', 0, 0, len(arrays), len(arrays), len(directory), start, 0)
            )


def read_npz(path, names) -> dict[str, np.ndarray]:
    """Those of the arrays `names` that an .npz file holds, as numpy.load reads them, Python objects refused.

    Raises OSError, or what zipfile, zlib and NumPy raise for a damaged file.
    """
    with zipfile.ZipFile(path) as archive, open(path, 'rb') as file:
        members = {name: archive.NameToInfo[f'{name}.npy'] for name in names if f'{name}.npy' in archive.NameToInfo}
        found = {}
        for name, member in members.items():
            if member.compress_type == zipfile.ZIP_DEFLATED:
                found[name] = _read_member(file, member)
                continue
            if member.compress_type != zipfile.ZIP_STORED:  # zipfile bounds no other method
                raise ValueError(f'{member.filename} is packed with method {member.compress_type}')
            with archive.open(member) as stored:
                found[name] = read_npy(stored)
        return found


def read_npy(file) -> np.ndarray:
    """The array of the .npy file that begins where `file` stands, which then stands behind it.

    Raises ValueError for Python objects, for a file that ends too early, and for more bytes than a file may have.
    """
    shape, fortran, dtype = read_npy_header(file)
    if dtype.hasobject:
        raise ValueError('Object arrays cannot be loaded when allow_pickle=False')
    size = math.prod(shape) * dtype.itemsize
    check_bytes(size, f'an array of shape {shape}')
    data = np.empty(size, np.uint8)
    view, end = memoryview(data), 0
    while end < size:
        count = file.readinto(view[end : end + CHUNK])
        if not count:
            raise EOFError(f'the file ends after {end:,} of the {size:,} bytes of its array')
        end += count
    array = data.view(dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _read_member(file, member) -> np.ndarray:
    """The array of a deflated member, decompressed piece by piece into its place."""
    check_bytes(member.file_size, member.filename)
    file.seek(member.header_offset)
    _, name_length, extra_length = struct.unpack('<26s2H', file.read(30))  # PKWARE APPNOTE 6.3.10, 4.3.7
    file.seek(name_length + extra_length, 1)
    data, inflate, crc, end, left = (
        np.empty(member.file_size, np.uint8),
        zlib.decompressobj(-zlib.MAX_WBITS),
        0,
        0,
        member.compress_size,
    )
    while left > 0 and not inflate.eof:
        piece = file.read(min(PIECE, left))
        if not piece:
            raise EOFError(f'{member.filename} ends too early')
        left -= len(piece)
        piece = inflate.decompress(piece)
        crc = zlib.crc32(piece, crc)
        if end + len(piece) > len(data):
            raise zipfile.BadZipFile(f'{member.filename} is longer than the {len(data)} bytes that the archive says')
        data[end : end + len(piece)] = np.frombuffer(piece, np.uint8)
        end += len(piece)
    if end != len(data) or crc != member.CRC:
        raise zipfile.BadZipFile(
            f'{member.filename} is damaged: {end} of {len(data)} bytes, check sum {crc:08x} where the archive says'
            f' {member.CRC:08x}'
        )
    return _as_array(data)


def _as_array(data: np.ndarray) -> np.ndarray:
    """The array that the bytes of an .npy file, uint8 (n,), hold; no copy."""
    header = BytesIO(data[: 1 << 16])
    shape, fortran, dtype = read_npy_header(header)
    if dtype.hasobject:
        raise ValueError('Object arrays cannot be loaded when allow_pickle=False')
    array = data[header.tell() :].view(dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def read_npy_header(file):
    """(shape, whether in Fortran order, dtype) of the .npy file that begins where `file` stands, which then stands at
    the values."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f'an .npy file of version {version}')
    return read(file)


def _npy_header(array) -> bytes:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return header.getvalue()


def _write_member(file, name: str, array) -> bytes:
    """Append an array as one deflated member; returns its entry in the directory (PKWARE APPNOTE 6.3.10, 4.3.7 and
    4.3.12)."""
    name, begin = f'{name}.npy'.encode(), file.tell()
    header, data = _npy_header(array), memoryview(array).cast('B') if array.size else b''
    file.seek(struct.calcsize('<4s5H3I2H') + len(name), 1)  # the sizes in front of the data are known after it
    crc, packed = _deflate(file, header, data)
    end = file.tell()
    common = struct.pack(
        '<5H3I2H', _VERSION, _UTF8, _DEFLATED, 0, _DATE_1980, crc, packed, len(header) + len(data), len(name), 0
    )
    file.seek(begin)
    file.write(b'PK\x03\x04' + common + name)
    file.seek(end)
    return b'PK\x01\x02' + struct.pack('<H', _VERSION) + common + struct.pack('<3H2I', 0, 0, 0, 0, begin) + name


def _deflate(file, header, data):
    """Append header and data to file as one raw deflate stream; returns its CRC-32 (of the input) and its size."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    crc, packed = zlib.crc32(header), file.write(deflate.compress(header))
    for begin in range(0, len(data), CHUNK):
        chunk = data[begin : begin + CHUNK]
        crc = zlib.crc32(chunk, crc)
        packed += file.write(deflate.compress(chunk))
    return crc, packed + file.write(deflate.flush())
