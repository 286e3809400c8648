"""Checkpoint files: written whole or not at all, and loaded without running code.

A file is a dict. `state_dict`: the weights, without the prefixes of wrappers. Beside it what the file says of its
network (network.description), and where there is a training to continue: optimizer, scheduler, scaler, ema, rng (per
rank), epoch, epoch_done, batch_in_epoch, global_step, score, best_score, best_epoch, args. All of it is tensors and
plain Python values, so that `torch.load(weights_only=True)` reads it.
"""

import io
import pickle
import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from utils.files import safetensors_file
from utils.files.atomic import atomic_write
from utils.files.safetensors_file import is_safetensors
from utils.restore import clean_key

PEEK = 1 << 24  # bytes of a refused pickle that are looked at for the name of its code
# How much larger than the file what it unpacks to may be: torch.save packs nothing, and weights hardly shrink.
MOST_UNPACKED, FILE_SLACK = 4, 1 << 20


def save(path, state: Mapping):
    """Write `state` to `path` atomically, as safetensors if it is so called.

    NumPy scalars become Python numbers; other foreign types are an AssertionError.
    """
    state = _plain(state)
    if is_safetensors(path):
        safetensors_file.write(path, state)
        return
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


def _plain(value):
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
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    raise AssertionError(
        f'a {type(value).__module__}.{type(value).__name__} cannot be stored in a checkpoint: a weights-only load would'
        ' refuse the file'
    )


class _OldDtype:
    """Stands in for numpy.dtype in files of earlier programs: keeps the type code and byte order, nothing else."""

    def __init__(self, code, *_):
        if isinstance(code, bytes):
            code = code.decode('ascii')
        if not re.fullmatch(r'[biuf][1248]', code):
            raise pickle.UnpicklingError(f'NumPy scalar of type {code!r} where a plain number was expected')
        self.code = code

    def __setstate__(self, state):
        order = state[1].decode('ascii') if isinstance(state[1], bytes) else state[1]
        self.code = order.replace('|', '=') + self.code


def _old_scalar(dtype: _OldDtype, data):
    """Stands in for NumPy's scalar constructor: a Python number from the bytes of a NumPy one."""
    return np.frombuffer(data if isinstance(data, bytes) else data.encode('latin1'), dtype=dtype.code, count=1)[
        0
    ].item()


# Files of earlier programs hold their score as a NumPy scalar. NumPy 1 and 2 name its constructor differently; neither
# is called.
_NUMPY_SCALARS: list = [
    (_OldDtype, 'numpy.dtype'),
    (_old_scalar, 'numpy.core.multiarray.scalar'),
    (_old_scalar, 'numpy._core.multiarray.scalar'),
]


def load(path) -> dict:
    """The content of a checkpoint, on the CPU, with an entry `state_dict`; code in the file is never run.

    Takes files of earlier programs (NumPy scalars, read as Python numbers), bare state dicts and safetensors files.
    Raises FileNotFoundError, or ValueError for a file that holds code, is cut off or damaged, or is no checkpoint.
    """
    path = Path(path)
    _check_looks_like_checkpoint(path)
    if is_safetensors(path):
        return _checked(path, safetensors_file.read(path))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Detected pickle protocol')  # the error below says it
            content = _load_plain(path)
    except pickle.UnpicklingError as error:
        raise ValueError(f'{path}: {_why_refused(path, str(error))}') from None
    except Exception as error:  # what torch raises for a damaged file depends on where the damage is
        if (
            isinstance(error, OSError) and error.filename is not None
        ):  # of the disk; others are seeks to where nothing is
            raise
        if 'TorchScript' in str(error):
            raise ValueError(
                f'{path}: is an exported TorchScript program, expected a checkpoint with weights; name the file it was'
                ' exported from'
            ) from None
        raise ValueError(
            f'{path}: is damaged or cut off ({_first_line(error)}); copy or download it again, or name an earlier'
            ' checkpoint'
        ) from None
    return _checked(path, _with_state_dict(path, content))


def _load_plain(path):
    """What torch.load reads of weights and plain values; objects of other programs beside them become stand-ins."""
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
        if not zipfile.is_zipfile(path):
            raise
        names = set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) - {name for _, name in _NUMPY_SCALARS}
        if not names or any(name.split('.')[0] in _NO_DATA for name in names):
            raise
    inert: list = [(type('StandIn', (StandIn,), {}), name) for name in sorted(names)]
    with torch.serialization.safe_globals([*_NUMPY_SCALARS, *inert]):
        content = torch.load(path, map_location='cpu', weights_only=True)
    return {'state_dict': dict(content.tensors())} if isinstance(content, StandIn) else content


_NO_DATA = ('builtins', 'os', 'posix', 'nt', 'sys', 'subprocess', 'shutil', 'runpy', 'importlib', 'pty', 'socket')


