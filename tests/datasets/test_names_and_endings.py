"""Names that print alike but are spelt in other bytes (NFD, NFC), and images of rarer endings."""

import unicodedata
import zipfile

import numpy as np
import pytest
from custom_file import CLASSES, FOLDERS, make_images, names, open_custom, stripes
from PIL import Image
from trees import write

from datasets.collection.folder import Folder
from datasets.collection.layout import make_items
from datasets.collection.paired import with_stems
from utils.classes import Classes
from utils.cli.wording import by_ending
from utils.files.archives import ArchivePath, alike, locate

NFC, NFD = (unicodedata.normalize(form, 'München') for form in ('NFC', 'NFD'))
TWO = Classes(('a', 'b'), [(0, 0, 0), (9, 9, 9)])
PAIRED = {
    'images': 'images/**/*.png',
    'labels': 'labels/{folder}/{stem}.png',
    'splits': {'val': 0.5},
    'classes': CLASSES,
}


def make(folder, image, label):
    for name in ('a', image):
        write(folder / f'images/{image}/{name}.png', stripes(*[(9, 2, 3)] * 4))
    for name in ('a', label):
        write(folder / f'labels/{label}/{name}.png', stripes(7, 26, 27, 7))
    return folder


@pytest.mark.parametrize('image, label', [(NFC, NFD), (NFD, NFC)])
def test_a_label_is_found_by_a_name_that_prints_alike(tmp_path, image, label):
    assert image != label
    make(tmp_path, image, label)
    loaded = [open_custom(tmp_path, PAIRED, split) for split in ('train', 'val')]
    assert sorted(name for dataset in loaded for name in names(dataset)) == sorted(
        [f'{image}/a.png', f'{image}/{image}.png']
    )
    assert all(dataset.load(dataset.items[0])[1].max() == 1 for dataset in loaded)


@pytest.mark.parametrize('written, there', [(NFC, NFD), (NFD, NFC)])
def test_patterns_and_lists_find_what_prints_alike(tmp_path, written, there):
    make(tmp_path, there, there)
    (tmp_path / 'train.txt').write_text(f'{written}/{written}.png\n', encoding='utf-8')
    values = {
        'images': f'images/{written}/*.png',
        'labels': f'labels/{written}/{{stem}}.png',
        'splits': {'train': 'train.txt'},
        'classes': CLASSES,
    }
    dataset = open_custom(tmp_path, values)
    assert names(dataset) == [f'{there}.png'] and dataset.load(dataset.items[0])[1].max() == 1


def test_registered_layouts_folders_and_archives_do_too(tmp_path):
    make(tmp_path, NFC, NFD)
    images = sorted((tmp_path / 'images').rglob('*.png'))
    items = make_items(images, tmp_path / 'images', lambda image: tmp_path / 'labels' / NFC / image.name)
    assert {item.label.parent.name for item in items} == {NFD} and all(item.label.is_file() for item in items)
    assert with_stems(images, [NFD], 'list', 'remedy') == [tmp_path / f'images/{NFC}/{NFC}.png']
    assert len(Folder('x', TWO, tmp_path / 'labels' / NFC)) == 2
    with zipfile.ZipFile(tmp_path / 'packed.zip', 'w') as file:
        file.write(images[0], f'photos/{NFD}/a.png')
    found = locate(tmp_path / 'packed' / 'photos' / NFC / 'a.png')
    assert isinstance(found, ArchivePath) and found.is_file()
    assert alike(tmp_path / 'labels' / 'Münster') is None


def test_jfif_and_jpe_are_images(tmp_path):
    for name in ('a.jfif', 'b.JPE', 'c.jpg'):
        Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(tmp_path / name, 'JPEG')
    dataset = Folder('x', TWO, tmp_path)
    assert names(dataset) == ['a.jfif', 'b.JPE', 'c.jpg'] and dataset.load(dataset.items[0])[0].shape == (4, 6, 3)


def test_what_is_left_out_is_counted_by_ending(tmp_path):
    make_images(tmp_path)
    for name in ('08.heic', '09.HEIC', '10.txt', '11.jpg'):
        (tmp_path / 'images/train/c0' / name).write_bytes(b'x')
    notes = open_custom(tmp_path, FOLDERS).notes
    assert notes == [
        'images (images/train/**/*.png): 3 files there are left out, no image that can be read or of another name:'
        ' 2 .heic, 1 .jpg'
    ]
    assert open_custom(tmp_path, FOLDERS, 'val').notes == []
    assert Folder('x', TWO, tmp_path / 'images/train/c0').notes == [
        f'{tmp_path}/images/train/c0: 3 of 7 files are no images and are left out: 2 .heic, 1 .txt'
    ]
    assert by_ending(['a/b.c/README', '.hidden', 'x.Y']) == '1 README, 1 .hidden, 1 .y'


def test_labels_in_the_folder_of_the_images_are_not_left_out(tmp_path):
    for number in range(4):
        write(tmp_path / f'{number}_photo.png', stripes(*[(9, 2, 3)] * 4))
        write(tmp_path / f'{number}_mask.png', stripes(7, 26, 27, 7))
    values = {'images': '{stem}_photo.png', 'labels': '{stem}_mask.png', 'splits': {'val': 0.5}, 'classes': CLASSES}
    assert open_custom(tmp_path, values).notes == []
