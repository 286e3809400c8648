"""RandAugment (Cubuk et al., arXiv 1909.13719) for segmentation: geometric operations move image and label alike."""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from PIL.Image import Resampling

# name: strength at M = 0 and at M = 30
RANGES = {
    'Identity': (0, 1),
    'ShearX': (0, 0.3),
    'ShearY': (0, 0.3),
    'TranslateX': (0, 0.33),
    'TranslateY': (0, 0.33),
    'Rotate': (0, 30),
    'AutoContrast': (0, 1),
    'Invert': (0, 1),
    'Equalize': (0, 1),
    'Solarize': (0, 110),
    'Posterize': (4, 8),
    'Color': (0.1, 1.9),
    'Brightness': (0.1, 1.9),
    'Sharpness': (0.1, 1.9),
}
SIGNED = ('ShearX', 'ShearY', 'TranslateX', 'TranslateY', 'Rotate')
MAX_MAGNITUDE = 30

PHOTOMETRIC = {
    'Identity': lambda image, strength: image,
    'AutoContrast': lambda image, strength: ImageOps.autocontrast(image),
    'Invert': lambda image, strength: ImageOps.invert(image),
    'Equalize': lambda image, strength: ImageOps.equalize(image),
    'Solarize': lambda image, strength: ImageOps.solarize(image, strength),
    'Posterize': lambda image, strength: ImageOps.posterize(image, int(strength)),
    'Color': lambda image, strength: ImageEnhance.Color(image).enhance(strength),
    'Brightness': lambda image, strength: ImageEnhance.Brightness(image).enhance(strength),
    'Sharpness': lambda image, strength: ImageEnhance.Sharpness(image).enhance(strength),
}


def parse_rand_augment(text: str) -> tuple[int, int]:
    """'N,M' -> (N, M): how many operations, and how strong (0 to 30). ValueError when it is anything else."""
    try:
        count, magnitude = (int(part) for part in text.split(','))
    except ValueError:
        count, magnitude = 0, 0
    if count < 1 or not 0 <= magnitude <= MAX_MAGNITUDE:
        raise ValueError(
            f'--rand_augment {text!r} is not N,M: expected a number of operations N >= 1 and a magnitude '
            f'M from 0 to {MAX_MAGNITUDE}, for instance --rand_augment 2,10'
        )
    return count, magnitude


class RandAugment:
    """`count` operations, drawn with replacement, each at strength min + magnitude / 30 (max - min) of its range."""

    def __init__(self, count: int, magnitude: int, ignore_label: int):
        self.count = count
        self.magnitude = magnitude
        self.ignore_label = ignore_label

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple:
        """image uint8 (h, w, 3), label uint8 (h, w); what is moved in from outside is 0 and the ignore label."""
        names = list(RANGES)
        for i in rng.integers(0, len(names), self.count):
            low, high = RANGES[names[i]]
            strength = low + self.magnitude / MAX_MAGNITUDE * (high - low)
            if names[i] in SIGNED and rng.random() < 0.5:
                strength = -strength
            image, label = apply_operation(names[i], image, label, strength, self.ignore_label)
        return image, label


def apply_operation(name: str, image: np.ndarray, label: np.ndarray, strength: float, ignore_label: int) -> tuple:
    """Apply one operation to a pair.

    Args:
        name: from RANGES.
        image: uint8 (h, w, 3).
        label: uint8 (h, w).
        strength: in the range of the operation; a negative one goes the other way.
        ignore_label: what the label has where nothing was moved in.

    Returns: image and label, of the same sizes.
    """
    if name in PHOTOMETRIC:
        return np.array(PHOTOMETRIC[name](Image.fromarray(image), strength)), label
    resample = Resampling.NEAREST if name == 'Rotate' else Resampling.BILINEAR
    return (
        _move(name, image, strength, resample, (0, 0, 0)),
        _move(name, label, strength, Resampling.NEAREST, ignore_label),
    )


def _move(name: str, array: np.ndarray, strength: float, resample: Resampling, fill) -> np.ndarray:
    image = Image.fromarray(array)
    if name == 'Rotate':
        return np.array(image.rotate(strength, resample, fillcolor=fill))
    matrix = {
        'ShearX': (1, strength, 0, 0, 1, 0),
        'ShearY': (1, 0, 0, strength, 1, 0),
        'TranslateX': (1, 0, strength * image.width, 0, 1, 0),
        'TranslateY': (1, 0, 0, 0, 1, strength * image.height),
    }[name]
    return np.array(image.transform(image.size, Image.Transform.AFFINE, matrix, resample, fillcolor=fill))
