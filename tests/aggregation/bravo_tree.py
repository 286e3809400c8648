"""A small BRAVO-shaped tree: ground truth, masks and predictions of two images in every subset."""

import cv2
import numpy as np

from aggregation.benchmarks import bravo_files as names

KEYS = [
    f'bravo_ACDC/{weather}/test/GOPR0475/GOPR0475_frame_00000{i}'
    for weather in ('fog', 'night', 'rain', 'snow')
    for i in (0, 1)
]
KEYS += [
    f'bravo_{split}/{city}/{city}_000000_00000{i}'
    for split in ('outofcontext', 'synflare', 'synrain')
    for city in ('lindau',)
    for i in (0, 1)
]
KEYS += [
    'bravo_synobjs/polar bear/5',
    'bravo_synobjs/zebra/[1]',
    'bravo_SMIYC/RoadAnomaly21/images/airplane0000',
    'bravo_SMIYC/RoadAnomaly21/images/validation0007',
]


def write(root, name, image):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode('.png', image)[1].tobytes())


def make(root, size=(40, 50), seed=0):
    """Writes root/truth and root/submission; returns per key (truth, mask, classes, levels)."""
    rng, made = np.random.default_rng(seed), {}
    for key in KEYS:
        truth = rng.integers(0, 19, size).astype(np.uint8)
        truth[rng.random(size) < 0.1] = 255
        wrong = rng.random(size) < 0.3
        mask = (rng.random(size) < 0.2).astype(np.uint8) * 255
        sure = np.clip(rng.normal(0.8 - 0.3 * wrong - 0.2 * (mask > 0), 0.15), 0, 0.9999)
        classes = np.where(wrong, rng.integers(0, 19, size), truth % 19).astype(np.uint8)
        levels = (sure * 65536).astype(np.uint16)
        write(root / 'truth', names.name_of(key, 'truth'), truth)
        write(root / 'truth', names.name_of(key, 'mask'), mask)
        write(root / 'submission', names.name_of(key, 'prediction'), classes)
        write(root / 'submission', names.name_of(key, 'confidence'), levels)
        made[key] = truth, mask, classes, levels
    return made
