"""Photometric augmentation on the device (--augment_on device): a loader draws the numbers, the device applies them.

The operations are those of transforms.photometric, on floats: brightness, contrast and saturation are rounded down as
there, hue is turned exactly instead of in 8-bit HSV, and the Gaussian blur is rounded. Nothing here waits for the
device.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from transforms.photometric import ROUND_DOWN, gaussian_size, hue_steps

GREY = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow and OpenCV
NUMBERS = 12  # of one image: four factors, the order of the four, sigma (0: no blur), what is added to R, G and B


def draw(jitter, blur, rng: np.random.Generator, shift=None) -> Tensor:
    """The numbers that a ColorJitter, an RGBShift and a RandomGaussianBlur would draw next, in this order, float32
    (NUMBERS,); those of None change nothing."""
    factors, order = (jitter and jitter.draw(rng)) or ((1, 1, 1, 0), range(4))
    levels = (shift and shift.draw(rng)) or (0, 0, 0)
    sigma = (blur and blur.draw(rng)) or 0
    return torch.from_numpy(np.array([*factors, *order, sigma, *levels], np.float32))


def augment(images: Tensor, numbers: Tensor) -> Tensor:
    """images uint8 (N, 3, h, w), numbers float32 (N, NUMBERS) on the CPU -> float32 (N, 3, h, w) of whole numbers."""
    return torch.stack([_augment_one(image.float(), row) for image, row in zip(images, numbers.tolist())])


def as_seen(sample: dict) -> np.ndarray:
    """The image uint8 (h, w, 3) of a training sample as the network sees it, deferred augmentation included."""
    image = sample['image']
    if 'photometric' in sample:
        image = augment(image[None], sample['photometric'][None])[0].to(torch.uint8)
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def _augment_one(image: Tensor, numbers: list[float]) -> Tensor:
    factors, order, sigma, levels = numbers[:4], numbers[4:8], numbers[8], numbers[9:]
    for step in map(int, order):
        image = _OPERATIONS[step](image, factors[step])
    if any(levels):
        image = (image + torch.tensor(levels).view(3, 1, 1).to(image.device, non_blocking=True)).clamp_(0, 255)
    return _blur(image, sigma) if sigma else image


def _blend(image: Tensor, degenerate: Tensor | float, factor: float) -> Tensor:
    """As photometric.blend; degenerate: a number or a tensor."""
    return torch.round(image * factor + (1 - factor) * degenerate + ROUND_DOWN).clamp_(0, 255)


def _grey(image: Tensor) -> Tensor:
    """(3, h, w) -> (h, w), whole."""
    return torch.round(GREY[0] * image[0] + GREY[1] * image[1] + GREY[2] * image[2])


def _brightness(image: Tensor, factor: float) -> Tensor:
    return _blend(image, 0, factor)


def _contrast(image: Tensor, factor: float) -> Tensor:
    return _blend(image, torch.floor(_grey(image).mean() + 0.5), factor)


def _saturation(image: Tensor, factor: float) -> Tensor:
    return _blend(image, _grey(image), factor)


def _hue(image: Tensor, turn: float) -> Tensor:
    """RGB -> HSV, H plus a multiple of 1/256 of the circle, and back; H is counted in sixths of the circle."""
    steps = hue_steps(turn)
    if steps == 0:
        return image
    red, green, blue = image
    value = image.amax(0)
    chroma = value - image.amin(0)
    hue = torch.where(
        value == red, green - blue, torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma)
    )
    hue = hue / chroma.clamp_min(1) + 6 * steps / 256
    sectors = (hue[None] + shift for shift in (5, 3, 1))
    return torch.round(
        value - chroma * torch.cat([torch.minimum(sector % 6, 4 - sector % 6) for sector in sectors]).clamp_(0, 1)
    )


def _blur(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian of `sigma` pixels, rows before columns, borders replicated; no convolution, which may run in TF32."""
    weights = _gaussian(sigma)
    reach = len(weights) // 2
    for axis, pad in ((-1, (reach, reach, 0, 0)), (-2, (0, 0, reach, reach))):
        padded, length = F.pad(image[None], pad, mode='replicate')[0], image.shape[axis]
        shifted = (weight * padded.narrow(axis, shift, length) for shift, weight in enumerate(weights))
        image = sum(shifted, image.new_zeros(()))
    return torch.round(image)


def _gaussian(sigma: float) -> list[float]:
    places = np.arange(gaussian_size(sigma)) - gaussian_size(sigma) // 2
    weights = np.exp(-0.5 * np.square(places / sigma))
    return (weights / weights.sum()).tolist()


_OPERATIONS = (_brightness, _contrast, _saturation, _hue)  # in the order of photometric.ColorJitter
