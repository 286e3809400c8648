"""The submission of SegmentMeIfYouCan: one score map per frame, as the public suite lays them out."""

import io
from pathlib import Path, PurePosixPath

import numpy as np

from aggregation.benchmarks.image_sizes import Images
from aggregation.benchmarks.trees import Tree
from aggregation.benchmarks.written import Written, wanted_of, write_folder
from aggregation.fusion.score_files import KEY, encode_hdf5, find_scores, read_score
from utils.cli.progress import progress

FORMATS = ('hdf5', 'npz')
IMAGES = ('.jpg', '.png', '.webp')
DATASETS = ('AnomalyTrack-all', 'ObstacleTrack-all', 'LostAndFound-test', 'LostAndFound-train')


def submit(
    scores, out, method: str, dataset: str, score=None, format='hdf5', images=None, allow_missing=False, log=None
) -> Written:
    """Write `out`/anomaly_p/<method>/<dataset>/<frame>.hdf5 from the maps of `score` below `scores` (folder or tar).

    Values become float16, high where anomalous. images: the frames there must be, or their masks, as `Images` reads
    them; None: any. Raises ValueError naming a method that is no name, a frame that is missing, a map that is unfit, or
    that float16 cannot hold, or whose size is not that of its frame, before anything is written. Every file is read
    back.
    """
    if method in ('', '.', '..') or '/' in method:
        raise ValueError(f'--method {method}: is a path, expected the name of a folder')
    folder = Path(out) / 'anomaly_p' / method / dataset
    with Tree(scores) as tree, Images(images, _frame_of) as known:
        found = find_scores(tree, score)
        if images is None:
            notes = ['no --images were given, so nothing tells whether one is missing']
        else:
            frames, notes = wanted_of(tree.path, found, known.names, allow_missing)
            found = {frame: found[frame] for frame in frames}
        for frame, name in progress(found.items(), total=len(found), desc='check', log=log):
            known.check(frame, _half(tree, name).shape, f'{tree.path}: {name}')
        sources = {f'{frame}.{format}': name for frame, name in found.items()}

        def verify(written):
            with Tree(written) as again:
                for file, name in sources.items():
                    if not np.array_equal(read_score(again, file), _half(tree, name)):
                        raise ValueError(
                            f'{file}: what was written is not what was scored; check memory and disk, then write it'
                            ' again'
                        )

        write_folder(folder, sources, lambda name: _encode(_half(tree, name), format), verify)
        return Written(folder, len(found), notes + known.notes(lambda frame: dataset))


def _frame_of(name: str) -> str | None:
    """The frame that an image or mask is of."""
    path = PurePosixPath(name)
    return path.stem.removesuffix('_labels_semantic') if path.suffix.lower() in IMAGES else None


def _half(tree: Tree, name: str) -> np.ndarray:
    values = read_score(tree, name)
    with np.errstate(over='ignore'):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(
            f'{tree.path}: {name} holds {np.abs(values).max():g}, more than float16 can; choose a bounded score'
        )
    return half


def _encode(half: np.ndarray, format: str) -> bytes:
    if format == 'hdf5':
        return encode_hdf5(half)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{KEY: half})
    return buffer.getvalue()