class StandIn:
    """In place of an object whose class is not plain data (argparse's flags, message buffers, a whole module): it keeps
    what it is told and does nothing, so that no code of the file or of its program runs."""

    def __init__(self, *args, **kwargs):
        self.state: Any = {}

    def __setstate__(self, state):
        self.state = state

    def __setitem__(self, key, value):
        pass

    def tensors(self, prefix=''):
        """(name, tensor) of a module saved whole, as its state_dict() names them."""
        state = self.state if isinstance(self.state, Mapping) else {}
        for part in ('_parameters', '_buffers'):
            for name, value in (state.get(part) or {}).items():
                if isinstance(value, torch.Tensor) and name not in (state.get('_non_persistent_buffers_set') or ()):
                    yield prefix + name, value.detach()
        for name, module in (state.get('_modules') or {}).items():
            if isinstance(module, StandIn):
                yield from module.tensors(f'{prefix}{name}.')


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_mapping(value) -> bool:
    return isinstance(value, Mapping)


def _list_of(check) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (list, tuple)) and all(map(check, value))


# Entries that the programs read -> (check of the value, what it should be). All may be absent or None.
ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(('arch', 'trunk', 'dataset', 'data_yaml', 'optimizer_name'), (_is_text, 'text')),
    **dict.fromkeys(('network', 'args', 'optimizer', 'scheduler', 'scaler', 'ema'), (_is_mapping, 'a mapping')),
    **dict.fromkeys(
        ('num_classes', 'epoch', 'batch_in_epoch', 'global_step', 'skipped', 'best_epoch'),
        (_is_whole, 'a whole number'),
    ),
    **dict.fromkeys(('score', 'best_score'), (_is_number, 'a number')),
    'epoch_done': (lambda value: isinstance(value, bool), 'True or False'),
    'class_names': (_list_of(_is_text), 'a list of names'),
    'n_scales': (_list_of(lambda value: _is_number(value) and value > 0), 'a list of numbers above 0'),
    'rng': (_list_of(_is_mapping), 'a list of mappings'),
}


def _checked(path, content: dict) -> dict:
    """The content, whose entries have the types that the programs read; ValueError naming one that has not."""
    for key, (is_right, form) in ENTRIES.items():
        if content.get(key) is not None and not is_right(content[key]):
            raise ValueError(
                f'{path}: its entry {key!r} is {content[key]!r:.60}, expected {form}; copy or download it again, or'
                " keep its weights alone: torch.save({'state_dict': ...}, path)"
            )
    return content


def _check_looks_like_checkpoint(path: Path):
    """Raise for faults that show from the outside, with clearer words than torch has for them."""
    if not path.exists():
        others = sorted(file.name for file in path.parent.glob('*.pth'))
        there = (
            f'found {", ".join(others[:3])}{" ..." if len(others) > 3 else ""} in that folder'
            if others
            else 'that folder holds no .pth file'
        )
        raise FileNotFoundError(
            f'{path}: no such checkpoint, {there}; give the path of one (bash scripts/fetch_weights.sh lists the'
            ' published ones)'
        )
    if path.is_dir():
        raise ValueError(
            f'{path}: is a folder, expected a checkpoint file; name a file in it, such as last_checkpoint_ep0.pth'
        )
    with open(path, 'rb') as file:
        head = file.read(512)
    if not head:
        raise ValueError(f'{path}: is empty, expected a checkpoint; copy or download it again, or name an earlier one')
    if head.startswith(b'version https://git-lfs'):
        raise ValueError(f'{path}: is a Git LFS pointer, not the checkpoint itself; run git lfs pull')
    if head.lstrip()[:1] == b'<':
        raise ValueError(
            f'{path}: is a web page, not a checkpoint; download it again, with a link that needs no log-in or'
            ' confirmation'
        )
    if head.startswith(b'PK'):
        _check_sums(path)
    # a zip archive, or a pickle in the format before torch 1.6
    elif not head.startswith(b'\x80') and not is_safetensors(path):
        raise ValueError(
            f'{path}: is not a PyTorch checkpoint (it starts with {head[:8]!r}); give a file written by torch.save'
        )


