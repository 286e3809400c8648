"""Segmentation of one photo by a network that knows its classes: `net.predict(image)`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from network.averaging import EvalOptions, average_logits
from transforms.geometry import resize_height, scale_long_edge
from transforms.normalize import Normalize
from utils.classes import Classes
from utils.outputs.kinds import as_logits, kind_of
from utils.settings import SETTINGS

_DECLARED = SETTINGS.cfg_tree()['DATASET']


@dataclass(frozen=True)
class TrainedOn:
    """What a network was trained on: `classes`, mean and std of the RGB values in [0, 1] (default: of ImageNet), and
    where known the name of the dataset, the text of the file that describes it (--data_yaml), the flags that say how
    its images were tested, and the values of image files that became 0 and 255 (--value_range)."""

    classes: Classes
    mean: tuple[float, ...] = _DECLARED['MEAN']
    std: tuple[float, ...] = _DECLARED['STD']
    dataset: str | None = None
    data_yaml: str | None = None
    test_settings: Mapping[str, Any] = field(default_factory=dict)
    value_range: tuple[float, float] | None = None


class Segmentation(NamedTuple):
    """labels uint8 (h, w): the trainId of each pixel; confidence float32 (h, w): its softmax probability; classes:
    what the trainIds mean (`names`, `colors`, `paint(labels)`)."""

    labels: np.ndarray
    confidence: np.ndarray
    classes: Classes


@torch.inference_mode()
def segment(net: nn.Module, trained_on: TrainedOn | None, image: np.ndarray) -> Segmentation:
    """What `net` makes of `image`, uint8 (h, w, 3) RGB: in evaluation mode, at the scales that it was loaded with, and
    with the flips, sizes and tiles of `trained_on.test_settings`.

    Raises ValueError without `trained_on`, for an image of another form or size than the network can take, and for one
    on which it is not finite.
    """
    if trained_on is None:
        raise ValueError(
            'predict: this network does not know its classes nor how images are normalised; load it from a checkpoint'
            ' with network.load(file), or set net.trained_on = network.TrainedOn(classes)'
        )
    image = np.asarray(image)
    channels = getattr(net, 'in_channels', 3)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels:
        if channels != 3:
            raise ValueError(
                f'predict: the image is {image.dtype} of shape {image.shape}, expected uint8 of shape (h, w,'
                f' {channels}), as datasets.loading.channels.read_channels gives it'
            )
        raise ValueError(
            f'predict: the image is {image.dtype} of shape {image.shape}, expected uint8 of shape (h, w, 3), RGB;'
            " convert it, for instance with np.array(PIL.ImageOps.exif_transpose(PIL.Image.open(file)).convert('RGB'))"
        )
    device = next(net.parameters()).device
    settings = SETTINGS.without_idle(trained_on.test_settings)
    view = _resized(image, settings)
    pixels = torch.from_numpy(np.require(view, requirements=('C', 'W'))).to(device).permute(2, 0, 1).unsqueeze(0)
    normalize = Normalize(trained_on.mean, trained_on.std, channels_last=True).to(device)
    was_training = net.training
    try:
        logits = average_logits(net.eval(), normalize(pixels), _options(settings, net))[0]
    finally:
        net.train(was_training)
    if view.shape != image.shape:
        logits = F.interpolate(logits, image.shape[:2], mode='bilinear', align_corners=False)
    logits = as_logits(logits[0], kind_of(net))
    if not bool(torch.isfinite(logits).all()):
        raise ValueError(
            'predict: the logits of this image are not finite, so it has no labels; load the network in fp32, or'
            ' another checkpoint'
        )
    best, labels = logits.max(dim=0)
    confidence = torch.exp(best - torch.logsumexp(logits, dim=0))
    return Segmentation(labels.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy(), trained_on.classes)


def _resized(image: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """What the network sees of an image; a test by the middle square (crop_val) resizes heights, and here keeps all."""
    if not settings['pre_size']:
        return image
    resize = resize_height if settings['crop_val'] else scale_long_edge
    return resize(image, None, settings['pre_size'])[0]


def _options(settings: Mapping[str, Any], net: nn.Module) -> EvalOptions:
    extra = settings['extra_scales'] if settings['multi_scale_inference'] else ()
    return EvalOptions(
        (settings['default_scale'], *extra),
        settings['do_flip'],
        bool(getattr(net, 'align_corners', False)),
        precision=None,  # as it is around the call
        tile=settings['crop_eval'],
        overlap=settings['crop_overlap'],
        flip_kind=settings['flip_kind'],
    )
