"""The file of --data_yaml, checked: where images and labels are, how they are split, what the labels mean.

docs/datasets.md describes the keys. Every mistake is a Mistake, one sentence that begins with the key.
"""

import os
from pathlib import Path
from typing import NamedTuple

from datasets.custom.patterns import Pattern
from utils.classes import Classes
from utils.cli.wording import counted, did_you_mean, listed

KEYS = ('root', 'images', 'labels', 'splits', 'ignore', 'unlisted', 'classes')
CLASS_KEYS = ('name', 'id', 'rgb', 'color')
SPLITS = ('train', 'val', 'test')
LIST_ENDINGS = ('.txt', '.lst', '.csv')
IGNORE = 255  # the trainId of ignored pixels
MAX_CLASSES = 254  # IGNORE and a value for ids outside the table are left of the 256 of a byte
FOLDERS, LISTS, SHARES = 'folders', 'lists', 'shares'


class Mistake(ValueError):
    """What is wrong in the file, without its name."""


class Places(NamedTuple):
    """Where the files are. root: a folder or archive; images: Patterns; labels: Pattern, or None when lists name them.

    kind: what `splits` {split: value} holds: FOLDERS (names in the place of {split}), LISTS (files) or SHARES (of the
    images, drawn with `seed`).
    """

    root: Path
    images: list
    labels: Pattern | None
    kind: str
    splits: dict
    seed: int


def counted_names(paths, what='image') -> str:
    """'3 images (a, b, c)': how many, and the first of them."""
    return f'{counted(len(paths), what)} ({listed(paths)})'


def check_keys(values: dict, known, where: str):
    """Raise Mistake for a key that is not known."""
    for key in values:
        if key not in known:
            hint = did_you_mean(key, known, f'the keys are {", ".join(known)}', 2, 0.6)
            raise Mistake(f'{where}{key}: there is no such key; {hint}')


def kind_of(value) -> str:
    """What a value is, for a person."""
    return {
        bool: 'yes or no',
        dict: 'a mapping',
        list: 'a list',
        str: 'text',
        int: 'a number',
        float: 'a number',
        type(None): 'empty',
    }.get(type(value), f'a {type(value).__name__}')


def read_places(values: dict, folder: Path) -> Places:
    """The keys root, images, labels and splits. folder: that of the file, which a relative root starts from."""
    root = values.get('root', '.')
    if not isinstance(root, str) or not root:
        raise Mistake(f'root: is {root!r} ({kind_of(root)}), expected a folder, .zip or .tar file')
    patterns = values.get('images')
    images = (
        [_pattern('images', text) for text in (patterns if isinstance(patterns, list) else [patterns])]
        if patterns is not None
        else []
    )
    if not images and not _are_lists(values.get('splits')):
        raise Mistake('images: is missing; give a pattern of paths below root, such as images/{split}/**/*.jpg')
    labels = _pattern('labels', values['labels']) if values.get('labels') is not None else None
    kind, splits, seed = _splits(values.get('splits'), images)
    _check_together(kind, labels)
    for split in splits if kind == FOLDERS else ():
        for pattern in images:
            _pattern(f'splits.{split}', pattern.text.replace('{split}', splits[split]))
    return Places(folder / os.path.expanduser(root), images or [Pattern('**/*')], labels, kind, splits, seed)


def _are_lists(splits) -> bool:
    return isinstance(splits, dict) and any(isinstance(value, str) for value in splits.values())


def _pattern(key, text) -> Pattern:
    if not isinstance(text, str) or not text:
        raise Mistake(
            f'{key}: holds {text!r} ({kind_of(text)}), expected a pattern of paths below root, such as'
            f' {key}/{{split}}/*.png'
        )
    try:
        return Pattern(text)
    except ValueError as error:
        raise Mistake(f'{key}: {error}') from None


