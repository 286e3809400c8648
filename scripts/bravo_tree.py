#!/usr/bin/env python
"""A small rendered tree in the shape of the BRAVO benchmark: images, ground truth, masks of anomalies and samples.

    python scripts/bravo_tree.py --root assets/data/bravo_toy --per_subset 2

It is for trying the procedure, not for measuring anything: weather folders hold the rendered street as it is, and an
anomaly is a patch of noise.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aggregation.benchmarks import bravo_files as files
from aggregation.benchmarks.bravo_codec import draw_samples, encode_samples
from datasets.collection.cityscapes_labels import CLASSES
from datasets.prepare.synthetic import draw_scene
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.progress import progress
from utils.files.atomic import write_bytes
from utils.files.images import write_png
from utils.settings.value_types import count, crop_size, positive

# subset -> the path of an image below the tree, without its ending
KEYS = {
    **{
        f'ACDC{weather}': f'bravo_ACDC/{weather}/test/GOPR0001/GOPR0001_frame_%06d'
        for weather in ('fog', 'rain', 'night', 'snow')
    },
    'SMIYC': 'bravo_SMIYC/RoadAnomaly21/images/airplane%04d',
    'synobjs': 'bravo_synobjs/polar bear/%d',
    **{split: f'bravo_{split}/lindau/lindau_%06d_000019' for split in ('synrain', 'synflare', 'outofcontext')},
}


def main(argv=None) -> int:
    return run_program('bravo_tree.py', render, argv)


def render(argv):
    parser = Parser(prog='bravo_tree.py', description='Render a small tree in the shape of the BRAVO benchmark.')
    parser.add_argument('--root', required=True, metavar='DIR', help='gets the folders images/bravo, truth and samples')
    parser.add_argument(
        '--per_subset', type=positive, default=2, metavar='N', help='images of each of the nine subsets'
    )
    parser.add_argument('--size', type=crop_size, default=(96, 192), metavar='H,W', help='of the images, in pixels')
    parser.add_argument('--seed', type=count, default=0, metavar='N', help='of the scenes')
    args = parser.parse_all(argv)
    jobs = [
        (key % number, len(KEYS) * number + place)
        for number in range(args.per_subset)
        for place, key in enumerate(KEYS.values())
    ]
    for key, index in progress(jobs, total=len(jobs), desc='rendering', unit='images'):
        write_image(Path(args.root), key, args.size, args.seed, index)


def write_image(root: Path, key: str, size, seed: int, index: int):
    """One image with its label, mask and samples."""
    image, ids = draw_scene(size, seed, 2, index)
    truth, mask = CLASSES.id_to_trainid[ids], np.zeros(size, np.uint8)
    if files.split_of(key) in ('SMIYC', 'synobjs'):
        rng, (height, width) = np.random.default_rng([seed, index]), size
        top, left = rng.integers(height // 2, height * 3 // 4), rng.integers(width // 4, width // 2)
        patch = slice(top, top + height // 6), slice(left, left + width // 6)
        image[patch], truth[patch], mask[patch] = rng.integers(0, 256, image[patch].shape), 0, 1
    for kind, array in (('truth', truth), ('mask', mask)):
        write_png(root / 'truth' / files.name_of(key, kind), array)
    ending = files.SPLITS[files.split_of(key)].image[-1].replace('.jpg', '.png')
    write_png(root / 'images' / 'bravo' / f'{key}{ending}', image)
    write_bytes(root / 'samples' / files.name_of(key, 'samples'), encode_samples(draw_samples(truth)), durable=False)


if __name__ == '__main__':
    sys.exit(main())
