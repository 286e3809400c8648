"""Binary files of the BRAVO benchmark: sampled pixel indices, and an encoded prediction.

samples   one zstd frame of: u24 count, u24 first index, then per further index its distance to the one before: one
          byte 1..255, or a zero byte and u24. Indices are row-major and strictly increasing.
encoded   header <4sIIIIII "BV23" version rows columns samples class_bytes confidence_bytes, one zstd frame of
          class ids uint8 (rows, columns) and confidence levels u16 at the samples, CRC-32 of all that.

Everything is little-endian. A reader trusts nothing: sizes are compared before memory is taken, and every fault is a
ValueError of one sentence.
"""

import struct
import zlib
from typing import NamedTuple

import numpy as np

from aggregation.benchmarks.trees import shape_name
from utils.files.zstd import zstandard

MAGIC, VERSION = b'BV23', 2
HEADER = struct.Struct('<4sIIIIII')
ZSTD_LEVEL = 9
INDEX_LIMIT = 1 << 24
SAMPLES_PER_IMAGE = 100_000


class Encoded(NamedTuple):
    """classes uint8 (H, W) trainIds; levels uint16 (n,) at the sampled pixels in ascending order."""

    classes: np.ndarray
    levels: np.ndarray


def draw_samples(truth: np.ndarray, ignore: int = 255, count: int = SAMPLES_PER_IMAGE) -> np.ndarray:
    """The pixels whose confidences count: all that are not void, or `count` of them drawn as the benchmark draws.

    truth (H, W). Returns int64 row-major indices, ascending.
    """
    labelled = np.flatnonzero(truth.ravel() != ignore)
    if len(labelled) <= count:
        return labelled
    # the legacy generator, seeded anew for every image: this is what the published sampling file was made with
    return np.sort(labelled[np.random.RandomState(1).permutation(len(labelled))[:count]])


def encode_samples(indices: np.ndarray) -> bytes:
    """The samples file of row-major `indices`, at least one, ascending, below 2 ** 24; ValueError for others."""
    indices = np.asarray(indices, np.int64)
    if not len(indices) or indices[0] < 0 or indices[-1] >= INDEX_LIMIT or (np.diff(indices) <= 0).any():
        raise ValueError(
            f'{len(indices)} sample indices cannot be encoded; expected at least one, strictly ascending from 0 to'
            f' {INDEX_LIMIT - 1}'
        )
    steps = np.diff(indices)
    far = steps > 255
    ends = np.cumsum(np.where(far, 4, 1))
    content = np.zeros(ends[-1] if len(ends) else 0, np.uint8)
    content[ends[~far] - 1] = steps[~far]
    for byte in range(3):
        content[ends[far] - 3 + byte] = (steps[far] >> 8 * byte) & 255
    head = len(indices).to_bytes(3, 'little') + int(indices[0]).to_bytes(3, 'little')
    return zstandard().ZstdCompressor(level=ZSTD_LEVEL).compress(head + content.tobytes())


def decode_samples(data: bytes, name: str = 'samples') -> np.ndarray:
    """The indices int64 (n,) of a samples file; ValueError naming `name` when it is damaged."""
    content = _decompress(data, 6 + INDEX_LIMIT, name)  # a step of 4 bytes is longer than 255 pixels
    if len(content) < 6:
        raise ValueError(
            f'{name}: holds {len(content)} bytes, expected a count and a first index; get the sampling archive again'
        )
    count = int.from_bytes(content[:3], 'little')
    steps = _steps(content[6:], name)
    if count != len(steps) + 1 or (steps <= 0).any():
        raise ValueError(
            f'{name}: announces {count} indices and holds {len(steps) + 1}, or one that does not ascend; get the'
            ' sampling archive again'
        )
    return np.cumsum(np.concatenate([[int.from_bytes(content[3:6], 'little')], steps]))


