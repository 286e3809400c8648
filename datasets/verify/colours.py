"""Table of the colours in label files that no class has: how many pixels, in how many images, and the nearest class."""

from collections import Counter

import numpy as np

from datasets.verify.findings import ERROR, Finding, title
from utils.cli.wording import counted

ROWS = 200  # of the table in verify.json: labels that were resized with interpolation have thousands of colours


def unknown_colours(dataset, examined):
    """One finding for all labels of a split with colours outside the table, most pixels first."""
    pixels, images = Counter(), Counter()
    for one in examined:
        for colour, count in (one.colours or {}).items():
            pixels[colour] += count
            images[colour] += 1
    if not pixels:
        return
    files = sum(bool(one.colours) for one in examined)
    rows = [
        f'{"{:>3} {:>3} {:>3}".format(*colour)} {count:>12,} {images[colour]:>7,}  {_nearest(dataset, colour)}'
        for colour, count in pixels.most_common(ROWS)
    ]
    more = f'; the first {ROWS} are listed' if len(pixels) > ROWS else ''
    yield Finding(
        ERROR,
        'unknown_colours',
        f'{title(dataset)}: {counted(files, "label shows", "labels show")} {counted(len(pixels), "colour")} that no'
        f' class has{more}; {dataset.colors.remedy}; few pixels beside many of the nearest class are traces of'
        ' interpolation or of lossy compression',
        (f'{"colour":>11} {"pixels":>12} {"images":>7}  nearest class and how far its colour is', *rows),
    )


def _nearest(dataset, colour) -> str:
    """The class whose colour is nearest, and the largest difference of a channel."""
    known = np.array(list(dataset.color_map), int)
    differences = np.abs(known - np.array(colour)).max(axis=1)
    place = int(differences.argmin())
    found = tuple(known[place].tolist())
    trainid = int(dataset.mapper.table[dataset.color_map[found]])
    name = dataset.classes.names[trainid] if trainid < dataset.num_classes else 'ignore'
    return f'{name} ({", ".join(map(str, found))}), {differences[place]}'