def _splits(given, images):
    """(kind, {split: value}, seed)."""
    by_folder = [pattern for pattern in images if 'split' in pattern.fields]
    if by_folder and len(by_folder) < len(images):
        raise Mistake('images: some patterns have {split} and others have not; give it to all of them or to none')
    if given is None and by_folder:
        return FOLDERS, {split: split for split in SPLITS}, 0
    if not isinstance(given, dict) or not given:
        state = 'missing' if given is None else kind_of(given) if given else 'empty'
        raise Mistake(
            f'splits: is {state}, so nothing says which images are for training; put {{split}} into images, or give'
            ' lists, as in splits: {train: train.txt, val: val.txt}, or shares, as in splits: {val: 0.1}'
        )
    check_keys(given, (*SPLITS, 'seed'), 'splits.')
    values = {split: given[split] for split in SPLITS if split in given}
    numeric = [
        split for split, value in values.items() if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    wrong = next(
        (split for split, value in values.items() if split not in numeric and not (isinstance(value, str) and value)),
        None,
    )
    if wrong:
        raise Mistake(
            f'splits.{wrong}: is {values[wrong]!r}, expected a folder name, a list file or a share of the images'
        )
    if numeric and len(numeric) < len(values):
        raise Mistake(
            f'splits: {", ".join(f"{split}: {value}" for split, value in values.items())} mixes shares and names; give'
            ' one kind for all'
        )
    if not numeric and 'seed' in given:
        raise Mistake('splits.seed: is only for shares of the images, as in splits: {val: 0.1, seed: 0}; leave it out')
    if numeric:
        return SHARES, _shares(values, by_folder), _seed(given)
    lists = [split for split, value in values.items() if Path(value).suffix.lower() in LIST_ENDINGS]
    if by_folder and lists:
        raise Mistake(
            f'splits.{lists[0]}: {values[lists[0]]!r} is a list, but images has {{split}}, which stands for folders;'
            ' take it out'
        )
    return (FOLDERS if by_folder else LISTS), values, 0


def _shares(values, by_folder):
    if by_folder:
        raise Mistake(
            'splits: gives shares, but images has {split}, which stands for the folder of each split; give one of'
            ' the two'
        )
    for split, share in values.items():
        if not 0 < share <= 1:
            raise Mistake(
                f'splits.{split}: is {share}, expected a share of the images above 0 and up to 1, such as 0.1'
            )
    if sum(values.values()) > 1 + 1e-9:
        raise Mistake(
            f'splits: the shares {", ".join(f"{split} {share}" for split, share in values.items())} are more than 1'
            ' together, so splits would overlap; lower one'
        )
    return values


def _seed(given):
    seed = given.get('seed', 0)
    if type(seed) is not int:
        raise Mistake(f'splits.seed: is {seed!r}, expected a whole number')
    return seed


def _check_together(kind, labels):
    if labels is None and kind != LISTS:
        raise Mistake('labels: is missing; give the path of the label of each image, such as labels/{split}/{stem}.png')
    if labels is not None and 'stem' not in labels.fields:
        raise Mistake(
            f"labels: {labels.text!r} lacks {{stem}}, the image's file name without its extension, so one label would"
            ' fit every image; add it'
        )
    if labels is not None and 'split' in labels.fields and kind != FOLDERS:
        raise Mistake(
            'labels: has {split}, but images has not, so there are no folders of splits; write the folder itself, ** or'
            ' {folder}'
        )


def read_classes(values: dict) -> tuple[Classes, dict | None]:
    """(Classes, {(r, g, b): id} when the label files show colours) of the keys classes, ignore and unlisted."""
    entries = [_entry(place, entry) for place, entry in enumerate(_listed_classes(values.get('classes')))]
    names = [entry['name'] for entry in entries]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise Mistake(f'classes: two are called {twice!r}; give each its own name, or one class a list of ids')
    key = _label_key(entries)
    values_of = [_label_values(key, entry[key], f'class {entry["name"]!r}: {key}') for entry in entries]
    ignored = _label_values(key, [] if values.get('ignore') is None else values['ignore'], 'ignore', True)
    owner = _owners(names, values_of, ignored, key)
    unlisted = values.get('unlisted', 'error')
    if unlisted not in ('error', 'ignore'):
        raise Mistake(
            f'unlisted: is {unlisted!r}, expected error (the default) or ignore: what becomes of label values that no'
            ' class has'
        )
    rest = dict.fromkeys(range(256), IGNORE) if unlisted == 'ignore' else {}
    palette = _palette(entries, values_of if key == 'rgb' else None)
    if key == 'rgb':
        trainids = {trainid: trainid for trainid in range(len(names))}
        return Classes(names, palette, IGNORE, {**rest, **trainids, IGNORE: IGNORE}), owner
    written, void = [ids[0] for ids in values_of], ignored[0] if ignored else IGNORE
    return Classes(names, palette, IGNORE, {**rest, **owner}, written, void), None


def _listed_classes(given) -> list:
    if not isinstance(given, list):
        raise Mistake(
            f'classes: is {"missing" if given is None else kind_of(given)}, expected a list such as - {{name: road, id:'
            ' 7} for each class'
        )
    if not 2 <= len(given) <= MAX_CLASSES:
        raise Mistake(
            f'classes: {len(given)} given, expected 2 to {MAX_CLASSES}: '
            + (
                'everything else needs a class too, such as background'
                if len(given) < 2
                else 'of the 256 values of a label map two are taken'
            )
        )
    return given


def _entry(place: int, entry) -> dict:
    """One class, {'name': ..., 'id' or 'rgb': ..., 'color': ...}; a plain name stands for itself with its place as
    id."""
    entry = {'name': entry} if isinstance(entry, str) else entry
    where = f'classes, entry {place + 1}'
    if not isinstance(entry, dict):
        raise Mistake(
            f'{where}: is {entry!r} ({kind_of(entry)}), expected such as {{name: road, id: 7}}; words that YAML reads'
            ' as yes or no need quotes'
        )
    check_keys(entry, CLASS_KEYS, f'{where}: ')
    if not isinstance(entry.get('name'), str) or not entry['name'].strip():
        raise Mistake(
            f'{where}: its name is {entry.get("name")!r} ({kind_of(entry.get("name"))}), expected text; put it in'
            ' quotes if it is meant so'
        )
    if 'id' in entry and 'rgb' in entry:
        raise Mistake(
            f'class {entry["name"]!r}: has id and rgb; give id when label files hold ids, rgb when they show colours'
        )
    return entry


def _label_key(entries) -> str:
    """'id' or 'rgb', which all classes have; ids are filled in where no class has any."""
    if not any('id' in entry or 'rgb' in entry for entry in entries):
        for place, entry in enumerate(entries):
            entry['id'] = place
    key = 'rgb' if 'rgb' in entries[0] else 'id'
    odd = next((entry['name'] for entry in entries if key not in entry), None)
    if odd:
        raise Mistake(
            f'class {odd!r}: has no {key}, but class {entries[0]["name"]!r} has; give all classes id, all rgb, or none'
            ' of the two'
        )
    return key


def _label_values(key, given, where, may_be_empty=False) -> list:
    """The ids or colours (tuples) that `given` holds, one or a list of them."""
    if key == 'rgb':
        one = isinstance(given, list) and given and not isinstance(given[0], list)
        return [
            _color(color, where)
            for color in _as_list([given] if one else given, where, 'a colour such as [128, 64, 128]', may_be_empty)
        ]
    ids = _as_list(given if isinstance(given, list) else [given], where, 'an id', may_be_empty)
    for raw in ids:
        if type(raw) is not int or not 0 <= raw <= 255:
            raise Mistake(
                f'{where}: holds {raw!r} ({kind_of(raw)}), expected an id from 0 to 255 or a list of ids'
                + ('; a colour of label files is called rgb' if isinstance(raw, list) else '')
            )
    return ids


def _as_list(given, where, what, may_be_empty):
    if not isinstance(given, list) or not given and not may_be_empty:
        raise Mistake(f'{where}: is {given!r}, expected {what} or a list of such')
    return given


def _color(given, where) -> tuple:
    if (
        not isinstance(given, list)
        or len(given) != 3
        or not all(type(value) is int and 0 <= value <= 255 for value in given)
    ):
        raise Mistake(f'{where}: holds {given!r}, expected red, green and blue from 0 to 255, such as [128, 64, 128]')
    return tuple(given)


def _owners(names, values_of, ignored, key) -> dict:
    """{label value: trainId or IGNORE}. Raises Mistake when a value belongs to two."""
    owner = {}
    for trainid, values in [*enumerate(values_of), (IGNORE, ignored)]:
        for value in values:
            if value in owner:
                both = sorted({owner[value], trainid})
                named = ' and '.join('ignore' if one == IGNORE else f'class {names[one]!r}' for one in both)
                raise Mistake(
                    f'{named}: {"both have" if len(both) > 1 else "has twice"} the {key}'
                    f' {list(value) if key == "rgb" else value}; every value belongs to one'
                )
            owner[value] = trainid
    return owner


def _palette(entries, shown) -> list:
    """K colours: the given ones, that of the labels (shown: theirs, or None), and distinct ones for the rest."""
    given = [
        (
            _color(entry['color'], f'class {entry["name"]!r}: color')
            if 'color' in entry
            else shown[place][0]
            if shown
            else None
        )
        for place, entry in enumerate(entries)
    ]
    free = (color for color in map(_voc_color, range(1, 256)) if color not in given)
    return [color or next(free) for color in given]


def _voc_color(number: int) -> tuple:
    """Colour `number` of the palette of PASCAL VOC: the bits of the number, spread over the upper bits of red, green
    and blue."""
    return tuple(sum((number >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3))
