"""Downloads of every data set that `python -m datasets.prepare` converts, in their layout, a few pixels each."""

import io
import json
import os

import numpy as np
from PIL import Image
from scipy.io import savemat

from datasets.collection.tables import read_table
from datasets.prepare.__main__ import main


def write_png(path, pixels, palette=False):
    """A PNG of `pixels` uint8: (H, W) grey, or indices of a palette; (H, W, 3 or 4) colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(pixels, np.uint8))
    if palette:
        image.putpalette(bytes(range(256)) * 3)
    image.save(path)


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def image_of(path, height, width):
    """A photograph of that size, PNG or JPEG as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(path)


def pixels(path):
    """(mode, array) of a picture."""
    with Image.open(path) as image:
        return image.mode, np.array(image)


def contents(folder):
    """{path below folder: bytes} of every file, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def prepare(capsys, *argv):
    """(exit code, what was printed) of `python -m datasets.prepare` in this process."""
    code = main([*map(str, argv), '--workers', '1'])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def mapillary(root):
    base = root / 'mapillary-vistas-1.2'
    labels = [
        {
            'color': list(row['color']),
            'instances': row['instances'],
            'readable': row['readable'],
            'name': row['name'],
            'evaluate': row['id'] < 65,
        }
        for row in read_table('mapillary')
    ]
    write_json(
        base / 'config.json',
        {
            'version': '1.1',
            'mapping': 'public',
            'folder_structure': {'labels': '{split}/labels/{image_id:s}.png'},
            'labels': labels,
        },
    )
    write_png(base / 'training/labels/a.png', [range(33), range(33, 66)], palette=True)
    write_png(base / 'training/labels/b.png', [[13, 13], [27, 65]], palette=True)
    write_png(base / 'validation/labels/c.png', [[55, 19, 12]], palette=True)
    for name, size in (('training/images/a', (2, 33)), ('training/images/b', (2, 2)), ('validation/images/c', (1, 3))):
        image_of(base / f'{name}.jpg', *size)
    (base / 'testing/images').mkdir(parents=True)


def gta5(root):
    base = root / 'GTA5'
    for frame, size in ((1, (4, 6)), (2, (4, 6)), (3, (2, 3)), (15188, (4, 6))):
        image_of(base / f'images/{frame:05d}.png', *size)
    write_png(
        base / 'labels/00001.png',
        [[7, 8, 11, 12, 13, 17], [19, 20, 21, 22, 23, 24], [25, 26, 27, 28, 31, 32], [33, 0, 4, 34, 29, 30]],
        palette=True,
    )
    write_png(base / 'labels/00002.png', np.full((4, 6), 7), palette=True)
    # twice as large as its image
    write_png(base / 'labels/00003.png', np.repeat(np.repeat([[7, 8, 11], [23, 26, 0]], 2, 0), 2, 1), palette=True)
    write_png(base / 'labels/15188.png', np.full((4, 6), 7), palette=True)
    savemat(
        base / 'split.mat',
        {'trainIds': np.array([[1], [15188]]), 'valIds': np.array([[2]]), 'testIds': np.array([[3], [17705]])},
    )


def shift(root):
    base = root / 'SHIFT/discrete'
    for split, view, first in (('train', 'front', 0), ('val', 'front', 10), ('train', 'left_90', 3)):
        ids = (np.arange(12).reshape(2, 6) + first) % 23
        # the id is in the red channel
        label = np.dstack([ids, np.full_like(ids, 9), np.full_like(ids, 200), np.full_like(ids, 255)])
        write_png(base / f'labels/{split}/{view}/0003-17fb/00000000_semseg_{view}.png', label)
        image_of(base / f'images/{split}/{view}/0003-17fb/00000000_img_{view}.jpg', 2, 6)


def wilddash_mask(ids):
    """The colours of a panoptic mask: R + 256 G + 65536 B is the id of the segment."""
    ids = np.array(ids)
    return np.dstack([ids % 256, ids // 256 % 256, ids // 65536])


def wilddash(root):
    base = root / 'WildDash2'
    # aa0001 has things only, aa0002 nothing at all
    segments = {'aa0000': {7: 7, 300: 34, 70000: 58}, 'aa0001': {24: 24}, 'aa0002': {}}
    masks = {
        'aa0000': [[7, 7, 300], [70000, 300, 0]],
        'aa0001': [[24, 24, 24], [0, 0, 24]],
        'aa0002': [[0, 0, 0], [0, 0, 0]],
    }
    write_json(
        base / 'panoptic.json',
        {
            'images': [{'id': f'{stem}', 'file_name': f'{stem}.jpg', 'height': 2, 'width': 3} for stem in segments],
            'annotations': [
                {
                    'image_id': stem,
                    'file_name': f'{stem}.png',
                    'segments_info': [
                        {'id': id, 'category_id': category, 'iscrowd': 0} for id, category in each.items()
                    ],
                }
                for stem, each in segments.items()
            ],
            'categories': [{'id': row['id'], 'name': row['name']} for row in read_table('wilddash')],
        },
    )
    for stem, mask in masks.items():
        write_png(base / f'panoptic/{stem}.png', wilddash_mask(mask))
        image_of(base / f'images/{stem}.jpg', 2, 3)
    (base / 'random_split').mkdir()
    (base / 'random_split/training.txt').write_text('aa0000\naa0002\n')
    (base / 'random_split/validation.txt').write_text('aa0001\n')


def square(label, left, top, right, bottom, **more):
    """A polygon that covers the pixels left..right, top..bottom, both ends included."""
    return {'label': label, 'polygon': [[left, top], [right, top], [right, bottom], [left, bottom]], **more}


def idd(root):
    base = root / 'IDD_Segmentation'
    objects = [
        square('road', 0, 0, 5, 3),
        square('vehicle fallback', 0, 0, 1, 1),
        square('car', 4, 0, 5, 1, deleted=1),
        square('persongroup', 4, 2, 5, 3),
        square('spaceship', 0, 0, 5, 3),
        {'label': 'sky', 'polygon': [[0, 0], [5, 3]]},
        square('sky', 2, 0, 3, 0),
    ]
    for split, drive in (('train', '0'), ('val', '119')):
        write_json(
            base / f'gtFine/{split}/{drive}/024541_gtFine_polygons.json',
            {'imgHeight': 4, 'imgWidth': 6, 'objects': objects},
        )
        image_of(base / f'leftImg8bit/{split}/{drive}/024541_leftImg8bit.png', 4, 6)


def pascal_context(root):
    base = root / 'VOCdevkit/VOC2010'
    names = {'train': ['2008_000002', '2008_000004'], 'val': ['2008_000003']}
    labels = {'2008_000002': [[0, 2, 458], [459, 1, 284]], '2008_000003': [[9, 9]], '2008_000004': [[440], [0]]}
    (base / 'ImageSets/Main').mkdir(parents=True)
    (root / 'trainval').mkdir()
    for split, listed in names.items():
        (base / f'ImageSets/Main/{split}.txt').write_text(''.join(f'{name}\n' for name in listed))
    for name, label in labels.items():
        image_of(base / f'JPEGImages/{name}.jpg', *np.shape(label))
        savemat(root / f'trainval/{name}.mat', {'LabelMap': np.array(label, np.uint16)}, do_compression=True)


def cityscapes(root):
    base = root / 'Cityscapes-nvidia'
    fine, coarse = base / 'gtFine_trainvaltest/gtFine', base / 'gtCoarse/gtCoarse'
    write_png(fine / 'train/aachen/aachen_000000_000019_gtFine_labelIds.png', [[7, 0, 33], [26, 31, 9]])
    write_json(
        fine / 'train/aachen/aachen_000000_000019_gtFine_polygons.json',
        {'imgHeight': 2, 'imgWidth': 3, 'objects': [square('sky', 0, 0, 2, 1)]},
    )
    write_json(
        fine / 'val/lindau/lindau_000000_000019_gtFine_polygons.json',
        {
            'imgHeight': 2,
            'imgWidth': 3,
            'objects': [
                square('road', 0, 0, 2, 1),
                square('license plate', 0, 0, 2, 0),
                square('cargroup', 2, 0, 2, 1),
            ],
        },
    )
    write_png(coarse / 'train_extra/erlangen/erlangen_000000_000000_gtCoarse_labelIds.png', [[7, 8]])
    image_of(base / 'leftImg8bit_trainvaltest/leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png', 2, 3)
    image_of(base / 'leftImg8bit_trainvaltest/leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png', 2, 3)


def ade20k(root):
    base = root / 'ADEChallengeData2016'
    labels = {
        'training/ADE_train_00000001': [[0, 1], [150, 2]],
        'training/ADE_train_00000002': [[0, 3]],
        'validation/ADE_val_00000001': [[13], [0]],
    }
    for name, label in labels.items():
        write_png(base / f'annotations/{name}.png', label)
        image_of(base / f'images/{name}.jpg', *np.shape(label))


CAMVID_FRAMES = {
    'train': ['0001TP_006690', '0001TP_008520', '0006R0_f00930', '0016E5_07920', '0016E5_08190'],
    'val': ['0016E5_07959', '0016E5_08159'],
    'test': ['0001TP_008550', 'Seq05VD_f00000'],
}


def camvid(root):
    base = root / 'camvid'
    # sky, wall, void; motorcycle, animal, marking
    colours = [[(128, 128, 128), (64, 192, 0), (0, 0, 0)], [(192, 0, 192), (64, 128, 64), (128, 0, 192)]]
    for frame in sum(CAMVID_FRAMES.values(), []):
        image_of(base / f'701_StillsRaw_full/{frame}.png', 2, 3)
        write_png(base / f'LabeledApproved_full/{frame}_L.png', colours)


TREES = {
    'ade20k': ade20k,
    'camvid': camvid,
    'cityscapes': cityscapes,
    'gta5': gta5,
    'idd': idd,
    'mapillary': mapillary,
    'pascal_context': pascal_context,
    'shift': shift,
    'wilddash': wilddash,
}


def die(sources):
    """A conversion whose process is killed, as by a full memory."""
    os._exit(9)


def png_bytes(pixels):
    file = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8)).save(file, 'PNG')
    return file.getvalue()
