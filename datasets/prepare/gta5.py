"""GTA5 (Richter et al., ECCV 2016, arXiv 1608.02192): ids of Cityscapes to trainIds, split.mat to split.npz.

Frames 15188 and 17705 are black and white pictures with good labels: they get no label and leave the splits. Some
labels have another size than their image; they are brought to the size of the image, so that the images stay as they
are.
"""

import io

import numpy as np
from PIL import Image

from datasets.collection.cityscapes_labels import CLASSES
from datasets.collection.gta5 import GTA5
from datasets.collection.layout import list_files
from datasets.loading.reading import label_size, read_label
from datasets.prepare.convert import CITYSCAPES_PALETTE, id_table, label_png, look_up
from datasets.prepare.converter import Converter, Job

BLACK_AND_WHITE = (15188, 17705)
SPLITS = ('trainIds', 'valIds', 'testIds')


def plan(base, args, made):
    """Jobs for labels_cityscapes/*.png and split.npz."""
    images = {path.stem: path for path in list_files(base / 'images', ['.png'])}
    labels = {path.stem: path for path in list_files(base / 'labels', ['.png'])}
    dropped = {f'{frame:05d}' for frame in BLACK_AND_WHITE}
    frames = sorted((images.keys() | labels.keys()) - dropped)
    read_splits(base / 'split.mat')  # a mistake there shows before hours of work
    jobs = [Job(base / 'split.npz', (base / 'split.mat',), make_splits, (tuple(frames),))]
    table = id_table(CLASSES.id_map)
    return jobs + [
        Job(
            base / 'labels_cityscapes' / f'{frame}.png',
            (labels.get(frame, base / 'labels' / f'{frame}.png'), images.get(frame, base / 'images' / f'{frame}.png')),
            convert,
            (table, CITYSCAPES_PALETTE),
        )
        for frame in frames
    ]


def convert(sources, table, palette) -> tuple:
    """The label sources[0] as trainIds, in the size of the image sources[1] (nearest neighbour)."""
    label, notes = look_up(read_label(sources[0]), table)
    size = label_size(sources[1])
    if label.shape != size:
        label = np.array(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))
        notes = (*notes, 'the label had another size than its image and was resized')
    return label_png(label, palette), notes


def read_splits(path) -> dict:
    """{'trainIds': int array (n,), ...} of split.mat without the black and white frames."""
    from scipy.io import loadmat

    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: is missing, it holds the train, val and test split; take it from the sample code on the web page'
            ' of GTA5'
        )
    try:
        arrays = loadmat(io.BytesIO(path.read_bytes()))
        splits = {name: _frames(arrays[name], name) for name in SPLITS}
    except Exception as error:  # loadmat raises a kind of its own for every way in which a file can be broken
        raise ValueError(
            f'{path}: is no MATLAB file with {", ".join(SPLITS)} ({type(error).__name__}: {error}); download it again'
        ) from None
    return {name: frames[~np.isin(frames, BLACK_AND_WHITE)] for name, frames in splits.items()}


def _frames(values, name) -> np.ndarray:
    """The frame numbers int64 (n,) that MATLAB may have saved as doubles. Raises ValueError for values that are no
    whole numbers."""
    values = np.ravel(values)
    with np.errstate(invalid='ignore'):  # of nan, which differs from whatever it becomes
        frames = values.astype(np.int64)
    if not np.array_equal(frames, values):
        raise ValueError(f'{name} holds other values than frame numbers')
    return frames


def make_splits(sources, present) -> tuple:
    """split.npz; notes how many of its frames are not among `present`."""
    splits = read_splits(sources[0])
    file = io.BytesIO()
    np.savez(file, **splits)
    present = set(present)
    notes = []
    for name, frames in splits.items():
        missing = [f'{frame:05d}' for frame in frames if f'{frame:05d}' not in present]
        if missing:
            notes.append(
                f'{len(missing)} of the {len(frames)} frames in {name} are not there, the first is {missing[0]}.png;'
                ' unpack all archives'
            )
    return file.getvalue(), tuple(notes)


CONVERTER = Converter(
    'gta5',
    'GTA5: labels to the 19 classes of Cityscapes, split.mat to split.npz',
    __doc__,
    GTA5,
    markers=('labels',),
    remedy=(
        'unpack the archives of images and labels there, into the folders images and labels, with split.mat beside them'
    ),
    plan=plan,
)
