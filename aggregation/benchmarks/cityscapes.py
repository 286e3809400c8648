"""The pixel-level benchmark of Cityscapes: `eval cityscapes` and `submit cityscapes`.

A submission is label-id PNGs in a folder or a .zip, checked before and read back after.
"""

import re
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np

from aggregation import flags
from aggregation.benchmarks import label_values
from aggregation.benchmarks.cityscapes_scores import FRAME, IDS, evaluate, pair_files, predictions_of
from aggregation.benchmarks.results import aligned, number, percent, show, write_page
from aggregation.benchmarks.submission import (
    LISTS,
    Written,
    check_read_back,
    usable,
    wanted_of,
    write_archive,
    write_folder,
)
from aggregation.benchmarks.trees import Tree, read_gray
from aggregation.commands import command
from datasets.collection.cityscapes_labels import CLASSES, LABELS
from utils.cli.wording import listed
from utils.files.images import encode_png
from utils.pages.sheet import matrix as matrix_table
from utils.pages.sheet import table
from utils.settings.value_types import crop_size

TEST_IMAGES = 1525
TABLES = {label_values.TRAIN: CLASSES.trainid_to_id, label_values.LABEL: None}  # --ids -> what makes label ids of them
NAMED = re.compile(r'[^\s_/"\',]+_\d{6}_\d{6}')  # a frame within text


def _eval_flags(parser):
    parser.add_argument(
        '--gt',
        metavar='DIR',
        help='folder with *_gtFine_labelIds.png, and *_gtFine_instanceIds.png for instance-weighted scores',
    )
    parser.add_argument('--pred', metavar='DIR', help='PNGs of ids named <city>_<number>_<number>*.png')
    label_values.add_flag(parser)
    flags.evaluation(parser)


@command('eval cityscapes', 'score predictions as the Cityscapes benchmark does', _eval_flags, ('gt', 'pred'))
def eval_cityscapes(args):
    truths, tree = Tree(args.gt), Tree(args.pred)
    frames = pair_files(truths, tree)
    ids, notes = label_values.decide(tree, [frame.prediction for frame in frames], args.ids, label_values.LABEL)
    result = evaluate(args.gt, args.pred, LABELS, args.bootstrap, args.num_workers, trainid_to_id=TABLES[ids])
    result['notes'] = [*notes, *result['notes']]
    show(args, result, lines(result), page)


def _rows(result: dict) -> list[tuple[str, list[list[str]]]]:
    """(title, rows) of classes and of categories, each score beside its instance-weighted form, the means last."""
    scores, intervals = result['scores'], result.get('intervals', {})
    tables = []
    for kind, title in (('class', 'Classes'), ('category', 'Categories')):
        rows = [[f'{kind} %', 'IoU', 'iIoU']]
        rows += [
            [name, number(value), number(scores[f'{kind}InstScores'][name])]
            for name, value in scores[f'{kind}Scores'].items()
            if value == value
        ]
        means = [f'averageScore{title}', f'averageScoreInst{title}']
        tables.append((title, [*rows, ['mean', *(number(scores[key], intervals.get(key)) for key in means)]]))
    return tables


def lines(result: dict) -> list[str]:
    """The tables of an evaluation."""
    return [line for _, rows in _rows(result) for line in aligned(rows)]


def page(path: Path, result: dict):
    """Class and category scores, and the confusion matrix of the labels that occur."""
    scores = result['scores']
    names = {number: name for name, number in scores['labels'].items()}
    pairs = np.array(scores['confMatrix'])
    occur = np.flatnonzero(pairs.sum(0) + pairs.sum(1)).tolist()
    matrix = [
        ['truth \\ prediction', *(names[label] for label in occur)],
        *([names[label], *pairs[label, occur].tolist()] for label in occur),
    ]
    write_page(
        path,
        'Cityscapes pixel-level scores',
        {'mean class IoU': percent(scores['averageScoreClasses'])},
        [
            *(table(title, rows) for title, rows in _rows(result)),
            matrix_table('Confusion matrix', matrix, 'pixels'),
        ],
        result['notes'],
    )


def _submit_flags(parser):
    flags.submission(
        parser,
        'what names the images that there must be: a folder or archive of images or ground truth, a list of names'
        ' (.txt), or the manifest.json of a dump (default: any)',
    )
    label_values.add_flag(parser)
    parser.add_argument(
        '--size', type=crop_size, default=(1024, 2048), metavar='H,W', help='size that every image must have, in pixels'
    )


@command('submit cityscapes', 'write label-id PNGs for the Cityscapes server', _submit_flags)
def submit_cityscapes(args):
    tree = Tree(args.predictions)
    faults, names = None if args.strict else [], _one_of_each_frame(tree).values()
    ids, notes = label_values.decide(tree, names, args.ids, label_values.TRAIN, tolerant=not args.strict)
    written = submit(args.predictions, args.out, TABLES[ids], args.size, args.images, args.allow_missing, faults=faults)
    return written._replace(notes=[*notes, *written.notes]).tell()


