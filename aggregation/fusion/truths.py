"""Labels of a dataset, found by the stems that stored logits have."""

from pathlib import PurePosixPath

import numpy as np
import torch
from torch import Tensor

from aggregation.fusion.members import Members
from utils.files.archives import printed
from utils.files.images import as_rgb


def stem_of(name: str) -> str:
    """The stem of an image name of a dataset: without its extension, in one spelling (NFC) of what prints alike."""
    return printed(str(PurePosixPath(name).with_suffix('')))


def by_stem(items) -> dict:
    """stem -> item. Raises ValueError for two images of one stem, whose results would be one file."""
    found = {}
    for item in items:
        other = found.setdefault(stem_of(item.name), item)
        if other is not item:
            if PurePosixPath(other.name).with_suffix('') != PurePosixPath(item.name).with_suffix(''):
                raise ValueError(
                    f'{other.name!a} and {item.name!a}: print alike, and results have one spelling of a name; rename'
                    ' one of them'
                )
            raise ValueError(
                f'{other.name} and {item.name}: differ in their endings only, which results do not keep; rename one of'
                ' them'
            )
    return found


class Truths:
    """Labels of the images of `dataset` that have one.

    classes: those of the dataset. items: stem -> item, of these images.
    """

    def __init__(self, dataset):
        self.dataset = dataset
        self.classes = dataset.classes
        self.items = by_stem(item for item in dataset.items if item.label is not None)

    def shared(self, members: Members) -> list[str]:
        """The stems of `members` that have a label. Raises ValueError when none has, or when the classes are others."""
        classes = members.classes
        if classes is not None and classes.names != self.classes.names:
            raise ValueError(
                f'{members.stores[0].folder}: its {len(classes)} classes are not the {len(self.classes)} of'
                f' dataset {self.dataset.name} in their order; give the --dataset that the logits were made on'
            )
        found = [stem for stem in members.stems if stem in self.items]
        if not found:
            labelled = f'{next(iter(self.items))}, ...' if self.items else 'none'
            raise ValueError(
                f'none of the {len(members.stems)} images ({members.stems[0]}, ...) has a label in split'
                f' {self.dataset.split} of dataset {self.dataset.name} ({labelled}); give the --dataset and --split'
                ' that the logits were made on'
            )
        return found

    def read(self, stem: str, size, num_classes: int) -> Tensor:
        """The labels int64 (H, W) of an image whose logits have `num_classes` and `size` (H, W)."""
        if num_classes != len(self.classes):
            raise ValueError(
                f'{stem}: its logits have {num_classes} classes, dataset {self.dataset.name} has'
                f' {len(self.classes)}; give the --dataset that the logits were made on'
            )
        truth = torch.from_numpy(np.ascontiguousarray(self.dataset.load_label(self.items[stem]))).long()
        if tuple(truth.shape) != tuple(size):
            raise ValueError(
                f'{stem}: its label has {truth.shape[0]}x{truth.shape[1]} pixels (height x width), its logits'
                f' {size[0]}x{size[1]}; dump them at the size of the image, without --dump_grid network'
            )
        return truth

    def read_image(self, stem: str) -> np.ndarray:
        """The image uint8 (H, W, 3) RGB."""
        return as_rgb(self.dataset.load(self.items[stem])[0])
