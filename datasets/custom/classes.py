"""Classes of a custom dataset, from the file of --data_yaml: names, ids or colours of label files, palette.

docs/datasets.md describes the keys. Every mistake is a Mistake, one sentence that begins with the key.
"""

from datasets.custom.mistakes import Mistake, check_keys, kind_of
from utils.classes import Classes

CLASS_KEYS = ('name', 'id', 'rgb', 'color')
IGNORE = 255  # the trainId of ignored pixels
MAX_CLASSES = 254  # IGNORE and a value for ids outside the table are left of the 256 of a byte


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
    free = (color for color in map(voc_color, range(1, 256)) if color not in given)
    return [color or next(free) for color in given]


def voc_color(number: int) -> tuple:
    """Colour `number` of the palette of PASCAL VOC: the bits of the number, spread over the upper bits of red, green
    and blue."""
    return tuple(sum((number >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3))
