"""Images of other channels than RGB: grey, with depth, bands of a TIFF, and values of more than 8 bits."""

import cv2
import numpy as np
import pytest
from custom_file import FOLDERS, make_images, open_custom, stripes

from datasets.loading.cache import with_cache
from datasets.loading.channels import read_channels
from datasets.loading.reading import peek
from datasets.verify.examine import examine
from datasets.verify.whole import verify
from utils.files.images import as_rgb

RGB = np.array([[[200, 100, 50], [0, 0, 0]]], np.uint8)
DEPTH = np.dstack([RGB, np.array([[40, 255]], np.uint8)])


def save(path, image):
    """OpenCV has blue first."""
    order = [2, 1, 0, 3][: image.shape[2]] if image.ndim == 3 else slice(None)
    assert cv2.imwrite(str(path), image[..., order] if image.ndim == 3 else image)
    return path


def save_pages(path, image):
    assert cv2.imwritemulti(str(path), [np.ascontiguousarray(page) for page in np.moveaxis(image, 2, 0)])
    return path


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_the_fourth_channel_is_kept_where_four_are_wanted(tmp_path, name):
    file = save(tmp_path / name, DEPTH)
    assert read_channels(file, 4).tolist() == DEPTH.tolist()
    assert read_channels(file).tolist() == RGB.tolist()


def test_one_channel_is_the_grey_of_itu_601(tmp_path):
    assert read_channels(save(tmp_path / 'a.png', RGB), 1).tolist() == [
        [[124], [0]]
    ]  # 0.299 200 + 0.587 100 + 0.114 50
    assert read_channels(save(tmp_path / 'b.png', RGB[..., 0]), 1).tolist() == [[[200], [0]]]


@pytest.mark.parametrize('value_range, expected', [(None, [0, 15]), ((0, 4095), [0, 255]), ((2000, 4095), [0, 255])])
def test_sixteen_bits_become_bytes_by_their_range(tmp_path, value_range, expected):
    file = save(tmp_path / 'a.png', np.array([[0, 4095]], np.uint16))
    assert read_channels(file, 1, value_range).ravel().tolist() == expected
    assert read_channels(file, 3, value_range)[0, 1].tolist() == [expected[1]] * 3


def test_the_pages_of_a_tiff_are_channels_in_their_order(tmp_path):
    bands = np.arange(6, dtype=np.uint16).reshape(1, 1, 6).repeat(3, axis=1) * 1000
    found = read_channels(save_pages(tmp_path / 'a.tif', bands), 6, (0, 5100))
    assert found.shape == (1, 3, 6) and found[0, 2].tolist() == [0, 50, 100, 150, 200, 250]


def test_the_bands_of_a_tiff_are_read_with_tifffile(tmp_path):
    tifffile = pytest.importorskip('tifffile')
    bands = np.arange(42, dtype=np.uint8).reshape(2, 3, 7)
    for name, values, layout in (('a', bands, 'contig'), ('b', np.moveaxis(bands, 2, 0), 'separate')):
        tifffile.imwrite(tmp_path / f'{name}.tif', values, photometric='minisblack', planarconfig=layout)
        assert read_channels(tmp_path / f'{name}.tif', 7).tolist() == bands.tolist()
        assert peek(tmp_path / f'{name}.tif') == (2, 3)


@pytest.mark.parametrize(
    'image, channels, words',
    [
        (RGB, 4, 'a.tif: has 3 channels, expected the 4 of --in_channels'),
        (DEPTH, 2, 'a.tif: has 4 channels, expected the 2 of'),
        (
            RGB[..., 0].astype(np.float32),
            1,
            'a.tif: holds float32 values, images have 8 or 16 bits; give --value_range',
        ),
    ],
)
def test_an_image_of_other_channels_is_named_with_both_numbers(tmp_path, image, channels, words):
    with pytest.raises(ValueError) as error:
        read_channels(save(tmp_path / 'a.tif', image), channels)
    assert words in str(error.value)


def test_values_that_are_no_numbers_are_refused(tmp_path):
    file = save(tmp_path / 'a.tif', np.array([[np.nan, 1]], np.float32))
    with pytest.raises(ValueError, match='no numbers'):
        read_channels(file, 1, (0, 1))


@pytest.mark.parametrize('channels, expected', [(1, [7, 7, 7]), (2, [7, 7, 7]), (3, [7, 8, 9]), (5, [7, 8, 9])])
def test_pictures_show_the_first_three_channels_or_the_first(channels, expected):
    assert as_rgb(np.arange(7, 7 + channels)).tolist() == expected


@pytest.fixture
def bands(tmp_path):
    """make_images with six bands of 12 bits for each image, 10 times the number of the image plus that of the band."""
    make_images(tmp_path)
    for file in (tmp_path / 'images').rglob('*.png'):
        values = (10 * int(file.stem) + np.arange(6, dtype=np.uint16)) * 16
        save_pages(file.with_suffix('.tif'), np.broadcast_to(values, (8, 48, 6)))
        file.unlink()
    return tmp_path


BANDS = {**FOLDERS, 'images': 'images/{split}/**/*.tif', 'channels': 6, 'range': [0, 4080]}


def test_a_data_set_reads_as_many_channels_as_its_file_says_from_the_cache_too(bands, tmp_path):
    dataset = open_custom(bands, BANDS)
    assert dataset.load(dataset.items[1])[0][0, 0].tolist() == [20, 21, 22, 23, 24, 25]
    cached = with_cache(dataset, tmp_path / 'cache')
    for item in dataset.items:
        assert all(np.array_equal(*pair) for pair in zip(dataset.load(item), cached.load(item)))


def test_verification_counts_the_channels_and_gives_the_mean_of_each(bands):
    dataset = open_custom(bands, BANDS)
    found = examine(dataset, dataset.items[1])
    assert (found.mean * 255).round(6).tolist() == [20, 21, 22, 23, 24, 25]
    dataset = open_custom(bands, {**BANDS, 'channels': 5})
    assert 'has 6 channels, expected the 5 of' in examine(dataset, dataset.items[0]).image_fault


def test_a_verification_of_six_bands_is_one_of_the_whole_data_set(bands):
    from config import scope

    open_custom(bands, BANDS)
    with scope(DATASET__DATA_YAML=str(bands / 'data.yaml')):
        numbers = verify('custom', ('train',)).numbers['train']
    assert numbers.images_read == 6 and (numbers.mean * 255).round(6).tolist() == [25, 26, 27, 28, 29, 30]


@pytest.mark.parametrize(
    'key, value, words',
    [
        ('channels', 0, 'data.yaml: channels: is 0, expected how many the images have'),
        ('channels', 'rgb', "channels: is 'rgb'"),
        ('range', [4095, 0], 'range: is [4095, 0], expected the values that become black and white'),
        ('range', 4095, 'range: is 4095'),
    ],
)
def test_a_mistake_in_channels_or_range_names_file_and_key(tmp_path, key, value, words):
    with pytest.raises(ValueError) as error:
        open_custom(make_images(tmp_path), {**FOLDERS, key: value})
    assert words in str(error.value)


def test_grey_pictures_of_a_colour_data_set_need_no_other_files(tmp_path):
    dataset = open_custom(make_images(tmp_path), {**FOLDERS, 'channels': 1})
    image, label = dataset.load(dataset.items[2])
    assert image.shape == (8, 48, 1) and label.shape == stripes(7, 26, 27, 0).shape
