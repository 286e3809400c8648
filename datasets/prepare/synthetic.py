"""Synthetic street data set, rendered: the file layout of Cityscapes, its label ids, and cities that do not exist.

One image is drawn from (seed, split, number), so the same parameters give the same bytes, whatever the number of
workers. The folder appears when it is complete.
"""

import argparse
import glob
import os
import secrets
import shutil
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from config import cfg
from datasets.collection.cityscapes_labels import LABELS, SCORED
from datasets.prepare.street import THEMES, render_scene
from utils.cli.progress import progress
from utils.files import stamps
from utils.files.atomic import remove_temporaries, write_error
from utils.files.images import write_png

RENDERER = 1  # raised when the drawings change, so that old folders are not taken for new ones
CITIES = {'train': ('ardenau', 'brueckheim', 'corvin', 'dunmere'), 'val': ('elmstadt',)}
MARKER = 'synthetic.json'  # parameters of a complete folder
SMALLEST = 64  # pixels a side
LEAST_SHARE = 2e-4  # of the pixels, for each class that the theme of a scene promises
ATTEMPTS = 40
SUMMARY = 'render the synthetic street data set (19 classes, layout of Cityscapes)'


def add_flags(parser):
    """The flags of `python -m datasets.prepare synthetic` beside those of all preparations."""
    parser.add_argument('--train', type=int, default=96, metavar='N', help='number of training images')
    parser.add_argument('--val', type=int, default=16, metavar='N', help='number of validation images')
    parser.add_argument(
        '--size', type=_size, default=(256, 512), metavar='H,W', help='height and width of the images in pixels'
    )
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='another seed gives other streets')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace a folder that was rendered with other parameters'
    )


def _size(text):
    try:
        height, width = (int(part) for part in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not "height,width" in pixels, such as 256,512') from None
    return height, width


def run(args) -> int:
    """Render the data set that the flags describe; returns the exit code."""
    folder = Path(args.root) / cfg.DATASET.SYNTHETIC_DIR
    new = render(folder, args.train, args.val, args.size, args.seed, args.overwrite, args.workers)
    state = 'rendered' if new else 'reused, it stands there already'
    print(f'{folder}: {args.train} train and {args.val} val images of {args.size[0]}x{args.size[1]} pixels, {state}')
    return 0


def render(folder, train=96, val=16, size=(256, 512), seed=0, overwrite=False, workers=1):
    """Render the data set into `folder`, or leave what stands there when it was made from the same parameters.

    Args:
        train, val: number of images.
        size: (height, width) in pixels.
        overwrite: replace a folder that was rendered from other parameters.
        workers: number of processes.

    Returns: True when it was rendered now.

    Raises: ValueError when the folder was made from other parameters or by something else, WriteError when it cannot
    be written.
    """
    folder = Path(os.path.expanduser(folder))
    _check(train, val, size, seed)
    wanted = {'renderer': RENDERER, 'train': train, 'val': val, 'size': list(size), 'seed': seed}
    if _stands(folder, wanted, overwrite):
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder.parent, glob.escape(f'{folder.name}.'))  # of renderings that were killed
        unfinished = folder.parent / f'.{folder.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp'
        unfinished.mkdir()
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        counts = _render_all(unfinished, train, val, size, seed, workers)
        shares = {split: _shares(count) for split, count in counts.items()}
        stamps.write(unfinished / MARKER, {'parameters': wanted, 'percent_of_pixels': shares})
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _check(train, val, size, seed):
    for flag, count in (('--train', train), ('--val', val)):
        if count < len(THEMES):
            raise ValueError(f'{flag} {count}: at least {len(THEMES)} images are needed for every class to occur')
    if min(size) < SMALLEST:
        raise ValueError(f'--size {size[0]},{size[1]}: the sides have to be at least {SMALLEST} pixels (height,width)')
    if seed < 0:
        raise ValueError(f'--seed {seed}: a seed is a whole number from 0 on')


def _stands(folder, wanted, overwrite):
    """True when `folder` can be used as it is, False when it has to be rendered; ValueError when neither may be."""
    if not folder.exists():
        return False
    marker = folder / MARKER
    if not marker.is_file():
        if folder.is_dir() and not any(folder.iterdir()):
            return False
        raise ValueError(
            f'{folder}: exists and was not rendered here (it has no {MARKER}); move it away or choose another --root'
        )
    remedy = f'remove {folder} to render it anew'
    found = (stamps.read(marker, remedy, 'record of the parameters') or {}).get('parameters')
    if not isinstance(found, dict):
        raise ValueError(f'{marker}: names no parameters of the folder; {remedy}')
    differing = stamps.differences(found, wanted)
    if differing and not overwrite:
        raise ValueError(
            f'{folder}: was rendered with {", ".join(differing)}; add --overwrite to render it anew, or choose another'
            ' --root'
        )
    return not differing


def _render_all(folder, train, val, size, seed, workers):
    """Draw and write every image; returns {split: pixel counts (256,) of the raw ids}.

    Args:
        train, val: how many images of each.
        size: (height, width) in pixels.
        workers: processes that draw.
    """
    tasks = []
    for number, (split, count) in enumerate((('train', train), ('val', val))):
        for kind, city in product(('leftImg8bit', 'gtFine'), CITIES[split]):
            (folder / kind / split / city).mkdir(parents=True)
        tasks += [(number, split, index) for index in range(count)]
    counts = {'train': np.zeros(256, np.int64), 'val': np.zeros(256, np.int64)}
    draw = partial(_render_one, folder, size, seed)
    workers = min(workers, len(tasks))
    pool = ProcessPoolExecutor(workers, mp_context=get_context('spawn')) if workers > 1 else nullcontext()
    with pool:
        done = pool.map(draw, tasks, chunksize=2) if workers > 1 else map(draw, tasks)
        for (_, split, _), count in zip(tasks, progress(done, len(tasks), 'rendering', 'images')):
            counts[split] += count
    return counts


def _render_one(folder, size, seed, task):
    """Draw image number `index` of a split and write it with its labels; returns the pixel counts of the raw ids."""
    split_number, split, index = task
    cv2.setNumThreads(1)
    image, ids = draw_scene(size, seed, split_number, index)
    city = CITIES[split][index % len(CITIES[split])]
    name = f'{city}_{index // len(CITIES[split]):06d}_000019'
    write_png(folder / 'leftImg8bit' / split / city / f'{name}_leftImg8bit.png', image)
    write_png(folder / 'gtFine' / split / city / f'{name}_gtFine_labelIds.png', ids)
    return np.bincount(ids.ravel(), minlength=256)


def draw_scene(size, seed, split_number, index):
    """Image uint8 (H, W, 3) RGB and ids uint8 (H, W) of one scene of the data set.

    The themes take turns. A scene that hides what its theme promises is drawn again from the next seed.
    """
    labels = {label.name: label.id for label in LABELS}
    theme = list(THEMES)[index % len(THEMES)]
    for attempt in range(ATTEMPTS):
        image, ids = render_scene(np.random.default_rng([seed, split_number, index, attempt]), *size, labels, theme)
        counts = np.bincount(ids.ravel(), minlength=256)
        if all(counts[labels[name]] >= max(LEAST_SHARE * ids.size, 4) for name in THEMES[theme]):
            break
    return image, ids


def _shares(counts):
    """{class name: percent of all pixels} of the scored classes."""
    return {label.name: round(100 * float(counts[label.id] / counts.sum()), 4) for label in SCORED}
