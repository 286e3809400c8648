"""Checks of what the files have shown: unusable files, sizes, ids, labels that say nothing, absent classes, copies."""

import hashlib
from collections import Counter, defaultdict

import numpy as np

from datasets.base import Dataset
from datasets.loading.orientation import TURN_REMEDY, UPRIGHT, why_sizes_differ
from datasets.loading.reading import REPLACE, read_image
from datasets.verify.colours import unknown_colours
from datasets.verify.findings import ERROR, NOTE, WARNING, Fault, Finding, title
from utils.cli.wording import counted, listed


def check_files(dataset: Dataset, examined: list) -> list:
    """The findings about single files of a split: unreadable ones, turned ones, sizes, ids outside the map, labels
    without any class."""
    return [
        finding
        for check in (_unreadable, _doubtful, unknown_colours, _turned, _sizes, _unknown_ids, _ignored)
        for finding in check(dataset, examined)
    ]


def _unreadable(dataset, examined):
    images = [_fault(one.item.image, one.image_fault) for one in examined if one.image_fault]
    labels = [_fault(one.item.label, one.label_fault) for one in examined if one.label_fault and not one.colours]
    if images:
        yield Finding(
            ERROR,
            'unreadable_images',
            f'{title(dataset)}: {counted(len(images), "image")} cannot be read; replace these files or take them '
            'out of the dataset',
            tuple(images),
        )
    if labels:
        yield Finding(
            ERROR,
            'unusable_labels',
            f'{title(dataset)}: {counted(len(labels), "label")} cannot be used; '
            f'{_remedy([one.label_fault for one in examined if one.label_fault and not one.colours])}',
            tuple(labels),
        )


def _doubtful(dataset, examined):
    doubtful = [Fault(path, line) for one in examined for path, line in one.doubts]
    if doubtful:
        yield Finding(
            WARNING,
            'damaged_pixels',
            f'{title(dataset)}: {counted(len(doubtful), "file is", "files are")} read, but the decoder says that pixels'
            ' are damaged; look at the pictures, and replace the files that show it',
            tuple(doubtful),
        )


def _fault(path, sentence: str) -> Fault:
    """The reader's sentence without its remedy, which the finding has once for all."""
    return Fault(path, sentence.removeprefix(f'{path}: ').partition(';')[0])


def _remedy(sentences) -> str:
    """What the reader advises, where that is the same for all labels and more than to replace a broken file."""
    advised = {sentence.partition('; ')[2] for sentence in sentences}
    return (
        advised.pop()
        if len(advised) == 1 and advised != {REPLACE}
        else 'replace these files or take them and their images out of the dataset'
    )


def _sizes(dataset, examined):
    wrong = [
        Fault(one.item.label, f'{_shape(one.label_size)}, its image {_shape(one.size)}{_why(one)}')
        for one in examined
        if has_wrong_size(one)
    ]
    if wrong:
        yield Finding(
            ERROR,
            'size_mismatch',
            f'{title(dataset)}: {counted(len(wrong), "label has", "labels have")} another size (width x height) than '
            f'the image; bring both to one size (labels without interpolation){_for_turned(wrong)}',
            tuple(wrong),
        )


def _why(one) -> str:
    why = why_sizes_differ(one.size, one.label_size, *one.orientations)
    return why and f' ({why})'


def _for_turned(faults) -> str:
    return f', or where EXIF says a turn: {TURN_REMEDY}' if any('EXIF' in fault.why for fault in faults) else ''


def _turned(dataset, examined):
    """A note that counts the files with an EXIF orientation: turns by 180 degrees and mirror images pass every check
    of sizes."""
    turned = [
        Fault(file, f'{what} with orientation {orientation}')
        for one in examined
        for what, file, orientation in zip(('image', 'label'), (one.item.image, one.item.label), one.orientations)
        if orientation != UPRIGHT
    ]
    if turned:
        yield Finding(
            NOTE,
            'exif_orientation',
            f'{title(dataset)}: {counted(len(turned), "file has", "files have")} an EXIF orientation:'
            f' {"it is" if len(turned) == 1 else "they are"} read turned or mirrored, as viewers show'
            f' {"it" if len(turned) == 1 else "them"}; labels have to fit the shown picture, not the stored rows',
            tuple(turned),
        )


def has_wrong_size(one) -> bool:
    return one.size is not None and one.label_size is not None and one.size != one.label_size


def _shape(size) -> str:
    return f'{size[1]}x{size[0]}'


def _unknown_ids(dataset, examined):
    pixels, files, where = Counter(), Counter(), []
    for one in examined:
        ids = unknown_ids(dataset, one)
        for raw in ids:
            pixels[raw] += int(one.counts[raw])
            files[raw] += 1
        if ids:
            where.append(Fault(one.item.label, listed(_id_pixels(raw, int(one.counts[raw])) for raw in ids)))
    if where:
        shown = listed(
            f'{raw} ({counted(pixels[raw], "pixel")} in {counted(files[raw], "file")})' for raw in sorted(pixels)
        )
        yield Finding(
            ERROR,
            'unknown_ids',
            f'{title(dataset)}: label ids {shown} are not in the map of dataset {dataset.name!r}; '
            f'{dataset.mapper.remedy}',
            tuple(where),
        )


def _id_pixels(raw, pixels) -> str:
    return f'id {raw} in {counted(pixels, "pixel")}'


def unknown_ids(dataset, one) -> list:
    """The raw ids of a label that the dataset's table does not hold."""
    return (
        []
        if one.counts is None
        else np.flatnonzero(one.counts * (dataset.mapper.table == dataset.mapper.unknown)).tolist()
    )


def _ignored(dataset, examined):
    read = [one for one in examined if one.counts is not None]
    empty = [str(one.item.label) for one in read if says_nothing(dataset, one)]
    if read and len(empty) == len(read):
        yield Finding(
            ERROR,
            'nothing_but_ignore',
            f'{title(dataset)}: all {counted(len(read), "label")} that were read are ignored in every pixel, so there'
            ' is nothing to learn or score; are these the right files for this --dataset, and --ignore_ids as it'
            ' should be?',
            tuple(empty),
        )
    elif empty:
        yield Finding(
            WARNING,
            'ignored_labels',
            f'{title(dataset)}: {counted(len(empty), "label is", "labels are")} ignored in every pixel; nothing '
            'is learnt from them',
            tuple(empty),
        )


def says_nothing(dataset, one) -> bool:
    """True when every pixel of a label is to be ignored."""
    return not (one.counts * (dataset.mapper.table != dataset.ignore_label)).any()


def check_classes(dataset: Dataset, examined: list, of_all: str) -> list:
    """A warning that names the classes which occur in no label. of_all: the labels it speaks of, as in 'no label'.

    Classes that no id stands for, such as the Void of camvid32, cannot occur and are left out.
    """
    counts = class_counts(dataset, examined)
    possible = np.isin(np.arange(dataset.num_classes), dataset.mapper.table)
    absent = np.flatnonzero(possible & (counts.sum(axis=0) == 0)).tolist()
    if not len(counts) or not absent or len(absent) == possible.sum():
        return []
    names = listed(dataset.classes.names[trainid] for trainid in absent)
    return [Finding(WARNING, 'absent_classes', f'{of_all} of {title(dataset)} holds {names}')]


def class_counts(dataset: Dataset, examined: list) -> np.ndarray:
    """int64 (n, K): pixels of each class in each label that was read; ignored ones and those outside the map do not
    count."""
    raw = np.array([one.counts for one in examined if one.counts is not None], np.int64).reshape(-1, 256)
    return raw @ (dataset.mapper.table[:, None] == np.arange(dataset.num_classes)).astype(np.int64)


def check_copies(examined: dict, read=read_image) -> list:
    """Images with the same pixels in two splits (a score on them says too much) or twice in one. examined: {split:
    [Examined]}; read: path -> pixels."""
    groups, shared, twice = defaultdict(list), [], []
    for split, found in examined.items():
        for one in found:
            if one.digest:
                groups[one.digest].append((split, one))
    repeated = 0
    for group in groups.values():
        for copies in _equal_pixels(group, read):
            files = dict.fromkeys(str(one.item.image) for _, one in copies)
            in_two = len({split for split, _ in copies}) > 1
            if len(files) == 1:
                repeated += in_two
            else:
                (shared if in_two else twice).append(' = '.join(files))
    return [
        *leaks(shared),
        *same_files(repeated),
        *(
            [
                Finding(
                    NOTE,
                    'copies',
                    f'{counted(len(twice), "image stands", "images stand")} more than once in a split under different'
                    ' names',
                    tuple(twice),
                )
            ]
            if twice
            else []
        ),
    ]


def leaks(shared: list) -> list:
    """The warning about images that are in two splits, each 'file = file'."""
    return (
        [
            Finding(
                WARNING,
                'leakage',
                f'{counted(len(shared), "image is", "images are")} in two splits, so the score on them is not one on'
                ' unseen images; take them out of one',
                tuple(shared),
            )
        ]
        if shared
        else []
    )


def same_files(count: int) -> list:
    """The note about files that two splits share because they are chosen so (--cv)."""
    return (
        [
            Finding(
                NOTE,
                'shared_files',
                f'{counted(count, "image file belongs", "image files belong")} to two splits as they are chosen '
                '(--cv), so the score is not one on unseen images',
            )
        ]
        if count
        else []
    )


def _equal_pixels(group: list, read):
    """Lists of those (split, Examined) of a group with one digest whose images are equal in every pixel."""
    if len({one.item.image for _, one in group}) == 1:
        return [group]
    by_pixels = defaultdict(list)
    for split, one in group:
        pixels = read(one.item.image)
        by_pixels[hashlib.sha256(pixels).digest()].append((split, one))
    return [copies for copies in by_pixels.values() if len(copies) > 1]
