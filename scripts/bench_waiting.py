#!/usr/bin/env python
"""Seconds of a small training step under each way in which idle OpenMP threads wait, beside other programs.

    python scripts/bench_waiting.py                                           about ten minutes; keep the machine idle
    python scripts/bench_waiting.py --steps 4 --rounds 1 --busy 0,2           quick
    python scripts/bench_waiting.py --out docs/results/waiting_threads.md     keeps the table

OpenMP's threads spin for a while when they wait for each other. Beside busy programs a spinning thread holds the core
that the thread which it waits for needs. Each setting runs in a process of its own with as many busy loops beside it
as a column says; the settings take turns. Numbers are medians over the rounds of the median step.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SETTINGS = {
    'none': {},
    'GOMP_SPINCOUNT=20000': {'GOMP_SPINCOUNT': '20000'},
    'GOMP_SPINCOUNT=2000': {'GOMP_SPINCOUNT': '2000'},
    'GOMP_SPINCOUNT=200': {'GOMP_SPINCOUNT': '200'},
    'OMP_WAIT_POLICY=PASSIVE': {'OMP_WAIT_POLICY': 'PASSIVE'},
}
OF_WAITING = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')
BUSY_LOOP = 'while True: pass'
STEP = """
import json, sys, time, torch
sys.path.insert(0, {root!r})
import network
from loss import get_criterion
torch.manual_seed(0)
net = network.get_net('ocrnet.HRNet', 19, trunk='hrnetv2_w18_small_v1').train()
criterion = get_criterion(['rmi', 'rmi'], [1.0, 0.4], 19)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
images, labels = torch.randn(2, 3, {height}, {width}), torch.randint(0, 19, (2, {height}, {width}))
times, started = [], time.monotonic()
while len(times) < {steps} + 1 and (len(times) < 2 or time.monotonic() - started < {seconds}):
    start = time.perf_counter()
    optimizer.zero_grad()
    criterion(net(images), labels)['loss'].backward()
    optimizer.step()
    times.append(time.perf_counter() - start)
print(json.dumps(times[1:]))
"""


def parse_args(argv):
    from utils.cli.parser import Parser
    from utils.settings.value_types import crop_size, positive

    parser = Parser(prog='bench_waiting.py', description='Measure how idle OpenMP threads should wait.')
    parser.add_argument('--size', type=crop_size, default=(128, 256), metavar='H,W', help='images of the step')
    parser.add_argument('--steps', type=positive, default=10, metavar='N', help='steps of a run')
    parser.add_argument('--seconds', type=positive, default=20, metavar='S', help='end a run earlier (%(default)s)')
    parser.add_argument('--rounds', type=positive, default=3, metavar='N', help='runs of a setting (%(default)s)')
    parser.add_argument(
        '--busy', metavar='LIST', help='busy programs beside it (default: none, half, one and six a core)'
    )
    parser.add_argument('--out', metavar='FILE', help='write the table there as Markdown')
    return parser.parse_all(argv)


def one_run(settings: dict, busy: int, args) -> float:
    """The median seconds of a step of one process, `busy` loops beside it."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_WAITING}
    loops = [subprocess.Popen([sys.executable, '-c', BUSY_LOOP]) for _ in range(busy)]
    try:
        height, width = args.size
        code = STEP.format(root=str(ROOT), height=height, width=width, steps=args.steps, seconds=args.seconds)
        done = subprocess.run(
            [sys.executable, '-c', code], env=environment | settings, capture_output=True, text=True, check=True
        )
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    return median(json.loads(done.stdout.splitlines()[-1]))


def main(argv=None) -> int:
    """Measure, print, write; returns the exit code."""
    from utils.cli.program import run_program

    return run_program('bench_waiting.py', bench, argv)


def bench(argv):
    import torch

    from scripts.bench_report import aligned, header, provenance
    from utils.files.atomic import write_text

    args, started = parse_args(argv), time.monotonic()
    about = provenance(torch.device('cpu'), argv, 'scripts/bench_waiting.py')
    cores = about['cores']
    busy = [int(count) for count in args.busy.split(',')] if args.busy else [0, max(cores // 2, 1), cores, 6 * cores]
    times = {(name, count): [] for name in SETTINGS for count in busy}
    for _ in range(args.rounds):
        for name, count in times:
            times[name, count].append(one_run(SETTINGS[name], count, args))
            print(f'{name}, {count} busy: {times[name, count][-1]:.3f} s', file=sys.stderr, flush=True)
    head = ['setting', *(f'{count} busy' for count in busy)]
    lines = [[name, *(f'{median(times[name, count]):.3f} s' for count in busy)] for name in SETTINGS]
    title = f'# Waiting threads\n\n{header(about, time.monotonic() - started)}\n\n'
    page = f'{title}{aligned([head, *lines])}\n\nSeconds of a training step, median of {args.rounds} runs.\n'
    print(page)
    if args.out:
        write_text(args.out, page)


if __name__ == '__main__':
    sys.exit(main())
