"""What the numbers of Cityscapes predictions are, trainIds or label ids: both are in range, and neither file says it.

What this program wrote is known by its record, fusion.json or dumps.json; of other files by the values themselves.
"""

from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from aggregation.benchmarks.trees import Tree, read_gray
from aggregation.fusion.names import PREDICTION, RECORD
from datasets.collection.cityscapes_labels import IGNORE, LABELS, SCORED
from utils.cli.wording import listed
from utils.files.limits import parse_json

TRAIN, LABEL = 'train', 'label'  # values of --ids
WORDS = {TRAIN: 'trainIds', LABEL: 'label ids'}
OFTEN = 0.05  # share of pixels with ids that are not scored, which no network predicts
UNSCORED = [label.id for label in LABELS if label.trainid == IGNORE]


def add_flag(parser):
    parser.add_argument(
        '--ids',
        choices=(TRAIN, LABEL),
        help=(
            'what the predictions hold, trainIds or label ids (default: what fusion.json or dumps.json says, else what'
            ' the values show)'
        ),
    )


def recorded(tree: Tree, names) -> tuple[str, str] | None:
    """(TRAIN or LABEL, the record) of predictions `names` that this program wrote, None for those of others.

    Raises ValueError when only some were written by it, or when they hold both.
    """
    found = _by_record(tree, names)
    if len({pair and pair[0] for pair in found}) > 1:
        told = [
            f'{name} holds {f"{WORDS[pair[0]]} ({pair[1]})" if pair else "what no record says"}'
            for pair, name in found.items()
        ]
        raise ValueError(f'{tree.path}: {listed(told)}; give the folder of one kind')
    return next(iter(found), None)


def _by_record(tree: Tree, names) -> dict:
    """What `recorded` returns of each kind of predictions -> the first of them."""
    records, found = _records(tree), {}
    for name in names:
        kinds = [
            (kind, file)
            for folder, file, kind_of in records
            if (inside := _below(folder, tree, name)) and (kind := kind_of(inside))
        ]
        found.setdefault(kinds[0] if kinds else None, name)
    return found


def _records(tree: Tree) -> list:
    """(folder, file, function from a path below the folder to its kind) of every record, the nearest one first."""
    found, kinds = [], _kinds()
    for name in tree.names:
        if PurePosixPath(name).name in kinds:
            found.append((PurePosixPath(name).parent, f'{tree.path}/{name}', tree.read(name)))
    found.sort(key=lambda record: -len(record[0].parts))
    if tree.path.is_dir():
        above = [folder / name for folder in tree.path.resolve().parents for name in kinds]
        found += [(file.parent, str(file), file.read_bytes()) for file in above if file.is_file()]
    return [
        (folder, file, partial(kinds[PurePosixPath(file).name], content))
        for folder, file, data in found
        if (content := _content(data)) is not None
    ]


def _below(folder, tree: Tree, name: str) -> str:
    """The path of `name` below the folder of a record, '' where it does not lie there."""
    path = tree.path.resolve() / name if isinstance(folder, Path) else PurePosixPath(name)
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ''


def _content(data: bytes) -> dict | None:
    try:
        content = parse_json(data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _of_fusion(content: dict, inside: str) -> str | None:
    return TRAIN if 'settings' in content and inside.endswith(PREDICTION) else None


def _kinds() -> dict:
    """name of a record -> (its content, a path below its folder) -> the kind of that file, None for neither."""
    from utils.outputs import dumps  # imports torch, which takes seconds, and the flags are checked before

    return {RECORD: _of_fusion, dumps.RECORD: partial(_of_dumps, dumps)}


def _of_dumps(dumps, content: dict, inside: str) -> str | None:
    submitted = inside.startswith(f'{dumps.Submission.folder}/')
    return LABEL if (dumps.Submission.name if submitted else dumps.AutoLabels.name) in content else None


def looks_like(tree: Tree, names, tolerant=False) -> str | None:
    """TRAIN or LABEL as the values of 8-bit predictions show it, None where they may be either.

    An id above 18 that is none of trainIds settles it, so of label ids seldom more than one file is read. tolerant:
    files that cannot be read are passed over.
    """
    counts = np.zeros(256, np.int64)
    for name in names:
        try:
            ids = read_gray(tree, name)
        except ValueError:
            if not tolerant:
                raise
            continue
        counts += np.bincount(ids.ravel().clip(max=IGNORE), minlength=256)
        if counts[len(SCORED) : IGNORE].any():
            return LABEL
    if not counts.any():
        return None
    share = counts[UNSCORED].sum() / max(counts[:IGNORE].sum(), 1)
    return LABEL if share == 0 else TRAIN if share > OFTEN else None


def decide(tree: Tree, names, given: str | None, otherwise: str, tolerant=False) -> tuple[str, list[str]]:
    """(what the predictions `names` hold, notes that say whence it is known).

    given: --ids. otherwise: what is taken for files of others whose values may be either. tolerant: see looks_like.
    Raises ValueError when a record contradicts --ids, or when the values contradict what is taken without it.
    """
    record = recorded(tree, names)
    if record:
        kind, file = record
        if given not in (None, kind):
            raise ValueError(
                f'--ids {given}: {file} says that the predictions in {tree.path} hold {WORDS[kind]}; leave --ids out'
            )
        return kind, [f'{tree.path}: its predictions were read as {WORDS[kind]}, as {file} says']
    kind = given or otherwise
    seen = looks_like(tree, names, tolerant)
    if seen in (None, kind):
        return kind, []
    reason = (
        f'no id is above {len(SCORED) - 1}, and label ids that are not scored (0 road, 1 sidewalk ... as trainIds) are'
        ' frequent'
        if seen == TRAIN
        else 'no pixel has an id that is scored as a trainId alone'
    )
    if given is None:
        raise ValueError(
            f'{tree.path}: its predictions look like {WORDS[seen]}, expected {WORDS[kind]}: {reason}; say with --ids'
            f' {TRAIN} or --ids {LABEL} what they hold'
        )
    return kind, [f'{tree.path}: its predictions were read as {WORDS[kind]}, but look like {WORDS[seen]}: {reason}']


def need_trainids(tree: Tree, names):
    """Raise ValueError for predictions whose record says that they hold label ids."""
    held = next((pair for pair in _by_record(tree, names) if pair and pair[0] == LABEL), None)
    if held:
        raise ValueError(
            f'{tree.path}: its predictions hold label ids, as {held[1]} says, expected trainIds; give the folder that'
            ' ensemble.py fuse or run wrote'
        )
