"""Several stores as one ensemble: which images they share, and whether their members fit together."""

import os

import torch
from torch import Tensor

from aggregation.fusion.kinds import LOGITS
from aggregation.fusion.store import Store
from utils.cli.wording import listed


class Members:
    """Stores in a fixed order (by folder, whatever the order they are given in), so that sums come out the same.

    weights: one per given folder: a number, or a list with one number per class; None: all alike. Raises ValueError
    when class names differ, a weight is unfit, or, unless allow_missing, an image is missing in some store.
    """

    def __init__(self, folders, kinds=None, weights=None, allow_missing=False):
        if not folders:
            raise ValueError('an ensemble needs at least one folder of logits; name them one after the other')
        kinds = list(kinds or [None] * len(folders))
        weights = list(weights or [1.0] * len(folders))
        if len(kinds) != len(folders) or len(weights) != len(folders):
            raise ValueError(
                f'{len(folders)} folders were given, {len(kinds)} kinds and {len(weights)} weights; give one for each,'
                ' in the same order'
            )
        rows = sorted(zip(folders, kinds, weights), key=lambda row: str(row[0]))
        if len({os.path.realpath(row[0]) for row in rows}) < len(rows):
            raise ValueError(f'{listed(folders)}: a folder was given twice; weigh it with --weights instead')
        self.stores = [Store(folder, kind) for folder, kind, _ in rows]
        self.weights = [_weight(weight, store) for (_, _, weight), store in zip(rows, self.stores)]
        self._check_classes()
        self.stems, self.missing = self._shared(allow_missing)

    def __len__(self):
        return len(self.stores)

    @property
    def class_names(self) -> list[str] | None:
        return next((store.class_names for store in self.stores if store.class_names), None)

    @property
    def dataset(self) -> str | None:
        return next((store.dataset for store in self.stores if store.dataset), None)

    @property
    def titles(self) -> list[str]:
        """A short name of each member, all different: the model's, or where models share it, what is its own in its
        path."""
        names = [store.name for store in self.stores]
        if len(set(names)) == len(names):
            return names
        paths = [store.folder.parts for store in self.stores]
        head = len(os.path.commonprefix(paths))
        tail = len(os.path.commonprefix([parts[head:][::-1] for parts in paths]))
        return [
            '/'.join(parts[head : len(parts) - tail]) or str(store.folder) for parts, store in zip(paths, self.stores)
        ]

    def need_logits(self, for_what: str):
        """Raise ValueError when a member is of another kind than logits."""
        others = [f'{store.folder} ({store.kind})' for store in self.stores if store.kind != LOGITS]
        if others:
            raise ValueError(
                f'{for_what} needs logits of every member, found {listed(others)}; choose a fusion or score of'
                ' probabilities'
            )

    def of(self, stem: str) -> list[tuple[Store, float | Tensor]]:
        """The members that have the image, with their weights."""
        return [(store, weight) for store, weight in zip(self.stores, self.weights) if stem in store]

    def _check_classes(self):
        known = [store for store in self.stores if store.class_names]
        for store in known[1:]:
            if store.class_names != known[0].class_names:
                raise ValueError(
                    f'{store.folder} and {known[0].folder}: their classes are not the same in the same order; fuse'
                    ' models of one label set'
                )

    def _shared(self, allow_missing) -> tuple[list[str], dict[str, list[str]]]:
        every = sorted(set().union(*(store.listed for store in self.stores)))
        missing = {
            stem: lacking
            for stem in every
            if (lacking := [str(store.folder) for store in self.stores if stem not in store])
        }
        if len(missing) == len(every) and len(self.stores) > 1 and not allow_missing:
            examples = ', '.join(store.stems[0] for store in self.stores[:2])
            raise ValueError(
                f'{listed(store.folder for store in self.stores)}: have no image in common ({examples}, ...); give the'
                ' folders below which the paths of the images coincide'
            )
        if missing and not allow_missing:
            told = [f'{stem} in {", ".join(folders)}' for stem, folders in missing.items()]
            raise ValueError(
                f'{len(missing)} of {len(every)} images are not in every folder: {listed(told)}; dump them, '
                'or give --allow_missing to fuse what there is, which is recorded'
            )
        return [stem for stem in every if len(missing.get(stem, ())) < len(self.stores)], missing


def _weight(weight, store: Store) -> float | Tensor:
    try:
        values = torch.as_tensor(weight, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        values = None
    if values is None or values.dim() > 1:
        raise ValueError(f'{store.folder}: weight {weight!r} is unfit; give one number, or a list of one per class')
    if not bool(torch.isfinite(values).all()) or bool((values < 0).any()) or not bool((values > 0).any()):
        raise ValueError(f'{store.folder}: weight {weight} is unfit; weights are at least 0 and not all 0')
    if values.dim() and store.class_names and len(values) != len(store.class_names):
        raise ValueError(
            f'{store.folder}: {len(values)} weights for {len(store.class_names)} classes; give one number, or one per'
            ' class'
        )
    return values if values.dim() else float(values)
