"""Pipelines of transforms: the steps that a training and a validation sample go through, in order."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from transforms import deferred
from transforms.geometry import RandomFlip, RandomSizeAndCrop, center_crop_pad, resize_height, scale_long_edge


class TrainTransform:
    """Scale and crop, flip, RandAugment, a pipeline of albumentations, colour jitter, RGB shift, blur; all randomness
    comes from the generator of the call.

    Args:
        size_and_crop: resizing and cropping.
        flip: mirroring (default: half of the samples left to right).
        joint: steps (image, label, rng) -> (image, label), in order.
        jitter, shift, blur: each a step (image, rng) -> image, or None to leave it out.
        defer: leave jitter, shift and blur to the device; the blur is then a RandomGaussianBlur.
    """

    def __init__(
        self,
        size_and_crop: RandomSizeAndCrop,
        flip: RandomFlip | None = None,
        joint: Sequence[Callable] = (),
        jitter: Callable | None = None,
        shift: Callable | None = None,
        blur: Callable | None = None,
        defer: bool = False,
    ):
        self.size_and_crop, self.flip = size_and_crop, flip or RandomFlip()
        self.joint = joint
        self.jitter, self.shift, self.blur = jitter, shift, blur
        self.defer = defer and any(step is not None for step in (jitter, shift, blur))

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator, centroid=None) -> tuple:
        """Augment one pair; the arguments are not changed.

        Args:
            image: uint8 (H, W, 3).
            label: uint8 (H, W).
            rng: the same state gives the same sample, bit for bit.
            centroid: (x, y) in pixels of image, which the crop then holds, or None.

        Returns: image uint8 (h, w, 3), label uint8 (h, w) of the crop size, and the scale by which both were resized;
            with defer also the numbers that deferred.augment needs to finish the image.
        """
        image, label, scale = self.size_and_crop(image, label, rng, centroid)
        image, label = self.flip(image, label, rng)
        for step in self.joint:
            image, label = step(image, label, rng)
        if self.defer:
            return image, label, scale, deferred.draw(self.jitter, self.blur, rng, self.shift)
        for change in (self.jitter, self.shift, self.blur):
            if change is not None:
                image = change(image, rng)
        return image, label, scale

    def places(self, size: tuple[int, int], rng: np.random.Generator, centroid=None) -> np.ndarray:
        """Which pixel of an image (H, W) each one of the crop shows that the same generator makes of it: row * W +
        column, int32 (h, w), -1 beside the image. No joint step may follow: it turns and shears labels."""
        assert not self.joint

        def moved(image, label, rng, centroid):
            image, label, scale = self.size_and_crop(image, label, rng, centroid)
            return *self.flip(image, label, rng), scale

        return places(moved, size, rng, centroid)

    def check_crop(self, sizes: Iterable[tuple[int, int]]):
        """Raise ValueError when no image of `sizes`, an iterable of (H, W), can ever fill the crop."""
        self.size_and_crop.check_fits(sizes)


def places(move: Callable, size: tuple[int, int], rng: np.random.Generator, centroid) -> np.ndarray:
    """Where `move`, (image, label, rng, centroid) -> (image, label, scale), takes pixels from, as in TrainTransform."""
    first = 256  # above every label that padding may have
    numbers = np.arange(first, first + size[0] * size[1], dtype=np.int32).reshape(size)
    moved = move(np.zeros((*size, 3), np.uint8), numbers, rng, centroid)[1]
    return np.where(moved < first, -1, moved - first)


class ValTransform:
    """No change; with pre_size, the long edge resized to it; with crop_val, the height, and the middle square of it."""

    def __init__(self, ignore_label: int, pre_size: int | None = None, crop_val: bool = False):
        self.ignore_label = ignore_label
        self.pre_size = pre_size
        self.crop_val = crop_val

    def __call__(self, image: np.ndarray, label: np.ndarray | None = None) -> tuple:
        """image uint8 (H, W, 3), label (H, W) or None. Returns image, label (or None) and the scale."""
        if self.pre_size is None:
            return image, label, 1.0
        if not self.crop_val:
            return scale_long_edge(image, label, self.pre_size)
        image, label, scale = resize_height(image, label, self.pre_size)
        return *center_crop_pad(image, label, self.pre_size, self.ignore_label), scale
