"""Cityscapes (arXiv 1604.01685): label maps with the 19 trainIds beside the label ids, *_labelIds_19classes.png.

train.py does not need them, it maps label ids itself; other programs do. Fine labels of train and val, coarse labels of
train, val and train_extra. Where *_labelIds.png is missing it is drawn from *_polygons.json first.
"""

from datasets.collection.cityscapes import Cityscapes
from datasets.collection.cityscapes_labels import CLASSES, LABELS
from datasets.collection.layout import walk_files
from datasets.prepare.convert import CITYSCAPES_PALETTE, draw_polygons, id_table, label_png, look_up, map_label
from datasets.prepare.converter import Converter, Job

FOLDERS = ('gtFine_trainvaltest/gtFine', 'gtFine', 'gtCoarse/gtCoarse', 'gtCoarse')
SPLITS = ('train', 'val', 'train_extra')
LABEL, POLYGONS, RESULT = '_labelIds.png', '_polygons.json', '_labelIds_19classes.png'
# License plates are annotated with id -1, which means that they are not drawn.
IDS = (*((label.name, label.id) for label in LABELS), ('license plate', -1))


def plan(base, args, made):
    """Jobs for *_labelIds_19classes.png, and for *_labelIds.png where there are only polygons."""
    jobs, table = [], id_table(CLASSES.id_map)
    for folder in (base / folder / split for folder in FOLDERS for split in SPLITS):
        if not folder.is_dir():
            continue
        labels = {file for file in walk_files(folder, [LABEL.lower()]) if not made(file)}
        jobs += [
            Job(_sibling(file, LABEL, RESULT), (file,), map_label, (table, CITYSCAPES_PALETTE))
            for file in sorted(labels)
        ]
        for file in walk_files(folder, [POLYGONS]):
            label = _sibling(file, POLYGONS, LABEL)
            if label not in labels:
                jobs.append(Job(label, (file,), draw, (IDS, None, None)))
                jobs.append(Job(_sibling(file, POLYGONS, RESULT), (file,), draw, (IDS, table, CITYSCAPES_PALETTE)))
    return jobs


def draw(sources, ids, table, palette) -> tuple:
    """The polygons of sources[0] as label ids, or as trainIds with the `table` of ids."""
    label, notes = draw_polygons(sources[0], dict(ids), background=0)
    if table is not None:
        label, _ = look_up(label, table)
    return label_png(label, palette), notes


def _sibling(file, ending, other):
    return file.with_name(file.name[: -len(ending)] + other)


CONVERTER = Converter(
    'cityscapes',
    'Cityscapes: label maps with the 19 trainIds beside the label ids',
    __doc__,
    Cityscapes,
    markers=FOLDERS,
    remedy='unpack gtFine_trainvaltest.zip there, and gtCoarse.zip for the coarse labels',
    plan=plan,
)
