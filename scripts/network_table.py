#!/usr/bin/env python
"""Table of what every network costs, a row each: parameters, entries of its state dict, operations, seconds per image.

    python scripts/network_table.py --out docs/results/networks.md  every network; an hour on an idle CPU
    python scripts/network_table.py --device cuda --out docs/results/networks_gpu.md  times and memory on a GPU, in bf16
    python scripts/network_table.py --arch ocrnet.HRNet_Mscale,UNet --size 128,256  some of them, smaller images

Operations are counted without computing anything (network.cost). Times are those of evaluation with random weights,
from normalised image to logits: at one scale, and at the scales 0.5, 1.0 and 2.0, blended by attention where the
network has it, else averaged. Exit code 0; 1 for a network that fails, and nothing is written; 2 for a mistake in the
flags.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import network
from network import cost
from network.averaging import EvalOptions, average_logits
from network.checkpointing import checkpoint_stages
from network.mscale import MultiScale, check_scales
from network.plain import plain_form
from scripts import bench_measure, bench_report
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.files.atomic import write_json, write_text
from utils.settings.value_types import crop_size, names, positive

NUM_CLASSES = 19
SCALES = (0.5, 1.0, 2.0)
COUNTED_SIZE = (1024, 2048)
STEP_SIZE = (896, 896)
TIMED_SIZES = {'cpu': (256, 512), 'cuda': (1024, 2048)}
PRECISION = {'cpu': 'fp32', 'cuda': 'bf16'}


@dataclass
class Row:
    """A network: tera-operations of evaluation as it was trained (`scales`), seconds per image, bytes at most on a GPU.

    one is None for a network that has no pass at one scale. step, step_again: bytes at most of a step of training
    without and with --grad_ckpt, on one image of STEP_SIZE.
    """

    arch: str
    trunk: str
    parameters: int
    keys: int
    scales: tuple
    plain: float
    executed: float
    one: float | None = None
    three: float | None = None
    memory: int | None = None
    step: int = 0
    step_again: int = 0


def parse_args(argv):
    """The flags; ValueError for a mistake."""
    parser = Parser(prog='network_table.py', description='Count and time every network.')
    parser.add_argument('--arch', type=names, metavar='LIST', help='networks, comma list (default: all)')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu', help='where to time')
    parser.add_argument(
        '--size',
        type=crop_size,
        metavar='S|H,W',
        help='images that are timed (default: 256,512 on a CPU, 1024,2048 on a GPU)',
    )
    parser.add_argument(
        '--repeats',
        type=positive,
        default=3,
        metavar='N',
        help='timed runs, of which the median counts; one more goes before',
    )
    parser.add_argument('--out', metavar='FILE', help='write the table there as Markdown')
    parser.add_argument('--json', metavar='FILE', help='write every number there')
    args = parser.parse_all(argv)
    args.arch = args.arch or tuple(network.ARCHS.names())
    for arch in args.arch:
        network.check_names(arch)
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('--device cuda: torch sees no GPU here; leave the flag out to time the CPU')
    args.size = args.size or TIMED_SIZES[args.device]
    return args


def main(argv=None) -> int:
    """Count, time, print, write; returns the exit code."""
    return run_program('network_table.py', write_table, argv)


def write_table(argv) -> int:
    args = parse_args(argv)
    device = torch.device(args.device)
    about, start = bench_report.provenance(device, argv, 'scripts/network_table.py'), time.monotonic()
    try:
        rows = make_rows(args, device)
    except NetworkError as error:
        print(f'network_table.py: error: {error}; nothing was written', file=sys.stderr)
        return 1
    page = markdown(rows, args, about, time.monotonic() - start)
    print(page)
    if args.out:
        write_text(args.out, page)
    if args.json:
        write_json(args.json, {'about': about, 'settings': vars(args), 'rows': [vars(row) for row in rows]})
    return 0


class NetworkError(Exception):
    """A network could not be counted or run; the message names it."""


def make_rows(args, device: torch.device) -> list[Row]:
    """All networks are counted before the first is timed, so that one that fails does so early."""
    rows = [attempt(count, arch) for arch in args.arch]
    # random weights let signals fade to numbers that a CPU is slow with
    flushes = torch.set_flush_denormal(True)
    try:
        for number, row in enumerate(rows, start=1):
            attempt(measure, row.arch, row, args, device)
            one = 'none' if row.one is None else f'{row.one:.3g} s'
            print(
                f'{number}/{len(rows)} {row.arch}: {row.executed:.3f} TFLOP, {one} at one scale, {row.three:.3g} s at'
                ' three',
                file=sys.stderr,
                flush=True,
            )
    finally:
        torch.set_flush_denormal(not flushes)
    return rows


def attempt(function, arch: str, *arguments):
    try:
        return function(*(arguments or (arch,)))
    except (ValueError, RuntimeError) as error:
        raise NetworkError(f'{arch}: {type(error).__name__}: {" ".join(str(error).split())[:500]}') from error


def count(arch: str) -> Row:
    with torch.device('meta'):
        net = network.get_net(arch, NUM_CLASSES).eval()
        images = torch.empty(1, 3, *COUNTED_SIZE)
    executed = cost.forward_flops(net, images)['']
    with plain_form(net):
        plain = cost.forward_flops(net, images)['']
    parameters = sum(parameter.numel() for parameter in net.parameters())
    row = Row(
        arch,
        net.trunk_name or '',
        parameters,
        len(net.state_dict()),
        tuple(sorted(net.scales())),
        plain / 1e12,
        executed / 1e12,
    )
    row.step = step_bytes(net)
    checkpoint_stages(net)
    row.step_again = step_bytes(net)
    return row


def step_bytes(net) -> int:
    """The most bytes of a step of training, without those of weights and optimizer."""
    found = cost.Cost()
    cost.count_memory(net.train(), torch.empty(1, 3, *STEP_SIZE, device='meta'), found)
    return found.peak


def measure(row: Row, args, device: torch.device):
    """Fill in the times of `row`, and on a GPU its peak memory at three scales."""
    options = EvalOptions(precision=PRECISION[device.type])
    net = network.get_net(row.arch, NUM_CLASSES).to(device, memory_format=torch.channels_last).eval()
    if isinstance(net, MultiScale):
        net.n_scales = (1.0,)
    if net.scales() == (1.0,):
        row.one = seconds(net, options, args, device)
    if hasattr(net, 'n_scales'):
        net.n_scales = check_scales(SCALES)
    else:
        options.scales = SCALES
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
    row.three = seconds(net, options, args, device)
    row.memory = torch.cuda.max_memory_allocated(device) if device.type == 'cuda' else None


@torch.inference_mode()
def seconds(net, options: EvalOptions, args, device: torch.device) -> float:
    """The median time of one image; the first run is not counted."""
    images = torch.randn(1, 3, *args.size, device=device).to(memory_format=torch.channels_last)
    (times,) = bench_measure.interleaved([lambda: average_logits(net, images, options)], args.repeats, device)
    return statistics.median(times)


def markdown(rows: list[Row], args, about: dict, took: float) -> str:
    size, precision = f'{args.size[0]}x{args.size[1]}', PRECISION[args.device]
    head = (
        '`--arch`',
        'trunk',
        'parameters',
        'keys',
        'scales',
        'TFLOP, plain',
        'TFLOP',
        's, one scale',
        's, three scales',
        'GiB, three scales',
        'GiB, step',
        '--grad_ckpt',
    )
    lines = [
        (
            row.arch,
            row.trunk,
            f'{row.parameters:,}',
            str(row.keys),
            ', '.join(f'{scale:g}' for scale in row.scales),
            f'{row.plain:.3f}',
            f'{row.executed:.3f}',
            '-' if row.one is None else f'{row.one:.3g}',
            f'{row.three:.3g}',
            '' if row.memory is None else f'{row.memory / 2**30:.2f}',
            f'{row.step / 2**30:.2f}',
            f'{row.step_again / 2**30:.2f}',
        )
        for row in rows
    ]
    return f"""# Every network

{bench_report.header(about, took)}

{bench_report.aligned([head, *lines])}

*TFLOP*: 10^12 operations, 2 for a multiplication with its addition, of evaluation on one image of
{COUNTED_SIZE[0]}x{COUNTED_SIZE[1]} at the *scales* of the training; *plain* as the papers draw the network, beside it
as this code computes it. *s*: seconds for one image of {size} on this {args.device.upper()} in {precision}, eager,
the median of {args.repeats} runs; three scales are {', '.join(map(str, SCALES))}, blended by attention where the
network has it, else averaged. *GiB, step*: the most memory beside the weights of a step of training on one image of
{STEP_SIZE[0]}x{STEP_SIZE[1]} in float32, counted without computing anything, and next to it with `--grad_ckpt`.
{NUM_CLASSES} classes, random weights, own trunk of each network.
"""


if __name__ == '__main__':
    sys.exit(main())
