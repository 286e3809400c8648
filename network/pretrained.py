"""Trunk weights from an ImageNet classification file.

The published files of HRNet name the trunk's layers as this package does, below `model.` or nothing, and hold the
classifier's layers besides; those have no place in a segmentation network and are dropped.
"""
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from utils.checkpoint import load


@dataclass(frozen=True)
class PretrainedReport:
    """What a trunk took from a file: state-dict keys, without prefixes."""
    path: str
    matched: list[str]
    missing: list[str]                   # in the trunk, not in the file: they keep their random values
    dropped: list[str]                   # in the file, not in the trunk

    def __str__(self) -> str:
        lines = [f'{self.path}: {len(self.matched)} of {len(self.matched) + len(self.missing)} trunk entries loaded']
        if self.missing:
            lines.append(f'{len(self.missing)} not in the file and left random: {_some(self.missing)}')
        if self.dropped:
            lines.append(f'{len(self.dropped)} of the file not in the trunk and dropped: {_some(self.dropped)}')
        return '; '.join(lines)


def load_pretrained(trunk: nn.Module, path) -> PretrainedReport:
    """Fill `trunk` from the file at `path`.

    Raises FileNotFoundError, or ValueError if the file is unreadable, has no entry of this trunk, or has one of another
    shape (the file of a wider or narrower trunk); the trunk is then as it was.
    """
    found = {_trunk_key(key): value for key, value in load(path)['state_dict'].items()}
    own = trunk.state_dict()
    # norms count the batches they have seen, a number that older files lack and that nothing needs
    expected = [key for key in own if not key.endswith('num_batches_tracked')]
    matched = [key for key in expected if key in found]
    if not matched:
        raise ValueError(f'{Path(path)}: none of its {len(found)} entries ({_some(found)}) is one of this trunk ({_some(expected)}); '
                         'name the ImageNet file of the trunk that --trunk names')
    for key in matched:
        if found[key].shape != own[key].shape:
            raise ValueError(f'{Path(path)}: {key} has shape {tuple(found[key].shape)}, this trunk has {tuple(own[key].shape)}; '
                             'name the ImageNet file of the trunk that --trunk names')
    with torch.no_grad():
        for key in matched:
            own[key].copy_(found[key])
    return PretrainedReport(str(path), matched, missing=[key for key in expected if key not in found],
                            dropped=[key for key in found if key not in own])


def _trunk_key(key: str) -> str:
    for prefix in ('module.', 'model.', 'backbone.'):
        key = key.removeprefix(prefix)
    return key


def _some(keys, count: int = 3) -> str:
    keys = list(keys)
    return ', '.join(keys[:count]) + (', ...' if len(keys) > count else '')
