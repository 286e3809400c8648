"""Files of torch.save: tensors and plain Python values, written whole or not at all, read without running code."""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from utils.files.atomic import atomic_write
from utils.files.checkpoint_faults import first_line, is_of_disk, why_refused
from utils.files.stand_ins import read_weights


def write(path, state: Mapping):
    """Write `state`, whose values weights_only accepts, to `path` atomically; OSError where the disk is full."""
    with atomic_write(path, needed=_bytes_of(state)) as file:
        recorder = _WriteRecorder(file)
        try:
            torch.save(state, cast(Any, recorder))
        except RuntimeError:  # torch's zip writer hides the OSError of a full disk
            if recorder.error is not None:
                raise recorder.error from None
            raise


def _bytes_of(value) -> int:
    """The bytes of the tensors in nested mappings and sequences."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return 0
    return sum(map(_bytes_of, value))


class _WriteRecorder:
    """A file that remembers the error its last write met."""

    def __init__(self, file):
        self.file, self.error = file, None

    def write(self, data):
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self):
        self.file.flush()


def loadable(value):
    """`value` in types that a weights-only load accepts."""
    if (
        value is None
        or isinstance(value, (torch.Tensor, bool, int, float, str, bytes))
        and not isinstance(value, np.generic)
    ):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: loadable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [loadable(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    raise AssertionError(
        f'a {type(value).__module__}.{type(value).__name__} cannot be stored in a checkpoint: a weights-only load would'
        ' refuse the file'
    )


def read(path: Path):
    """What the file holds, on the CPU, with StandIn objects for what is not plain data.

    Raises ValueError for a file that holds code, is cut off or damaged, or is a TorchScript program.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Detected pickle protocol')  # the error below says it
            return read_weights(path)
    except pickle.UnpicklingError as error:
        raise ValueError(f'{path}: {why_refused(path, str(error))}') from None
    except Exception as error:  # what torch raises for a damaged file depends on where the damage is
        if is_of_disk(error):
            raise
        if 'TorchScript' in str(error):
            raise ValueError(
                f'{path}: is an exported TorchScript program, expected a checkpoint with weights; name the file it was'
                ' exported from'
            ) from None
        raise ValueError(
            f'{path}: is damaged or cut off ({first_line(error)}); copy or download it again, or name an earlier'
            ' checkpoint'
        ) from None
