"""Stand-ins for objects that a pickle of weights names: they keep what they are told, and none of their code is run.

Files of earlier programs hold NumPy scalars, those of others the flags of a program or a module saved whole.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from utils.files.pickle_names import foreign_names

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


def read_weights(path):
    """What torch.load reads of weights and plain values; objects of other programs beside them become stand-ins."""
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
        if zipfile.is_zipfile(path):
            names = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        else:
            names = foreign_names(path)
        names -= {name for _, name in _NUMPY_SCALARS}
        if not names or any(name.split('.')[0] in _NO_DATA for name in names):
            raise
    inert: list = [(type('StandIn', (StandIn,), {}), name) for name in sorted(names)]
    with torch.serialization.safe_globals([*_NUMPY_SCALARS, *inert]):
        content = torch.load(path, map_location='cpu', weights_only=True)
    return {'state_dict': dict(content.tensors())} if isinstance(content, StandIn) else content
