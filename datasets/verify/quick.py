"""Quick verification, before the first training on a dataset: every header, and a sample of the files, in seconds. Of a
small dataset every label is read too.

The result is kept under the assets folder, in a file whose name holds a hash of everything it depends on, so that the
next training on the same files does not look again.
"""

import hashlib
from collections import defaultdict
from pathlib import Path

from datasets.loading.cache import cache_path
from datasets.verify.checks import check_classes, check_files, has_wrong_size, leaks, same_files
from datasets.verify.commandline import command
from datasets.verify.examine import examine_all, examine_labels, glance_all
from datasets.verify.findings import ERROR, NOTE, Finding, title
from utils.cli.wording import counted
from utils.files.archives import fingerprint
from utils.files.atomic import WriteError, write_json
from utils.files.stamps import digest, digest_of_ends

FORMAT = 3  # raised when the check covers more, so that datasets are checked again
SMALL = 200  # pairs of all splits, up to which the ids of every label are looked at
SAMPLE, LEAST = 32, 4  # pairs that are decoded: of all splits in proportion to their sizes, and of each split at least
# image files of equal size that are compared byte by byte; of more, first those whose ends are equal
COMPARED = 200


def check_before_training(sets, assets_path, log):
    """Look at the datasets of a training, those it trains on and the one it validates on; log what was looked at and
    the warnings.

    Raises ValueError, with what a person can do about it, when files are unreadable, sizes differ, ids are outside the
    map or labels hold no class. Nothing is done when the same files have passed before.
    """
    if any(not dataset.labelled or not dataset.label_files(dataset.items[0]) for dataset in sets):
        return
    name = sets[0].name
    path = _record_path(sets, assets_path)
    if path.is_file():
        return
    total = sum(map(len, sets))
    counts = [min(len(dataset), max(LEAST, round(SAMPLE * len(dataset) / total))) for dataset in sets]
    whole = total <= SMALL
    findings = [finding for dataset, count in zip(sets, counts) for finding in _look(dataset, count, whole)]
    errors = [finding for finding in findings if finding.level == ERROR]
    if errors:
        more = f' ({counted(len(errors) - 1, "further kind")} of fault beside this)' if len(errors) > 1 else ''
        raise ValueError(
            f'{errors[0].line()}{more}; `{command(name)}` lists everything, --skip_verify trains all the same'
        )
    findings += _check_copies(sets)
    log(
        f'first training on these files of {name}: the headers of {counted(total, "image")} and labels fit,'
        f' {counted(sum(counts), "pair")}{" and the other labels" if sum(counts) < total and whole else ""} were read'
        f' and are right; `{command(name)}` reads all, --skip_verify leaves this out'
    )
    for finding in findings:
        log(f'{finding.level}: {finding.line()}')
    _remember(path, name, sets, findings, log)


def _look(dataset, count, whole) -> list:
    """The findings from the headers of all files and from `count` pairs, evenly spread, that are decoded; whole: from
    all labels."""
    seen = {one.item: one for one in glance_all(dataset, log=_quietly)}
    readable = {item for item, one in seen.items() if not (one.image_fault or one.label_fault or has_wrong_size(one))}
    sample = [dataset.items[place * len(dataset) // count] for place in range(count)]
    found = examine_all(dataset, [item for item in sample if item in readable], log=_quietly)
    if whole:
        others = [seen[item] for item in dataset.items if item in readable.difference(sample)]
        found += examine_labels(dataset, others, log=_quietly)
    seen.update((one.item, one) for one in found)
    every = list(seen.values())
    return [
        *check_files(dataset, every),
        *check_classes(dataset, every, f'none of the {len(found)} labels that were read'),
    ]


def _quietly(line):
    """Progress is a bar on a terminal, and no lines in a log file."""


def _record_path(sets, assets_path):
    """The file that says that these splits, as their files are now, have passed."""
    states = ' '.join(cache_path(dataset, '').stem for dataset in sets)
    return Path(assets_path) / 'verified' / f'{sets[0].name}_{digest(f"{FORMAT} {states}")}.json'


def _remember(path, name, sets, findings, log):
    content = {
        'dataset': name,
        'images': {title(dataset): len(dataset) for dataset in sets},
        'findings': [finding.lines() for finding in findings],
    }
    try:
        write_json(path, content)
    except WriteError as error:
        log(f'{error}; the next training will look at the dataset again')


def _check_copies(sets) -> list:
    """Image files that are in two splits: those of equal size, or of equal size and ends where they are many, are
    compared byte by byte."""
    splits = defaultdict(set)
    for dataset in sets:
        for item in dataset.items:
            splits[item.image].add(dataset.split)
    both = {image for image, names in splits.items() if len(names) > 1}
    groups = _alike(
        [(split, image) for image, (split, *more) in splits.items() if not more], lambda image: fingerprint(image)[0]
    )
    if sum(map(len, groups)) > COMPARED:
        groups = [part for group in groups for part in _alike(group, digest_of_ends)]
    shared, budget, left = [], COMPARED, 0
    for group in sorted(groups, key=len):
        if len(group) > budget:
            left += len(group)
            continue
        budget -= len(group)
        shared += [
            ' = '.join(str(image) for _, image in copies)
            for copies in _alike(group, lambda image: hashlib.sha256(image.read_bytes()).digest())
        ]
    return [*leaks(shared), *same_files(len(both)), *_not_compared(left)]


def _alike(images, key) -> list:
    """Lists of those (split, image) of equal key(image) that are not all of one split."""
    groups = defaultdict(list)
    for split, image in images:
        groups[key(image)].append((split, image))
    return [group for group in groups.values() if len({split for split, _ in group}) > 1]


def _not_compared(count: int) -> list:
    return (
        [
            Finding(
                NOTE,
                'not_compared',
                f'{counted(count, "image file")} of equal size in two splits were not compared, more than {COMPARED}'
                ' take too long here; the whole verification compares all',
            )
        ]
        if count
        else []
    )
