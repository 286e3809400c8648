#!/usr/bin/env python
"""Benchmark of what this repository does fast against the obvious way to do it, line by line, each with its budget.

    python scripts/bench.py                                   every line on the CPU; keep the machine idle
    python scripts/bench.py rmi confusion                     some of them
    python scripts/bench.py data                              those of one group: data, networks, ensembles
    python scripts/bench.py --device cuda                     the GPU: bf16 and fp16, compiled, at 1024x2048
    python scripts/bench.py --trunk hrnetv2_w18 --size 128,256 --repeats 2     small and quick
    python scripts/bench.py --out docs/results/bench_cpu.md   keeps the table
    python scripts/bench.py losses --out docs/results/losses.md   every loss against cross-entropy, time and memory

Budgets are ratios to the plain form, measured in one process in turn, so they hold on any machine. `--baseline` runs
the plain forms alone. Exit code 0 whether budgets hold or not, 2 for a mistake in the flags.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.cli.waiting  # noqa: F401  (before torch)

# isort: split
import torch

from engine.seeding import seed_everything, set_deterministic
from network import TRUNKS
from scripts import bench_data, bench_ensemble, bench_losses, bench_network, bench_predict, bench_report
from scripts.bench_measure import measure
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.wording import did_you_mean
from utils.files.atomic import write_json, write_text
from utils.settings.value_types import crop_size, names, positive

LINES = {
    'sample': bench_data.sample,
    'cached': bench_data.cached,
    'photometric': bench_data.photometric,
    'index': bench_data.index,
    'verification': bench_data.verification,
    'rmi': bench_losses.rmi,
    'losses': bench_losses.losses,
    'confusion': bench_data.confusion,
    'evaluation': bench_network.evaluation,
    'training': bench_network.training,
    'dump': bench_network.dump,
    'prediction': bench_predict.prediction,
    'engines': bench_predict.engines,
    'fuse': bench_ensemble.fuse,
    'run': bench_ensemble.run,
    'fuse_memory': bench_ensemble.memory,
    'storage': bench_ensemble.storage,
}
GROUPS = {
    'data': ('sample', 'cached', 'photometric', 'index', 'verification'),
    'networks': ('evaluation', 'training', 'dump', 'prediction', 'engines'),
    'ensembles': ('fuse', 'run', 'fuse_memory', 'storage'),
}
WITHOUT_FORMS = ('fuse_memory', 'storage')  # these measure themselves and return rows
WITH_TRUNK = ('evaluation', 'training', 'dump')
DEFAULT_TRUNKS = ('hrnetv2', 'hrnetv2_w18_small_v1')
SIZES = {'cpu': (256, 512), 'cuda': (1024, 2048)}
IMAGES = {'cpu': 3, 'cuda': 32}  # of a run that dumps: on a GPU enough for the writers' last files not to count


@dataclass
class Settings:
    """What a line is measured with. size: (h, w) of images that networks see, photo_size: of the others; batch: images
    of a training step; images: of a run that dumps; logits: file whose storage is measured.
    """

    device: torch.device
    trunk: str
    size: tuple
    photo_size: tuple
    batch: int
    images: int
    logits: str | None = None


def parse_args(argv):
    """The flags; ValueError for a mistake."""
    parser = Parser(prog='bench.py', description='Measure speed against the plain form of each computation.')
    parser.add_argument(
        'lines',
        nargs='*',
        metavar='LINE',
        help=f'what to measure, of {", ".join(LINES)}, or several: {", ".join(GROUPS)} (default: all)',
    )
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu', help='where to compute')
    parser.add_argument('--trunk', type=names, default=DEFAULT_TRUNKS, metavar='LIST', help='backbones, comma list')
    parser.add_argument(
        '--size',
        type=crop_size,
        metavar='H,W',
        help='images that networks see (default: 256,512 on a CPU, 1024,2048 on a GPU)',
    )
    parser.add_argument(
        '--photo_size',
        type=crop_size,
        default=(1024, 2048),
        metavar='H,W',
        help='images of the lines without a network',
    )
    parser.add_argument('--batch', type=positive, default=1, metavar='N', help='images of a training step')
    parser.add_argument(
        '--images', type=positive, metavar='N', help='images of a run that dumps (default: 3 on a CPU, 32 on a GPU)'
    )
    parser.add_argument(
        '--logits', metavar='FILE', help='stored logits of one image, for storage (default: smooth random ones)'
    )
    parser.add_argument('--repeats', type=positive, metavar='N', help='runs of each form (default: 3 to 41, by line)')
    parser.add_argument('--baseline', action='store_true', help='run the plain forms only')
    parser.add_argument('--out', metavar='FILE', help='write the table there as Markdown')
    parser.add_argument('--json', metavar='FILE', help='write every number there')
    args = parser.parse_all(argv)
    for name in args.lines:
        check_known('line', name, {**LINES, **GROUPS})
    args.lines = [line for name in args.lines for line in GROUPS.get(name, (name,))]
    for name in args.trunk:
        check_known('--trunk', name, TRUNKS.names())
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('--device cuda: torch sees no GPU here; leave the flag out to measure the CPU')
    args.size = args.size or SIZES[args.device]
    args.images = args.images or IMAGES[args.device]
    return args


def check_known(what: str, name: str, known):
    if name not in known:
        hint = did_you_mean(name, known, count=2, cutoff=0.6)
        raise ValueError(f'{what} {name!r} does not exist; {hint and hint + " "}choose from {", ".join(known)}')


def main(argv=None) -> int:
    """Measure, print, write; returns the exit code."""
    return run_program('bench.py', bench, argv)


def bench(argv):
    args = parse_args(argv)
    device = torch.device(args.device)
    seed_everything(0)
    set_deterministic(False)
    about, start = bench_report.provenance(device, argv), time.monotonic()
    rows = run_lines(args, device)
    page = bench_report.markdown(rows, about, time.monotonic() - start)
    print(page)
    if args.out:
        write_text(args.out, page)
    if args.json:
        write_json(args.json, bench_report.as_json(rows, about, vars(args)))


def run_lines(args, device: torch.device) -> list:
    """The rows of every line asked for, those with a network once for each trunk; each is printed when it is done."""
    rows = []
    for line, build in LINES.items():
        if args.lines and line not in args.lines:
            continue
        for trunk in args.trunk if line in WITH_TRUNK else args.trunk[:1]:
            settings = Settings(device, trunk, args.size, args.photo_size, args.batch, args.images, args.logits)
            name = f'{line}-{trunk}' if line in WITH_TRUNK else line
            if line in WITHOUT_FORMS:
                done = build(settings)
            else:
                with build(settings) as case:
                    done = measure(name, case, device, args.repeats, args.baseline)
            for row in done:
                print(bench_report.sentence(row), file=sys.stderr, flush=True)
            rows += done
    return rows


if __name__ == '__main__':
    sys.exit(main())
