"""Preparation of the annotations of a labelling program: label maps, list files, and the file for --data_yaml.

All of it lies in one folder, `--out`. Pixels without a shape are a class `background`, as in these programs' own label
maps, or void with `--rest ignore`. Shapes are drawn in their order, later over earlier.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from datasets.custom.classes import MAX_CLASSES, voc_color
from datasets.custom.groups import SPLIT_NAMES
from datasets.describe.pairing import PREPARED, Pair, split_pairs
from datasets.prepare.convert import IGNORE
from datasets.prepare.converter import Job
from datasets.prepare.drawing.annotated import BACKGROUND, GROUND_NAMES, VOID, VOID_NAMES, told
from datasets.prepare.drawing.label import copy_mask, draw_photo
from datasets.prepare.record import Record
from datasets.prepare.runner import run
from utils.cli.wording import counted, did_you_mean, listed, nearest
from utils.files import stamps
from utils.files.atomic import atomic_write, write_json


class Tool(NamedTuple):
    """A labelling program. read(root, out, args) returns the Annotated photos below `root`; `out` is where results go.

    summary, details: for --help; add_flags(parser) adds flags of its own.
    """

    name: str
    summary: str
    details: str
    read: Callable
    add_flags: Callable = lambda parser: None


def add_flags(parser):
    parser.add_argument('--out', metavar='DIR', help='folder of the results (default: ROOT/prepared_<program>)')
    parser.add_argument(
        '--classes',
        metavar='NAMES|FILE',
        help='comma list of classes, or a file with one a line, in the order of their numbers; shapes of other classes'
        ' become void (default: the classes of the annotation)',
    )
    parser.add_argument('--ignore', metavar='NAMES', default='', help='comma list of classes that become void')
    parser.add_argument(
        '--rest',
        choices=('background', 'ignore'),
        default='background',
        help='what pixels without a shape are: a class called background, or void',
    )


def convert(tool: Tool, args) -> int:
    """Prepare the annotations below args.root; returns 0, or 1 when some photos were refused. Raises ValueError and
    OSError for mistakes."""
    root = Path(os.path.expanduser(args.root))
    if not root.is_dir():
        raise FileNotFoundError(
            f'--root {root}: is no folder; give the one that holds photos and annotations, unpacked'
        )
    root = root.resolve()
    out = Path(os.path.expanduser(args.out)).resolve() if args.out else root / f'prepared_{tool.name}'
    found = tool.read(root, out, args)
    if found.missing:
        found.notes[f'photos that are not below {root} ({listed(found.missing, 3)}), left out'] = len(found.missing)
    if not found.photos:
        raise FileNotFoundError(
            f'--root {root}: holds no photo with an annotation of {tool.name} (found: {listed(told(found.notes))});'
            ' give the folder that holds both'
        )
    values, names = class_values(found, args)
    if not args.dry_run:
        out.mkdir(parents=True, exist_ok=True)
        _keep_numbers(out / '.classes.json', {'rest': args.rest, 'names': list(names.values())}, args.overwrite)
    photos, code, refused = list(found.photos.values()), 0, set()
    extractions = [photo.extraction for photo in photos if photo.extraction]
    for jobs in (extractions, _labels(photos, found, values, palette_of(names, found.colors), out, args)):
        if jobs:
            record = Record(out, tool.name)
            code = max(code, run(tool.name, record, jobs, args.workers, args.dry_run, args.overwrite))
            refused |= record.refused
    for line in told(found.notes):
        print(f'note: {line}')
    if not args.dry_run:
        _describe([photo for photo in photos if _target(photo, out) not in refused], found, names, root, out, args)
    return code


def class_values(found, args) -> tuple:
    """({class name: value in a label map}, {value: name} of the classes): 0 is the ground, 1, 2, ... are the classes,
    IGNORE is void. Notes the shapes of classes that are not among those of --classes."""
    ignored = {name for name in args.ignore.split(',') if name} | set(VOID_NAMES)
    used = Counter(shape[0] for photo in found.photos.values() for shape in photo.shapes)
    declared = found.names if found.names is not None else sorted(used)
    names = read_names(args.classes) if args.classes else declared
    names = [name for name in dict.fromkeys(names) if name not in ignored and name not in GROUND_NAMES]
    odd = ignored - set(VOID_NAMES) - set(declared) - set(used)
    if odd:
        near = nearest(min(odd), [*declared, *used], 1)
        raise ValueError(
            f'--ignore {listed(sorted(odd))}: there is no such class; '
            + (f'did you mean {near[0]}?' if near else f'there are {listed(declared)}')
        )
    if len(names) > MAX_CLASSES - 1:
        raise ValueError(f'{len(names)} classes, a label map holds at most {MAX_CLASSES - 1} and background; join some')
    values = {name: number for number, name in enumerate(names, 1)}
    for name in {*used, *declared} - values.keys():
        values[name] = 0 if name in GROUND_NAMES else IGNORE
    for name, count in used.items():
        if name in ignored - {VOID}:
            found.notes[f'shapes of the class {name!r}, which became void'] += count
        elif name not in names and name not in (VOID, *GROUND_NAMES):
            found.notes[f'shapes of the class {name!r}, which is not in --classes and became void'] += count
    is_drawn = not any(photo.mask for photo in found.photos.values())
    for name in names if args.classes and is_drawn else ():
        if name not in used:
            near = did_you_mean(name, [*used, *declared], 'there are none', 1)
            found.notes[f'shapes of the class {name!r} of --classes ({near})'] = 0
    has_ground = args.rest == 'background' or any(name in GROUND_NAMES for name in used)
    listed_classes = {
        **({0: BACKGROUND} if has_ground else {}),
        **{value: name for name, value in values.items() if 0 < value < IGNORE},
    }
    if len(listed_classes) < 2:
        raise ValueError(
            f'only {listed(listed_classes.values())} is left of the classes, expected two at least; correct --classes,'
            ' --ignore or --rest'
        )
    return {**values, VOID: IGNORE, BACKGROUND: 0}, dict(sorted(listed_classes.items()))


def read_names(given: str) -> list[str]:
    """The class names of --classes."""
    path = Path(os.path.expanduser(given))
    if ',' not in given and (path.is_file() or path.suffix == '.txt'):
        try:
            lines = path.read_text(encoding='utf-8-sig').splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f'--classes {given}: cannot be read ({error}); give a text file with a class a line'
            ) from None
        names = [line.strip() for line in lines]
    else:
        names = [name.strip() for name in given.split(',')]
    names = [name for name in names if name]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice or not names:
        raise ValueError(
            f'--classes {given}: ' + (f'names {twice!r} twice' if twice else 'names nothing') + '; correct it'
        )
    return names


def palette_of(names: dict, colors: dict) -> bytes:
    """3 bytes for each value of a label map: the colours that the annotation gives its classes, distinct ones for the
    others."""
    table = bytearray(3 * 256)
    free = (color for color in map(voc_color, range(1, 256)) if color not in colors.values())
    for value, name in names.items():
        table[3 * value : 3 * value + 3] = bytes(colors.get(name) or ((0, 0, 0) if value == 0 else next(free)))
    return bytes(table)


def _keep_numbers(path, meaning: dict, overwrite: bool):
    """Record what the values of the label maps mean. Raises ValueError where those of an earlier run mean something
    else, which the file of --data_yaml, perhaps edited since, still says."""
    before = stamps.read(path, 'give --overwrite', 'record of the classes')
    if before not in (None, meaning) and not overwrite:
        raise ValueError(
            f'{path.parent}: its labels were made with other classes (then {listed(before.get("names", ()))}; now'
            f' {listed(meaning["names"])}, --rest {meaning["rest"]}); give another --out, or --overwrite to replace'
            ' the labels and the file of --data_yaml'
        )
    write_json(path, meaning)


def _target(photo, out) -> Path:
    return Path(out / 'labels' / Path(photo.name).with_suffix('.png'))


def _labels(photos, found, values, palette, out, args) -> list:
    """The Jobs of the label maps."""
    ground, jobs = 0 if args.rest == 'background' else IGNORE, []
    table = tuple(sorted((key, values[name] or ground) for key, name in found.keys.items()))
    for photo in photos:
        if photo.mask is not None:
            make, sources, arguments = copy_mask, (photo.path, photo.mask), (table, found.by_colour, palette)
        else:
            shapes = tuple((values[name], kind, data) for name, kind, data in photo.shapes)
            make, sources, arguments = draw_photo, (photo.path,), (photo.size, shapes, ground, palette)
        jobs.append(Job(_target(photo, out), sources, make, arguments))
    return jobs


def _describe(photos, found, names, root, out, args):
    """Write the lists of the photos that have labels, and the file of --data_yaml, as far as they are not there yet."""
    if not photos:
        raise ValueError(f'{out}: no photo has got a label, for the reasons above')
    file = out / f'{root.name}.yaml'
    splits, why = _splits(photos, root, out)
    texts = {
        out / f'{file.stem}_{split}.txt': ''.join(f'{pair.image}\t{pair.label}\n' for pair in pairs)
        for split, pairs in splits.items()
    }
    texts[file] = _yaml(root, names, found.colors, {split: f'{file.stem}_{split}.txt' for split in splits}, why)
    kept = [path.name for path, text in texts.items() if not _write(path, text, args.overwrite)]
    if kept:
        print(
            f'note: {listed(kept)} in {out} differ from what would be written, and are kept; --overwrite replaces them'
        )
    held = ', '.join(f'{len(pairs)} {split}' for split, pairs in splits.items())
    print(
        f'{file}: {counted(len(photos), "photo")} ({held}: {why}), {counted(len(names), "class", "classes")}. Next:'
        f' `python -m datasets.verify --dataset custom --data_yaml {file}`'
    )


def _splits(photos, root, out) -> tuple:
    """({split: Pairs}, how it was decided)."""
    pairs = {photo.name: Pair(photo.name, _written(_target(photo, out), root)) for photo in photos}
    known = {photo.split for photo in photos}
    if {'train', 'val'} <= known and None not in known:
        by_name = {split: [pairs[photo.name] for photo in photos if photo.split == split] for split in SPLIT_NAMES}
        return {split: held for split, held in by_name.items() if held}, 'the annotations are in these splits'
    return split_pairs(list(pairs.values()))


def _written(path: Path, root: Path) -> str:
    """A path as a list has it: below the root where it lies there."""
    return path.relative_to(root).as_posix() if root in path.parents else str(path)


def _yaml(root, names, colors, lists, why) -> str:
    palette = palette_of(names, colors)
    rows = [
        {'name': name, 'id': value, 'color': list(palette[3 * value : 3 * value + 3])} for value, name in names.items()
    ]
    line = {'default_flow_style': True, 'width': 999, 'allow_unicode': True, 'sort_keys': False}
    return '\n'.join(
        [
            f'{PREPARED} Keys: docs/datasets.md, "Your own data set".',
            yaml.safe_dump({'root': str(root)}, allow_unicode=True, width=999).strip(),
            f'splits: {yaml.safe_dump(lists, **line).strip()}  # {why}',
            f'ignore: [{IGNORE}]',
            'classes:',
            *(f'  - {yaml.safe_dump(row, **line).strip()}' for row in rows),
            '',
        ]
    )


def _write(path: Path, text: str, overwrite: bool) -> bool:
    """Write a file that a person may have changed since; False where another text stands there."""
    data = text.encode('utf-8', 'surrogateescape')
    if path.exists() and path.read_bytes() != data and not overwrite:
        return False
    os.makedirs(path.parent, exist_ok=True)
    with atomic_write(path) as file:
        file.write(data)
    return True
