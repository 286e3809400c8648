"""Coarse labels beside fine ones: which a training reads, both as one dataset, and what an epoch is drawn from."""

from itertools import chain

import numpy as np

from config import cfg
from datasets.base import Dataset
from datasets.sampling.epoch import coarse_subset
from utils.settings.coarse import QUALITIES


def training_qualities() -> tuple:
    """The qualities of the datasets that the training images come from, as cfg.DATASET says: fine images first."""
    settings = cfg.DATASET
    if settings.QUALITY not in QUALITIES:
        raise ValueError(f'--quality {settings.QUALITY}: expected {", ".join(QUALITIES)}')
    coarse = 'coarse' if settings.CUSTOM_COARSE_PROB is None else 'customcoarse'
    if settings.QUALITY == 'coarse':
        return (coarse,)
    more = settings.QUALITY == 'fine_coarse' or settings.COARSE_BOOST_CLASSES or settings.ONLY_COARSE
    return ('fine', coarse) if more else ('fine',)


def join(parts) -> Dataset:
    """The datasets `parts` as one: itself when there is one, else a Joined."""
    return parts[0] if len(parts) == 1 else Joined(parts)


class Joined(Dataset):
    """Datasets of the same classes as one. items: those of all parts, part after part; a part loads its own."""

    def __init__(self, parts):
        first = parts[0]
        assert all(part.classes == first.classes for part in parts)
        self.name, self.classes, self.root = first.name, first.classes, first.root
        self.class_weights = first.class_weights
        self.split, self.quality, self.cv = first.split, first.quality, first.cv
        self.mapper = first.mapper
        self.parts = list(parts)
        self.label_rules = ' '.join(part.label_rules for part in parts)
        self.notes = [note for part in parts for note in part.notes]
        self.items = [item for part in parts for item in part.items]
        self._part = {item: part for part in parts for item in part.items}
        assert len(self._part) == len(self.items), 'an item of two datasets'

    def load(self, item):
        return self._part[item].load(item)

    def raw_label(self, item):
        return self._part[item].raw_label(item)

    def label_files(self, item):
        return self._part[item].label_files(item)

    def sizes(self):
        return chain.from_iterable(part.sizes() for part in self.parts)


class Pool:
    """The images of one dataset and their centroids (per class an int array (n, 3) of image, x, y), the same in every
    epoch."""

    def __init__(self, num_images: int, centroids: list):
        self.num_images, self.centroids = num_images, centroids

    def at(self, epoch: int) -> tuple:
        """(images int array (num_images,), centroids) of an epoch, as draw_epoch takes them."""
        return np.arange(self.num_images), self.centroids


class BoostedPool(Pool):
    """Fine images, with coarse ones in the class-uniform part before epoch `end`.

    Args:
        num_images: of fine images, so that epochs have one length.
        fine, coarse: centroids of each kind.
        boost: the classes whose coarse centroids stand beside the fine ones.
        only_coarse: every class has its coarse centroids alone.
        end: the first epoch without coarse ones.
    """

    def __init__(self, num_images: int, fine: list, coarse: list, boost, only_coarse: bool, end: int):
        super().__init__(num_images, fine)
        self.end = end
        self.boosted = (
            coarse
            if only_coarse
            else [
                np.concatenate([own, more]) if trainid in boost else own
                for trainid, (own, more) in enumerate(zip(fine, coarse))
            ]
        )

    def at(self, epoch):
        return np.arange(self.num_images), self.boosted if epoch < self.end else self.centroids


class PortionPool(Pool):
    """All fine images and, drawn anew for each epoch, `count` of the coarse ones, which stand behind them.

    num_images is the sum of both, centroids are those of both. Centroids of images that do not take part in an epoch
    are left out of it.
    """

    def __init__(self, num_fine: int, num_coarse: int, count: int, centroids: list, seed: int):
        super().__init__(num_fine + count, centroids)
        self.num_fine, self.num_coarse, self.count, self.seed = num_fine, num_coarse, count, seed

    def at(self, epoch):
        coarse = self.num_fine + coarse_subset(self.num_coarse, self.count, self.seed, epoch)
        images = np.concatenate([np.arange(self.num_fine), coarse])
        if self.count == self.num_coarse:
            return images, self.centroids
        takes_part = np.zeros(self.num_fine + self.num_coarse, bool)
        takes_part[images] = True
        return images, [places[takes_part[places[:, 0]]] for places in self.centroids]


def build_pool(parts: list, centroids: list, seed: int, log=None) -> Pool:
    """The pool of one dataset, or of a fine and a coarse one; centroids: for each of `parts`, per class.

    cfg.DATASET says what the coarse images are for. Raises ValueError naming the flag when none of them is of use.
    """
    if len(parts) == 1:
        return Pool(len(parts[0]), centroids[0])
    (fine, coarse), settings, log = parts, cfg.DATASET, log or (lambda line: None)
    labels = f'{len(coarse)} images with {coarse.quality} labels'
    own, more = centroids[0], [places + np.array([len(fine), 0, 0], np.int32) for places in centroids[1]]
    if settings.QUALITY == 'fine_coarse':
        count = int(len(coarse) * settings.COARSE_PORTION)
        log(f'every epoch: all {len(fine)} images with fine labels and {count} of the {labels}')
        return PortionPool(len(fine), len(coarse), count, [np.concatenate(pair) for pair in zip(own, more)], seed)
    boost = range(fine.num_classes) if settings.ONLY_COARSE else sorted(set(settings.COARSE_BOOST_CLASSES))
    _check_boost(boost, more, fine, labels, '--only_coarse' if settings.ONLY_COARSE else '--coarse_boost_classes')
    counts = ', '.join(
        f'{fine.classes.names[trainid]} {len(more[trainid])} ({len(own[trainid])} in fine labels)' for trainid in boost
    )
    log(
        f'before epoch {settings.MAX_CU_EPOCH} the class-uniform part of an epoch is drawn from the {labels}'
        f'{"" if settings.ONLY_COARSE else " too"}, places: {counts}'
    )
    return BoostedPool(len(fine), own, more, boost, settings.ONLY_COARSE, settings.MAX_CU_EPOCH)


def _check_boost(boost, coarse, dataset, labels, flag):
    if boost[-1] >= dataset.num_classes:
        raise ValueError(
            f'{flag}: {boost[-1]} is no trainId of dataset {dataset.name!r}, which has 0 to {dataset.num_classes - 1}'
        )
    if not any(len(coarse[trainid]) for trainid in boost):
        names = ', '.join(dataset.classes.names[trainid] for trainid in boost)
        raise ValueError(
            f'{flag}: none of the {labels} holds {names}; unpack more of them, lower --custom_coarse_prob, or leave the'
            ' flag out'
        )