def _steps(content: bytes, name: str) -> np.ndarray:
    """Distances between indices. The runs between two escapes, which are most of the bytes, are taken as they are."""
    parts, at, reached = [], 0, 0
    while at < len(content):
        escape = content.find(b'\0', at)
        run = content[at : escape if escape >= 0 else len(content)]
        parts.append(np.frombuffer(run, np.uint8).astype(np.int64))
        if escape < 0:
            break
        far = content[escape + 1 : escape + 4]
        if len(far) < 3:
            raise ValueError(f'{name}: ends within an index; get the sampling archive again')
        parts.append(np.array([int.from_bytes(far, 'little')], np.int64))
        reached += int(parts[-1][0]) + len(run)
        if parts[-1][0] < 256 or reached >= INDEX_LIMIT:  # so a file of nothing but escapes ends soon
            raise ValueError(
                f'{name}: holds a distance of {parts[-1][0]} in four bytes, expected 256 to {INDEX_LIMIT - 1} in all; '
                'get the sampling archive again'
            )
        at = escape + 4
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def encode_prediction(classes: np.ndarray, levels: np.ndarray) -> bytes:
    """The encoded file of a prediction.

    classes: trainIds uint8 (H, W). levels: of confidence, uint16 (n,) at the sampled pixels or (H, W) of all.
    """
    assert classes.dtype == np.uint8 and classes.ndim == 2 and levels.dtype == np.uint16
    body = classes.tobytes() + levels.astype('<u2').tobytes()
    samples = len(levels) if levels.ndim == 1 else 0
    header = HEADER.pack(MAGIC, VERSION, *classes.shape, samples, classes.size, 2 * levels.size)
    data = header + zstandard().ZstdCompressor(level=ZSTD_LEVEL).compress(body)
    return data + zlib.crc32(data).to_bytes(4, 'little')


def decode_prediction(data: bytes, name: str = 'encoded', shape: tuple[int, int] | None = None) -> Encoded:
    """What an encoded file holds; ValueError naming `name` when it is cut off, damaged or contradicts itself.

    shape (H, W): that of the image where the caller knows it, so that another one is refused before memory is taken.
    """
    if len(data) < HEADER.size + 4 or data[:4] != MAGIC:
        raise ValueError(
            f'{name}: is no encoded prediction (it starts with {bytes(data[:4])!r}, expected {MAGIC!r}); encode the'
            ' submission again'
        )
    _, version, rows, columns, samples, class_bytes, level_bytes = HEADER.unpack_from(data)
    if version != VERSION:
        raise ValueError(f'{name}: has version {version}, expected {VERSION}; encode the submission again')
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], 'little'):
        raise ValueError(
            f'{name}: its check sum is wrong, the file is damaged or cut off; copy it again or encode the submission'
            ' again'
        )
    every_pixel = samples == 0 and level_bytes == 2 * class_bytes
    if class_bytes != rows * columns or level_bytes != 2 * samples and not every_pixel:
        raise ValueError(
            f'{name}: announces {rows}x{columns} pixels and {samples} samples but {class_bytes} and {level_bytes} bytes'
            ' for them; encode the submission again'
        )
    if class_bytes > INDEX_LIMIT:
        raise ValueError(
            f'{name}: announces {rows}x{columns} pixels, expected at most {INDEX_LIMIT}, which is what samples can'
            ' name; the file is damaged'
        )
    if samples > class_bytes:
        raise ValueError(
            f'{name}: announces {samples} samples of {rows}x{columns} pixels, expected at most one of each; the file is'
            ' damaged'
        )
    if shape is not None and (rows, columns) != tuple(shape):
        raise ValueError(
            f'{name}: is {shape_name((rows, columns))} pixels, its ground truth {shape_name(shape)}; predict at the'
            ' size of the images'
        )
    body = _decompress(data[HEADER.size : -4], class_bytes + level_bytes, name)
    if len(body) != class_bytes + level_bytes:
        raise ValueError(
            f'{name}: holds {len(body)} bytes, expected {class_bytes + level_bytes}; encode the submission again'
        )
    classes = np.frombuffer(body, np.uint8, class_bytes).reshape(rows, columns)
    return Encoded(classes, np.frombuffer(body, '<u2', offset=class_bytes))


def _decompress(frame: bytes, limit: int, name: str) -> bytes:
    """The content of exactly one zstd frame that says its size, at most `limit` bytes."""
    package = zstandard()
    try:
        size = package.frame_content_size(frame)
        if size < 0:
            raise ValueError(
                f'{name}: its zstd frame does not say how large the content is; encode it with the content size'
            )
        if size > limit:
            raise ValueError(
                f'{name}: its content would take {size} bytes, expected at most {limit}; the file is damaged'
            )
        # one call: it fills a buffer of the size that the frame says, however much the frame would unpack to
        content = package.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except package.ZstdError as error:
        raise ValueError(
            f'{name}: is damaged, cut off or more than one zstd frame ({error}); copy it again or encode it again'
        ) from None
    if len(content) != size:
        raise ValueError(
            f'{name}: holds {len(content)} bytes where its zstd frame says {size}; copy it again or encode it again'
        )
    return content
