"""Checkpoints in the safetensors format: the weights, and what describes the network as JSON in the file's metadata.

Like every checkpoint they are read without running code. The package is needed for these files only.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from utils.cli.wording import listed
from utils.files.atomic import plain, write_bytes
from utils.files.limits import parse_json

SUFFIX = '.safetensors'


def _package(path):
    try:
        import safetensors.torch
    except ImportError:
        raise ValueError(
            f'{path}: reading and writing .safetensors files needs a package more: pip install -r requirements.txt'
        ) from None
    return safetensors


def write(path, state: Mapping):
    """Write a checkpoint atomically: `state_dict` as tensors, every other entry as metadata.

    Raises ValueError where another entry holds tensors, which metadata cannot.
    """
    package = _package(path)
    nested = [key for key, value in state.items() if key != 'state_dict' and _holds_tensor(value)]
    if nested:
        raise ValueError(
            f'{path}: .safetensors files hold weights and plain values, found tensors in {listed(nested)} too; leave'
            ' them out, or save the file as .pth'
        )
    tensors = {key: value.contiguous() for key, value in state['state_dict'].items()}
    metadata = {key: json.dumps(plain(value)) for key, value in state.items() if key != 'state_dict'}
    write_bytes(path, package.torch.save(tensors, metadata={'format': 'pt', **metadata}))


def _holds_tensor(value) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return isinstance(value, torch.Tensor) or any(map(_holds_tensor, inner))


def read(path) -> dict:
    """The content of a checkpoint: `state_dict` on the CPU, and the metadata that this module or anybody else wrote.

    Raises ValueError for a file that is damaged, cut off or something else.
    """
    package = _package(path)
    try:
        with package.safe_open(str(path), framework='pt', device='cpu') as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
    except OSError:
        raise
    except Exception as error:  # SafetensorError, or what torch says of a shape that cannot be
        raise ValueError(
            f'{path}: is damaged, cut off or no safetensors file ({" ".join(str(error).split())[:200]}); copy or'
            ' download it again'
        ) from None
    if not tensors:
        raise ValueError(f'{path}: holds no tensors, expected weights; give another file')
    return {**{key: _value(text) for key, text in metadata.items() if key != 'format'}, 'state_dict': tensors}


def _value(text: str):
    """JSON as this module writes it, else the text itself."""
    try:
        return parse_json(text)
    except ValueError:
        return text


def is_safetensors(path) -> bool:
    return Path(path).suffix == SUFFIX
