"""The submission of SegmentMeIfYouCan: one score map per frame, as the public suite lays them out."""
import io
from pathlib import Path, PurePosixPath

import numpy as np

from aggregation.score_files import KEY, encode_hdf5, find_scores, read_score
from aggregation.trees import Tree
from aggregation.written import Written, wanted_of, write_folder
from utils.progress import progress

FORMATS = ('hdf5', 'npz')
IMAGES = ('.jpg', '.png', '.webp')
DATASETS = ('AnomalyTrack-all', 'ObstacleTrack-all', 'LostAndFound-test', 'LostAndFound-train')


def submit(scores, out, method: str, dataset: str, score=None, format='hdf5', images=None, allow_missing=False, log=None) -> Written:
    """Write `out`/anomaly_p/<method>/<dataset>/<frame>.hdf5 from the maps of `score` below `scores` (folder or tar).

    Values become float16, high where anomalous. images: folder or archive of the frames there must be, or of their masks; None:
    any. Raises ValueError naming a method that is no name, a frame that is missing, a map that is unfit, or that float16 cannot
    hold, before anything is written. Every file is read back.
    """
    if method in ('', '.', '..') or '/' in method:
        raise ValueError(f'--method {method}: is a path, expected the name of a folder')
    folder = Path(out) / 'anomaly_p' / method / dataset
    with Tree(scores) as tree:
        found = find_scores(tree, score)
        if images is None:
            notes = ['no --images were given, so nothing tells whether one is missing']
        else:
            frames, notes = wanted_of(tree.path, found, frames_in(images), allow_missing)
            found = {frame: found[frame] for frame in frames}
        for name in progress(found.values(), total=len(found), desc='check', log=log):
            _half(tree, name)
        sources = {f'{frame}.{format}': name for frame, name in found.items()}

        def verify(written):
            with Tree(written) as again:
                for file, name in sources.items():
                    if not np.array_equal(read_score(again, file), _half(tree, name)):
                        raise ValueError(f'{file}: what was written is not what was scored; check memory and disk, then write it again')
        write_folder(folder, sources, lambda name: _encode(_half(tree, name), format), verify)
    return Written(folder, len(found), notes)


def frames_in(path) -> set[str]:
    """The frames whose images, or masks, lie in the folder or archive `path`; ValueError when there are none."""
    with Tree(path) as tree:
        found = {PurePosixPath(name).stem.removesuffix('_labels_semantic') for name in tree.names if name.lower().endswith(IMAGES)}
    if not found:
        raise ValueError(f'--images {path}: holds no images ({", ".join(IMAGES)}); give the folder images or labels_masks of the set')
    return found


def _half(tree: Tree, name: str) -> np.ndarray:
    values = read_score(tree, name)
    with np.errstate(over='ignore'):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(f'{tree.path}: {name} holds {np.abs(values).max():g}, more than float16 can; choose a bounded score')
    return half


def _encode(half: np.ndarray, format: str) -> bytes:
    if format == 'hdf5':
        return encode_hdf5(half)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{KEY: half})
    return buffer.getvalue()
