"""Differences between two submissions, image by image: `diff`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from aggregation.benchmarks.bravo_codec import decode_prediction
from aggregation.benchmarks.bravo_files import ENCODED
from aggregation.benchmarks.label_values import WORDS, recorded
from aggregation.benchmarks.score_files import ENDINGS, find_scores, read_score
from aggregation.benchmarks.trees import Tree, image_size, read_gray
from aggregation.commands import command
from aggregation.fusion.names import CONFIDENCE, PREDICTION
from utils.cli.progress import progress
from utils.cli.wording import listed, shortened
from utils.files.atomic import write_json


def _diff_flags(parser):
    parser.add_argument('first', metavar='A', help='submission, or score maps: folder, tar or zip')
    parser.add_argument('second', metavar='B', help='another of the same kind')
    parser.add_argument('--json', metavar='FILE', help='write the differences of every image')


@command('diff', 'compare two submissions image by image', _diff_flags)
def diff(args):
    found = compare(args.first, args.second)
    print('\n'.join(lines(found, args.first, args.second)))
    if args.json:
        write_json(args.json, found)


class Kind(NamedTuple):
    """A kind of submission.

    files(tree): key -> file of what is compared, empty when the tree holds none. compare(first, second), each a tree
    and a file, gives a dict of measures, or the sizes of the two under 'size'.
    """

    files: Callable[[Tree], dict[str, str]]
    compare: Callable[[tuple, tuple], dict]


def compare(first, second, log=None) -> dict:
    """Two folders, tars or zips of prediction PNGs, of encoded BRAVO files, or of score maps, image by image.

    Returns a dict of
        only_first, only_second: names of files that the other lacks.
        images: of each image 'name' and its measures, or 'size': the two sizes. The least alike come first, by labels
            or ranks, then by confidences or scores.
        each measure: its mean over the images, None where there is none.

    Measures are 'labels', the share of pixels with the same label; 'confidence', the mean absolute difference in
    [0, 1], None where it cannot be said ('unpaired' then is why: 'only_first', 'only_second' or 'sizes'); of score maps
    'order', Spearman's rank correlation (None for a map of one value), on which rankings of pixels depend, and 'score',
    the mean absolute difference. Raises ValueError when the two have nothing in common.
    """
    one, other = Tree(first), Tree(second)
    for kind in KINDS:
        mine, theirs = kind.files(one), kind.files(other)
        if mine or theirs:
            break
    common = sorted(mine.keys() & theirs.keys())
    if not common:
        raise ValueError(
            f'{first} and {second} have no file of the same name in common ({listed(mine.values(), 1)},'
            f' {listed(theirs.values(), 1)}); compare two submissions of one kind'
        )
    if kind.files is _pictures:
        _check_ids(
            *((tree, recorded(tree, [files[key] for key in common])) for tree, files in ((one, mine), (other, theirs)))
        )
    images = [
        {'name': mine[key], **kind.compare((one, mine[key]), (other, theirs[key]))}
        for key in progress(common, total=len(common), desc='compare', log=log)
    ]
    images.sort(key=lambda image: (*_likeness(image), image['name']))
    measures = dict.fromkeys(key for image in images for key in image if key not in ('name', 'size', 'unpaired'))
    return {
        'only_first': sorted(mine[key] for key in mine.keys() - theirs.keys()),
        'only_second': sorted(theirs[key] for key in theirs.keys() - mine.keys()),
        'images': images,
        **{key: _mean(image.get(key) for image in images) for key in measures},
    }


def _check_ids(*sides):
    """Raise ValueError when the records of two submissions say that their numbers are of two kinds."""
    if all(record for _, record in sides) and len({record[0] for _, record in sides}) > 1:
        told = ', '.join(f'{tree.path} holds {WORDS[kind]} ({file})' for tree, (kind, file) in sides)
        raise ValueError(f'{told}: their numbers mean different classes; compare two submissions of one kind')


def _likeness(image: dict) -> tuple[float, float]:
    """A key for sorting: images of different size first, then the least alike by labels or order, then by the rest."""
    likeness, difference = image.get('labels', image.get('order')), image.get('confidence', image.get('score'))
    return -2.0 if 'size' in image else 1.0 if likeness is None else likeness, -(difference or 0.0)


def _mean(values) -> float | None:
    values = [value for value in values if value is not None]
    return float(np.mean(values)) if values else None


def _encoded(tree: Tree) -> dict[str, str]:
    return {name: name for name in tree.names if name.endswith(ENCODED)}


def _pictures(tree: Tree) -> dict[str, str]:
    """The pictures of labels; confidences are read beside them."""
    return {name: name for name in tree.names if name.lower().endswith('.png') and not name.endswith(CONFIDENCE)}


def _maps(tree: Tree) -> dict[str, str]:
    """Score maps by frame: the folder is named after the method, and HDF5 and .npz hold the same."""
    return find_scores(tree) if any(name.endswith(ENDINGS) for name in tree.names) else {}


def _compare_labels(first, second) -> dict:
    (labels, sure), (labels_too, sure_too) = (_read(*place) for place in (first, second))
    if labels.shape != labels_too.shape:
        return {'labels': 0.0, 'confidence': None, 'size': _sizes(labels, labels_too)}
    found, unpaired = {'labels': float((labels == labels_too).mean()), 'confidence': None}, _unpaired(sure, sure_too)
    if unpaired:
        found['unpaired'] = unpaired
    elif sure is not None:
        found['confidence'] = float(np.abs(sure.astype(np.int32) - sure_too).mean() / 65535)
    return found


def _unpaired(sure, sure_too) -> str | None:
    """Why two confidences, each None where there is none, cannot be compared; None where they can or both lack."""
    if (sure is None) != (sure_too is None):
        return 'only_second' if sure is None else 'only_first'
    return 'sizes' if sure is not None and sure.shape != sure_too.shape else None


def _read(tree: Tree, name: str):
    """(labels, confidence levels or None)"""
    if name.endswith(ENCODED):
        return decode_prediction(tree.read(name), name)
    confidence = name.replace(PREDICTION, CONFIDENCE)
    return read_gray(tree, name), read_gray(tree, confidence) if confidence != name and confidence in tree else None


def _compare_scores(first, second) -> dict:
    one, other = (read_score(*place) for place in (first, second))
    if one.shape != other.shape:
        return {'order': None, 'score': None, 'size': _sizes(one, other)}
    return {'order': rank_correlation(one, other), 'score': float(np.abs(one - other).mean())}


def _sizes(one, other) -> str:
    return f'{image_size(one)} and {image_size(other)}'


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    """Spearman's correlation of two maps, ties at their mean rank: 1 for equal rankings, None when one is constant."""
    if np.array_equal(one, other):
        return 1.0
    ranks = [_ranks(values) for values in (one, other)]
    length = np.sqrt(np.prod([values @ values for values in ranks]))
    return float(ranks[0] @ ranks[1] / length) if length else None


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of every value less the mean rank; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + values.size) / 2)[place.ravel()]


