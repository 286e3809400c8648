"""The submission of SegmentMeIfYouCan: `submit smiyc`, one score map per frame as the public suite lays them out.

`eval ood --track` gives the scores.
"""

import io
from pathlib import Path, PurePosixPath

import numpy as np

from aggregation import flags
from aggregation.benchmarks.score_files import encode_hdf5, find_scores, read_score
from aggregation.benchmarks.submission import Images, Written, check_read_back, usable, wanted_of, write_folder
from aggregation.benchmarks.trees import Tree
from aggregation.commands import command
from aggregation.fusion.names import KEY

FORMATS = ('hdf5', 'npz')
IMAGES = ('.jpg', '.png', '.webp')
DATASETS = ('AnomalyTrack-all', 'ObstacleTrack-all', 'LostAndFound-test', 'LostAndFound-train')


def _submit_flags(parser):
    flags.submission(
        parser,
        'folder or archive of the frames that there must be, or of their masks, whose sizes the maps must have, or a'
        ' list of names or the manifest.json of a dump (default: any, of any size)',
    )
    parser.add_argument('--method', metavar='NAME', help='name of the method, a folder')
    parser.add_argument(
        '--track_dataset',
        default=DATASETS[0],
        choices=DATASETS,
        metavar='NAME',
        help=f'which set the frames are of: {", ".join(DATASETS)}',
    )
    parser.add_argument('--score', metavar='NAME', help='which map when there are several')
    parser.add_argument(
        '--format',
        default='hdf5',
        choices=FORMATS,
        help=f'HDF5 as published, or .npz (key {KEY})',
    )


@command('submit smiyc', 'write score maps for the SegmentMeIfYouCan suite', _submit_flags, ('method',))
def submit_smiyc(args):
    return submit(
        args.predictions,
        args.out,
        args.method,
        args.track_dataset,
        score=args.score,
        format=args.format,
        images=args.images,
        allow_missing=args.allow_missing,
        faults=None if args.strict else [],
    ).tell()


def submit(
    scores,
    out,
    method: str,
    dataset: str,
    score=None,
    format='hdf5',
    images=None,
    allow_missing=False,
    log=None,
    faults=None,
) -> Written:
    """Write `out`/anomaly_p/<method>/<dataset>/<frame>.hdf5 from the maps of `score` below `scores` (folder or tar).

    Values become float16, high where anomalous. Every file is read back.

    Args:
        method: name of the method, a folder.
        dataset: one of DATASETS.
        score: name of the map when there are several.
        format: one of FORMATS.
        images: the frames there must be, or their masks, as `Images` reads them; None: any.
        allow_missing: leave missing frames out, with a note.
        faults: takes the message about each unfit map, which is then left out; None: it is raised.

    Raises:
        ValueError: method is no name, a frame is missing, or a map is unfit, too large for float16, or not of the size
            of its frame; nothing is written.
    """
    if method in ('', '.', '..') or '/' in method:
        raise ValueError(f'--method {method}: is a path, expected the name of a folder')
    folder = Path(out) / 'anomaly_p' / method / dataset
    tree, known = Tree(scores), Images(images, _frame_of)
    found = find_scores(tree, score)
    if images is None:
        notes = ['no --images were given, so nothing tells whether one is missing']
    else:
        frames, notes = wanted_of(tree.path, found, known.names, allow_missing)
        found = {frame: found[frame] for frame in frames}

    def check(frame):
        known.check(frame, _half(tree, found[frame]).shape, f'{tree.path}: {found[frame]}')

    found = {frame: found[frame] for frame, _ in usable(found, check, faults, 'check', log)}
    sources = {f'{frame}.{format}': name for frame, name in found.items()}

    def verify(written):
        again = Tree(written)
        for file, name in sources.items():
            check_read_back(file, np.array_equal(read_score(again, file), _half(tree, name)))

    write_folder(folder, sources, lambda name: _encode(_half(tree, name), format), verify)
    return Written(folder, len(found), notes + known.notes(lambda frame: dataset), faults or ())


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
