"""RandAugment as the MIC-DKFZ framework has it: other operations than transforms.randaugment, drawn strengths, M from 0
to 9, and reflected borders of image and label.

`count` operations are drawn with replacement and always applied. A strength v grows with M on a straight line from 0 to
the largest one of its operation; the operation then draws from [-v, v], or a factor from [1 - v, 1 + v].
"""

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageOps

from transforms.photometric import adjust_brightness, adjust_contrast, adjust_saturation

MAX_MAGNITUDE = 9
BITS = (8, 8, 7, 7, 6, 6, 5, 5, 4, 4)  # of posterize at each M
FULL, LIGHT, LIGHT_SCALE = 'framework', 'framework_light', 'framework_light_scale'
KINDS = (FULL, LIGHT, LIGHT_SCALE)
COMMON = ('identity', 'contrast', 'brightness', 'saturation', 'sharpen', 'blur')
HARD = ('solarize', 'posterize', 'equalize', 'invert')
# The largest shear in degrees, arctan(0.3); shift as a share of a side; rotation in degrees.
MOVES = {'shear_x': 16.7, 'shear_y': 16.7, 'translate_x': 0.2, 'translate_y': 0.2, 'rotate': 30.0}
LARGE_MOVES = {**MOVES, 'translate_x': 0.5, 'translate_y': 0.5, 'rotate': 90.0, 'scale': 1.0}
SMALLEST = 0.1  # scale

FACTORS: dict[str, Callable] = {
    'contrast': adjust_contrast,
    'brightness': adjust_brightness,
    'saturation': adjust_saturation,
}


class FrameworkRandAugment:
    """`count` operations at magnitude M. kind: one of KINDS; the light ones lack HARD, the last moves further.

    Raises ValueError for a magnitude above 9.
    """

    def __init__(self, count: int, magnitude: int, kind: str):
        if magnitude > MAX_MAGNITUDE:
            raise ValueError(
                f'--rand_augment {count},{magnitude}: with --rand_augment_ops {kind} the magnitude goes from 0 to'
                f' {MAX_MAGNITUDE}, for instance --rand_augment {count},3'
            )
        self.count, self.magnitude = count, magnitude
        self.moves = LARGE_MOVES if kind == LIGHT_SCALE else MOVES
        self.names = (*COMMON, *(HARD if kind == FULL else ()), *self.moves)

    def __call__(self, image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple:
        """image uint8 (h, w, 3), label uint8 (h, w)."""
        share = self.magnitude / MAX_MAGNITUDE
        for i in rng.integers(0, len(self.names), self.count):
            name = self.names[i]
            if name in self.moves:
                image, label = move(name, image, label, rng.uniform(-1, 1) * share * self.moves[name])
            elif name in FACTORS:
                image = FACTORS[name](image, 1 + rng.uniform(-1, 1) * 0.9 * share)
            elif name == 'sharpen':
                image = sharpen(image, rng.uniform(0, 2.0 * share), rng.uniform(0.2, 0.5))
            elif name == 'blur':
                image = cv2.blur(image, (3, 3))
            elif name != 'identity':
                image = self._hard(name, image, rng)
        return image, label

    def _hard(self, name, image, rng):
        picture = Image.fromarray(image)
        if name == 'solarize':
            lowest = 255 * (1 - self.magnitude / MAX_MAGNITUDE)
            return np.array(ImageOps.solarize(picture, rng.uniform(lowest, 255)))
        if name == 'posterize':
            return np.array(ImageOps.posterize(picture, BITS[self.magnitude]))
        return np.array(ImageOps.equalize(picture) if name == 'equalize' else ImageOps.invert(picture))


def sharpen(image: np.ndarray, sigma: float, amount: float) -> np.ndarray:
    """Unsharp mask: plus `amount` times the difference from a Gaussian blur, where that is above 10 grey levels."""
    if not sigma:
        return image
    difference = image.astype(np.float32) - cv2.GaussianBlur(image, (0, 0), sigma)
    sharper = np.clip(np.round(image + amount * difference), 0, 255).astype(np.uint8)
    return np.where(np.abs(difference) > 10, sharper, image)


def move(name: str, image: np.ndarray, label: np.ndarray, strength: float) -> tuple:
    """Shear or rotate (degrees), translate (shares of a side) or scale (by 1 + strength) image and label about their
    middle; what comes in from outside is their reflection."""
    height, width = label.shape
    matrix = np.eye(2)
    shift = np.zeros(2)
    if name in ('shear_x', 'shear_y'):
        matrix[(0, 1) if name == 'shear_x' else (1, 0)] = np.tan(np.radians(strength))
    elif name == 'rotate':
        cosine, sine = np.cos(np.radians(strength)), np.sin(np.radians(strength))
        matrix[:] = [[cosine, sine], [-sine, cosine]]
    elif name == 'scale':
        matrix *= max(SMALLEST, 1 + strength)
    else:
        shift[:] = (strength * width, 0) if name == 'translate_x' else (0, strength * height)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    affine = np.column_stack([matrix, middle + shift - matrix @ middle])
    return tuple(
        cv2.warpAffine(array, affine, (width, height), flags=filter_, borderMode=cv2.BORDER_REFLECT)
        for array, filter_ in ((image, cv2.INTER_LINEAR), (label, cv2.INTER_NEAREST))
    )