def submit(
    predictions,
    out,
    trainid_to_id=None,
    size=(1024, 2048),
    images=None,
    allow_missing=False,
    log=None,
    faults=None,
) -> Written:
    """Label-id PNGs for the Cityscapes server from the *_pred.png or other PNGs below `predictions`.

    Args:
        out: a folder, or a .zip.
        trainid_to_id: uint8 (256,), applied when the files hold trainIds; None: they hold label ids.
        size: (H, W) of every image, None for any.
        images: what names the images there must be, as `frames_named` reads it; None: any.
        allow_missing: leave missing images out, with a note.
        faults: takes the message about each unfit file, which is then left out; None: it is raised.

    Raises:
        ValueError: files are missing or unfit; they are named, and nothing is written.
    """
    tree, out = Tree(predictions), Path(out)
    found = _one_of_each_frame(tree)
    if images is None:
        notes = [f'no --images were given, so nothing tells whether one is missing; the test set has {TEST_IMAGES}']
    else:
        frames, notes = wanted_of(tree.path, found, frames_named(images), allow_missing)
        found = {frame: found[frame] for frame in frames}

    def ids(name):
        return _label_ids(tree, name, trainid_to_id, size)

    found = {frame: found[frame] for frame, _ in usable(found, lambda frame: ids(found[frame]), faults, 'check', log)}
    sources = {f'{frame}_leftImg8bit.png': name for frame, name in found.items()}
    write = _write_zip if out.suffix == '.zip' else write_folder
    write(out, sources, lambda name: encode_png(ids(name)), lambda written: _verify(written, sources, ids))
    return Written(out, len(found), notes, faults or ())


def frames_named(path) -> set[str]:
    """The frames <city>_<number>_<number> that `path` names, ValueError when it names none.

    path: a folder, tar or zip of images or ground truth, or a text file: a list, or the manifest.json of a dump.
    """
    path = Path(path)
    if path.suffix in LISTS and path.is_file():
        found = {frame[0] for frame in NAMED.finditer(path.read_text(encoding='utf-8', errors='replace'))}
    else:
        found = {frame[0] for name in Tree(path).names if (frame := FRAME.match(PurePosixPath(name).name))}
    if not found:
        raise ValueError(
            f'--images {path}: names no image <city>_<number>_<number>; give the folder leftImg8bit/test, a list of'
            ' names or a manifest.json'
        )
    return found


def _one_of_each_frame(tree: Tree) -> dict[str, str]:
    """frame -> its prediction."""
    found = predictions_of(tree)
    if not found:
        raise ValueError(
            f'{tree.path}: holds no file <city>_<number>_<number>*.png, only {listed(tree.names, 3)}; give the folder'
            ' of predictions'
        )
    for files in found.values():
        if len(files) > 1:
            raise ValueError(f'{tree.path}: {files[0]} and {files[1]} are predictions of one image; keep one of them')
    return {frame: file for frame, [file] in found.items()}


def _label_ids(tree: Tree, name: str, trainid_to_id, size) -> np.ndarray:
    ids = read_gray(tree, name)
    if ids.dtype != np.uint8:
        raise ValueError(f'{tree.path}: {name} is {ids.dtype}, expected 8-bit ids')
    if size is not None and ids.shape != tuple(size):
        raise ValueError(
            f'{tree.path}: {name} is {ids.shape[1]}x{ids.shape[0]} pixels, expected {size[1]}x{size[0]}; predict at the'
            f' size of the images, or give --size {ids.shape[0]},{ids.shape[1]} if that is their size'
        )
    limit = IDS if trainid_to_id is None else len(set(np.asarray(trainid_to_id).tolist()) - {0})
    if ids.max(initial=0) >= limit:
        kind = 'label ids' if trainid_to_id is None else 'trainIds'
        raise ValueError(
            f'{tree.path}: {name} holds values up to {ids.max()}, expected {kind} 0 to {limit - 1}; choose the other'
            ' --ids'
        )
    return ids if trainid_to_id is None else np.asarray(trainid_to_id, np.uint8)[ids]


def _write_zip(out: Path, sources, encode, verify):
    with write_archive(out) as file:
        with zipfile.ZipFile(file, 'w', zipfile.ZIP_STORED) as archive:
            for name, source in sources.items():
                archive.writestr(zipfile.ZipInfo(name), encode(source))
        file.flush()
        verify(Path(file.name))


def _verify(written: Path, sources, ids):
    """Raise ValueError unless the folder or zip `written` holds the label ids of every source."""
    tree = Tree(written)
    for name, source in sources.items():
        check_read_back(name, np.array_equal(read_gray(tree, name), ids(source)))
