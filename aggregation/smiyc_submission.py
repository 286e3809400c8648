"""The submission of SegmentMeIfYouCan: one score map per frame, as the public suite lays them out."""
import io
from pathlib import Path

import numpy as np

from aggregation.score_files import KEY, encode_hdf5, find_scores, read_score
from aggregation.trees import Tree
from aggregation.written import Written
from utils.files import write_bytes
from utils.progress import progress

FORMATS = ('hdf5', 'npz')
DATASETS = ('AnomalyTrack-all', 'ObstacleTrack-all', 'LostAndFound-test', 'LostAndFound-train')


def submit(scores, out, method: str, dataset: str, score=None, format='hdf5', log=None) -> Written:
    """Write `out`/anomaly_p/<method>/<dataset>/<frame>.hdf5 from the maps of `score` below `scores` (folder or tar).

    Values become float16, high where anomalous. Raises ValueError naming a map that is unfit, or that float16 cannot hold,
    before anything is written. Every file is read back.
    """
    folder = Path(out) / 'anomaly_p' / method / dataset
    with Tree(scores) as tree:
        found = find_scores(tree, score)
        for name in progress(found.values(), total=len(found), desc='check', log=log):
            _half(tree, name)
        for frame, name in progress(found.items(), total=len(found), desc='scores', log=log):
            write_bytes(folder / f'{frame}.{format}', _encode(_half(tree, name), format), durable=False)
        with Tree(folder) as written:
            for frame, name in found.items():
                if not np.array_equal(read_score(written, f'{frame}.{format}'), _half(tree, name)):
                    raise ValueError(f'{folder / frame}.{format}: is not what was scored; check memory and disk, then write it again')
    return Written(folder, len(found), [])


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
