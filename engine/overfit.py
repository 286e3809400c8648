"""Overfitting a few images (`--overfit N`): a training that a network without a fault in data, labels, loss or settings
learns by heart. It is trained and scored on the same images, without augmentation.
"""

import copy

from engine.training import Training
from transforms.pipeline import TrainTransform, places
from utils.cli.wording import counted

REACHED = 0.95  # mean IoU at which the images are known by heart


def same_images(sets, count: int, log):
    """[training, validation]: both the first `count` training images; ValueError where there are fewer."""
    chosen, several = copy.copy(sets[0]), counted(count, 'image')
    if len(chosen) < count:
        raise ValueError(
            f'--overfit {count}: split {chosen.split!r} of {chosen.name} has {len(chosen)} images; give less'
        )
    chosen.items = chosen.items[:count]
    log(
        f'--overfit {count}: trained and scored on {several}, {chosen.items[0].name}'
        f'{f" to {chosen.items[-1].name}" if count > 1 else ""}; no scaling, flips, colours, blur, mixing or draws'
        ' by class; of an image that is larger than --crop_size the place of the crop is random'
    )
    return [chosen, copy.copy(chosen)]


class CropAlone:
    """The crop of a training transform and nothing else of it."""

    def __init__(self, transform: TrainTransform):
        self.crop, self.check_crop = transform.size_and_crop, transform.check_crop

    def __call__(self, image, label, rng, centroid=None):
        return self.crop(image, label, rng, centroid)

    def places(self, size, rng, centroid=None):
        return places(self, size, rng, centroid)


class OverfitTraining(Training):
    """A Training that ends when the images are known by heart, and says whether they are."""

    def is_enough(self):
        return self.dist.any(self.run.is_main and self._is_reached()) or super().is_enough()

    def enough_because(self):
        return f'mean IoU {REACHED}' if self._is_reached() else super().enough_because()

    def fit(self, loader):
        code = super().fit(loader)
        if code == 0:
            known, page = self._is_reached(), self.run.directory / 'best_images' / 'index.html'
            found = 'learned by heart' if known else 'not learned by heart'
            fault = f'look for a fault in the labels, their map or the loss: {page}, and python -m datasets.browse'
            means = 'images, labels, loss and network fit together'
            means = means if known else f'if more --max_epoch or another --lr (--lr_find) do not help, {fault}'
            score = self.metric_of_best.shown(self.keeper.best_score)
            self.log(f'--overfit {self.args.overfit}: {found}, mean IoU {score}, expected {REACHED}; {means}')
        return code

    def _is_reached(self):
        return (self.keeper.best_score or 0.0) >= REACHED
