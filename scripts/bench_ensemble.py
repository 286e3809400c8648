"""Benchmark lines of ensembles: fusing stored logits, fusing networks as they run, peak memory, forms of storage."""

import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import network
from aggregation.fusion.fused_files import Outputs
from aggregation.fusion.fusing import FuseOptions
from aggregation.fusion.members import Members
from aggregation.fusion.running import MemberFusion
from aggregation.fusion.stored import fuse_stored
from engine.distributed import Dist
from engine.evaluator import Evaluator
from network.averaging import EvalOptions, average_logits
from scripts.bench_data import NUM_CLASSES, photo_batch, shape
from scripts.bench_measure import Case, Form, Row
from scripts.bench_network import normalize
from utils.classes import Classes
from utils.outputs import logits as logit_files
from utils.outputs.logits import DTYPES, FORMATS, STRIDES, Storage

# images enough for the last one, whose results are written when nothing is left to read, not to count
READERS, IMAGES = 2, 4
MEMORY_BUDGET = 1.5e9  # bytes, of the whole process
# On Linux the peak that getrusage gives is at least that of the process that started this one; VmHWM begins anew.
PEAK = """
import re, resource, sys, ensemble
code = ensemble.main(sys.argv[1:])
if sys.platform == 'linux':
    print(1024 * int(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1]))
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))
sys.exit(code)
"""


def smooth_logits(size, seed: int) -> torch.Tensor:
    """Logits float16 (C, *size) that vary slowly, as a network's do."""
    coarse = (
        torch.randn(
            1, NUM_CLASSES, max(size[0] // 16, 2), max(size[1] // 16, 2), generator=torch.Generator().manual_seed(seed)
        )
        * 4
    )
    return F.interpolate(coarse, size, mode='bilinear')[0].half()


@contextmanager
def stored_members(size, count: int):
    """Yields folders of IMAGES logits each, in the form that --dump_logits has by default."""
    about = {'dataset': 'bench', 'storage': Storage()._asdict()}
    with tempfile.TemporaryDirectory(prefix='bench_') as root:
        folders = [Path(root, f'member{number}') for number in range(count)]
        for member, folder in enumerate(folders):
            files = {f'{image}.png': f'{image}_logits.npz' for image in range(IMAGES)}
            entries = {}
            for image, (name, file) in enumerate(files.items()):
                logit_files.write_logits(
                    folder / file, smooth_logits(size, 100 * member + image).numpy(), size, Storage()
                )
                entries[name] = logit_files.describe(folder / file, size, (NUM_CLASSES, *size))
            labels = Classes.numbered(NUM_CLASSES)
            logit_files.write_manifest(folder, entries, files, labels, {'model': f'member {member}', **about})
        yield folders


@contextmanager
def fuse(settings):
    """Fusing three stored members, against reading their files with NumPy."""
    with stored_members(settings.photo_size, 3) as folders:
        members, options, out = Members(folders), FuseOptions(), folders[0].parent / 'fused'

        def read():
            with ThreadPoolExecutor(READERS) as pool:
                for _ in pool.map(
                    lambda path: np.load(path)['logits'].shape,
                    [store.path(stem) for stem in members.stems for store in members.stores],
                ):
                    pass

        def run():
            shutil.rmtree(out, ignore_errors=True)
            fuse_stored(members, options, Outputs(out, options, {}), READERS, log=lambda line: None)

        yield Case(
            f'fusing {len(members)} stored members, {IMAGES} images of {NUM_CLASSES}x{shape(settings.photo_size)}',
            f'numpy.load of their files, in {READERS} threads',
            Form(read),
            [Form(run, 1.3)],
            repeats=5,
            images=IMAGES,
        )


@contextmanager
def run(settings):
    """Two networks fused as they run, against their forward passes; networks of the small trunk at half of
    --photo_size."""
    size, device = tuple(max(side // 2, 64) for side in settings.photo_size), settings.device
    nets = [
        network.get_net('ocrnet.HRNet', NUM_CLASSES, trunk='hrnetv2_w18_small_v1')
        .to(device, memory_format=torch.channels_last)
        .eval()
        for _ in range(2)
    ]
    pictures, _ = photo_batch(size, device)
    to_floats, options, evaluation = normalize(device), FuseOptions(), EvalOptions()
    loader = [{'image': pictures, 'name': ['a.png'], 'index': [0]}]

    @torch.inference_mode()
    def passes():
        images = to_floats(pictures)
        for net in nets:
            average_logits(net, images, evaluation)

    with tempfile.TemporaryDirectory(prefix='bench_') as root:

        def fused():
            shutil.rmtree(Path(root, 'fused'), ignore_errors=True)
            with redirect_stderr(StringIO()):
                outputs = Outputs(Path(root, 'fused'), options, {})
                fusion = MemberFusion(['a', 'b'], [1.0, 1.0], options, outputs)
                Evaluator(nets, to_floats, Dist(device=device), evaluation).run(loader, [fusion])

        yield Case(
            f'running and fusing {len(nets)} networks, {shape(size)}',
            'their forward passes',
            Form(passes),
            [Form(fused, 1.05)],
            repeats=7,
            images=1,
        )


def memory(settings) -> list[Row]:
    """Peak memory of the program that fuses, in a process of its own, for two and for six members."""
    rows = []
    with stored_members(settings.photo_size, 6) as folders:
        for count in (2, 6):
            command = [
                sys.executable,
                '-c',
                PEAK,
                'fuse',
                *map(str, folders[:count]),
                '--out',
                str(folders[0].parent / f'fused{count}'),
            ]
            done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
            peak = int(done.stdout.split()[-1])
            rows.append(
                Row(
                    f'fuse_memory-{count}',
                    f'peak memory of fusing {count} members of {NUM_CLASSES}x{shape(settings.photo_size)}',
                    'what it may take',
                    MEMORY_BUDGET,
                    peak,
                    peak / MEMORY_BUDGET,
                    budget=1.0,
                    unit='B',
                )
            )
    return rows


def storage(settings) -> list[Row]:
    """Every form of stored logits of one image: bytes, seconds to write and read, and the share of pixels that keep
    their label.

    The image is the one of --logits, without it one of smooth random logits.
    """
    logits = (
        logit_files.read_logits(settings.logits).full() if settings.logits else smooth_logits(settings.photo_size, 0)
    )
    logits, size = logits.float(), tuple(logits.shape[1:])
    labels, rows, plain = logits.argmax(0), [], None
    with tempfile.TemporaryDirectory(prefix='bench_') as root:
        for form in (
            Storage('npy'),
            *(Storage(name, dtype, stride) for name in FORMATS for dtype in DTYPES for stride in STRIDES),
        ):
            path = Path(root, f'a{form.suffix}')
            values = logit_files.reduce(logits, form.stride).half().numpy()
            written = seconds(
                lambda path=path, values=values, form=form: logit_files.write_logits(path, values, size, form)
            )
            read = seconds(lambda path=path: logit_files.read_logits(path).full())
            plain = plain or read
            same = (logit_files.read_logits(path).full().float().argmax(0) == labels).double().mean().item()
            name, title = (separator.join(map(str, form)) for separator in ('-', ', '))
            rows.append(
                Row(
                    f'storage-{name}',
                    f'reading one image of {shape(size)}: {title}',
                    'npy, float16, 1',
                    plain,
                    read,
                    read / plain,
                    note=(
                        f'{path.stat().st_size / 1e6:.1f} MB, written in {written:.2f} s, {100 * same:.3f} % of the'
                        ' labels kept'
                    ),
                )
            )
    return rows[1:]


def seconds(call) -> float:
    """The shortest of three calls."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)
