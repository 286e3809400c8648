"""The smallest run of the program, and the program in a process of its own; shared by the tests of the whole
program."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The smallest network of the family: seconds per test on a CPU.
SMALL = [
    '--trunk',
    'hrnetv2_w18_small_v1',
    '--ocr_mid_channels',
    '32',
    '--ocr_key_channels',
    '16',
    '--segattn_bot_ch',
    '16',
]
TRAIN = ['--crop_size', '48,64', '--bs_trn', '2', '--max_epoch', '2', '--class_uniform_tile', '64', '--log_freq', '1']


def command(*arguments, **options):
    """Run a program of the repository in a process of its own; returns the CompletedProcess."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )
