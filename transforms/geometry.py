"""Joint geometry of image and label: random scale, crop and flip for training; scale, crop and pad for validation.

Sizes are (height, width), points (x, y). An image is padded with 0 and its label with the ignore label.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from transforms.resample import nearest_window, resize_window


@dataclass(frozen=True)
class Window:
    """One axis of a crop: pixels start to start + length of the image go to offset to offset + length of the crop."""

    start: int
    length: int
    offset: int

    @property
    def source(self) -> tuple[int, int]:
        return self.start, self.start + self.length

    @property
    def target(self) -> slice:
        return slice(self.offset, self.offset + self.length)


def random_window(
    size: int, crop: int, rng: np.random.Generator, centre: int | None = None, translate: bool = False
) -> Window:
    """Window of a random crop along one axis.

    Args:
        size: pixels of the image.
        crop: pixels of the crop. An image that is smaller is taken whole and padded.
        centre: a pixel that the crop has to hold, or None; a crop that reaches over an edge is moved back to it.
        translate: put an image that is too small at a random place of the crop, not in its middle.
    """
    if size < crop:
        free = crop - size
        return Window(0, size, int(rng.integers(0, free, endpoint=True)) if translate else free // 2)
    last = size - crop
    if centre is None:
        start = int(rng.integers(0, last, endpoint=True))
    else:
        start = int(rng.integers(centre - crop + 1, centre, endpoint=True))
    return Window(min(max(start, 0), last), crop, 0)


@dataclass(frozen=True)
class Padding:
    """What surrounds an image: a grey level, with the ignore label; or, mirrored, the reflection of both."""

    ignore_label: int
    value: float = 0
    mirrored: bool = False


def paste(image: np.ndarray, label: np.ndarray | None, crop_size, y: Window, x: Window, padding: Padding):
    """Pad image (y.length, x.length, C) and label to a crop.

    Args:
        label: (y.length, x.length), or None.
        crop_size: (h, w).
        y, x: where they lie in it.

    Returns: image (h, w, C) and label (h, w), or None.
    """
    if image.shape[:2] == tuple(crop_size):
        return image, label
    if padding.mirrored:
        sides = [side for axis, window in zip(crop_size, (y, x)) for side in _sides(axis, window)]
        top, bottom, left, right = sides
        border = (top, bottom, left, right, cv2.BORDER_REFLECT_101)
        # OpenCV drops the axis of a single channel
        padded = cv2.copyMakeBorder(image, *border).reshape(*crop_size, image.shape[2])
        return padded, None if label is None else cv2.copyMakeBorder(label, *border)
    padded = np.full((*crop_size, image.shape[2]), round(padding.value), np.uint8)
    padded[y.target, x.target] = image
    if label is None:
        return padded, None
    padded_label = np.full(crop_size, padding.ignore_label, label.dtype)
    padded_label[y.target, x.target] = label
    return padded, padded_label


def _sides(length: int, window: Window) -> tuple[int, int]:
    """The pixels of a crop before and behind the image."""
    return window.offset, length - window.offset - window.length


class RandomSizeAndCrop:
    """Resize by s ~ U[scale_min, scale_max], then crop at random; with a centroid, so that the crop holds it.

    Args:
        crop_size: (h, w), or None for the size of each image as it comes.
        ignore_label: value of the padding in labels.
        pre_size: multiply s by pre_size / long edge.
        translate: put an image smaller than the crop at a random place of it, not in its middle.
        resize: what s multiplies, in place of the size of the image: (h, w), or (short edge,) of the same aspect.
        padding: of an image smaller than the crop (default: black, ignored).
    """

    def __init__(
        self,
        crop_size: tuple[int, int] | None,
        scale_min: float,
        scale_max: float,
        ignore_label: int,
        pre_size: int | None = None,
        translate: bool = False,
        resize: tuple[int, ...] | None = None,
        padding: Padding | None = None,
    ):
        self.crop_size = crop_size
        self.resize, self.padding = resize, padding or Padding(ignore_label)
        self.scale_min = scale_min
        self.scale_max = scale_max
        self.pre_size = pre_size
        self.translate = translate

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator, centroid=None) -> tuple:
        """image uint8 (H, W, 3), label (H, W), centroid (x, y) in pixels of image or None.

        Returns image (h, w, 3), label (h, w) and the scale s that was applied, pre_size or resize (that of the height)
        included.
        """
        size = height, width = image.shape[:2]
        scale = rng.uniform(self.scale_min, self.scale_max)
        resized = self._resized(size, scale)
        crop_size = self.crop_size or self._base_size(size)
        scales = (scale * self._base_scale(*size),) * 2
        if self.resize:
            scales = resized[1] / width, resized[0] / height
        centre_x, centre_y = (None, None) if centroid is None else (int(c * s) for c, s in zip(centroid, scales))
        x = random_window(resized[1], crop_size[1], rng, centre_x, self.translate)
        y = random_window(resized[0], crop_size[0], rng, centre_y, self.translate)
        image = resize_window(image, resized, y.source, x.source)
        label = nearest_window(label, resized, y.source, x.source)
        return *paste(image, label, crop_size, y, x, self.padding), scales[1]

    def check_fits(self, sizes: Iterable[tuple[int, int]]):
        """Raise ValueError when no image of `sizes`, an iterable of (H, W), is ever as large as the crop."""
        if self.crop_size is None:
            return
        largest = [self._resized(size, self.scale_max) for size in set(sizes)]
        crop_height, crop_width = self.crop_size
        if not largest or any(height >= crop_height and width >= crop_width for height, width in largest):
            return
        fitting = [(min(height, crop_height), min(width, crop_width)) for height, width in largest]
        best = max(range(len(largest)), key=lambda i: (fitting[i][0] * fitting[i][1], largest[i]))
        raise ValueError(
            f'--crop_size {crop_height},{crop_width} (height,width) is larger than every training image: after the'
            f' largest scale ({self.scale_max:g}) the best one is {largest[best][0]} x {largest[best][1]}, so every'
            f' crop would be padded; use --crop_size {fitting[best][0]},{fitting[best][1]} or a larger --scale_max'
        )

    def _resized(self, size: tuple[int, int], scale: float) -> tuple[int, int]:
        """The size that a scale gives an image, pre_size or resize included."""
        if self.resize:
            return resized_size(self._base_size(size), scale)
        return resized_size(size, scale * self._base_scale(*size))

    def _base_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size that resize gives an image."""
        *height, last = self.resize or size
        if height:
            return height[0], last
        short = min(size)
        return max(1, round(size[0] * last / short)), max(1, round(size[1] * last / short))

    def _base_scale(self, height: int, width: int) -> float:
        return self.pre_size / max(height, width) if self.pre_size else 1.0


