"""Stored logits: the file of an image (.npz as published, .npy, or .npy packed with zstd) and the manifest of a folder.

A file holds up to three arrays, in this order and under these keys: `logits` (C, h, w); with int8 `steps` float32 (2,
C), the offset and the scale of each class: logit = offset + scale * value; with a stride `size` (2,), the height and
width of the image. An .npy file is those arrays one after the other, so numpy.load of a plain one just works.

manifest.json says what a folder holds, so that it can be fused, checked and trusted without its makers: the model and
the hash of its weights, the dataset and its classes in order, the kind of the numbers, the scales and flips behind
them, how they are stored, and of every image the file, its bytes and SHA-256, and both sizes.
"""

import io
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from utils.classes import Classes
from utils.files.atomic import atomic_write, sha256, write_json
from utils.files.limits import parse_json
from utils.files.npz import read_npy, read_npz, write_npz
from utils.files.zstd import zstandard

FORMATS = {'npz': '_logits.npz', 'npy': '_logits.npy', 'zst': '_logits.npy.zst'}
DTYPES = ('float16', 'int8')
STRIDES = (1, 2, 4)
ZSTD_LEVEL = 1
_NAMES = ('logits', 'steps', 'size')
MANIFEST, FORMAT = 'manifest.json', 1


class Storage(NamedTuple):
    """How logits are stored: a key of FORMATS, one of DTYPES, one of STRIDES."""

    format: str = 'npz'
    dtype: str = 'float16'
    stride: int = 1

    @property
    def suffix(self) -> str:
        return FORMATS[self.format]


class Logits(NamedTuple):
    """values (C, h, w) float16 or float32 at the stored stride; size (H, W) of the image."""

    values: Tensor
    size: tuple[int, int]

    def full(self) -> Tensor:
        """The logits (C, H, W): values, bilinearly enlarged if they were stored at a stride."""
        if tuple(self.values.shape[1:]) == self.size:
            return self.values
        return F.interpolate(self.values.float()[None], self.size, mode='bilinear', align_corners=False)[0]


def reduce(logits: Tensor, stride: int) -> Tensor:
    """logits (C, H, W) averaged over stride x stride pixels -> (C, ceil(H / stride), ceil(W / stride))."""
    return logits if stride == 1 else F.avg_pool2d(logits[None], stride, ceil_mode=True, count_include_pad=False)[0]


