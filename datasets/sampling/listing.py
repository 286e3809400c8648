"""Listing of a training's samples: what the position within an epoch counts in, and what has changed since.

A position is a place in one shuffled list of draws. It is kept in a checkpoint with the digest of that list, and with
the names and sizes of the files, which say what the change was. Times are left out: a copy of the data on another
machine is the same data.
"""

from datasets.sampling.coarse import Joined
from datasets.sampling.epoch import epoch_order
from utils.cli.wording import counted, listed
from utils.files.archives import fingerprint
from utils.files.stamps import digest


def files_of(dataset) -> dict:
    """name of an image -> sizes of its file and of its label files, in bytes."""
    parts = dataset.parts if isinstance(dataset, Joined) else [dataset]
    return {
        item.name if len(parts) == 1 else f'{part.quality}: {item.name}': [
            int(fingerprint(path)[0]) for path in part.files(item)
        ]
        for part in parts
        for item in part.items
    }


def order_of(samples) -> str:
    """A digest of the epoch that `samples`, a TrainSet, is at: which image and place is drawn, and in which order."""
    draws = [(samples.dataset.items[draw.image].name, draw.centroid) for draw in samples.draws]
    order = epoch_order(len(draws), samples.seed, samples.epoch).tolist()
    return digest(repr([draws[place] for place in order]))


def changes(before: dict, now: dict) -> list[str]:
    """What differs between two results of `files_of`, in words."""
    found = {
        'removed': sorted(before.keys() - now.keys()),
        'added': sorted(now.keys() - before.keys()),
        'replaced': sorted(name for name in before.keys() & now.keys() if list(before[name]) != list(now[name])),
    }
    return [f'{counted(len(names), "image")} {how} ({listed(names, 3)})' for how, names in found.items() if names]
