import colorsys

import numpy as np
import pytest
import torch

from scripts.baseline_transforms import photo_like_pair
from transforms.deferred import NUMBERS, as_seen, augment, draw
from transforms.photometric import (
    ColorJitter,
    RandomGaussianBlur,
    RGBShift,
    Sometimes,
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    gaussian_blur,
)

JITTER = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)


def noise(height=120, width=90, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photo(seed=0):
    return photo_like_pair(100, 150, seed)[0]


def on_device(image, factors=(1, 1, 1, 0), order=(0, 1, 2, 3), sigma=0.0):
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    done = augment(tensor, torch.tensor([[*factors, *order, sigma]], dtype=torch.float32))[0]
    assert torch.equal(done, done.round()) and done.min() >= 0 and done.max() <= 255
    return done.permute(1, 2, 0).numpy()


@pytest.mark.parametrize('factor', [0.0, 0.3, 0.75, 1.0, 1.1, 1.25, 1.9])
@pytest.mark.parametrize('place', [0, 1, 2])
def test_brightness_contrast_and_saturation_equal_those_of_the_loaders(place, factor):
    for image in (noise(), photo()):
        factors = [1, 1, 1, 0]
        factors[place] = factor
        difference = np.abs(on_device(image, factors) - JITTER[place](image, factor).astype(float))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01


@pytest.mark.parametrize('steps', [1, 30, 64, 128, -50])
def test_hue_is_turned_exactly(steps):
    image = photo()[::10, ::10]
    turn = (steps + 0.5 * np.sign(steps)) / 255  # of which trunc(255 turn) steps are taken
    found = on_device(image, (1, 1, 1, turn)).reshape(-1, 3)
    for pixel, (red, green, blue) in zip(found, image.reshape(-1, 3) / 255):
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        expected = colorsys.hsv_to_rgb((hue + steps / 256) % 1, saturation, value)
        assert np.abs(pixel / 255 - expected).max() < 0.5001 / 255


def test_greys_have_no_hue_to_turn():
    grey = np.repeat(noise()[..., :1], 3, axis=2)
    assert (on_device(grey, (1, 1, 1, 0.25)) == grey).all()


@pytest.mark.parametrize('sigma', [0.15, 0.5, 0.874, 0.876, 1.3])
def test_the_blur_is_that_of_the_loaders(sigma):
    for image in (noise(), photo()):
        assert np.abs(on_device(image, sigma=sigma) - gaussian_blur(image, sigma).astype(float)).max() <= 1


@pytest.mark.parametrize(
    'amount, blurred, share',
    [(0.25, True, None), (0.25, False, None), (0, True, None), (0.25, True, 1), (0.2, True, 0.5)],
)
def test_the_numbers_are_drawn_as_the_loaders_draw_them(amount, blurred, share):
    jitter, blur = ColorJitter(amount) if amount else None, RandomGaussianBlur() if blurred else None
    shift = None
    if share:
        jitter, shift, blur = (Sometimes(step, share) for step in (jitter, RGBShift(20), blur))
    for seed in range(20):
        image, rng, other = photo(seed), np.random.default_rng(seed), np.random.default_rng(seed)
        plain = image
        for step in (jitter, shift, blur):
            plain = plain if step is None else step(plain, rng)
        numbers = draw(jitter, blur, other, shift)
        assert numbers.shape == (NUMBERS,) and numbers.dtype == torch.float32
        assert rng.random() == other.random()
        done = augment(torch.from_numpy(image).permute(2, 0, 1)[None], numbers[None])[0].permute(1, 2, 0).numpy()
        difference = np.abs(done - plain.astype(float))
        assert difference.max() <= 8 and difference.mean() < 0.6


def test_each_image_of_a_batch_has_its_own_numbers():
    images = torch.from_numpy(np.stack([photo(0), photo(1)])).permute(0, 3, 1, 2)
    numbers = torch.stack(
        [draw(ColorJitter(0.25), RandomGaussianBlur(), np.random.default_rng(seed)) for seed in range(2)]
    )
    both = augment(images, numbers)
    for place in range(2):
        assert torch.equal(both[place], augment(images[place : place + 1], numbers[place : place + 1])[0])


def test_a_sample_is_shown_as_the_network_sees_it():
    sample = {'image': torch.full((3, 2, 2), 100, dtype=torch.uint8)}
    assert (as_seen(sample) == 100).all()
    sample['photometric'] = torch.tensor([0.5, 1, 1, 0, 0, 1, 2, 3, 0])
    assert as_seen(sample).dtype == np.uint8 and (as_seen(sample) == 50).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_gpu_computes_what_the_cpu_computes():
    image = torch.from_numpy(photo()).permute(2, 0, 1)[None]
    numbers = draw(ColorJitter(0.25), RandomGaussianBlur(), np.random.default_rng(0))[None]
    difference = (augment(image.cuda(), numbers).cpu() - augment(image, numbers)).abs()
    assert difference.max() <= 1 and (difference > 0).float().mean() < 0.01
