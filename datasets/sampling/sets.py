"""Samples: those of a training, drawn class-uniformly, and evaluation samples, each image once."""

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from config import cfg
from datasets.base import Dataset
from datasets.sampling import class_uniform
from datasets.sampling.coarse import Joined, build_pool
from datasets.sampling.epoch import class_quotas, draw_epoch, repeat_factors, sample_generator
from utils.cli.wording import counted, listed


def image_tensor(image: np.ndarray) -> torch.Tensor:
    """uint8 (H, W, C) -> uint8 (C, H, W), contiguous; cv2.split is several times faster than a transposed copy."""
    planes = np.empty((image.shape[2], *image.shape[:2]), np.uint8)
    cv2.split(image, list(planes))
    return torch.from_numpy(planes)


def _sample(image, label, name, scale):
    sample = {'image': image_tensor(image), 'name': name, 'scale': float(scale)}
    if label is not None:
        # a cache's pixels are read-only
        sample['label'] = torch.from_numpy(np.require(label, requirements=('C', 'W')))
    return sample


class TrainSet(TorchDataset):
    """The samples of an epoch: part random images, part crops around centroids of each class in turn.

    A sample is {'image' uint8 (3, h, w) RGB, 'label' uint8 (h, w) of trainIds and ignore_label, 'name', 'scale'}. It
    depends on (seed, epoch, index) and nothing else, so not on the number of workers nor on what was loaded before.

    Args:
        dataset: one with fine labels, joined with one with coarse labels where cfg.DATASET asks for these
            (datasets.sampling.coarse).
        transform: (image, label, rng, centroid=None or (x, y)) -> (image, label, scale), or None. A fourth value that
            it returns is the sample's 'photometric': what the device has still to do (transforms.deferred).
        class_uniform_pct, tile, assets_path: cfg's values when None.
        mixing: transforms.mixing.Mixing, or None.
        beside: (name, places, (H, W) of the image) -> the sample's 'beside', a tensor that is cut as its label is (see
            TrainTransform.places); or None.
        is_main, barrier, log: see class_uniform.load_or_build; the index is only built where something reads it.
    """

    def __init__(
        self,
        dataset: Dataset,
        transform,
        seed: int,
        class_uniform_pct=None,
        tile=None,
        assets_path=None,
        *,
        mixing=None,
        beside=None,
        is_main=True,
        barrier=None,
        log=None,
    ):
        if not dataset.labelled:
            raise ValueError(f'dataset {dataset.name!r}: split {dataset.split!r} has no labels to train on')
        if seed < 0:
            raise ValueError(f'--seed {seed}: expected a number of at least 0')
        self.dataset, self.transform, self.seed, self.mixing = dataset, transform, seed, mixing
        self.beside = beside
        pct = cfg.DATASET.CLASS_UNIFORM_PCT if class_uniform_pct is None else class_uniform_pct
        tile = cfg.DATASET.CLASS_UNIFORM_TILE if tile is None else tile
        assets_path = cfg.ASSETS_PATH if assets_path is None else assets_path
        parts = dataset.parts if isinstance(dataset, Joined) else [dataset]
        centroids = [[np.empty((0, 3), np.int32)] * dataset.num_classes] * len(parts)
        self.rare_below, self.off_epoch = cfg.DATASET.REPEAT_FACTOR, cfg.DATASET.CLASS_UNIFORM_OFF_EPOCH
        if pct > 0 or self.rare_below:
            indices = [
                class_uniform.load_or_build(part, tile, assets_path, is_main=is_main, barrier=barrier, log=log)
                for part in parts
            ]
            centroids = [index.centroids for index in indices]
        self.pool = build_pool(parts, centroids, seed, log)
        self.quotas = class_quotas(self.pool.num_images, dataset.num_classes, pct, cfg.DATASET.CLASS_UNIFORM_BIAS)
        if pct > 0 and log is not None:
            self._tell(pct, log)
        self.set_epoch(0)

    def _tell(self, pct, log):
        if not any(self.quotas):
            images = self.pool.num_images
            log(
                f'an epoch of {counted(images, "image")} is too short to draw each of {self.dataset.num_classes}'
                f' classes (--class_uniform_pct {pct} makes {counted(int(images * pct), "draw")}); its images are drawn'
                ' at random'
            )
        absent = class_uniform.CentroidIndex(self.pool.at(0)[1]).absent()
        if absent:
            names = listed(self.dataset.classes.names[trainid] for trainid in absent)
            log(
                f'no label of split {self.dataset.split!r} holds {names}: their share of an epoch goes to random images'
            )

    def set_epoch(self, epoch: int):
        """Draw the list of this epoch, the same one in every process."""
        self.epoch = epoch
        images, centroids = self.pool.at(epoch)
        is_off = self.off_epoch is not None and epoch >= self.off_epoch
        quotas = [0] * len(self.quotas) if is_off else self.quotas
        repeats = repeat_factors(images, centroids, self.rare_below) if self.rare_below and not is_off else None
        self.draws = draw_epoch(len(images), centroids, quotas, self.seed, epoch, images, repeats)

    def __len__(self):
        return len(self.draws)

    def __getitem__(self, key):
        """Sample `key` of the current epoch; (epoch, index) moves to that epoch first, which is how workers follow."""
        epoch, index = key if isinstance(key, tuple) else (self.epoch, key)
        if epoch != self.epoch:
            self.set_epoch(epoch)
        draw = self.draws[index]
        item = self.dataset.items[draw.image]
        image, label = self.dataset.load(item)
        size, scale, left = image.shape[:2], 1.0, ()
        if self.transform is not None:
            rng = sample_generator(self.seed, epoch, index)
            image, label, scale, *left = self.transform(image, label, rng, centroid=draw.centroid)
            if self.mixing is not None and self.mixing.is_on(epoch):
                image, label = self.mixing((image, label), rng, lambda classes: self._partner(rng, classes))
        sample = _sample(image, label, item.name, scale)
        if left:
            (sample['photometric'],) = left
        if self.beside is not None:
            places = self.transform.places(size, sample_generator(self.seed, epoch, index), draw.centroid)
            sample['beside'] = self.beside(item.name, places, size)
        return sample

    def _partner(self, rng, classes):
        """(image, label) of another sample of the epoch; one drawn for one of `classes`, where there is any."""
        places = [index for index, draw in enumerate(self.draws) if draw.class_id in classes] if classes else []
        draw = self.draws[rng.choice(places) if places else rng.integers(len(self.draws))]
        image, label = self.dataset.load(self.dataset.items[draw.image])
        return self.transform(image, label, rng, centroid=draw.centroid)[:2]


class EvalSet(TorchDataset):
    """Every image of a dataset once, in order.

    A sample is as in TrainSet with 'index', its place in the dataset, and 'size', (H, W) of the image before the
    transform, and without 'label' where there is none.
    transform(image, label or None) -> (image, label or None, scale), or None.
    """

    def __init__(self, dataset: Dataset, transform=None):
        self.dataset, self.transform = dataset, transform

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        item = self.dataset.items[index]
        image, label = self.dataset.load(item)
        size, scale = image.shape[:2], 1.0
        if self.transform is not None:
            image, label, scale = self.transform(image, label)
        return {**_sample(image, label, item.name, scale), 'index': index, 'size': size}