def quantise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int8 (C, h, w), steps float32 (2, C)) of values (C, h, w): each class between its own extremes in 255 steps."""
    values = torch.from_numpy(values).float()
    low, high = values.amin((1, 2)), values.amax((1, 2))
    offset, scale = (high + low) / 2, ((high - low) / 254).clamp_min(1e-12)
    whole = values.sub_(offset[:, None, None]).div_(scale[:, None, None]).round_().to(torch.int8)
    return whole.numpy(), torch.stack([offset, scale]).numpy()


def write_logits(path, values: np.ndarray, size: tuple[int, int], storage: Storage):
    """Write float16 values (C, h, w) of an image of `size`; whole or not at all."""
    arrays = {'logits': values}
    if storage.dtype == 'int8':
        arrays['logits'], arrays['steps'] = quantise(values)
    if tuple(values.shape[1:]) != tuple(size):
        arrays['size'] = np.array(size, np.int64)
    if storage.format == 'npz':
        write_npz(path, arrays)
        return
    with atomic_write(path) as file:
        if storage.format == 'npy':
            _save(file, arrays)
        else:
            with (
                zstandard()
                .ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
                .stream_writer(file, closefd=False) as packed
            ):
                _save(packed, arrays)


def _save(file, arrays):
    """The arrays in the order of _NAMES; `steps` stands as an empty array before `size` when there are none."""
    if 'size' in arrays:
        arrays = {'steps': np.empty((2, 0), np.float32), **arrays}
    for name in _NAMES:
        if name in arrays:
            np.lib.format.write_array(file, np.ascontiguousarray(arrays[name]), allow_pickle=False)


def read_logits(path) -> Logits:
    """The content of a logits file. Raises FileNotFoundError, or ValueError naming a file that is damaged or holds
    none."""
    path = Path(path)
    try:
        arrays = _load(path)
        values, steps = torch.from_numpy(arrays['logits']), arrays.get('steps')
        if values.dim() != 3 or not values.numel():
            raise ValueError(f'an array of shape {tuple(values.shape)}, expected (classes, height, width)')
        size = _image_size(arrays['size'], values.shape[1:]) if 'size' in arrays else tuple(values.shape[1:])
        if values.dtype == torch.int8 and (steps is None or steps.shape != (2, len(values))):
            raise ValueError('int8 values without an offset and a scale for each class')
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such logits file; dump it again, or take it out of the manifest') from None
    except Exception as error:  # zip, zlib, zstd and NumPy each have their own for a damaged file
        if isinstance(error, ValueError) and 'requirements' in str(error):
            raise
        why = (
            'no NumPy file, or one of Python objects'
            if re.search('allow_pickle|magic string', str(error))
            else f'{type(error).__name__}: {error}'
        )
        raise ValueError(f'{path}: holds no logits that can be read ({why}); write it again') from None
    if values.dtype == torch.int8:
        offset, scale = torch.from_numpy(steps)[:, :, None, None]
        values = values.float().mul_(scale).add_(offset)
    elif not values.is_floating_point():
        raise ValueError(f'{path}: holds {values.dtype}, expected float16 or float32 logits; write it again')
    return Logits(values, size)


def _image_size(size: np.ndarray, stored) -> tuple[int, int]:
    """The (H, W) that a file says; ValueError unless one of STRIDES makes the `stored` (h, w) of it."""
    whole, size, stored = size.dtype.kind in 'iu', tuple(size.tolist()), tuple(stored)
    if (
        not whole
        or len(size) != 2
        or not any(tuple(-(-side // stride) for side in size) == stored for stride in STRIDES)
    ):
        raise ValueError(f'values of {stored} for an image of size {size}, expected a stride of {STRIDES}')
    return size


def _load(path: Path) -> dict[str, np.ndarray]:
    if path.name.endswith('.npz'):
        return read_npz(path, _NAMES)
    with open(path, 'rb') as file:
        if path.name.endswith('.zst'):
            file = io.BufferedReader(_Unpacked(zstandard().ZstdDecompressor().stream_reader(file)))
        arrays = {}
        for name in _NAMES:
            if file.peek(1):
                arrays[name] = read_npy(file)
    if 'steps' in arrays and not arrays['steps'].size:
        del arrays['steps']
    return arrays


class _Unpacked(io.RawIOBase):
    """What a zstd frame unpacks to, piece by piece as NumPy asks for the bytes of an array; the frame may hold any
    number more."""

    def __init__(self, reader):
        self._reader = reader

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._reader.readinto(buffer)


def describe(path: Path, size, shape) -> dict:
    """The entry of a file that was just written: an image of `size` (H, W), an array of `shape` (C, h, w)."""
    return {'bytes': path.stat().st_size, 'sha256': sha256(path), 'size': list(size), 'shape': list(shape)}


def describe_file(path: Path) -> dict:
    """The same for a file whose content is not known; ValueError when it is damaged."""
    logits = read_logits(path)
    return describe(path, logits.size, tuple(logits.values.shape))


def read_manifest(folder) -> dict | None:
    """The manifest in `folder`, None without one; ValueError naming a file that is no manifest."""
    path = Path(folder) / MANIFEST
    try:
        content = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise ValueError(f'{path}: is no JSON ({error}); remove it, or dump the logits again') from None
    if not isinstance(content, dict) or content.get('format') != FORMAT or not isinstance(content.get('images'), dict):
        raise ValueError(f'{path}: is no manifest of logits in format {FORMAT}; remove it, or dump the logits again')
    for key, (is_right, form) in _FIELDS.items():
        if content.get(key) is not None and not is_right(content[key]):
            raise ValueError(
                f'{path}: its {key} is {content[key]!r:.60}, expected {form}; correct it, or dump the logits again'
            )
    owner = {}
    for name, entry in content['images'].items():
        if not _is_entry(entry):
            raise ValueError(
                f'{path}: its entry of {name!r} names no file below the folder with its bytes, sha256, size and shape;'
                ' dump the logits again'
            )
        other = owner.setdefault(_stem(entry['file']), name)
        if other != name:
            raise ValueError(
                f'{path}: {other!r} and {name!r} have the same logits, {_stem(entry["file"])} (folders count, endings'
                ' do not); rename one of the images and dump the logits again'
            )
    return content


def _is_entry(entry) -> bool:
    file = PurePosixPath(str(entry.get('file', '/'))) if isinstance(entry, dict) else PurePosixPath('/')
    below = file.name.endswith(tuple(FORMATS.values())) and not file.is_absolute() and '..' not in file.parts
    return (
        below
        and _is_count(entry.get('bytes'))
        and _is_text(entry.get('sha256'))
        and _are_counts(entry.get('size'), 2)
        and _are_counts(entry.get('shape'), 3)
    )


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_counts(values, length: int) -> bool:
    return isinstance(values, list) and len(values) == length and all(map(_is_count, values))


def _is_text(value) -> bool:
    return isinstance(value, str)


def _are_names(values) -> bool:
    return isinstance(values, list) and all(map(_is_text, values))


def _stem(file: str) -> str:
    """The path of an image without what logits end in, which readers know it by."""
    return next(file.removesuffix(suffix) for suffix in FORMATS.values() if file.endswith(suffix))


# An entry of the manifest about all its images -> (check of the value, what it should be). All may be absent.
_FIELDS = {
    'class_names': (_are_names, 'a list of names'),
    'num_classes': (_is_count, 'a whole number'),
    **dict.fromkeys(('kind', 'model', 'weights_sha256', 'dataset', 'grid'), (_is_text, 'text')),
}


def read_entries(folder) -> dict:
    """name -> entry of the manifest in `folder`, empty without one."""
    return (read_manifest(folder) or {'images': {}})['images']


def write_manifest(folder, entries: dict, files: dict, classes: Classes, about: dict) -> Path:
    """Write the manifest of the images `files` as far as they have an entry; returns its path.

    Args:
        entries: name -> describe() of its file.
        files: name -> path of the file below `folder`, in the order of the dataset.
        classes: the channels of the logits.
        about: what the logits were made with; model, weights_sha256, dataset, storage and the like.
    """
    images = {name: {'file': path, **entries[name]} for name, path in files.items() if entries.get(name)}
    content = {
        'format': FORMAT,
        'kind': 'logits',
        **about,
        'class_names': list(classes.names),
        'num_classes': len(classes),
        'classes': classes.as_dict(),
        'images': images,
    }
    write_json(Path(folder) / MANIFEST, content)
    return Path(folder) / MANIFEST
