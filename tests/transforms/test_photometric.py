import colorsys
import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from scripts.baseline_transforms import photo_like_pair, plain_jitter
from transforms.photometric import (
    ColorJitter,
    LightJitter,
    RandomBilateralBlur,
    RandomGaussianBlur,
    RGBShift,
    Sometimes,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    bilateral_blur,
    gaussian_blur,
)

PILLOW = {
    adjust_brightness: ImageEnhance.Brightness,
    adjust_contrast: ImageEnhance.Contrast,
    adjust_saturation: ImageEnhance.Color,
}


def noise(height=120, width=90, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def difference(found, expected):
    assert found.dtype == np.uint8 and found.shape == expected.shape
    return np.abs(found.astype(float) - expected)


@pytest.mark.parametrize('factor', [0.0, 0.3, 0.75, 0.9, 1.0, 1.1, 1.25, 1.9])
@pytest.mark.parametrize('adjust', PILLOW)
def test_brightness_contrast_and_saturation_equal_pillows(adjust, factor):
    for image in (noise(), photo_like_pair(100, 150)[0]):
        expected = np.asarray(PILLOW[adjust](Image.fromarray(image)).enhance(factor))
        found = difference(adjust(image, factor), expected)
        assert found.max() <= 1 and (found > 0).mean() < 0.005


def test_factor_one_changes_nothing():
    image = noise()
    for adjust in PILLOW:
        assert (adjust(image, 1.0) == image).all()
    assert (adjust_hue(image, 0.0) == image).all()
    assert (adjust_hue(image, 0.001) == image).all()  # trunc(255 * 0.001) is 0 steps


def test_brightness_by_hand():
    image = np.array([[[0, 100, 201]]], np.uint8)
    assert adjust_brightness(image, 0.5).tolist() == [[[0, 50, 100]]]
    assert adjust_brightness(image, 1.5).tolist() == [[[0, 150, 255]]]


def test_contrast_by_hand_blends_with_the_mean_grey_of_the_image():
    image = np.array([[[100, 100, 100], [200, 200, 200]]], np.uint8)
    assert adjust_contrast(image, 0.5).tolist() == [[[125, 125, 125], [175, 175, 175]]]


def test_no_saturation_is_grey():
    image = np.array([[[255, 0, 0]]], np.uint8)
    assert adjust_saturation(image, 0.0).tolist() == [[[76, 76, 76]]]


@pytest.mark.parametrize(
    'turn, expected', [(86 / 255, (0, 255, 0)), (-85.5 / 255, (0, 0, 255)), (128 / 255, (0, 255, 255))]
)
def test_hue_turns_both_ways_around_the_circle(turn, expected):
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    assert difference(adjust_hue(red, turn), np.full((2, 2, 3), expected)).max() <= 6


def test_hue_wraps_modulo_256_steps():
    image = noise()
    assert (adjust_hue(image, -30.5 / 255) == adjust_hue(image, 226.5 / 255)).all()


@pytest.mark.parametrize('turn', [-0.25, -0.1, 0.2])
def test_hue_is_as_close_to_the_exact_turn_as_pillows_8_bit_hsv(turn):
    image = photo_like_pair(60, 80)[0]
    steps = math.trunc(255 * turn)
    hsv = (colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3) / 255)
    exact = np.array([colorsys.hsv_to_rgb((h + steps / 256) % 1, s, v) for h, s, v in hsv]).reshape(image.shape) * 255
    found = difference(adjust_hue(image, turn), exact)
    assert found.mean() < 0.35 and found.max() <= 5


def test_jitter_draws_and_applies_what_the_plain_form_does():
    image = photo_like_pair(80, 100)[0]
    orders = set()
    for seed in range(20):
        found = ColorJitter(0.25)(image, np.random.default_rng(seed))
        expected = np.asarray(plain_jitter(Image.fromarray(image), np.random.default_rng(seed), 0.25))
        assert difference(found, expected).mean() < 1.0
        rng = np.random.default_rng(seed)
        rng.uniform(size=4)
        orders.add(tuple(rng.permutation(4)))
    assert len(orders) > 8


def test_jitter_leaves_its_input_alone_and_repeats_itself():
    image = noise()
    before = image.copy()
    first, second = (ColorJitter(0.25)(image, np.random.default_rng(3)) for _ in range(2))
    assert (first == second).all() and (image == before).all() and (first != image).any()


@pytest.mark.parametrize('sigma', [0.15, 0.3, 0.5, 0.77, 1.0, 1.3])
def test_gaussian_blur_equals_scipys_rounded(sigma):
    image = noise()
    expected = gaussian_filter(image.astype(float), (sigma, sigma, 0), mode='nearest', truncate=4.0)
    assert difference(gaussian_blur(image, sigma), expected).max() < 0.6


def test_the_blurs_work_on_one_pixel():
    image = np.full((1, 1, 3), 77, np.uint8)
    assert gaussian_blur(image, 1.3).tolist() == bilateral_blur(image, 0.7).tolist() == [[[77, 77, 77]]]


