"""Maps of a score on disk: `<stem>_<score>.npz` (key `value`, float16 (H, W)), .npy, HDF5, or the confidence PNG.

Every reader returns an anomaly score, high where anomalous; a confidence is turned round on the way.
"""
import io
from pathlib import PurePosixPath

import numpy as np

from aggregation.levels import from_levels
from aggregation.scores import SCORES
from aggregation.trees import Tree, read_gray
from utils.wording import listed

KEY = 'value'
ENDINGS = ('.hdf5', '.h5', '.npz', '.npy')
CONFIDENCE = '_conf.png'


def h5py():
    """The h5py package; ValueError naming the remedy where it is not installed."""
    try:
        import h5py as package
    except ImportError:
        raise ValueError('HDF5 files need the package h5py, which is not installed; pip install -r requirements-extras.txt, or write --format npz') from None
    return package


def read_score(tree: Tree, name: str) -> np.ndarray:
    """The anomaly score float32 (H, W) in the file `name`; ValueError naming it when it holds none."""
    if name.endswith(CONFIDENCE):
        levels = read_gray(tree, name)
        if levels.dtype != np.uint16:
            raise ValueError(f'{tree.path}: {name} is {levels.dtype}, expected a 16-bit confidence')
        return (1 - from_levels(levels)).astype(np.float32)
    try:
        score = _load(tree.read(name), name)
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise ValueError(f'{tree.path}: {name} holds no score map under {KEY!r} ({error}); write it again') from None
    if score.ndim != 2 or score.dtype.kind != 'f':
        raise ValueError(f'{tree.path}: {name} holds {score.dtype} {score.shape}, expected a float map (height, width)')
    score = score.astype(np.float32)
    if not np.isfinite(score).all():
        raise ValueError(f'{tree.path}: {name} holds nan or infinity; find the model that it comes from')
    return score


def _load(data: bytes, name: str) -> np.ndarray:
    if name.endswith(('.hdf5', '.h5')):
        with h5py().File(io.BytesIO(data)) as file:
            return file[KEY][()]
    found = np.load(io.BytesIO(data), allow_pickle=False)
    return found[KEY] if name.endswith('.npz') else found


def encode_hdf5(score: np.ndarray) -> bytes:
    """The file that the SegmentMeIfYouCan suite reads: `value` float16 (H, W), gzip level 9."""
    buffer = io.BytesIO()
    with h5py().File(buffer, 'w') as file:
        file.create_dataset(KEY, data=score.astype(np.float16), compression='gzip', compression_opts=9)
    return buffer.getvalue()


def find_scores(tree: Tree, score: str | None = None) -> dict[str, str]:
    """stem -> file of the maps of `score` (None: of the only one there is), sorted; ValueError when there are none or several per image."""
    found = {}
    for name in tree.names:
        stem = score_stem(name, score)
        if stem is not None:
            if stem in found:
                raise ValueError(f'{tree.path}: {found[stem]} and {name} are both scores of {stem}; name one with --score, or keep one')
            found[stem] = name
    if not found:
        wanted = f'*{CONFIDENCE}' if score == 'confidence' else f'maps *{f"_{score}" if score else ""}.npz, .npy or .hdf5'
        instead = any(name.endswith(CONFIDENCE) for name in tree.names)
        raise ValueError(f'{tree.path}: holds no {wanted}, only {listed(tree.names, 3)}; give the folder that ensemble.py fuse --write_scores made'
                         + (f', or --score confidence to take the *{CONFIDENCE}' if instead else ''))
    return found


def score_stem(name: str, score: str | None) -> str | None:
    """The image's stem that the map `name` belongs to, None for other files."""
    base = PurePosixPath(name).name
    if score == 'confidence':
        return base.removesuffix(CONFIDENCE) if base.endswith(CONFIDENCE) else None
    for ending in ENDINGS:
        if base.endswith(ending):
            stem = base.removesuffix(ending)
            if score is None:
                return next((stem.removesuffix(f'_{known}') for known in SCORES if stem.endswith(f'_{known}')), stem)
            return stem.removesuffix(f'_{score}') if stem.endswith(f'_{score}') else None
    return None