def resized_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) times scale, rounded down, at least one pixel."""
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


class RandomFlip:
    """Mirror image and label left to right with probability `horizontal`, and top to bottom with `vertical`."""

    def __init__(self, horizontal: float = 0.5, vertical: float = 0.0):
        self.horizontal, self.vertical = horizontal, vertical

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple:
        shape = image.shape  # OpenCV drops a single channel
        if rng.random() < self.horizontal:
            image, label = cv2.flip(image, 1), cv2.flip(label, 1)
        if self.vertical and rng.random() < self.vertical:
            image, label = cv2.flip(image, 0), cv2.flip(label, 0)
        return image.reshape(shape), label


def scale_long_edge(image: np.ndarray, label: np.ndarray | None, long_edge: int) -> tuple:
    """Resize so that the longer side is long_edge: image bilinear, label (or None) nearest.

    Returns image, label, scale; an image that has the size already comes back as it is.
    """
    height, width = image.shape[:2]
    if max(height, width) == long_edge:
        return image, label, 1.0
    if width > height:
        size = max(1, int(long_edge * height / width)), long_edge
    else:
        size = long_edge, max(1, int(long_edge * width / height))
    return *_resize_pair(image, label, size, Image.Resampling.BILINEAR), long_edge / max(height, width)


def resize_height(image: np.ndarray, label: np.ndarray | None, height: int) -> tuple:
    """Resize to `height` rows, keeping the aspect: image bicubic, label (or None) nearest.

    Returns image, label, scale.
    """
    size = height, max(1, int(image.shape[1] / image.shape[0] * height))
    return *_resize_pair(image, label, size, Image.Resampling.BICUBIC), height / image.shape[0]


def center_crop_pad(image: np.ndarray, label: np.ndarray | None, size: int, ignore_label: int) -> tuple:
    """The middle size x size pixels of image and label (or None), padded on both sides where the image is smaller."""
    y, x = (_centre_window(length, size) for length in image.shape[:2])
    image = np.ascontiguousarray(image[slice(*y.source), slice(*x.source)])
    if label is not None:
        label = np.ascontiguousarray(label[slice(*y.source), slice(*x.source)])
    return paste(image, label, (size, size), y, x, Padding(ignore_label))


def _centre_window(length: int, crop: int) -> Window:
    if length < crop:
        return Window(0, length, (crop - length) // 2)
    return Window(round((length - crop) / 2), crop, 0)


def _resize_pair(image: np.ndarray, label: np.ndarray | None, size: tuple[int, int], filter_: Image.Resampling):
    if image.shape[:2] == size:
        return image, label
    planes = [image] if image.shape[2] == 3 else [image[..., k] for k in range(image.shape[2])]
    resized = [np.array(Image.fromarray(plane).resize(size[::-1], filter_)) for plane in planes]
    image = resized[0] if image.shape[2] == 3 else np.stack(resized, axis=2)
    if label is not None:
        label = nearest_window(label, size, (0, size[0]), (0, size[1]))
    return image, label
