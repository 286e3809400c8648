"""Statistics of the pixels of a split: classes, which of them stand together, weights for a loss, colours, sizes."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from datasets.base import Dataset
from datasets.verify.checks import class_counts


class Statistics(NamedTuple):
    """Of the files of a split that could be read. K classes, in the order of trainIds.

    pixels int64 (K,): of each class in all labels; ignored: pixels of no class; images int64 (K,): labels with the
    class; together int64 (K, K): labels with both classes; areas float (K,): mean pixels of a class in the labels that
    have it, nan when there are none; mean, std (3,): of the RGB values in [0, 1], over all pixels; sizes: {(H, W):
    images}.
    """

    images_read: int
    labels_read: int
    pixels: np.ndarray
    ignored: int
    images: np.ndarray
    together: np.ndarray
    areas: np.ndarray
    labelled_areas: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    sizes: Counter


def statistics(dataset: Dataset, examined: list) -> Statistics:
    """The statistics of a split from what examine() has found."""
    counts = class_counts(dataset, examined)
    labels = [one for one in examined if one.counts is not None]
    present = (counts > 0).astype(np.int64)
    pixels, images = counts.sum(axis=0), present.sum(axis=0)
    per_label = np.array([one.counts.sum() for one in labels], np.int64)
    mean, std = _colours([one for one in examined if one.mean is not None], dataset.channels)
    return Statistics(
        images_read=sum(one.size is not None for one in examined),
        labels_read=len(labels),
        pixels=pixels,
        ignored=int(per_label.sum() - pixels.sum()),
        images=images,
        together=present.T @ present,
        areas=_ratio(pixels, images),
        labelled_areas=present.T @ per_label,
        mean=mean,
        std=std,
        sizes=Counter(one.size for one in examined if one.size is not None),
    )


def _colours(examined, channels):
    """Mean and standard deviation over the pixels of all images, from those of each."""
    if not examined:
        return np.full(channels, np.nan), np.full(channels, np.nan)
    share = np.array([one.size[0] * one.size[1] for one in examined], float)[:, None]
    share /= share.sum()
    means, stds = (np.array([getattr(one, name) for one in examined]) for name in ('mean', 'std'))
    mean = (share * means).sum(axis=0)
    return mean, np.sqrt((share * (stds**2 + (means - mean) ** 2)).sum(axis=0))


def class_weights(numbers: Statistics) -> dict:
    """{name: float (K,)}: weights for a loss from the pixels n_c of each class, N in all; nan for classes that never
    occur.

    inverse: 1 - n_c / N. balanced: N / (K n_c). median: m / f_c, where f_c is the share of class c in the labels that
    have it and m the median of all f_c (Eigen and Fergus, ICCV 2015, arXiv 1411.4734, section 6.3.2).
    """
    pixels, total = numbers.pixels.astype(float), numbers.pixels.sum()
    share = _ratio(pixels, total)
    frequency = _ratio(pixels, numbers.labelled_areas)
    known = frequency[frequency > 0]
    return {
        'inverse': np.where(pixels > 0, 1 - share, np.nan),
        'balanced': _ratio(total, len(pixels) * pixels),
        'median': _ratio(np.median(known) if len(known) else np.nan, frequency),
    }


def _ratio(numerator, denominator) -> np.ndarray:
    """numerator / denominator, nan where that is 0 or nan."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def as_json(dataset: Dataset, numbers: Statistics) -> dict:
    """The statistics for verify.json; None where a number is not defined."""
    weights = class_weights(numbers)
    total = int(numbers.pixels.sum())
    return {
        'images': numbers.images_read,
        'labels': numbers.labels_read,
        'mean': numbers.mean,
        'std': numbers.std,
        'sizes': [
            {'height': height, 'width': width, 'images': count}
            for (height, width), count in numbers.sizes.most_common()
        ],
        'labelled_pixels': total,
        'ignored_pixels': numbers.ignored,
        'classes': (
            [
                {
                    'id': trainid,
                    'name': name,
                    'pixels': numbers.pixels[trainid],
                    'share_of_pixels': _ratio(numbers.pixels[trainid], total).item(),
                    'images': numbers.images[trainid],
                    'mean_pixels_where_present': numbers.areas[trainid],
                    **{f'weight_{kind}': values[trainid] for kind, values in weights.items()},
                }
                for trainid, name in enumerate(dataset.classes.names)
            ]
            if numbers.labels_read
            else []
        ),
        'images_with_both_classes': numbers.together if numbers.labels_read else [],
    }
