"""Teachers that are folders of stored logits (`train.py --eval trn --dump_logits`): those of each training image, cut
like its label.

They follow scaling, crops and flips, which only move pixels. What else draws or pastes pixels has no stored answer.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from loss.distillation import STRIDE
from utils.classes import Classes
from utils.cli.wording import counted
from utils.outputs.logits import MANIFEST, Logits, read_logits, read_manifest, reduce

UNFOLLOWED = ('rand_augment', 'albumentations', 'mosaic', 'class_mix', 'copy_paste')


class StoredTeacher:
    """The logits in `folder`. Raises ValueError for a manifest that is damaged or of other kinds of numbers."""

    def __init__(self, folder):
        self.folder, content = Path(folder), read_manifest(folder)
        assert content is not None, 'is_stored was asked before'
        kind, grid = content.get('kind') or 'logits', content.get('grid') or 'image'
        if kind != 'logits' or grid != 'image':
            raise ValueError(
                f'--teacher {folder}: holds {kind} on the pixels of the {grid}, expected logits on those of the image;'
                ' dump them with --dump_logits and without --dump_grid'
            )
        self.entries = content['images']
        described, count = content.get('classes'), content.get('num_classes')
        names = content.get('class_names') or ()
        self.classes = (
            Classes.from_dict(described, str(self.folder / MANIFEST))
            if described
            else Classes.numbered(count or len(names))
        )

    def check_holds(self, names: Sequence[str]):
        """Raise ValueError unless there are logits of every training image."""
        lacking = [name for name in names if name not in self.entries]
        if lacking:
            raise ValueError(
                f'--teacher {self.folder}: lacks {counted(len(lacking), "training image")} of {len(names)}, the first'
                f' {lacking[0]}; dump them with --eval trn --dump_logits on the same data'
            )

    def __call__(self, name: str, places: np.ndarray, size: tuple[int, int]) -> Tensor:
        """Logits float16 (K, h / STRIDE, w / STRIDE), rounded up, of a crop.

        Args:
            name: of the image.
            places: (h, w), row * W + column of the pixel of the image that each of the crop shows, -1 beside it.
            size: (H, W) of the image.
        """
        path = self.folder / self.entries[name]['file']
        logits = read_logits(path)
        if tuple(logits.size) != tuple(size):
            raise ValueError(
                f'{path}: is of an image of {logits.size[0]} x {logits.size[1]} pixels, {name} has'
                f' {size[0]} x {size[1]}; dump the logits again'
            )
        return at_places(logits, places)


def cut(teachers: Sequence[StoredTeacher], name: str, places: np.ndarray, size: tuple[int, int]) -> Tensor:
    """The logits of a crop from several folders (number, K, h, w)."""
    return torch.stack([teacher(name, places, size) for teacher in teachers])


def is_stored(file) -> bool:
    """Whether a --teacher is a folder of stored logits."""
    return (Path(file) / MANIFEST).is_file()


def at_places(logits: Logits, places: np.ndarray) -> Tensor:
    """Logits at the places of a crop (see StoredTeacher), read between those of a map of every STRIDE-th pixel."""
    height, width = logits.size
    values = logits.values.float()
    values = reduce(values, max(1, round(STRIDE * values.shape[2] / width)))
    y, x = np.divmod(places, width)
    inside = places >= 0
    shares = np.stack([inside * (x + 0.5) / width, inside * (y + 0.5) / height, inside]).astype(np.float32)
    across, down, known = F.avg_pool2d(torch.from_numpy(shares)[None], STRIDE, ceil_mode=True)[0]
    centres = torch.stack([across, down], -1) / known.clamp(min=1e-6)[..., None]
    return F.grid_sample(values[None], 2 * centres[None] - 1, padding_mode='border', align_corners=False)[0].half()
