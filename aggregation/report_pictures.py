"""Pictures of an image of a report, as PNGs in memory: a few hundred kilobytes for each image that may be shown."""
import io
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from aggregation.fusing import Fused
from aggregation.pool import entropy
from utils.pictures import FAST_PNG, error_mask, grey_image, palette_image


class Worst(NamedTuple):
    """An image by its share of wrong pixels. maps: key of TITLES -> bytes of a PNG."""
    share: float
    stem: str
    wrong: int
    pixels: int
    maps: dict


# key -> (title, kind of a sheet's picture)
TITLES = {'truth': ('Label', 'classes'), 'prediction': ('Prediction', 'classes'), 'error': ('Error', 'error'), 'entropy': ('Entropy', 'map'),
          'disagreement': ('Disagreement', 'map')}


def picture(fused: Fused, truth: Tensor, known: Tensor, labels: list[Tensor], dataset) -> dict[str, bytes]:
    """key of TITLES -> PNG. labels: of the members, each (H, W); known (H, W): pixels with a label."""
    total = torch.log(torch.tensor(float(len(fused.probabilities))))
    prediction, label = fused.prediction.numpy(), torch.where(known, truth, dataset.ignore_label).to(torch.uint8).numpy()
    made = {'truth': palette_image(label, dataset.palette), 'prediction': palette_image(prediction, dataset.palette),
            'error': grey_image(error_mask(prediction, label, known.numpy()), 'error'),
            'entropy': grey_image((entropy(fused.probabilities) / total).numpy(), 'entropy'),
            'disagreement': grey_image(disagreement(labels, len(fused.probabilities)).numpy(), 'disagreement')}
    return {key: png(image.convert('L') if image.mode == 'RGB' else image) for key, image in made.items()}


def disagreement(labels: list[Tensor], num_classes: int) -> Tensor:
    """1 - share of the members that choose the most chosen class, (H, W)."""
    votes = torch.zeros_like(labels[0], dtype=torch.int16)
    for number in range(num_classes):
        torch.maximum(votes, sum((label == number).to(torch.int16) for label in labels), out=votes)
    return 1 - votes / len(labels)


def png(image) -> bytes:
    """A PIL image or an array uint8 (H, W, 3) as a PNG."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, 'PNG', compress_level=FAST_PNG)
    return file.getvalue()
