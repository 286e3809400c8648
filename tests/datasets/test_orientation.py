"""Photos that a camera stored turned or mirrored: one rule for every format and use."""

import io
import zlib

import numpy as np
import pytest
from custom_file import CLASSES, open_custom
from PIL import Image, ImageOps
from trees import write

from datasets.base import Item
from datasets.collection.folder import Folder
from datasets.loading.reading import label_size, peek, read_image, read_label
from datasets.verify.checks import check_files
from datasets.verify.examine import examine, glance
from utils.classes import Classes

IDS = np.array([[0, 1, 2], [3, 4, 5]], np.uint8)
# What a viewer shows of IDS for each orientation (TIFF 6.0, tag 274: where row 0 and column 0 are on the screen).
SHOWN = {
    1: [[0, 1, 2], [3, 4, 5]],
    2: [[2, 1, 0], [5, 4, 3]],
    3: [[5, 4, 3], [2, 1, 0]],
    4: [[3, 4, 5], [0, 1, 2]],
    5: [[0, 3], [1, 4], [2, 5]],
    6: [[3, 0], [4, 1], [5, 2]],
    7: [[5, 2], [4, 1], [3, 0]],
    8: [[2, 5], [1, 4], [0, 3]],
}
SAVED = {'png': {}, 'jpg': {'quality': 95}, 'webp': {'lossless': True}, 'tif': {}}


def save(path, pixels, orientation, mode=None):
    image = Image.fromarray(pixels)
    image = image if mode is None else image.convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.tif':
        image.save(path, tiffinfo={274: orientation})
    else:
        exif = Image.Exif()
        exif[274] = orientation
        image.save(path, exif=exif, **SAVED[path.suffix[1:]])


@pytest.mark.parametrize('orientation', SHOWN)
@pytest.mark.parametrize('extension', SAVED)
def test_every_format_is_read_as_viewers_show_it(tmp_path, extension, orientation):
    path = tmp_path / f'a.{extension}'
    save(path, np.repeat(np.repeat(IDS * 40, 8, 0), 8, 1), orientation, 'RGB')
    expected = np.array(SHOWN[orientation]) * 40
    found = read_image(path)[4::8, 4::8]
    assert np.abs(found.astype(int) - expected[..., None]).max() <= 6  # what a JPEG changes
    assert peek(path) == (8 * expected.shape[0], 8 * expected.shape[1]) == read_image(path).shape[:2]
    assert np.abs(found - np.asarray(ImageOps.exif_transpose(Image.open(path)))[4::8, 4::8].astype(int)).max() <= 6


@pytest.mark.parametrize('orientation', SHOWN)
@pytest.mark.parametrize('name, mode', [('a.png', 'L'), ('a.png', 'P'), ('a.png', 'I;16'), ('a.tif', 'L')])
def test_label_maps_follow_the_same_rule(tmp_path, name, mode, orientation):
    path = tmp_path / name
    save(path, IDS.astype(np.uint16) if mode == 'I;16' else IDS, orientation, None if mode == 'I;16' else mode)
    found = read_label(path)
    assert found.tolist() == SHOWN[orientation] and found.flags.c_contiguous
    assert label_size(path) == found.shape


def test_a_record_behind_the_pixels_of_a_png_counts_too(tmp_path):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)).save(file, 'PNG')
    exif = b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    chunk = len(exif).to_bytes(4, 'big') + b'eXIf' + exif + zlib.crc32(b'eXIf' + exif).to_bytes(4, 'big')
    data = file.getvalue()
    (tmp_path / 'a.png').write_bytes(data[:-12] + chunk + data[-12:])
    assert len(data) > 1 << 16  # longer than what is read of its start
    assert read_image(tmp_path / 'a.png').shape == (300, 200, 3) and peek(tmp_path / 'a.png') == (300, 200)


@pytest.mark.parametrize('exif', [b'', b'MM\0*', b'II*\0\xff\xff\xff\xff', b'MM\0*\0\0\0\x08\xff\xff\x01\x12'])
def test_a_broken_record_says_nothing(tmp_path, exif):
    Image.fromarray(IDS).save(tmp_path / 'a.png', exif=b'Exif\0\0' + exif)
    assert read_image(tmp_path / 'a.png').shape == (2, 3, 3)


VALUES = {'images': 'images/*.jpg', 'labels': 'labels/{stem}.png', 'splits': {'val': 0.5}, 'classes': CLASSES}


def make_photos(folder, orientation, label):
    for number in range(4):
        save(folder / f'images/{number}.jpg', np.full((16, 32, 3), 40 * number, np.uint8), orientation)
        write(folder / f'labels/{number}.png', label)
    return folder


def test_training_and_prediction_see_the_same_photo(tmp_path):
    make_photos(tmp_path, 6, np.full((32, 16), 7, np.uint8))
    dataset = open_custom(tmp_path, VALUES)
    item = dataset.items[0]
    image, label = dataset.load(item)
    alone, none = Folder('custom', Classes(('a', 'b'), [(0, 0, 0), (9, 9, 9)]), tmp_path / 'images').load(
        Item(item.image, None, item.name)
    )
    assert image.shape == (32, 16, 3) and np.array_equal(image, alone) and label.shape == (32, 16) and none is None


def test_a_mismatch_by_a_turn_says_exif(tmp_path):
    dataset = open_custom(make_photos(tmp_path, 8, np.full((16, 32), 7, np.uint8)), VALUES)
    with pytest.raises(ValueError, match=r'32x16 .* is 16x32 \(EXIF: the image has an orientation of 8 .*exiftool'):
        dataset.load(dataset.items[0])
    for look in (glance, lambda item: examine(dataset, item)):
        note, error = sorted(check_files(dataset, [look(dataset.items[0])]), key=lambda one: one.level)[::-1]
        assert error.kind == 'size_mismatch' and 'exiftool' in error.sentence
        assert '32x16, its image 16x32 (EXIF: the image has an orientation of 8' in str(error.files[0])
        assert note.kind == 'exif_orientation'


@pytest.mark.parametrize('orientation, count', [(1, 0), (2, 2), (3, 2)])
def test_what_passes_every_check_of_sizes_is_counted(tmp_path, orientation, count):
    dataset = open_custom(make_photos(tmp_path, orientation, np.full((16, 32), 7, np.uint8)), VALUES)
    for look in (glance, lambda item: examine(dataset, item)):
        found = [one for one in check_files(dataset, list(map(look, dataset.items))) if one.kind == 'exif_orientation']
        assert len(found) == (count > 0)
        for finding in found:
            assert finding.sentence.startswith("split 'train': 2 files have an EXIF orientation: they are read turned")
            assert len(finding.files) == count