def test_gaussian_sigma_runs_from_015_to_130(monkeypatch):
    sigmas = []
    monkeypatch.setattr('transforms.photometric.gaussian_blur', lambda image, sigma: sigmas.append(sigma))
    for seed in range(200):
        RandomGaussianBlur()(None, np.random.default_rng(seed))
    assert 0.15 <= min(sigmas) < 0.2 and 1.25 < max(sigmas) < 1.3


def test_bilateral_sigma_runs_from_005_to_075(monkeypatch):
    sigmas = []
    monkeypatch.setattr('transforms.photometric.bilateral_blur', lambda image, sigma: sigmas.append(sigma))
    for seed in range(200):
        RandomBilateralBlur()(None, np.random.default_rng(seed))
    assert 0.05 <= min(sigmas) < 0.1 and 0.7 < max(sigmas) < 0.75


def plain_bilateral(image, sigma_spatial):
    """scikit-image's definition in float64, without its black border: Euclidean colour distance over three sigmas."""
    values = image / 255
    reach = max(5, 2 * math.ceil(3 * sigma_spatial) + 1) // 2
    height, width = image.shape[:2]
    padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0)), mode='reflect')
    total, weights = 0.0, 0.0
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            other = padded[reach + dy : reach + dy + height, reach + dx : reach + dx + width]
            distance = ((other - values) ** 2).sum(-1, keepdims=True) / (3 * values.std()) ** 2
            weight = np.exp(-0.5 * (distance + (dx * dx + dy * dy) / sigma_spatial**2))
            total, weights = total + weight * other, weights + weight
    return 255 * total / weights


@pytest.mark.parametrize('sigma', [0.05, 0.4, 0.75])
def test_bilateral_blur_of_a_grey_picture_equals_the_definition(sigma):
    image = photo_like_pair(60, 80)[0][..., :1].repeat(3, axis=-1)
    assert difference(bilateral_blur(image, sigma), plain_bilateral(image, sigma)).max() <= 1


def test_bilateral_blur_of_colours_is_close_to_the_definition():
    image = photo_like_pair(60, 80)[0]
    assert difference(bilateral_blur(image, 0.75), plain_bilateral(image, 0.75)).mean() < 1


class Drawn:
    """A generator that draws what it is given: brightness, contrast, and which of the two comes first."""

    def __init__(self, brightness, contrast, order):
        self.factors, self.order = [brightness, contrast], order

    def uniform(self, low, high):
        return self.factors.pop(0)

    def permutation(self, count):
        return self.order


@pytest.mark.parametrize(
    'order, contrast, expected',
    [([0, 1], 2, [25, 125]), ([1, 0], 2, [25, 125]), ([0, 1], 4, [0, 175]), ([1, 0], 4, [0, 127])],
)
def test_light_jitter_changes_all_channels_alike_about_the_mean_of_all_values(order, contrast, expected):
    image = np.repeat(np.array([[100, 200]], np.uint8)[..., None], 5, axis=2)
    found = LightJitter(9)(image, Drawn(0.5, contrast, order))
    assert found.shape == (1, 2, 5) and found[..., 3].tolist() == [expected]


def test_light_jitter_of_no_amount_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 7), np.uint8)
    assert np.array_equal(LightJitter(0)(image, np.random.default_rng(1)), image)


# ---- parts of the jitter, RGB shift, shares


class Fixed:
    """A generator whose uniform numbers are given."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def uniform(self, low, high, count=None):
        return np.array([self.numbers.pop(0) for _ in range(count)]) if count else self.numbers.pop(0)

    def permutation(self, count):
        return np.arange(count)


def test_rgb_shift_adds_whole_grey_levels_and_clips():
    image = np.array([[[250, 5, 100], [0, 20, 255]]], np.uint8)
    assert RGBShift(10)(image, Fixed(9.6, -10, 3.4)).tolist() == [[[255, 0, 103], [10, 10, 255]]]


@pytest.mark.parametrize(
    'amounts, numbers, expected',
    [
        ((0.5, 0, 0, 0), (0.5, 1, 1, 0), [50, 100]),  # brightness alone halves every level
        ((0, 0.5, 0, 0), (1, 0.5, 1, 0), [125, 175]),  # contrast alone halves the distance to the mean of 150
    ],
)
def test_a_part_of_the_jitter_alone(amounts, numbers, expected):
    image = np.repeat(np.array([[100, 200]], np.uint8)[..., None], 3, axis=2)
    assert ColorJitter(*amounts)(image, Fixed(*numbers))[0, :, 0].tolist() == expected


def test_one_amount_is_that_of_all_four():
    image, draws = noise(), []
    for jitter in (ColorJitter(0.3), ColorJitter(0.3, 0.3, 0.3, 0.3)):
        draws.append(jitter(image, np.random.default_rng(4)))
    assert (draws[0] == draws[1]).all() and (draws[0] != image).any()


def test_a_share_of_the_images_is_changed_and_a_share_of_one_draws_nothing_for_that():
    image = noise()[:4, :4]
    changed = [
        bool((Sometimes(RGBShift(40), 0.25)(image, np.random.default_rng(seed)) != image).any()) for seed in range(400)
    ]
    assert 70 < sum(changed) < 130
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    assert (Sometimes(RGBShift(40), 1)(image, rng) == RGBShift(40)(image, other)).all()
    assert rng.random() == other.random()