def _check_sums(path: Path):
    """torch.load skips the checksums of a zip archive, and an altered byte is a wrong weight."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked, size = sum(info.file_size for info in archive.infolist()), path.stat().st_size
            if unpacked > MOST_UNPACKED * size + FILE_SLACK:
                raise ValueError(f'its {size:,} bytes would unpack to {unpacked:,}')
            altered = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        cut = str(error) == 'File is not a zip file'  # the table of contents at its end is missing
        told = f'cut off after {path.stat().st_size:,} bytes' if cut else f'damaged ({_first_line(error)})'
        raise ValueError(f'{path}: is {told}; copy or download it again') from None
    if altered:
        raise ValueError(f'{path}: is damaged (wrong checksum of its part {altered}); copy or download it again')


def _why_refused(path: Path, message: str) -> str:
    found = re.search(r'GLOBAL (\S+)', message)
    protocol, code = (None, found.group(1)) if found else _newer_pickle(path)
    if code:
        return (
            f'holds code ({code}) beside weights and was refused, nothing of it was run; if you trust where'
            " it comes from, re-save its weights alone: torch.save({'state_dict': m.state_dict() if hasattr(m :="
            " torch.load(FILE, weights_only=False), 'state_dict') else m.get('state_dict', m.get('model'))}, NEW)"
        )
    if protocol is not None and not _first_line(message):
        return (
            f'is a pickle of protocol {protocol}, of which weights alone cannot be read; save it again with protocol 2:'
            ' torch.save(torch.load(FILE, weights_only=False), NEW), if you trust where it comes from'
        )
    return (
        f'is damaged, or holds more than weights and plain values ({_first_line(message)}); copy or download it again'
    )


def _newer_pickle(path: Path) -> tuple[int | None, str]:
    """(protocol, name) of the first thing in a pickle of protocol 4 and 5 that is neither torch's nor a plain value.

    Nothing is run. (None, '') for other files; '' without such a name.
    """
    protocol, words, memo, last = None, ['', ''], [], None
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                [member] = [name for name in archive.namelist() if name.endswith('data.pkl')]
                with archive.open(member) as file:
                    data = io.BytesIO(file.read(PEEK))
        else:
            with open(path, 'rb') as file:
                data = io.BytesIO(file.read(PEEK))
        while True:  # older files are several pickles one after another; the end of the data is a ValueError
            for code, value, _ in pickletools.genops(data):
                if code.name == 'PROTO':
                    protocol, memo = value, []
                elif code.name == 'MEMOIZE':
                    memo.append(last)
                elif code.name == 'STACK_GLOBAL' and words[0].partition('.')[0] not in ('torch', 'collections'):
                    return protocol, '.'.join(words)
                if code.name in ('BINGET', 'LONG_BINGET'):
                    value = memo[value]
                last = value if isinstance(value, str) else None if code.name != 'MEMOIZE' else last
                words = [words[1], value] if isinstance(value, str) else words
    except (ValueError, OSError, EOFError, IndexError, zipfile.BadZipFile, RuntimeError, zlib.error):
        pass
    return (protocol, '') if protocol is not None and protocol > 3 else (None, '')


def _first_line(error) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    told = [line.split('WeightsUnpickler error:')[-1].strip() for line in lines if 'WeightsUnpickler error:' in line]
    return (told or lines)[0][:200]


def _with_state_dict(path, content) -> dict:
    # as aligned_xception71.pth calls it
    if isinstance(content, Mapping) and isinstance(content.get('model_dict'), Mapping):
        content = {**content, 'state_dict': content['model_dict']}
    for key in ('state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(key), StandIn):
            content = {**content, key: dict(content[key].tensors())}
    # as the scripts of torchvision call it
    if isinstance(content, Mapping) and 'state_dict' not in content and isinstance(content.get('model'), Mapping):
        content = {**content, 'state_dict': content['model']}
    if isinstance(content, Mapping):  # what stands for an object says nothing to the programs
        content = {key: value for key, value in content.items() if not isinstance(value, StandIn)}
    if isinstance(content, Mapping) and content and all(isinstance(value, torch.Tensor) for value in content.values()):
        content = {'state_dict': content}
    if isinstance(content, Mapping) and isinstance(content.get('state_dict'), Mapping):
        if all(isinstance(key, str) for key in content['state_dict']):
            return dict(content)
        raise ValueError(
            f'{path}: not every tensor in it has a name, found'
            f' {[key for key in content["state_dict"] if not isinstance(key, str)][:3]}; expected a state dict'
        )
    found = f'entries {list(content)[:5]}' if isinstance(content, Mapping) else f'a {type(content).__name__}'
    raise ValueError(
        f"{path}: holds {found}, expected an entry 'state_dict' or a bare state dict; re-save it as"
        " torch.save({'state_dict': ...}, path)"
    )


def averaged_weights(state: Mapping) -> dict | None:
    """The exponential moving average in a checkpoint as a state dict of the network, or None."""
    ema = state.get('ema') or {}
    return {clean_key(key): value for key, value in ema.items() if key.startswith('module.')} or None


def evaluated_weights(state: Mapping) -> dict:
    """What an evaluation of a checkpoint uses: the averaged weights if it holds any, unless its training found that the
    network's own are clearly better (entry `kept`)."""
    return (None if state.get('kept') == 'own' else averaged_weights(state)) or state['state_dict']


def resume_point(state: Mapping, source='the checkpoint') -> tuple[int, int]:
    """(epoch, batch) at which a training from this checkpoint continues: the next epoch, or within one."""
    if state.get('epoch') is None:
        raise ValueError(
            f'{source}: holds weights only (no entry epoch), nothing to resume; start a new run from it with --snapshot'
        )
    if state.get('epoch_done', True):  # files of earlier programs were only written after an epoch
        return int(state['epoch']) + 1, 0
    if state.get('batch_in_epoch') is None:
        raise ValueError(
            f'{source}: is of the middle of epoch {state["epoch"]} but does not say which batch (no batch_in_epoch);'
            ' name another checkpoint, or start a new run from its weights with --snapshot'
        )
    return int(state['epoch']), int(state['batch_in_epoch'])