KINDS = (Kind(_encoded, _compare_labels), Kind(_pictures, _compare_labels), Kind(_maps, _compare_scores))


def percent(share: float) -> str:
    return f'{100 * share:.4f} %'


def lines(found: dict, first, second, count: int = 10) -> list[str]:
    """What `compare` found, for a person."""
    told = [f'{len(found["images"])} images in both: {_summary(found)}']
    told += [
        f'{len(names)} only in {path}: {listed(names)}'
        for path, names in ((first, found['only_first']), (second, found['only_second']))
        if names
    ]
    for why, words in (
        ('only_first', f'only {first} has them'),
        ('only_second', f'only {second} has them'),
        ('sizes', 'they are of different pixels'),
    ):
        unpaired = [image['name'] for image in found['images'] if image.get('unpaired') == why]
        told += (
            [f'confidences of {len(unpaired)} images cannot be compared, {words}: {listed(unpaired)}']
            if unpaired
            else []
        )
    changed = [
        image
        for image in found['images']
        if 'size' in image or image.get('labels', 1) < 1 or image.get('confidence') or image.get('score')
    ]
    return told + shortened((f'  {image["name"]}: {image.get("size") or _summary(image)}' for image in changed), count)


def _summary(measures: dict) -> str:
    told = {
        'labels': lambda share: f'{percent(share)} of the pixels have the same label',
        'confidence': lambda value: f'confidences differ by {value:.6f}',
        'order': lambda value: f'rank correlation {value:.6f}',
        'score': lambda value: f'scores differ by {value:.6g}',
    }
    return (
        ', '.join(tell(measures[key]) for key, tell in told.items() if measures.get(key) is not None)
        or 'nothing can be compared'
    )
