"""Samples made of two or four crops of one size: mosaic, class-mix and copy-paste of rare classes.

Every pixel of the result comes with its label from one of the crops; nothing is blended, so labels stay exact.
"""

from collections.abc import Callable, Sequence

import numpy as np

Crop = tuple[np.ndarray, np.ndarray]  # image uint8 (h, w, 3), label uint8 (h, w)


def mosaic(crops: Sequence[Crop], rng: np.random.Generator) -> Crop:
    """Four crops around a point in the middle half of the image, each in its own quarter (Bochkovskiy et al., arXiv
    2004.10934).

    A crop shows the part of its scene that belongs there, so that the sky stays above the road.
    """
    first, *others = crops
    image, label = (array.copy() for array in first)
    height, width = label.shape
    y, x = (int(round(side * rng.uniform(0.25, 0.75))) for side in (height, width))
    quarters = [(slice(0, y), slice(x, None)), (slice(y, None), slice(0, x)), (slice(y, None), slice(x, None))]
    for quarter, (other_image, other_label) in zip(quarters, others):
        image[quarter], label[quarter] = other_image[quarter], other_label[quarter]
    return image, label


def class_mix(crop: Crop, other: Crop, rng: np.random.Generator, ignore_label: int) -> Crop:
    """`crop` under the pixels of half of the classes of `other`, rounded up (Olsson et al., WACV 2021, arXiv
    2007.07936)."""
    present = np.setdiff1d(np.unique(other[1]), [ignore_label])
    return paste(crop, other, rng.choice(present, size=(len(present) + 1) // 2, replace=False) if len(present) else ())


def paste(crop: Crop, other: Crop, classes) -> Crop:
    """`crop` under the pixels of `classes` in `other` (Ghiasi et al., CVPR 2021, arXiv 2012.07177, without its change
    of scale, which the crops have had)."""
    (image, label), (other_image, other_label) = crop, other
    taken = np.isin(other_label, classes)
    return np.where(taken[..., None], other_image, image), np.where(taken, other_label, label)


class Mixing:
    """What a sample is mixed with, drawn for each sample: at most one of the three kinds.

    Args:
        mosaic, class_mix, copy_paste: the share of the samples of each kind; together at most 1.
        paste_classes: trainIds that copy-paste takes over.
        off_epoch: first epoch without any, or -1.
        ignore_label: of pixels that belong to no class.
    """

    def __init__(self, mosaic=0.0, class_mix=0.0, copy_paste=0.0, paste_classes=(), off_epoch=-1, ignore_label=255):
        shares = {'mosaic': mosaic, 'class_mix': class_mix, 'copy_paste': copy_paste}
        if sum(shares.values()) > 1:
            named = ', '.join(f'--{name} {share:g}' for name, share in shares.items() if share)
            raise ValueError(
                f'{named}: are shares of the samples, of which each is mixed in one way; together at most 1'
            )
        self.shares, self.paste_classes, self.off_epoch = shares, tuple(paste_classes), off_epoch
        self.ignore_label = ignore_label

    def is_on(self, epoch: int) -> bool:
        """Whether samples of an epoch are mixed at all."""
        return any(self.shares.values()) and not 0 <= self.off_epoch <= epoch

    def __call__(self, crop: Crop, rng: np.random.Generator, partner: Callable[[tuple], Crop]) -> Crop:
        """A crop, mixed or not; partner(classes): another crop of the same size, which is likely to hold one of
        `classes` where there are any."""
        chance = rng.random()
        for kind, share in self.shares.items():
            if chance < share:
                return getattr(self, f'_{kind}')(crop, rng, partner)
            chance -= share
        return crop

    def _mosaic(self, crop, rng, partner):
        return mosaic([crop, *(partner(()) for _ in range(3))], rng)

    def _class_mix(self, crop, rng, partner):
        return class_mix(crop, partner(()), rng, self.ignore_label)

    def _copy_paste(self, crop, rng, partner):
        return paste(crop, partner(self.paste_classes), self.paste_classes)
