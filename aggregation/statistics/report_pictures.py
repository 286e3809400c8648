"""Pictures of an image of a report, as PNGs in memory: a few hundred kilobytes for each image that may be shown."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from utils.files.images import encode_png
from utils.outputs.pictures import error_mask, grey_image, palette_image


class Worst(NamedTuple):
    """An image by its share of wrong pixels. maps: key of TITLES -> bytes of a PNG."""

    share: float
    stem: str
    wrong: int
    pixels: int
    maps: dict


# key -> (title, kind of a sheet's picture)
TITLES = {
    'truth': ('Label', 'classes'),
    'prediction': ('Prediction', 'classes'),
    'error': ('Error', 'error'),
    'entropy': ('Entropy', 'map'),
    'disagreement': ('Disagreement', 'map'),
}


def picture(
    prediction: Tensor, truth: Tensor, known: Tensor, uncertainty: Tensor, labels: list[Tensor], dataset
) -> dict[str, bytes]:
    """key of TITLES -> PNG. All maps are (H, W): known: pixels with a label; uncertainty: entropy in nats; labels: of
    the members."""
    classes, palette = dataset.num_classes, dataset.palette
    prediction, label = prediction.numpy(), torch.where(known, truth, dataset.ignore_label).to(torch.uint8).numpy()
    made = {
        'truth': palette_image(label, palette),
        'prediction': palette_image(prediction, palette),
        'error': grey_image(error_mask(prediction, label, known.numpy()), 'error').convert('L'),
        'entropy': grey_image(uncertainty.numpy() / math.log(max(classes, 2)), 'entropy').convert('L'),
        'disagreement': grey_image(disagreement(labels, classes).numpy(), 'disagreement').convert('L'),
    }
    return {key: encode_png(image) for key, image in made.items()}


def disagreement(labels: list[Tensor], num_classes: int) -> Tensor:
    """1 - share of the members that choose the most chosen class, (H, W)."""
    votes = torch.zeros_like(labels[0], dtype=torch.int16)
    for number in range(num_classes):
        torch.maximum(votes, sum((label == number).to(torch.int16) for label in labels), out=votes)
    return 1 - votes / len(labels)
