"""Boundary of classes: the pixels of label maps near another class, and the counts behind boundary IoU.

Boundary IoU (Cheng et al., CVPR 2021, arXiv 2103.16562) is the IoU of the parts of a class's two masks that lie at most
d pixels from their own contour, where d is 2 % of the diagonal of the image. A pixel is as far from the contour as from
the nearest pixel outside of its mask, in steps that may be diagonal; outside of the image there is no mask. All masks
of a label map are looked at together: a window of one value lies inside of a mask, whichever that is.
"""

import math

import torch
from torch import Tensor

from utils.metrics import count_each

DILATION = 0.02  # of the diagonal


def boundary_distance(height: int, width: int) -> int:
    """d of an image in pixels, at least 1."""
    return max(1, round(DILATION * math.hypot(height, width)))


def boundary_pixels(labels: Tensor, distance: int) -> Tensor:
    """bool (N, h, w): where labels (N, h, w), of any integer type, have another value, or the border of the image, at
    most `distance` pixels away."""
    found = torch.ones_like(labels, dtype=torch.bool)
    size = 2 * distance + 1
    if min(labels.shape[-2:]) < size:
        return found
    smallest, largest = (_over_windows(extreme, labels, size) for extreme in (torch.minimum, torch.maximum))
    found[:, distance:-distance, distance:-distance] = smallest != largest
    return found


def boundary_counts(prediction: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """int64 (N, 3, K): the boundary pixels of each class that both maps share, those of the labels, and those of the
    prediction.

    prediction, labels: (N, h, w) of class ids. Pixels labelled with no class belong to no mask of either map.
    """
    distance = boundary_distance(*labels.shape[-2:])
    nothing = labels >= num_classes
    prediction, labels = (values.long().masked_fill(nothing, num_classes) for values in (prediction, labels))
    narrow = torch.uint8 if num_classes < 256 else torch.int64
    near, near_predicted = (boundary_pixels(values.to(narrow), distance) for values in (labels, prediction))
    ours = (labels.masked_fill(~near, num_classes), prediction.masked_fill(~near_predicted, num_classes))
    shared = ours[0].masked_fill(ours[0] != ours[1], num_classes)
    return torch.stack([count_each(values, num_classes) for values in (shared, *ours)], 1)


def _over_windows(extreme, values: Tensor, size: int) -> Tensor:
    """The minimum or maximum over windows of size x size, (N, h - size + 1, w - size + 1); each pass doubles them."""
    for axis in (-2, -1):
        wide = 1
        while wide < size:
            step = min(wide, size - wide)
            left = values.shape[axis] - step
            values = extreme(values.narrow(axis, 0, left), values.narrow(axis, step, left))
            wide += step
    return values
