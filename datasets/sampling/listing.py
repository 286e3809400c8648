"""Listing of a training's samples: what the position within an epoch counts in, and what has changed since.

A position is a place in one shuffled list of draws. It is kept in a checkpoint with the digest of that list, and with
the names, sizes and ends of the files, which say what the change was. Times are left out: a copy of the data on another
machine is the same data.
"""

from datasets.loading.threads import MAX_THREADS, in_threads
from datasets.sampling.coarse import Joined
from datasets.sampling.epoch import epoch_order
from utils.cli.wording import counted, listed
from utils.files.archives import ArchivePath, fingerprint
from utils.files.stamps import digest, digest_of_ends

IN_ARCHIVE, ON_DISK = 'archive', 'disk'  # of whose files other bytes go into the stamp


def files_of(dataset) -> dict:
    """name of an image -> sizes of its file and of its label files, in bytes."""
    return {name: [int(fingerprint(path)[0]) for path in paths] for name, paths in _paths(dataset)}


def stamps_of(dataset) -> dict:
    """name of an image -> where its files lie and a digest of their first and last bytes, which tells files of equal
    size apart."""
    entries = _paths(dataset)
    done = in_threads(
        lambda entry: [
            IN_ARCHIVE if any(isinstance(path, ArchivePath) for path in entry[1]) else ON_DISK,
            digest(*map(digest_of_ends, entry[1])),
        ],
        entries,
        'ends of the training files',
        'pairs',
        MAX_THREADS,  # which wait for the disk rather than work
        log=lambda line: None,
    )
    return {name: stamp for (name, _), stamp in zip(entries, done)}


def _paths(dataset) -> list:
    """(name, its files) of every image."""
    parts = dataset.parts if isinstance(dataset, Joined) else [dataset]
    return [
        (item.name if len(parts) == 1 else f'{part.quality}: {item.name}', part.files(item))
        for part in parts
        for item in part.items
    ]


def order_of(samples) -> str:
    """A digest of the epoch that `samples`, a TrainSet, is at: which image and place is drawn, and in which order."""
    draws = [(samples.dataset.items[draw.image].name, draw.centroid) for draw in samples.draws]
    order = epoch_order(len(draws), samples.seed, samples.epoch).tolist()
    return digest(repr([draws[place] for place in order]))


def changes(before: dict, dataset) -> list[str]:
    """What differs between the entry `data` of a checkpoint and `dataset` as it is now, in words.

    before: `files`, the result of files_of, and `stamps`, that of stamps_of, which older checkpoints lack.
    """
    if 'files' not in before:
        return []
    files, now = before['files'], files_of(dataset)
    replaced = {name for name in files.keys() & now.keys() if list(files[name]) != list(now[name])}
    stamps = before.get('stamps') or {}
    for name, (place, stamp) in (stamps_of(dataset) if stamps else {}).items():
        then, stamp_then = stamps.get(name, (None, None))
        if then == place and stamp != stamp_then:
            replaced.add(name)
    found = {
        'removed': sorted(files.keys() - now.keys()),
        'added': sorted(now.keys() - files.keys()),
        'replaced': sorted(replaced),
    }
    return [f'{counted(len(names), "image")} {how} ({listed(names, 3)})' for how, names in found.items() if names]
