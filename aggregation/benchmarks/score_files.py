"""Score maps on disk: `<stem>_<score>.npz` (key `value`, float16 (H, W)), .npy, HDF5, or the confidence PNG.

Every reader returns an anomaly score, high where anomalous; a confidence is turned round on the way.
"""

import io
import math
import zipfile
import zlib
from pathlib import PurePosixPath

import numpy as np

from aggregation.benchmarks.trees import Tree, check_pixels, read_gray
from aggregation.fusion.names import CONFIDENCE, KEY, SCORES
from aggregation.statistics.levels import from_levels
from utils.cli.wording import listed
from utils.files.npz import read_npy_header

HDF5 = ('.hdf5', '.h5')
ENDINGS = (*HDF5, '.npz', '.npy')
_DEFLATE, _SHUFFLE = 1, 2  # numbers of HDF5 filters


def h5py():
    """The h5py package; ValueError naming the remedy where it is not installed."""
    try:
        import h5py as package
    except ImportError:
        raise ValueError(
            'HDF5 files need the package h5py, which is not installed; pip install -r requirements-extras.txt, or write'
            ' --format npz'
        ) from None
    return package


def read_score(tree: Tree, name: str) -> np.ndarray:
    """The anomaly score float32 (H, W) in the file `name`; ValueError naming it when it holds none."""
    if name.endswith(CONFIDENCE):
        levels = read_gray(tree, name)
        if levels.dtype != np.uint16:
            raise ValueError(f'{tree.path}: {name} is {levels.dtype}, expected a 16-bit confidence')
        return (1 - from_levels(levels)).astype(np.float32)
    data, load = (
        io.BytesIO(tree.read(name)),
        (_hdf5_loader() if name.endswith(HDF5) else _load_npz if name.endswith('.npz') else _load_npy),
    )
    try:
        score = load(data)
    except Exception as error:  # zip, zlib, HDF5 and NumPy each have their own for a damaged file
        raise ValueError(
            f'{tree.path}: {name} holds no score map under {KEY!r} ({type(error).__name__}: {error}); write it again'
        ) from None
    if score.ndim != 2 or score.dtype.kind != 'f':
        raise ValueError(f'{tree.path}: {name} holds {score.dtype} {score.shape}, expected a float map (height, width)')
    score = score.astype(np.float32)
    if not np.isfinite(score).all():
        raise ValueError(f'{tree.path}: {name} holds nan or infinity; find the model that it comes from')
    return score


def _hdf5_loader():
    package = h5py()  # a missing package is no fault of the file

    def load(data) -> np.ndarray:
        with package.File(data) as file:
            found = file[KEY]
            check_pixels(found.shape)
            _check_chunks(found)
            return found[()]

    return load


def _check_chunks(found):
    """Raise ValueError unless every chunk unpacks to the bytes of a chunk: HDF5 unpacks however much there is."""
    if found.chunks is None:
        return
    filters = found.id.get_create_plist()
    kinds = [filters.get_filter(number)[0] for number in range(filters.get_nfilters())]
    if kinds not in ([], [_SHUFFLE], [_DEFLATE], [_SHUFFLE, _DEFLATE]):
        raise ValueError(f'chunks packed with the filters {kinds}, expected gzip')
    size = math.prod(found.chunks) * found.dtype.itemsize
    if _DEFLATE in kinds:
        for number in range(found.id.get_num_chunks()):
            left_out, packed = found.id.read_direct_chunk(found.id.get_chunk_info(number).chunk_offset)
            if not left_out and len(zlib.decompressobj().decompress(packed, size + 1)) > size:
                raise ValueError(f'a chunk that unpacks to more than its {size} bytes')


def _load_npz(data) -> np.ndarray:
    with zipfile.ZipFile(data) as archive:
        member = archive.getinfo(f'{KEY}.npy')
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile bounds no other method
            raise ValueError(f'it is packed with method {member.compress_type}, expected stored or deflated')
        with archive.open(member) as file:
            return _load_npy(file)


def _load_npy(file) -> np.ndarray:
    """The array of an .npy file, whose header is read first: NumPy takes memory for whatever it says."""
    shape, _, dtype = read_npy_header(file)
    check_pixels(shape)
    if dtype.itemsize > 8:
        raise ValueError(f'an array of {dtype}')
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def encode_hdf5(score: np.ndarray) -> bytes:
    """The file that the SegmentMeIfYouCan suite reads: `value` float16 (H, W), gzip level 9."""
    buffer = io.BytesIO()
    with h5py().File(buffer, 'w') as file:
        file.create_dataset(KEY, data=score.astype(np.float16), compression='gzip', compression_opts=9)
    return buffer.getvalue()


def find_scores(tree: Tree, score: str | None = None) -> dict[str, str]:
    """stem -> file of the maps of `score` (None: of the only one there is).

    Raises ValueError when there are none or several per image.
    """
    found = {}
    for name in tree.names:
        stem = score_stem(name, score)
        if stem is not None:
            if stem in found:
                raise ValueError(
                    f'{tree.path}: {found[stem]} and {name} are both scores of {stem}; name one with --score, or'
                    ' keep one'
                )
            found[stem] = name
    if not found:
        wanted = (
            f'*{CONFIDENCE}' if score == 'confidence' else f'maps *{f"_{score}" if score else ""}.npz, .npy or .hdf5'
        )
        instead = any(name.endswith(CONFIDENCE) for name in tree.names)
        raise ValueError(
            f'{tree.path}: holds no {wanted}, only {listed(tree.names, 3)}; give the folder that ensemble.py fuse'
            ' --write_scores made' + (f', or --score confidence to take the *{CONFIDENCE}' if instead else '')
        )
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
