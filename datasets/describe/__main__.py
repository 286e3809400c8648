"""`python -m datasets.describe FOLDER`: writes the file for --data_yaml as far as the folder says it.

It finds which images have which labels, the ids or colours of these, and a split by folder or video. Names of classes
and what is ignored are left to a person. The file lies beside the folder, the pairs are in list files beside the file.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from datasets.collection.layout import IMAGE_EXTENSIONS, walk_files
from datasets.custom.classes import IGNORE, MAX_CLASSES
from datasets.describe.pairing import PREPARED, find_pairs, split_pairs
from datasets.loading.formats import limit_pixels
from datasets.loading.reading import read_image, read_label
from datasets.loading.threads import in_threads
from utils.cli.flags import with_values
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.wording import counted, listed
from utils.files.atomic import atomic_write
from utils.settings import SETTINGS

TRAIN = 'python train.py --dataset custom --data_yaml'


def main(argv=None) -> int:
    """Describe, write, say what is next; returns the exit code."""
    return run_program('python -m datasets.describe', _describe, argv, 'interrupted, nothing was written')


def parse_args(argv=None):
    """The flags; ValueError for a mistake."""
    parser = Parser(prog='python -m datasets.describe', description='Write a first --data_yaml file of a folder.')
    parser.add_argument('folder', metavar='FOLDER', help='that holds images and labels, in any folders')
    parser.add_argument('--out', metavar='FILE', help='the file to write (default: FOLDER.yaml, beside the folder)')
    parser.add_argument('--overwrite', action='store_true', help='replace that file and the lists beside it')
    SETTINGS['max_pixels'].add_to(parser)
    args = parser.parse_all(sys.argv[1:] if argv is None else argv)
    folder = Path(os.path.expanduser(args.folder))
    whole = folder if folder.name not in ('', '..') else folder.resolve()
    out = Path(os.path.expanduser(args.out)) if args.out else whole.with_name(f'{whole.name}.yaml')
    return with_values(args, folder=folder, out=out)


def _describe(argv):
    args = parse_args(argv)
    limit_pixels(args.max_pixels)
    if not args.folder.is_dir():
        raise FileNotFoundError(f'{args.folder}: is no folder; give the one that holds images and labels')
    root = args.folder.resolve()
    paths = [path.relative_to(root).as_posix() for path in walk_files(root, IMAGE_EXTENSIONS)]
    if not paths:
        raise FileNotFoundError(f'{args.folder}: holds no images; give the folder that holds images and labels')
    pairs, alone = find_pairs(root, paths)
    if not pairs:
        raise ValueError(
            f'{args.folder}: of its {counted(len(paths), "image file")} none is a label (lossless, of few colours) with'
            f' the name of another image; put labels below a folder of their own, named as their images are'
            f'{_drawn(root)}'
        )
    kind, pixels, images = _values(root, pairs)
    splits, why = split_pairs(pairs)
    lists = {name: args.out.with_name(f'{args.out.stem}_{name}.txt') for name in splits}
    there = [str(path) for path in (args.out, *lists.values()) if path.exists()]
    if there and not args.overwrite:
        raise ValueError(
            f'{listed(there)}: there already; train on it with `{TRAIN} {args.out}`, or give --out for another name, or'
            ' --overwrite'
        )
    for name, path in lists.items():
        _write(path, ''.join(f'{pair.image}\t{pair.label}\n' for pair in splits[name]))
    _write(args.out, _yaml(root, kind, pixels, images, lists, why))
    left = f', {counted(len(alone), "image")} without a label left out ({listed(alone, 3)})' if alone else ''
    held = ', '.join(f'{len(splits[name])} {name}' for name in splits)
    values = {'id': 'id', 'rgb': 'colour'}[kind]
    print(
        f'{args.out}: written, with {listed(path.name for path in lists.values())} beside it.'
        f' {counted(len(pairs), "pair")} ({pairs[0].image} with {pairs[0].label}){left}; {held}: {why};'
        f' {counted(len(pixels), values)}. Name the classes in it, then run'
        f' `python -m datasets.verify --dataset custom --data_yaml {args.out}`'
    )
    for prepared in _prepared(args.folder):
        print(
            f'note: {prepared} describes this folder too, with the names of its classes, as datasets.prepare wrote it:'
            f' `{TRAIN} {prepared}` trains on it'
        )


def _prepared(folder) -> list[Path]:
    """The files that datasets.prepare wrote into a folder, or into one below it."""
    files = sorted(path for pattern in ('*.yaml', '*/*.yaml') for path in folder.glob(pattern) if path.is_file())
    return [path for path in files if path.read_bytes().startswith(PREPARED.encode())]


def _drawn(root) -> str:
    """What is added where a folder without labels may hold the annotations of a labelling program."""
    files = walk_files(root, ('.json', '.xml'))
    return (
        f'; if {files[0].relative_to(root).as_posix()} is the annotation of a labelling program, `python -m'
        ' datasets.prepare --help` names the command that draws its labels'
        if files
        else ''
    )


def _values(root, pairs) -> tuple:
    """('id' or 'rgb', {value: pixels}, {value: images}) of all labels."""
    try:
        read_label(root / pairs[0].label)
        kind, read = 'id', read_label
    except ValueError:
        kind, read = 'rgb', read_image
    pixels, images = Counter(), Counter()
    for values in in_threads(lambda pair: _counted(read(root / pair.label)), pairs, 'reading labels', 'labels'):
        pixels.update(values)
        images.update(values.keys())
    most = 256 if kind == 'id' else MAX_CLASSES
    if len(pixels) > most:
        raise ValueError(
            f'{root / pairs[0].label}, ...: the labels hold {len(pixels):,} colours, a data set has at most'
            f' {MAX_CLASSES} classes; they were resized with interpolation or are no labels'
        )
    return kind, pixels, images


def _counted(label: np.ndarray) -> dict:
    """{id, or (r, g, b): pixels} of one label (H, W) or (H, W, 3)."""
    if label.ndim == 2:
        values, counts = np.unique(label, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist()))
    colours, counts = np.unique(label.reshape(-1, 3), axis=0, return_counts=True)
    return dict(zip(map(tuple, colours.tolist()), counts.tolist()))


def _yaml(root, kind, pixels, images, lists, why) -> str:
    """The text of the description.

    Args:
        kind: 'id' or 'rgb', what labels hold.
        pixels, images: {value: how many have it}.
        lists: split -> the file that names its images.
        why: where the splits come from.
    """
    total = sum(pixels.values())
    ignored = [IGNORE] if kind == 'id' and IGNORE in pixels else []
    rows = []
    for number, value in enumerate(sorted(set(pixels) - set(ignored))):
        shown = value if kind == 'id' else list(value)
        name = f'class_{value}' if kind == 'id' else f'class_{number}'
        seen = counted(images[value], 'image')
        rows.append(f'  - {{name: {name}, {kind}: {shown}}}  # {100 * pixels[value] / total:.2f} % of pixels, {seen}')
    listed_splits = yaml.safe_dump(
        {name: path.name for name, path in lists.items()}, default_flow_style=True, width=999
    )
    return '\n'.join(
        [
            '# Written by python -m datasets.describe. Give the classes their names, and move those that are not to be',
            '# learnt to ignore. Keys: docs/datasets.md, "Your own data set".',
            yaml.safe_dump({'root': str(root)}, allow_unicode=True, width=999).strip(),
            f'splits: {listed_splits.strip()}  # {why}',
            f'ignore: {ignored}',
            'classes:',
            *rows,
            '',
        ]
    )


def _write(path, text):
    with atomic_write(path) as file:
        file.write(text.encode('utf-8', 'surrogateescape'))


if __name__ == '__main__':
    sys.exit(main())
