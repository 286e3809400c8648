"""Photometric augmentation of uint8 RGB images (h, w, 3): colour jitter, RGB shift, Gaussian and bilateral blur.

Brightness, contrast and saturation are Pillow's ImageEnhance Brightness, Contrast and Color, which blend with black,
with the mean grey and with the grey image and round down. Nothing here reads or moves a label.
"""

import math

import cv2
import numpy as np

ROUND_DOWN = -0.4999  # OpenCV rounds to nearest where Pillow cuts off; not -0.5: whole numbers have to stay


def blend(image: np.ndarray, degenerate: float, factor: float) -> np.ndarray:
    """degenerate + factor * (image - degenerate), clipped and rounded down as Pillow does; half the time of a table."""
    return cv2.addWeighted(image, factor, image, 0, (1 - factor) * degenerate + ROUND_DOWN)


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """0 black, 1 unchanged, above 1 brighter."""
    return blend(image, 0, factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """0 the mean grey of the image, 1 unchanged."""
    mean = int(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0] + 0.5)
    return blend(image, mean, factor)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """0 the grey image, 1 unchanged."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, grey, 1 - factor, ROUND_DOWN)


def adjust_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Turn the hue by `turn` of the circle, in steps of 1/256."""
    steps = hue_steps(turn)
    if steps == 0:
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    rows = hsv.reshape(len(hsv), -1)
    # wraps around, as hue does; faster than every third value
    rows += np.tile(np.array([steps, 0, 0], np.uint8), hsv.shape[1])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def hue_steps(turn: float) -> int:
    """`turn` of the circle in steps of 1/256: trunc(255 turn), modulo 256."""
    return math.trunc(255 * turn) % 256


class ColorJitter:
    """Brightness, contrast and saturation by factors U[max(0, 1 - a), 1 + a], hue by U[-a, a], a = amount; shuffled.

    amounts: one for all, or those of brightness, contrast, saturation and hue.
    """

    def __init__(self, *amounts: float):
        self.amounts = amounts * 4 if len(amounts) == 1 else amounts

    def draw(self, rng: np.random.Generator) -> tuple[list[float], np.ndarray]:
        """The factors of brightness, contrast, saturation and hue, and the order of the four (places in that list)."""
        *blends, hue = self.amounts
        factors = [rng.uniform(max(0.0, 1 - amount), 1 + amount) for amount in blends]
        factors.append(rng.uniform(-hue, hue))
        return factors, rng.permutation(len(factors))

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        factors, order = self.draw(rng)
        operations = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
        for i in order:
            if self.amounts[i]:
                image = operations[i](image, factors[i])
        return image


class LightJitter:
    """Brightness and contrast of images (h, w, C) that are not RGB, of all channels by the same two factors U[max(0,
    1 - a), 1 + a], a their amounts (one: of both), in either order; contrast is about the mean of all values."""

    def __init__(self, brightness: float, contrast: float | None = None):
        self.amounts = brightness, brightness if contrast is None else contrast

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        brightness, contrast = (rng.uniform(max(0.0, 1 - amount), 1 + amount) for amount in self.amounts)
        values = image.reshape(len(image), -1)
        for is_contrast in rng.permutation(2):
            middle = int(values.mean() + 0.5) if is_contrast else 0
            values = blend(values, middle, contrast if is_contrast else brightness)
        return values.reshape(image.shape)


class RGBShift:
    """Red, green and blue each plus a number of grey levels U[-limit, limit], clipped."""

    def __init__(self, limit: float):
        self.limit = limit

    def draw(self, rng: np.random.Generator) -> list[float]:
        """The grey levels that are added to red, green and blue, whole ones."""
        return np.round(rng.uniform(-self.limit, self.limit, 3)).tolist()

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        levels = np.arange(256)[:, None] + np.array(self.draw(rng))
        return cv2.LUT(image, np.clip(levels, 0, 255).astype(np.uint8)[None])


class Sometimes:
    """A step that changes the share `share` of the images; one of 1 draws nothing for that."""

    def __init__(self, step, share: float):
        self.step, self.share = step, share

    def takes_part(self, rng: np.random.Generator) -> bool:
        return self.share == 1 or rng.random() < self.share

    def draw(self, rng: np.random.Generator):
        """What the step draws, None for an image that stays as it is."""
        return self.step.draw(rng) if self.takes_part(rng) else None

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.step(image, rng) if self.takes_part(rng) else image


def gaussian_size(sigma: float) -> int:
    """Pixels of a Gaussian kernel that is cut off at 4 sigma."""
    return 2 * int(4 * sigma + 0.5) + 1


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of standard deviation sigma pixels, cut off at 4 sigma, borders replicated: scikit-image's, rounded."""
    kernel = cv2.getGaussianKernel(gaussian_size(sigma), sigma, cv2.CV_32F)
    # not cv2.GaussianBlur: its 8-bit weights are off by up to one grey level, and it is no faster
    blurred = cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return blurred.reshape(image.shape)


def bilateral_blur(image: np.ndarray, sigma_spatial: float) -> np.ndarray:
    """Edge-preserving blur; the colour sigma is the standard deviation of all values of the image.

    Stands for scikit-image's denoise_bilateral, which is too slow for a data loader. Its colour weight is
    exp(-d^2 / (2 (3 sigma)^2)), d the Euclidean distance of two RGB colours; OpenCV takes the sum of absolute
    differences for d, which is sqrt(3) larger between two greys, so its sigma is 3 sqrt(3) sigma: the two are equal for
    differences of grey and alike for others. The border is reflected, where scikit-image takes in black pixels.
    """
    window = max(5, 2 * math.ceil(3 * sigma_spatial) + 1)
    return cv2.bilateralFilter(image, window, 3 * math.sqrt(3) * float(image.std()), sigma_spatial)


class RandomGaussianBlur:
    """Gaussian blur of every image, sigma = 0.15 + 1.15 U[0, 1) pixels."""

    def draw(self, rng: np.random.Generator) -> float:
        """Sigma in pixels."""
        return 0.15 + 1.15 * rng.random()

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return gaussian_blur(image, self.draw(rng))


class RandomBilateralBlur:
    """Bilateral blur of every image, spatial sigma U[0.05, 0.75] pixels."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return bilateral_blur(image, rng.uniform(0.05, 0.75))
