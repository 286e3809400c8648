"""Epochs: the images that one consists of, their order, and the batches of each rank.

Every random number of the data comes from here.

Each stream of random numbers has its own seed, made of the run's seed, the epoch, and what it is for. So an epoch can
be drawn again without the ones before it, on every rank and in every worker alike.
"""

from typing import NamedTuple

import numpy as np

_SAMPLE, _DRAWS, _ORDER, _COARSE = 0, 1, 2, 3


class Draw(NamedTuple):
    """One element of an epoch. image: place in the dataset's items; centroid (x, y) and class_id: of class-uniform
    draws."""

    image: int
    centroid: tuple | None = None
    class_id: int | None = None


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The stream for the transforms of element `index` of an epoch."""
    return np.random.default_rng([seed, epoch, index, _SAMPLE])


def epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which the elements of an epoch are visited: a permutation of 0 .. length - 1."""
    return np.random.default_rng([seed, epoch, 0, _ORDER]).permutation(length)


def class_quotas(num_images: int, num_classes: int, pct: float, bias=None) -> list:
    """How many class-uniform draws each class gets: int(N pct / K), times its bias when there is one.

    Raises ValueError when pct is no share, or when bias has the wrong length, is negative or asks for more than N.
    """
    if not 0 <= pct <= 1:
        raise ValueError(f'--class_uniform_pct {pct}: expected a share of the epoch between 0 and 1')
    quota = int(num_images * pct / num_classes)
    if bias is None:
        return [quota] * num_classes
    if len(bias) != num_classes or min(bias) < 0:
        raise ValueError(
            f'CLASS_UNIFORM_BIAS {list(bias)}: expected {num_classes} factors of at least 0, one per class'
        )
    quotas = [int(quota * factor) for factor in bias]
    if sum(quotas) > num_images:
        raise ValueError(
            f'CLASS_UNIFORM_BIAS asks for {sum(quotas)} draws in an epoch of {num_images} images; '
            'lower its factors or --class_uniform_pct'
        )
    return quotas


def repeat_factors(images: np.ndarray, centroids: list, threshold: float) -> np.ndarray:
    """How often each image is taken so that rare classes are seen more: float (len(images),), at least 1.

    A class that a share f of the images holds asks for max(1, sqrt(threshold / f)), an image is taken as often as the
    rarest of its classes asks for (Gupta et al., CVPR 2019, arXiv 1908.03195, section 3.2).

    Args:
        images: int array, places of the images that take part.
        centroids: per class an int array (n, 3) of image, x, y.
        threshold: the share of images below which a class is rare.
    """
    factors = np.ones(len(images))
    for places in centroids:
        holds = np.isin(images, places[:, 0])
        if holds.any():
            factors[holds] = np.maximum(factors[holds], np.sqrt(threshold / holds.mean()))
    return factors


def draw_epoch(
    num_images: int, centroids: list, quotas: list, seed: int, epoch: int, images=None, repeats=None
) -> list:
    """The epoch as a list of num_images Draws: random images first, then the classes in order.

    Images and centroids are drawn without replacement until there are none left, then from the start of the same
    shuffled order again. A class without centroids leaves its quota to random images, so every epoch has num_images
    elements.

    Args:
        centroids: per class an int array (n, 3) of image, x, y.
        quotas: draws of each class, see class_quotas.
        images: int array (num_images,), the places of the images that take part, when they are not the first
            num_images.
        repeats: float array (num_images,), how often each of them stands among those that random images are drawn
            from, on average; at least 1 (default: once).
    """
    rng = np.random.default_rng([seed, epoch, 0, _DRAWS])
    images = np.arange(num_images) if images is None else images
    if repeats is not None:
        images = np.repeat(images, np.floor(repeats + rng.random(num_images)).astype(int))
    quotas = [quota if len(places) else 0 for quota, places in zip(quotas, centroids)]
    draws = [Draw(image) for image in images[_draw(rng, len(images), num_images - sum(quotas))].tolist()]
    for class_id, (quota, places) in enumerate(zip(quotas, centroids)):
        for image, x, y in places[_draw(rng, len(places), quota)].tolist():
            draws.append(Draw(image, (x, y), class_id))
    return draws


def _draw(rng, length, count):
    """`count` numbers below `length`, each one as often as the others or once more."""
    return np.resize(rng.permutation(length), count)


def coarse_subset(num_images: int, count: int, seed: int, epoch: int) -> np.ndarray:
    """`count` of num_images images, another choice for each epoch."""
    return np.random.default_rng([seed, epoch, 0, _COARSE]).permutation(num_images)[:count]


class EpochBatches:
    """Batches of keys (epoch, index) of one rank, for a DataLoader's batch_sampler.

    The shuffled epoch is one list for all ranks. Together the ranks take batch_size * world consecutive elements of it
    per step, rank r every world-th from r on, so a step sees the same images whatever the number of ranks. What does
    not fill a step is dropped, at most batch_size * world - 1 elements; nothing is repeated.
    """

    def __init__(self, length: int, batch_size: int, world: int, rank: int, seed: int):
        assert 0 <= rank < world and batch_size > 0
        self.length, self.batch_size, self.world, self.rank, self.seed = length, batch_size, world, rank, seed
        self.epoch, self.start_batch = 0, 0

    def __len__(self):
        """Batches of a whole epoch, wherever this one starts."""
        return self.length // (self.batch_size * self.world)

    def set_epoch(self, epoch: int, start_batch: int = 0):
        """Go to batch `start_batch` of `epoch`."""
        self.epoch, self.start_batch = epoch, start_batch

    def __iter__(self):
        order = epoch_order(self.length, self.seed, self.epoch)[self.rank :: self.world].tolist()
        for batch in range(self.start_batch, len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(self.epoch, index) for index in chosen]
