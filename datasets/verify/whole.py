"""Verification of a whole dataset: list it, read every file once, gather the findings and the numbers."""

import os
from typing import NamedTuple

import numpy as np

from config import cfg
from datasets.registry import own_name, splits_of
from datasets.verify.checks import check_classes, check_copies, check_files
from datasets.verify.examine import examine_all
from datasets.verify.findings import ERROR, NOTE, WARNING, Finding, title
from datasets.verify.listing import check_listing, list_splits
from datasets.verify.statistics import as_json, statistics
from utils.channels import spread
from utils.cli.wording import counted

DEFAULT_SPLITS = ('train', 'val')
FAR = 1.0  # standard deviations between the mean of the images and the one they are normalised with


class Verified(NamedTuple):
    """What was read, by split ('train', or 'train coarse' where it has labels of several kinds), and what was found.

    datasets: {key: Dataset}; examined: {key: list of Examined}; numbers: {key: Statistics}; findings: errors first.
    """

    name: str
    datasets: dict
    examined: dict
    numbers: dict
    findings: list

    def count(self, level: str) -> int:
        return sum(finding.level == level for finding in self.findings)

    @property
    def data_yaml(self) -> str | None:
        """The file that describes the dataset, None for those with a name of their own."""
        file = cfg.DATASET.DATA_YAML
        return os.path.realpath(os.path.expanduser(file)) if file else None

    @property
    def summary(self) -> str:
        """One line: what was read and how much was found."""
        read = ', '.join(f'{counted(len(found), "image")} of split {split}' for split, found in self.examined.items())
        found = ', '.join(counted(self.count(level), level) for level in (ERROR, WARNING, NOTE))
        return f'{self.name}: {read or "no image"} read: {found}'

    def as_json(self) -> dict:
        """Everything for verify.json."""
        return {
            'dataset': self.name,
            'data_yaml': self.data_yaml,
            'root': {split: str(dataset.root) for split, dataset in self.datasets.items()},
            'errors': self.count(ERROR),
            'warnings': self.count(WARNING),
            'findings': [{**finding._asdict(), 'files': list(map(str, finding.files))} for finding in self.findings],
            'normalised_with': {'mean': cfg.DATASET.MEAN, 'std': cfg.DATASET.STD},
            'splits': {split: as_json(self.datasets[split], numbers) for split, numbers in self.numbers.items()},
        }


def verify(name: str, chosen=(), threads=None, log=None) -> Verified:
    """Read every file of the splits `chosen` of dataset `name` once (none: train and val, as far as it has them).

    Raises ValueError and FileNotFoundError for a name, a split or a folder that does not exist; faults of files are
    findings.
    """
    chosen = tuple(chosen) or tuple(split for split in DEFAULT_SPLITS if split in splits_of(name))
    for split in chosen:
        check_split(name, split, '--splits')
    splits = list_splits(name)
    asked = [split for split in splits if split.name in chosen]
    if all(split.fault for split in asked):
        raise FileNotFoundError(asked[0].fault)
    findings = check_listing(splits, asked)
    datasets = {split.key: split.dataset for split in asked if split.dataset is not None}
    for dataset in datasets.values():
        _check_has_files(dataset)
    examined = {split: examine_all(dataset, dataset.items, threads, log) for split, dataset in datasets.items()}
    numbers = {split: statistics(dataset, examined[split]) for split, dataset in datasets.items()}
    for split, dataset in datasets.items():
        findings += [
            *check_files(dataset, examined[split]),
            *check_classes(dataset, examined[split], 'no label'),
            *_check_colours(dataset, numbers[split]),
        ]
    findings += check_copies(examined, *(dataset.read_image for dataset in list(datasets.values())[:1]))
    return Verified(
        own_name(name),
        datasets,
        examined,
        numbers,
        sorted(findings, key=lambda one: (ERROR, WARNING, NOTE).index(one.level)),
    )


def check_split(name: str, split: str, flag: str):
    """Raise ValueError when dataset `name` has no such split."""
    known = splits_of(name)
    if split in known:
        return
    if len(known) > 1:
        raise ValueError(f'{flag} {split}: dataset {name!r} has no such split, only {", ".join(known)}')
    file = cfg.DATASET.DATA_YAML
    add = f', or add {split} under splits in {file}' if file else ''
    raise ValueError(
        f'{flag} {split}: dataset {own_name(name)!r} has a single split, {known[0]}; leave {flag} out{add}'
    )


def _check_has_files(dataset):
    if dataset.labelled and not dataset.label_files(dataset.items[0]):
        raise ValueError(f'dataset {dataset.name!r} has no files, so there is nothing to verify')


def _check_colours(dataset, numbers):
    """A note when the images are far from the mean and standard deviation that they are normalised with."""
    mean, std = (np.array(spread(values, dataset.channels)) for values in (cfg.DATASET.MEAN, cfg.DATASET.STD))
    far = np.abs(numbers.mean - mean) / std
    if (far > FAR).any():
        which = 'red, green, blue' if len(mean) == 3 else 'of each channel'
        shown, used = (', '.join(f'{value:.3f}' for value in values) for values in (numbers.mean, mean))
        yield Finding(
            NOTE,
            'mean',
            f'{title(dataset)}: the mean of the images ({which}: {shown}) is {far.max():.1f} standard'
            f' deviations from the one that they are normalised with ({used}); pretrained weights expect the latter',
        )
