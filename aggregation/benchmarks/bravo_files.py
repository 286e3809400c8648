"""The pictures of a BRAVO submission: reading them, and whether all of them are there."""

import numpy as np

from aggregation.benchmarks import bravo_names as names
from aggregation.benchmarks.trees import Tree, image_size, read_gray
from utils.cli.wording import listed

CLASSES = 19


def check_complete(truth: Tree, submission: Tree, samples: Tree | None) -> list[str]:
    """The keys of all images with ground truth, sorted. Raises ValueError counting what is missing of them, with
    names."""
    keys = names.keys_of(truth.names, 'truth')
    if not keys:
        raise ValueError(
            f'{truth.path}: holds no ground truth of the benchmark (names such as'
            f' bravo_ACDC/fog/..._gt_labelTrainIds.png), only {listed(truth.names, 3)}; give the folder or tar that'
            ' holds the folders bravo_*'
        )
    _need(truth, keys, ['mask'], 'invalid masks')
    kinds = ['encoded'] if names.keys_of(submission.names, 'encoded') else ['prediction', 'confidence']
    _need(submission, keys, kinds, 'files of the submission')
    if submission.duplicates:
        raise ValueError(
            f'{submission.path}: holds {len(submission.duplicates)} names twice ({listed(submission.duplicates)});'
            ' write the archive again'
        )
    if samples is not None:
        _need(samples, keys, ['samples'], 'samples')
    return sorted(keys)


def _need(tree: Tree, keys, kinds, what: str):
    missing = [name for key in keys for kind in kinds if (name := names.name_of(key, kind)) not in tree]
    if missing:
        raise ValueError(
            f'{tree.path}: {len(missing)} {what} of {len(keys)} images are missing ({listed(sorted(missing))}); add'
            ' them'
        )


def read_prediction(tree: Tree, prediction: str, confidence: str) -> tuple[np.ndarray, np.ndarray]:
    """(classes uint8 (H, W) trainIds, confidence levels uint16 (H, W)) of a pair of PNGs; ValueError naming a faulty
    one."""
    classes, levels = read_gray(tree, prediction), read_gray(tree, confidence)
    if classes.dtype != np.uint8 or classes.max(initial=0) >= CLASSES:
        raise ValueError(
            f'{tree.path}: {prediction} holds {classes.dtype} values up to {classes.max(initial=0)}; '
            f'expected 8-bit trainIds 0 to {CLASSES - 1}'
        )
    if levels.dtype != np.uint16:
        raise ValueError(f'{tree.path}: {confidence} is {levels.dtype}, expected 16-bit grey values')
    if levels.shape != classes.shape:
        raise ValueError(
            f'{tree.path}: {confidence} is {image_size(levels)} pixels, {prediction} {image_size(classes)}; '
            'write both at the size of the image'
        )
    return classes, levels
