"""Record of an evaluation, metrics.json: one mapping with everything that was measured and how (docs/evaluation.md)."""

from pathlib import Path
from typing import Any

from engine.score import Score
from utils import metrics
from utils.files.atomic import plain, write_json, write_npy
from utils.pages.confusion_matrix import write_confusion_matrix

VERSION = 2  # of the record; 1 had no version, no Dice, no means over images and no intervals
# names of the log -> names of the record
NAMES = {
    'image_iu': 'image_iou',
    'image_dice': 'image_dice',
    'batch_iu': 'batch_iou',
    'batch_dice': 'batch_dice',
    'boundary_iu': 'boundary_iou',
    'ece': 'ece',
}


def record_of(score: Score, dataset, about: dict, resamplings: int = 0) -> dict[str, Any]:
    """The record.

    Args:
        score: what was counted.
        dataset: whose classes and categories these are.
        about: what was evaluated and how, by name.
        resamplings: of the images, for the intervals; 0: none.
    """
    classes, numbers = dataset.classes, score.images.numbers()
    content = metrics.summary(score.counts, classes.names)
    if score.images.boundary is not None:
        for name, value in zip(classes.names, metrics.iou_of(score.images.boundary.sum(0))):
            content['classes'][name]['boundary_iou'] = value
    groups = dataset.categories
    ious = dict(zip(groups, metrics.group_iou(score.counts, groups.values())))
    return plain(
        {
            'version': VERSION,
            **about,
            'loss': score.loss,
            **content,
            **{key: numbers.get(name) for name, key in NAMES.items()},
            'mean_category_iou': float(metrics.mean_over(list(ious.values()))) if ious else None,
            'categories': {
                name: {'iou': iou, 'classes': [classes.names[k] for k in groups[name]]} for name, iou in ious.items()
            },
            'intervals': score.images.intervals(resamplings),
            'scale_scores': {
                name: {
                    'mean_iou': metrics.mean_iou(counts),
                    'accuracy': metrics.accuracy(counts),
                    'iou': dict(zip(classes.names, metrics.iou(counts))),
                }
                for name, counts in score.scales.items()
            },
        }
    )


def write_record(folder, score: Score, dataset, record: dict, table: bool):
    """Write metrics.json, confusion_matrix.npy and .png, and with `table` images.csv, a line for each image."""
    folder = Path(folder)
    write_json(folder / 'metrics.json', record)
    write_npy(folder / 'confusion_matrix.npy', score.counts)
    write_confusion_matrix(folder / 'confusion_matrix.png', score.counts, dataset.classes.names)
    if table:
        score.images.write_table(folder / 'images.csv', dataset.classes.names)


def interval_line(record: dict) -> str | None:
    """The line of the intervals, None without any."""
    parts = [f'[{name} {low:0.5f} to {high:0.5f}]' for name, (low, high) in record['intervals'].items()]
    return f'95 % intervals over images: {", ".join(parts)}' if parts else None


def category_line(record: dict) -> str | None:
    """The line of the categories, None for a data set without."""
    if record['mean_category_iou'] is None:
        return None
    parts = [f'[{name} {one["iou"]:0.5f}]' for name, one in record['categories'].items() if one['iou'] is not None]
    return f'categories: [mean {record["mean_category_iou"]:0.5f}], {", ".join(parts)}'
