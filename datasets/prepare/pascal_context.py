"""PASCAL Context (Mottaghi et al., CVPR 2014): label maps of 459 classes to the 59 most frequent ones.

PascalContext60/<id>.png hold 0, background, and 1..59; PascalContext59/<id>.png hold 0..58, and background is void 255.
Classes that are not among the 59 are background. The labels, trainval/<id>.mat, stand below --root or in VOC2010.
"""

import io
import os
from pathlib import Path

import numpy as np

from datasets.collection.layout import first_folder
from datasets.collection.paired import read_lines
from datasets.collection.pascal_context import PascalContext, PascalContext60
from datasets.collection.tables import read_table
from datasets.prepare.convert import label_png
from datasets.prepare.converter import Converter, Job

SPLITS = ('train', 'val')
LABELS = ('trainval/trainval', 'trainval')  # the first where an archive was unpacked into a folder of its name
ORIGINAL_IDS = 460  # 0..459


def plan(base, args, made):
    """Jobs for PascalContext{59,60}/<id>.png of every image in ImageSets/Main/{train,val}.txt."""
    root = Path(os.path.expanduser(args.root))
    folder = first_folder(
        root, [*LABELS, *(f'{base.relative_to(root)}/{name}' for name in LABELS)], 'labels (*.mat) of trainval.tar.gz'
    )
    names = [
        name for split in SPLITS for name in read_lines(base / f'ImageSets/Main/{split}.txt', PascalContext.remedy)
    ]
    variants = [
        (base / dataset.label_folders[0], original_table(column), dataset.classes.colors.tobytes())
        for dataset, column in ((PascalContext60, 'id'), (PascalContext, 'id59'))
    ]
    return [
        Job(target / f'{name}.png', (folder / f'{name}.mat',), convert, (table, palette))
        for name in names
        for target, table, palette in variants
    ]


def original_table(column: str) -> bytes:
    """ORIGINAL_IDS bytes: what each id of the 459 classes becomes in `column` of the table; what is not listed is
    background."""
    rows = read_table('pascal_context')
    table = np.full(ORIGINAL_IDS, rows[0][column], np.uint8)
    for row in rows:
        table[row['original_id']] = row[column]
    return table.tobytes()


def convert(sources, table, palette) -> tuple:
    """The LabelMap of a .mat file, mapped by `table`."""
    return label_png(np.frombuffer(table, np.uint8)[read_label_map(sources[0])], palette), ()


def read_label_map(path) -> np.ndarray:
    """The LabelMap of a .mat file, integers (H, W) from 0 to 459. Raises ValueError when there is none."""
    from scipy.io import loadmat

    try:
        label = loadmat(io.BytesIO(path.read_bytes()))['LabelMap']
    except Exception as error:  # loadmat raises a kind of its own for every way in which a file can be broken
        raise ValueError(
            f'{path}: is no MATLAB file with a LabelMap ({type(error).__name__}: {error}); unpack it again'
        ) from None
    if (
        label.ndim != 2
        or label.dtype.kind not in 'ui'
        or not label.size
        or label.min() < 0
        or label.max() >= ORIGINAL_IDS
    ):
        raise ValueError(
            f'{path}: its LabelMap does not hold ids from 0 to {ORIGINAL_IDS - 1} in rows and columns; unpack it again'
        )
    return label


CONVERTER = Converter(
    'pascal_context',
    'PASCAL Context: .mat label maps of 459 classes to 59 and 60 classes',
    __doc__,
    PascalContext,
    markers=('JPEGImages',),
    remedy=(
        'unpack VOCtrainval_03-May-2010.tar and the trainval.tar.gz of https://cs.stanford.edu/~roozbeh/pascal-context'
        ' there'
    ),
    plan=plan,
    aliases=(PascalContext60.name,),
)
