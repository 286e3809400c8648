"""A small tree of any dataset in its exact layout, from scenes of the synthetic street, re-labelled: make_tree(name,
root)."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from datasets.collection.cityscapes_labels import CLASSES
from datasets.collection.tables import read_table
from datasets.prepare.synthetic import draw_scene

SIZE = (64, 128)  # height, width of every image
FOLDERS = {'train': 'training', 'val': 'validation', 'test': 'testing'}


class Split(NamedTuple):
    """What a dataset has to find in one split. labels: uint8 (H, W) trainIds in the order of names, or None without
    labels."""

    names: list
    labels: list | None


class Tree(NamedTuple):
    """folder: the dataset's, below the dataset root; splits: {split: Split}."""

    folder: Path
    splits: dict


class Coding(NamedTuple):
    """How the 19 classes of a scene are spread over those of a dataset: raw value and trainId of scene class t."""

    classes: int = 19
    offset: int = 0  # of the raw value over the trainId
    void_raw: int = 255
    void: int = 255

    def raw(self, ids):
        return self._spread(ids, self.offset, self.void_raw)

    def trainids(self, ids):
        return self._spread(ids, 0, self.void)

    def _spread(self, ids, offset, void):
        scene = CLASSES.id_to_trainid[ids].astype(int)
        return np.where(scene == 255, void, scene * (self.classes - 1) // 18 + offset).astype(np.uint8)


class CityscapesIds(Coding):
    """The raw values are the ids of Cityscapes, as the scene has them."""

    def raw(self, ids):
        return ids


class Layout(NamedTuple):
    """files(split, n) -> image and label of image n, below `folder`; root: where names start, below `folder`;
    extra(folder, {split: [n, ...]}) writes whatever else belongs to the dataset."""

    folder: str
    root: str
    files: Callable
    splits: tuple = ('train', 'val', 'test')
    labelled: tuple = ('train', 'val')
    coding: Coding = Coding()
    extra: Callable = lambda folder, numbers: None


@cache
def scene(number: int):
    """Image uint8 (H, W, 3) RGB and Cityscapes ids uint8 (H, W) of one street; another one for every number."""
    return draw_scene(SIZE, seed=7, split_number=0, index=number)


def write(path: Path, pixels):
    """Write an array (RGB or grey) in the format of the name, with the folders on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


def make_tree(name: str, root, images: int = 4) -> Tree:
    """Make dataset `name` below `root`, with `images` different images in every split (kitti: 2 * images in train +
    val).

    Label files and lists are those that a prepared dataset has. Returns what the dataset has to find there.
    """
    layout = LAYOUTS[name]
    base = Path(root) / layout.folder
    numbers = {split: list(range(place * images, (place + 1) * images)) for place, split in enumerate(layout.splits)}
    if name == 'kitti':
        both = numbers['train'] + numbers['val']
        numbers['val'] = both[::5]
        numbers['train'] = [n for n in both if n not in numbers['val']]
    splits = {}
    for split, chosen in numbers.items():
        found = {}
        for n in chosen:
            image, label = layout.files(split, n)
            pixels, ids = scene(n)
            write(base / image, pixels)
            if split in layout.labelled:
                write(base / label, layout.coding.raw(ids))
            found[Path(image).relative_to(layout.root).as_posix()] = layout.coding.trainids(ids)
        names = sorted(found)
        splits[split] = Split(names, [found[name] for name in names] if split in layout.labelled else None)
    layout.extra(base, numbers)
    return Tree(base, splits)


def coarse_tree(root) -> Path:
    """The tree of Cityscapes with two more images in each of two cities that have coarse labels; returns its folder."""
    base = make_tree('cityscapes', root).folder
    for n, city in enumerate(('oxdorf', 'oxdorf', 'pinnau', 'pinnau')):
        pixels, ids = scene(100 + n)
        name = f'{city}_{n:06d}_000000'
        write(base / f'leftImg8bit/train_extra/{city}/{name}_leftImg8bit.png', pixels)
        write(base / f'gtCoarse/train_extra/{city}/{name}_gtCoarse_labelIds.png', ids)
    return base


def _cityscapes(split, n):
    city = f'{split}town{n % 2}'
    return (
        f'leftImg8bit/{split}/{city}/{city}_{n:06d}_000019_leftImg8bit.png',
        f'gtFine/{split}/{city}/{city}_{n:06d}_000019_gtFine_labelIds.png',
    )


def _idd(split, n):
    return (
        f'leftImg8bit/{split}/{n % 2:03d}/frame{n:04d}_leftImg8bit.{("png", "jpg")[n % 2]}',
        f'gtFine/{split}/{n % 2:03d}/frame{n:04d}_gtFine_labelcsTrainIds.png',
    )


def _shift(split, n):
    view = ('front', 'left_45')[n % 2]
    return (
        f'discrete/images/{split}/{view}/0aee-69fd/{n:08d}_img_{view}.jpg',
        f'discrete/labels_cityscapes/{split}/{view}/0aee-69fd/{n:08d}_semseg_{view}.png',
    )


def _acdc(split, n):
    where = f'{("fog", "night", "rain", "snow")[n % 4]}/{split}/GOPR{n % 2:04d}/GOPR{n % 2:04d}_frame_{n:06d}'
    return f'rgb_anon/{where}_rgb_anon.png', f'gt/{where}_gt_labelTrainIds.png'


def _bravo(split, n):
    return (
        f'bravo_ACDC/fog/test/GOPR0475/GOPR0475_frame_{n:06d}_rgb_anon.png',
        f'bravo_SMIYC/RoadAnomaly21/images/validation{n:04d}.jpg',
    )[n % 2], None


def _smiyc(ending):
    return lambda split, n: (f'images/validation{n:04d}.{ending}', None)


def _smiyc_extra(folder, numbers):
    """The labels, which are no classes, and an image of the test set."""
    for n in numbers['val']:
        write(folder / f'labels_masks/validation{n:04d}_labels_semantic.png', np.full(SIZE, n % 2, np.uint8))
    write(folder / 'images/airplane0000.jpg', scene(0)[0])


def _gta5_extra(folder, numbers):
    np.savez(folder / 'split.npz', **{f'{split}Ids': np.array(chosen, np.uint16) for split, chosen in numbers.items()})


def _wilddash_extra(folder, numbers):
    _lists(
        folder / 'random_split',
        {FOLDERS[split]: [f'aa{n:04d}_100000' for n in numbers[split]] for split in ('train', 'val')},
    )


def _pascal_extra(folder, numbers):
    _lists(folder / 'ImageSets/Main', {split: [f'2008_{n:06d}' for n in chosen] for split, chosen in numbers.items()})


def _lists(folder, lists):
    folder.mkdir(parents=True, exist_ok=True)
    for name, ids in lists.items():
        (folder / f'{name}.txt').write_text('\n'.join(ids) + '\n')


def _config(name, table):
    def extra(folder, numbers):
        labels = [
            {'color': list(row['color']), 'readable': row['readable'], 'evaluate': True} for row in read_table(table)
        ]
        labels[-1]['evaluate'] = False
        (folder / name).write_text(json.dumps({'version': '1.0', 'labels': labels}))

    return extra


def _flat(image, label):
    """A layout whose paths are these templates of split, its long name (training ...) and n."""
    return lambda split, n: tuple(path.format(split=split, folder=FOLDERS[split], n=n) for path in (image, label))


_MAPILLARY = '{folder}/images/{n:04d}_abc.jpg'
LAYOUTS = {
    'cityscapes': Layout('Cityscapes', 'leftImg8bit', _cityscapes, coding=CityscapesIds()),
    'synthetic': Layout('synthetic', 'leftImg8bit', _cityscapes, ('train', 'val'), coding=CityscapesIds()),
    'mapillary': Layout(
        'mapillary-vistas-1.2',
        '',
        _flat(_MAPILLARY, '{folder}/labels/{n:04d}_abc.png'),
        coding=Coding(65, void_raw=65, void=65),
        extra=_config('config.json', 'mapillary'),
    ),
    'mapillary_v2': Layout(
        'mapillary-vistas-2.0',
        '',
        _flat(_MAPILLARY, '{folder}/v2.0/labels/{n:04d}_abc.png'),
        coding=Coding(123, void_raw=123),
        extra=_config('config_v2.0.json', 'mapillary_v2'),
    ),
    'mapillary_citylabel': Layout(
        'mapillary-vistas-1.2', '', _flat(_MAPILLARY, '{folder}/labels_cityscapes/{n:04d}_abc.png')
    ),
    'bdd100k': Layout(
        'bdd100k',
        'images/10k',
        _flat('images/10k/{split}/{n:08d}-00ff.jpg', 'labels/sem_seg/masks/{split}/{n:08d}-00ff.png'),
    ),
    'idd': Layout('IDD_Segmentation', 'leftImg8bit', _idd),
    'gta5': Layout(
        'GTA5',
        'images',
        _flat('images/{n:05d}.png', 'labels_cityscapes/{n:05d}.png'),
        labelled=('train', 'val', 'test'),
        extra=_gta5_extra,
    ),
    'shift': Layout('SHIFT', 'discrete/images', _shift),
    'wilddash': Layout(
        'WildDash2',
        'images',
        _flat('images/aa{n:04d}_100000.jpg', 'semantic_csTrain/aa{n:04d}_100000_labelIds.png'),
        extra=_wilddash_extra,
    ),
    'bravo': Layout('bravo_1.0', '', _bravo, ('val',), ()),
    'SMIYC_anomaly': Layout(
        'SegmentMeIfYouCan/dataset_AnomalyTrack', 'images', _smiyc('jpg'), ('val',), (), extra=_smiyc_extra
    ),
    'SMIYC_obstacle': Layout(
        'SegmentMeIfYouCan/dataset_ObstacleTrack', 'images', _smiyc('webp'), ('val',), (), extra=_smiyc_extra
    ),
    'acdc': Layout('ACDC', 'rgb_anon', _acdc),
    'kitti': Layout(
        'KITTI',
        '',
        lambda split, n: (
            f'{"testing" if split == "test" else "training"}/image_2/{n:06d}_10.png',
            f'training/semantic/{n:06d}_10.png',
        ),
        coding=CityscapesIds(),
    ),
    'camvid': Layout(
        'camvid',
        '',
        _flat('{split}/0001TP_{n:06d}.png', '{split}annot/0001TP_{n:06d}.png'),
        labelled=('train', 'val', 'test'),
        coding=Coding(11, void_raw=11),
    ),
    'camvid32': Layout(
        'camvid',
        '',
        _flat('{split}/0001TP_{n:06d}.png', '{split}annot32/0001TP_{n:06d}.png'),
        labelled=('train', 'val', 'test'),
        coding=Coding(32, void_raw=30),
    ),
    'pascal_context': Layout(
        'VOC2010',
        'JPEGImages',
        _flat('JPEGImages/2008_{n:06d}.jpg', 'PascalContext59/2008_{n:06d}.png'),
        ('train', 'val'),
        coding=Coding(59),
        extra=_pascal_extra,
    ),
    'pascal_context_60': Layout(
        'VOC2010',
        'JPEGImages',
        _flat('JPEGImages/2008_{n:06d}.jpg', 'PascalContext60/2008_{n:06d}.png'),
        ('train', 'val'),
        coding=Coding(60, void_raw=0, void=0),
        extra=_pascal_extra,
    ),
    'ade20k': Layout(
        'ADEChallengeData2016',
        'images',
        _flat('images/{folder}/ADE_{n:08d}.jpg', 'annotations/{folder}/ADE_{n:08d}.png'),
        ('train', 'val'),
        coding=Coding(150, offset=1, void_raw=0),
    ),
}
