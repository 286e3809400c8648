import numpy as np
import pytest
from PIL import Image

from scripts.baseline_transforms import plain_size_and_crop
from transforms.geometry import (
    Padding,
    RandomFlip,
    RandomSizeAndCrop,
    center_crop_pad,
    random_window,
    resize_height,
    scale_long_edge,
)

IGNORE = 255


def coded_pair(height, width):
    """An image whose red and green channels are the coordinates, smooth enough to survive resizing, and a label of
    both."""
    rows, cols = np.mgrid[:height, :width]
    image = np.stack(
        [255 * cols / max(1, width - 1), 255 * rows / max(1, height - 1), np.full((height, width), 200)], -1
    )
    return np.rint(image).astype(np.uint8), ((cols * 6 // width) + 6 * (rows * 6 // height)).astype(np.uint8)


def label_of(image):
    """The label that coded_pair would have drawn where it painted these colours, as (column, row) in sixths."""
    return image[..., 0] / 255 * 6, image[..., 1] / 255 * 6


def size_and_crop(crop_size, scale_min=1.0, scale_max=1.0, **settings):
    return RandomSizeAndCrop(crop_size, scale_min, scale_max, IGNORE, **settings)


# ---- crop windows


def test_a_crop_visits_every_position_and_no_other():
    rng = np.random.default_rng(0)
    starts = {random_window(10, 4, rng).start for _ in range(300)}
    assert starts == set(range(7))


def test_a_crop_around_a_centre_visits_every_position_that_holds_it():
    rng = np.random.default_rng(0)
    starts = {random_window(20, 4, rng, centre=10).start for _ in range(300)}
    assert starts == {7, 8, 9, 10}


@pytest.mark.parametrize('seed', range(30))
def test_a_centre_always_lies_in_the_crop(seed):
    rng = np.random.default_rng(seed)
    size, crop = (int(side) for side in rng.integers(1, 60, 2))
    for centre in range(size):
        for translate in (False, True):
            window = random_window(size, crop, rng, centre, translate)
            assert window.start <= centre < window.start + window.length
            assert 0 <= window.offset <= crop - window.length
            assert window.length == min(size, crop)


def test_padding_is_exactly_what_is_missing_and_the_odd_pixel_comes_last():
    window = random_window(5, 8, np.random.default_rng(0))
    assert (window.start, window.length, window.offset) == (0, 5, 1)


def test_translation_visits_every_offset():
    rng = np.random.default_rng(0)
    assert {random_window(5, 8, rng, translate=True).offset for _ in range(100)} == {0, 1, 2, 3}


# ---- scale and crop


@pytest.mark.parametrize('seed', range(15))
def test_scale_and_crop_equal_resizing_and_padding_the_whole_image(seed):
    rng = np.random.default_rng(100 + seed)
    height, width, *crop = (int(side) for side in rng.integers(20, 150, 4))
    # no pass clips: Pillow's order of passes varies
    image = rng.integers(70, 180, (height, width, 3), dtype=np.uint8)
    label = rng.integers(0, 19, (height, width), dtype=np.uint8)
    plain_image, plain_label = plain_size_and_crop(
        Image.fromarray(image), Image.fromarray(label), np.random.default_rng(seed), tuple(crop), 0.5, 2.0, IGNORE
    )
    found, found_label, _ = size_and_crop(tuple(crop), 0.5, 2.0)(image, label, np.random.default_rng(seed))
    difference = np.abs(found.astype(int) - np.asarray(plain_image))
    assert difference.max() <= 2 and (difference > 1).mean() < 1e-3
    assert (found_label == np.asarray(plain_label)).all()


@pytest.mark.parametrize('translate', [False, True])
@pytest.mark.parametrize('seed', range(20))
def test_image_and_label_stay_aligned_and_padding_is_ignored(seed, translate):
    rng = np.random.default_rng(seed)
    height, width, *crop = (int(side) for side in rng.integers(30, 200, 4))
    transform = size_and_crop(tuple(crop), 0.5, 2.0, translate=translate)
    image, label, scale = transform(*coded_pair(height, width), rng)
    image, label = RandomFlip()(image, label, rng)
    assert image.shape == (*crop, 3) and label.shape == tuple(crop)
    assert image.dtype == label.dtype == np.uint8 and image.flags.c_contiguous and label.flags.c_contiguous
    inside = label != IGNORE
    shown = min(crop[0], int(height * scale)) * min(crop[1], int(width * scale))
    assert inside.sum() == shown  # nothing cut off that would fit, nothing else ignored
    assert (image[~inside] == 0).all() and (image[inside][:, 2] > 190).all()
    column, row = label_of(image)
    tolerance = 6 * (1.5 / min(height, width) + 1 / 255) + 3 / (scale * min(height, width))
    assert (np.abs(column - (label % 6 + 0.5))[inside] <= 0.5 + tolerance).all()
    assert (np.abs(row - (label // 6 + 0.5))[inside] <= 0.5 + tolerance).all()


@pytest.mark.parametrize('seed', range(25))
def test_the_centroids_class_is_in_the_crop(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(30, 120, 2))
    image, label = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    label[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = 7
    crop = tuple(int(side) for side in rng.integers(8, 140, 2))
    for _ in range(10):
        _, cropped, _ = size_and_crop(crop, 0.5, 2.0)(image, label, rng, (x, y))
        assert (cropped == 7).any()


def test_the_centroid_moves_with_the_padding():
    image, label = np.zeros((10, 40, 3), np.uint8), np.zeros((10, 40), np.uint8)
    label[9, 30] = 3
    for seed in range(50):
        _, cropped, _ = size_and_crop((20, 8))(image, label, np.random.default_rng(seed), (30, 9))
        assert (cropped == 3).sum() == 1 and (cropped[:5] == IGNORE).all() and (cropped[15:] == IGNORE).all()
        assert (cropped[14] == 3).any()  # 10 rows padded by 5 above: row 9 becomes 14


@pytest.mark.parametrize('size', [(60, 30), (30, 60)])
def test_translation_pads_only_the_dimension_that_is_smaller(size):
    image, label = coded_pair(*size)
    offsets = set()
    for seed in range(60):
        _, cropped, _ = size_and_crop((40, 40), translate=True)(image, label, np.random.default_rng(seed))
        inside = cropped != IGNORE
        assert inside.sum() == 40 * 30
        offsets.add(int(inside.any(axis=int(size[0] > size[1]) ^ 1).argmax()))
    assert offsets == set(range(11))


def test_without_translation_the_smaller_dimension_is_centred():
    _, label, _ = size_and_crop((40, 40))(*coded_pair(60, 30), np.random.default_rng(0))
    assert (label != IGNORE).any(axis=0).nonzero()[0].tolist() == list(range(5, 35))


def test_pre_size_normalises_the_long_edge_before_the_random_scale():
    image, label, scale = size_and_crop((50, 50), 0.5, 0.5, pre_size=100)(
        *coded_pair(100, 200), np.random.default_rng(0)
    )
    assert scale == 0.25
    assert (label != IGNORE).sum() == 25 * 50


def test_no_crop_size_means_the_size_of_each_image():
    rng = np.random.default_rng(0)
    for size in ((20, 30), (31, 17)):
        for _ in range(5):
            image, label, _ = size_and_crop(None, 0.5, 2.0)(*coded_pair(*size), rng)
            assert image.shape[:2] == label.shape == size


def test_the_scale_lies_in_its_range_and_sets_the_size():
    transform = size_and_crop((500, 500), 0.5, 2.0)
    scales = []
    for seed in range(40):
        _, label, scale = transform(*coded_pair(40, 60), np.random.default_rng(seed))
        inside = label != IGNORE
        assert (inside.any(axis=1).sum(), inside.any(axis=0).sum()) == (int(40 * scale), int(60 * scale))
        scales.append(scale)
    assert 0.5 <= min(scales) < 0.65 and 1.85 < max(scales) <= 2.0


def test_one_pixel_becomes_a_crop():
    image, label = np.full((1, 1, 3), 9, np.uint8), np.full((1, 1), 4, np.uint8)
    image, label, _ = size_and_crop((3, 3), 0.5, 0.5)(image, label, np.random.default_rng(0), (0, 0))
    assert label.tolist() == [[255, 255, 255], [255, 4, 255], [255, 255, 255]] and image[1, 1].tolist() == [9, 9, 9]


def test_flipping_mirrors_both_half_of_the_time():
    image, label = coded_pair(4, 7)
    flipped = 0
    for seed in range(200):
        found, found_label = RandomFlip()(image, label, np.random.default_rng(seed))
        mirrored = bool((found_label == label[:, ::-1]).all())
        flipped += mirrored
        assert (found == (image[:, ::-1] if mirrored else image)).all() and (mirrored or (found_label == label).all())
    assert 75 < flipped < 125


# ---- the crop that is larger than every image


def test_a_crop_larger_than_every_image_is_refused_with_one_that_fits():
    with pytest.raises(
        ValueError, match=r'--crop_size 900,900.*720 x 960.*--crop_size 720,900 or a larger --scale_max'
    ):
        size_and_crop((900, 900), 0.5, 2.0).check_fits([(360, 480), (100, 100)])


@pytest.mark.parametrize('crop', [(720, 960), (10, 10)])
def test_a_crop_that_one_image_can_fill_is_accepted(crop):
    assert size_and_crop(crop, 0.5, 2.0).check_fits([(100, 100), (360, 480)]) is None
    with pytest.raises(ValueError, match='--crop_size'):  # one pixel more is too large for the same images
        size_and_crop((721, 961), 0.5, 2.0).check_fits([(100, 100), (360, 480)])


def test_the_crop_check_knows_pre_size_and_the_image_sized_crop():
    size_and_crop((100, 200), pre_size=200).check_fits([(50, 100)])
    size_and_crop(None).check_fits([(50, 100)])
    with pytest.raises(ValueError, match='--crop_size 50,100'):
        size_and_crop((100, 200), pre_size=100).check_fits([(500, 1000)])


# ---- validation


def test_a_crop_of_100_from_80_by_60_shows_all_pixels_in_the_middle_of_ignored_ones():
    image, label = np.full((60, 80, 3), 50, np.uint8), np.full((60, 80), 5, np.uint8)
    image, label = center_crop_pad(image, label, 100, IGNORE)
    assert image.shape == (100, 100, 3) and label.shape == (100, 100)
    assert (label == IGNORE).sum() == 100 * 100 - 80 * 60 and (label == 0).sum() == 0
    assert (label[20:80, 10:90] == 5).all() and (image[20:80, 10:90] == 50).all() and image.sum() == 80 * 60 * 150


def test_a_centre_crop_takes_the_middle():
    label = np.arange(9, dtype=np.uint8)[None].repeat(5, axis=0)
    _, cropped = center_crop_pad(np.zeros((5, 9, 3), np.uint8), label, 5, IGNORE)
    assert cropped[0].tolist() == [2, 3, 4, 5, 6]


def test_a_centre_crop_pads_one_side_and_cuts_the_other():
    image, label = coded_pair(10, 3)
    image, label = center_crop_pad(image, label, 6, IGNORE)
    assert ((label != IGNORE) == [False, True, True, True, False, False]).all()
    assert center_crop_pad(image, None, 6, IGNORE)[1] is None


def test_scaling_the_long_edge_truncates_the_short_one():
    image, label = coded_pair(75, 100)
    found, found_label, scale = scale_long_edge(image, label, 50)
    assert found.shape == (37, 50, 3) and scale == 0.5
    assert (found == np.asarray(Image.fromarray(image).resize((50, 37), Image.BILINEAR))).all()
    assert (found_label == np.asarray(Image.fromarray(label).resize((50, 37), Image.NEAREST))).all()


def test_scaling_a_portrait_image_and_one_without_a_label():
    found, label, scale = scale_long_edge(coded_pair(100, 50)[0], None, 200)
    assert found.shape == (200, 100, 3) and label is None and scale == 2.0


def test_an_image_of_the_right_size_is_not_touched():
    image, label = coded_pair(30, 40)
    assert scale_long_edge(image, label, 40) == (image, label, 1.0)


def test_resizing_the_height_keeps_the_aspect():
    image, label = coded_pair(40, 61)
    found, found_label, scale = resize_height(image, label, 20)
    assert found.shape == (20, 30, 3) and found_label.shape == (20, 30) and scale == 0.5
    assert (found == np.asarray(Image.fromarray(image).resize((30, 20), Image.BICUBIC))).all()


def test_a_sliver_keeps_one_pixel_of_its_short_side():
    row, column = np.zeros((1, 100, 3), np.uint8), np.zeros((100, 1, 3), np.uint8)
    assert scale_long_edge(row, None, 10)[0].shape == (1, 10, 3)
    assert scale_long_edge(column, None, 10)[0].shape == (10, 1, 3)
    assert resize_height(column, None, 10)[0].shape == (10, 1, 3)


# ---- flips, padding and fixed sizes that are asked for


@pytest.mark.parametrize(
    'horizontal, vertical, expected', [(0, 0, [[1, 2], [3, 4]]), (1, 0, [[2, 1], [4, 3]]), (0, 1, [[3, 4], [1, 2]])]
)
def test_an_image_and_its_label_are_mirrored_as_often_as_asked(horizontal, vertical, expected):
    label = np.array([[1, 2], [3, 4]], np.uint8)
    for seed in range(5):
        image, found = RandomFlip(horizontal, vertical)(np.dstack([label] * 3), label, np.random.default_rng(seed))
        assert found.tolist() == expected and image[..., 2].tolist() == expected


def test_a_share_of_vertical_flips_draws_after_the_horizontal_ones():
    label = np.array([[1, 2], [3, 4]], np.uint8)
    counts = {}
    for seed in range(400):
        _, plain = RandomFlip(0.5)(np.dstack([label] * 3), label, np.random.default_rng(seed))
        _, both = RandomFlip(0.5, 0.25)(np.dstack([label] * 3), label, np.random.default_rng(seed))
        upright = both if both[0, 0] < 3 else both[::-1]
        assert (upright == plain).all()
        counts[both.tobytes()] = counts.get(both.tobytes(), 0) + 1
    assert sorted(counts.values())[0] > 25 and 70 < sum(sorted(counts.values())[:2]) < 130


@pytest.mark.parametrize(
    'padding, row, labels',
    [
        (Padding(IGNORE, 7), [7, 7, 1, 2, 3, 7, 7], [255, 255, 1, 2, 3, 255, 255]),
        (Padding(IGNORE, mirrored=True), [3, 2, 1, 2, 3, 2, 1], [3, 2, 1, 2, 3, 2, 1]),
    ],
)
def test_padding_is_a_grey_level_or_the_reflection_of_image_and_label(padding, row, labels):
    label = np.array([[1, 2, 3]], np.uint8)
    transform = RandomSizeAndCrop((1, 7), 1.0, 1.0, IGNORE, padding=padding)
    image, found, _ = transform(np.dstack([label] * 3), label, np.random.default_rng(0))
    assert image[0, :, 0].tolist() == row and found[0].tolist() == labels


@pytest.mark.parametrize(
    'resize, scale, size, applied',
    [((50,), 1.0, (50, 100), 0.5), ((30, 40), 1.0, (30, 40), 0.3), ((50,), 0.5, None, 0)],
)
def test_resize_gives_the_short_edge_or_both_sides(resize, scale, size, applied):
    label = np.zeros((100, 200), np.uint8)
    label[:, 100:] = 1
    crop = size or (25, 50)
    transform = RandomSizeAndCrop(None if size else crop, scale, scale, IGNORE, resize=resize)
    image, found, s = transform(np.dstack([label] * 3), label, np.random.default_rng(0))
    assert image.shape == (*crop, 3) and s == (applied or 0.25)
    assert (found[:, : crop[1] // 2] == 0).all() and (found[:, crop[1] // 2 :] == 1).all()


def test_a_place_is_found_again_where_the_two_sides_are_resized_differently():
    label = np.zeros((100, 200), np.uint8)
    label[80:84, 20:24] = 1
    transform = RandomSizeAndCrop((10, 10), 1.0, 1.0, IGNORE, resize=(200, 100))
    for seed in range(20):
        _, found, _ = transform(np.dstack([label] * 3), label, np.random.default_rng(seed), (22, 82))
        assert found.any()


def test_a_crop_that_only_a_resize_makes_possible_is_taken():
    transform = RandomSizeAndCrop((60, 60), 1.0, 1.0, IGNORE, resize=(60,))
    transform.check_fits([(30, 40)])
    with pytest.raises(ValueError, match='--crop_size 60,60'):
        RandomSizeAndCrop((60, 60), 1.0, 1.0, IGNORE).check_fits([(30, 40)])


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_the_reflection_of_images_of_any_channels_keeps_their_axis(channels):
    image = np.arange(36 * channels, dtype=np.uint8).reshape(6, 6, channels)
    transform = RandomSizeAndCrop((8, 8), 1.0, 1.0, IGNORE, padding=Padding(IGNORE, mirrored=True))
    found, label, _ = transform(image, image[..., 0], np.random.default_rng(0))
    assert found.shape == (8, 8, channels) and (found[..., 0] == label).all()
