"""What differs between two submissions."""
import numpy as np

from aggregation import bravo_names as names
from aggregation.bravo_codec import decode_prediction
from aggregation.trees import Tree, listed, read_gray
from utils.progress import progress


def compare(first, second, log=None) -> dict:
    """Two folders or tars of prediction PNGs, or of encoded BRAVO files, image by image.

    Returns {'only_first', 'only_second': names, 'images': [{'name', 'labels': share of pixels with the same label,
    'confidence': mean absolute difference in [0, 1] or None, or 'size': what differs}], the least alike first,
    'labels' and 'confidence': the means over images}.
    """
    with Tree(first) as one, Tree(second) as other:
        mine, theirs = _predictions(one), _predictions(other)
        common = sorted(mine & theirs)
        if not common:
            raise ValueError(f'{first} and {second} have no file of the same name in common; compare two submissions of one kind')
        images = [_compare(one, other, name) for name in progress(common, total=len(common), desc='compare', log=log)]
    images.sort(key=lambda image: (image['labels'], image['name']))
    confidences = [image['confidence'] for image in images if image['confidence'] is not None]
    return {'only_first': sorted(mine - theirs), 'only_second': sorted(theirs - mine), 'images': images,
            'labels': float(np.mean([image['labels'] for image in images])), 'confidence': float(np.mean(confidences)) if confidences else None}


def _predictions(tree: Tree) -> set[str]:
    """Names of the files that hold labels; confidences are read beside them."""
    encoded = {name for name in tree.names if name.endswith(names.ENCODED)}
    return encoded or {name for name in tree.names if name.lower().endswith('.png') and not name.endswith('_conf.png')}


def _compare(one: Tree, other: Tree, name: str) -> dict:
    (labels, sure), (labels_too, sure_too) = (_read(tree, name) for tree in (one, other))
    if labels.shape != labels_too.shape:
        return {'name': name, 'labels': 0.0, 'confidence': None, 'size': f'{labels.shape} and {labels_too.shape}'}
    comparable = sure is not None and sure_too is not None and sure.shape == sure_too.shape
    difference = float(np.abs(sure.astype(np.int64) - sure_too).mean() / 65535) if comparable else None
    return {'name': name, 'labels': float((labels == labels_too).mean()), 'confidence': difference}


def _read(tree: Tree, name: str):
    """(labels, confidence levels or None)"""
    if name.endswith(names.ENCODED):
        return decode_prediction(tree.read(name), name)
    confidence = name.replace('_pred.png', '_conf.png')
    return read_gray(tree, name), read_gray(tree, confidence) if confidence != name and confidence in tree else None


def percent(share: float) -> str:
    return f'{100 * share:.4f} %'


def lines(found: dict, first, second, count: int = 10) -> list[str]:
    """What `compare` found, for a person."""
    sure = '' if found['confidence'] is None else f', confidences differ by {found["confidence"]:.6f} on average'
    told = [f'{len(found["images"])} images in both: {percent(found["labels"])} of the pixels have the same label{sure}']
    told += [f'{len(names)} only in {path}: {listed(names)}' for path, names in ((first, found['only_first']), (second, found['only_second'])) if names]
    changed = [image for image in found['images'] if image['labels'] < 1 or image['confidence']]
    told += [f'  {image["name"]}: {image.get("size") or percent(image["labels"])}' for image in changed[:count]]
    return told + ([f'  and {len(changed) - count} more'] if len(changed) > count else [])
