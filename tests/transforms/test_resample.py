import numpy as np
import pytest
from PIL import Image

from transforms.resample import nearest_window, resize_window


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pillow(array, size):
    """The horizontal pass first, always: newer Pillow takes the cheaper order, which shows where a pass clips."""
    height, width = size
    return np.asarray(
        Image.fromarray(array).resize((width, len(array)), Image.BICUBIC).resize((width, height), Image.BICUBIC)
    ).astype(int)


def pillow_nearest(label, size):
    return np.asarray(Image.fromarray(label).resize(size[::-1], Image.NEAREST))


def assert_equals_pillow(found, expected):
    difference = np.abs(found.astype(int) - expected)
    assert found.shape == expected.shape and found.dtype == np.uint8
    assert (difference > 0).mean() < 0.02
    assert (difference > 1).mean() < 1e-4 and difference.max() <= 2


@pytest.mark.parametrize('seed', range(12))
def test_a_window_equals_pillows_resize_of_the_whole_image_cropped(seed):
    rng = np.random.default_rng(seed)
    size = tuple(int(side) for side in rng.integers(40, 260, 2))
    image = noise(*size, seed)
    resized = tuple(max(1, int(side * rng.uniform(0.3, 2.5))) for side in size)
    (top, bottom), (left, right) = (sorted(rng.choice(side + 1, 2, replace=False)) for side in resized)
    found = resize_window(image, resized, (top, bottom), (left, right))
    assert_equals_pillow(found, pillow(image, resized)[top:bottom, left:right])
    assert found.flags.c_contiguous


@pytest.mark.parametrize('resized', [(100, 103), (103, 100), (101, 102), (50, 100), (100, 100), (99, 98), (200, 200)])
def test_sizes_that_hardly_change_or_change_on_one_side_only_are_resampled_exactly_there(resized):
    image = noise(100, 100)
    window = (resized[0] // 3, resized[0]), (10, resized[1] - 7)
    expected = pillow(image, resized)[window[0][0] :, 10 : resized[1] - 7]
    assert_equals_pillow(resize_window(image, resized, *window), expected)


@pytest.mark.parametrize('size', [(1, 1), (1, 9), (9, 1), (3, 2)])
@pytest.mark.parametrize('scale', [0.3, 1.0, 3.7])
def test_images_of_a_pixel_or_two_are_resized(size, scale):
    image = noise(*size)
    resized = tuple(max(1, int(side * scale)) for side in size)
    assert_equals_pillow(resize_window(image, resized, (0, resized[0]), (0, resized[1])), pillow(image, resized))


def test_a_read_only_strided_image_is_resized_without_being_written():
    image = noise(64, 64)[:, ::-1]
    image.flags.writeable = False
    before = image.copy()
    assert_equals_pillow(resize_window(image, (96, 96), (5, 90), (0, 96)), pillow(image, (96, 96))[5:90])
    assert (image == before).all()


def test_a_constant_image_stays_constant():
    image = np.full((50, 70, 3), 255, np.uint8)
    assert (resize_window(image, (77, 41), (3, 70), (0, 40)) == 255).all()


@pytest.mark.parametrize('seed', range(40))
def test_labels_equal_pillows_nearest_at_every_pixel(seed):
    rng = np.random.default_rng(seed)
    size = tuple(int(side) for side in rng.integers(1, 300, 2))
    label = rng.integers(0, 256, size, dtype=np.uint8)
    resized = tuple(max(1, int(side * rng.uniform(0.2, 3))) for side in size)
    rows, cols = (tuple(sorted(rng.choice(side + 1, 2, replace=False))) for side in resized)
    expected = pillow_nearest(label, resized)[slice(*rows), slice(*cols)]
    assert (nearest_window(label, resized, rows, cols) == expected).all()


@pytest.mark.parametrize(
    'width, new_width', [(2048, 3000), (2048, 1024), (1000, 1500), (2048, 2560), (7, 21), (2976, 2177), (600, 900)]
)
def test_labels_equal_pillows_where_centres_fall_between_two_pixels(width, new_width):
    label = (np.arange(width) % 256).astype(np.uint8)[None]
    expected = pillow_nearest(label, (1, new_width))
    assert (nearest_window(label, (1, new_width), (0, 1), (0, new_width)) == expected).all()


def test_a_label_doubled_repeats_every_pixel():
    assert nearest_window(np.array([[1, 2], [3, 4]], np.int64), (2, 4), (0, 2), (1, 4)).tolist() == [
        [1, 2, 2],
        [3, 4, 4],
    ]
