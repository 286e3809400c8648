"""Corruptions of photographs at five strengths, the same in every run; after ImageNet-C (Hendrycks and Dietterich,
ICLR 2019), whose strengths those of noise, blur, brightness and JPEG are. Darkness and fog are simpler forms."""

import zlib

import cv2
import numpy as np

STRENGTHS = (1, 2, 3, 4, 5)
NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, of white
BLUR = (1, 2, 3, 4, 6)  # standard deviation in pixels
BRIGHTER = (0.1, 0.2, 0.3, 0.4, 0.5)  # added to the value of HSV
DARKER = (0.7, 0.5, 0.35, 0.25, 0.15)  # factor on light
FOG = (0.5, 1.0, 1.5, 2.0, 3.0)  # optical depth at the horizon
JPEG = (25, 18, 15, 10, 7)  # quality
FOG_LIGHT = 0.85  # grey of the fog, of white


def noise(image, level, rng):
    return _bytes(_unit(image) + rng.normal(0, NOISE[level], image.shape))


def blur(image, level, rng):
    return cv2.GaussianBlur(image, None, BLUR[level])


def brightness(image, level, rng):
    hue_saturation_value = cv2.cvtColor(_unit(image), cv2.COLOR_RGB2HSV)
    hue_saturation_value[..., 2] = np.minimum(hue_saturation_value[..., 2] + BRIGHTER[level], 1)
    return _bytes(cv2.cvtColor(hue_saturation_value, cv2.COLOR_HSV2RGB))


def darkness(image, level, rng):
    return _bytes(_unit(image) * DARKER[level])


def fog(image, level, rng):
    """Koschmieder's law on a flat road: the share of light that gets through falls with the depth, which grows from the
    bottom row to the middle one and stays the largest above."""
    height = len(image)
    above_bottom = np.arange(height)[::-1] / max(height - 1, 1)
    through = np.exp(-FOG[level] * np.minimum(2 * above_bottom, 1))[:, None, None]
    return _bytes(_unit(image) * through + FOG_LIGHT * (1 - through))


def jpeg(image, level, rng):
    code = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG[level]])[1]
    return np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])


CORRUPTIONS = {one.__name__: one for one in (blur, noise, brightness, darkness, fog, jpeg)}


def corrupt(image: np.ndarray, name: str, strength: int, key: str) -> np.ndarray:
    """A corrupted image.

    Args:
        image: uint8 (h, w, 3) RGB.
        name: one of CORRUPTIONS.
        strength: 1 to 5.
        key: of the image; noise is the same for the same key, name and strength.
    """
    rng = np.random.default_rng(zlib.crc32(f'{key} {name} {strength}'.encode()))
    return CORRUPTIONS[name](image, strength - 1, rng)


def _unit(image):
    return image.astype(np.float32) / 255


def _bytes(unit):
    return np.round(np.clip(unit, 0, 1) * 255).astype(np.uint8)
