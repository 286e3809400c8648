"""Training sample the obvious way: the whole image resized and floating point on the CPU, all with Pillow and SciPy.

`plain_sample` decodes, resizes the whole image bicubically, crops, flips, jitters the colours, blurs and normalises. It
draws from its generator what transforms.TrainTransform draws, in the same order, so one seed gives both the same
sample: the baseline of the benchmark is also the oracle of the tests. `photo_like_pair` makes the files to measure
with.
"""

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter

MEAN, STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))


def plain_sample(
    image_path, label_path, rng, crop_size, scale_min=0.5, scale_max=2.0, color_aug=0.25, ignore_label=255
):
    """(image float32 (3, h, w), normalised; label int64 (h, w)) of a pair of files.

    Args:
        crop_size: (h, w).
        scale_min, scale_max: bounds of the factor the pair is resized by.
        color_aug: strength of the colour jitter.
    """
    image, label = Image.open(image_path).convert('RGB'), Image.open(label_path)
    image, label = plain_size_and_crop(image, label, rng, crop_size, scale_min, scale_max, ignore_label)
    image, label = plain_flip(image, label, rng)
    image = plain_blur(plain_jitter(image, rng, color_aug), rng)
    normalised = (np.asarray(image) / 255 - MEAN) / STD
    return normalised.transpose(2, 0, 1).astype(np.float32), np.asarray(label).astype(np.int64)


def plain_size_and_crop(image, label, rng, crop_size, scale_min, scale_max, ignore_label):
    """Resize the whole pair of Pillow images, pad it to the crop size where it is smaller, crop."""
    scale = rng.uniform(scale_min, scale_max)
    size = tuple(max(1, int(side * scale)) for side in image.size)
    image, label = image.resize(size, Image.BICUBIC), label.resize(size, Image.NEAREST)
    crop = crop_size[::-1]
    missing = [max(0, target - side) for side, target in zip(size, crop)]
    border = (*(length // 2 for length in missing), *(length - length // 2 for length in missing))
    image, label = ImageOps.expand(image, border, (0, 0, 0)), ImageOps.expand(label, border, ignore_label)
    left, top = (
        0 if side < target else int(rng.integers(0, side - target, endpoint=True)) for side, target in zip(size, crop)
    )
    box = (left, top, left + crop[0], top + crop[1])
    return image.crop(box), label.crop(box)


def plain_flip(image, label, rng):
    if rng.random() < 0.5:
        return ImageOps.mirror(image), ImageOps.mirror(label)
    return image, label


def plain_jitter(image, rng, amount):
    factors = [rng.uniform(max(0.0, 1 - amount), 1 + amount) for _ in range(3)] + [rng.uniform(-amount, amount)]
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for i in rng.permutation(4):
        image = plain_hue(image, factors[i]) if i == 3 else enhancers[i](image).enhance(factors[i])
    return image


def plain_hue(image, turn):
    hue, saturation, value = image.convert('HSV').split()
    hue = Image.fromarray(((np.asarray(hue).astype(int) + int(255 * turn)) % 256).astype(np.uint8))
    return Image.merge('HSV', (hue, saturation, value)).convert('RGB')


def plain_blur(image, rng):
    sigma = 0.15 + 1.15 * rng.random()
    blurred = gaussian_filter(np.asarray(image) / 255, (sigma, sigma, 0), mode='nearest', truncate=4.0)
    return Image.fromarray(np.rint(255 * blurred).astype(np.uint8))


def photo_like_pair(height=1024, width=2048, seed=0):
    """image uint8 (h, w, 3), label uint8 (h, w): gradients, 120 blobs of 34 classes, texture and a camera's noise.

    At 1024 x 2048 the PNG of the image takes about 2.3 MB and that of the label 46 KB, much like a Cityscapes pair.
    """
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width].astype(np.float32)
    label = np.zeros((height, width), np.uint8)
    for _ in range(120):
        centre = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = tuple(int(axis) for axis in rng.integers(10, 200, 2))
        cv2.ellipse(label, centre, axes, rng.uniform(0, 180), 0, 360, int(rng.integers(0, 34)), -1)
    image = np.stack([60 + 50 * np.sin(cols / 700 + channel) + 40 * rows / height for channel in range(3)], -1)
    image += rng.integers(0, 80, (34, 3))[label]
    image += cv2.GaussianBlur(rng.normal(0, 40, (height, width)), (0, 0), 2)[..., None]
    image += rng.normal(0, 0.5, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), label
