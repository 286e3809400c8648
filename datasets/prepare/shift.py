"""SHIFT (Sun et al., CVPR 2022, arXiv 2206.08367), discrete images: the id in the red channel to trainIds of
Cityscapes."""

from datasets.collection.layout import subfolders, walk_files
from datasets.collection.shift import Shift
from datasets.collection.tables import read_table
from datasets.loading.reading import read_image
from datasets.prepare.convert import CITYSCAPES_PALETTE, id_table, label_png, look_up
from datasets.prepare.converter import Converter, Job

SPLITS = ('train', 'val')


def add_flags(parser):
    parser.add_argument(
        '--views',
        default='front',
        metavar='VIEW,...',
        help='cameras to prepare, as their folders are called',
    )


def plan(base, args, made):
    """Jobs for discrete/labels_cityscapes, the same tree as discrete/labels."""
    labels = base / 'discrete' / 'labels'
    present = {view for split in SPLITS for view in subfolders(labels / split)}
    views = [view.strip() for view in args.views.split(',') if view.strip()]
    unknown = [view for view in views if view not in present]
    if unknown or not views:
        raise ValueError(
            f'--views {args.views}: {labels} has no folder {" or ".join(unknown) or "to prepare"}, only '
            f'{", ".join(sorted(present)) or "none at all"}; choose among these or download that view'
        )
    table = id_table({row['id']: row['trainid'] for row in read_table('shift')})
    files = [file for split in SPLITS for view in views for file in walk_files(labels / split / view, ['.png'])]
    return [
        Job(
            base / 'discrete' / 'labels_cityscapes' / file.relative_to(labels),
            (file,),
            convert,
            (table, CITYSCAPES_PALETTE),
        )
        for file in files
    ]


def convert(sources, table, palette) -> tuple:
    """The red channel of sources[0] as trainIds."""
    label, notes = look_up(read_image(sources[0])[..., 0].copy(), table)
    return label_png(label, palette), notes


CONVERTER = Converter(
    'shift',
    'SHIFT: labels of chosen cameras to the 19 classes of Cityscapes',
    __doc__,
    Shift,
    markers=('discrete/labels',),
    remedy='let the download script of SHIFT fetch the group img,semseg of the discrete images there',
    plan=plan,
    add_flags=add_flags,
)
