"""Summary of a network as a table: parameters, operations and memory of each part and of the whole.

    python -m network.summary --arch ocrnet.HRNet_Mscale --n_scales 0.5,1.0,2.0 --size 1024,2048
    python -m network.summary --arch deepv3.DeepV3PlusR50 --training --size 896,896 --grad_ckpt

Nothing is computed: tensors have shapes only, so that any size takes seconds. `train.py --summary` prints the same for
its flags.
"""

import sys

import torch
from torch import nn

from network import cost
from network.checkpointing import checkpoint_stages
from network.commandline import make_parser, parse
from network.loading import build
from network.segmentor import Segmentor
from utils.cli.program import run_program
from utils.settings.value_types import count, crop_size, positive

EVALUATION_SIZE = (1024, 2048)


def build_parser():
    parser = make_parser('network.summary', 'Print what a network costs: parameters, operations, memory.')
    group = parser.add_argument_group('summary')
    group.add_argument(
        '--size', type=crop_size, default=EVALUATION_SIZE, metavar='S|H,W', help='size of the image in pixels'
    )
    group.add_argument('--batch', type=positive, default=1, metavar='N', help='images at a time')
    group.add_argument('--training', action='store_true', help='a step of training instead of an evaluation')
    group.add_argument(
        '--grad_ckpt',
        action='store_true',
        help='with --training: compute the stages of the trunk again in the backward pass',
    )
    group.add_argument('--freeze_trunk', action='store_true', help='with --training: train the heads only')
    group.add_argument('--depth', type=count, default=2, metavar='N', help='levels of modules to show')
    return parser


def main(argv=None) -> int:
    """Run the program; returns its exit code."""
    return run_program('network.summary', summarise, argv)


def summarise(argv):
    args, _ = parse(build_parser(), argv, print)
    for flag in ('grad_ckpt', 'freeze_trunk'):
        if getattr(args, flag) and not args.training:
            raise ValueError(f'--{flag} needs --training: it changes nothing in an evaluation')
    print(summary(args, args.num_classes, args.size, args.batch, args.training, args.depth))


def summary(args, num_classes: int, size: tuple[int, int], batch: int, training: bool, depth: int = 2) -> str:
    """The table of a network and its totals.

    Args:
        args: the flags that describe the network.
        num_classes: its classes.
        size, batch: (h, w) of the images, and how many there are.
        training: of a step of training instead of an evaluation.
        depth: levels of modules to show.

    Raises:
        ValueError: for names, scales or a size that do not fit.
    """
    with torch.device('meta'):
        net = build(vars(args), num_classes)
    if args.grad_ckpt and training:
        checkpoint_stages(net)
    if args.freeze_trunk and training:
        net.freeze_trunk()
    found = cost.count(net, size, training, batch)
    return '\n'.join([*title(net, size, batch, training), '', *table(net, found, depth), '', *totals(net, found)])


def title(net: Segmentor, size: tuple[int, int], batch: int, training: bool) -> list[str]:
    name = f'{net.arch} on {net.trunk_name}' if net.trunk_name else net.arch
    net.train(training)
    listed = ', '.join(f'{scale:g}' for scale in sorted(net.scales()))
    work, images = 'a step of training' if training else 'evaluation', 'one image' if batch == 1 else f'{batch} images'
    return [f'{name}: {work} on {images} of {size[0]}x{size[1]}, float32, scales {listed}']


def table(net: Segmentor, found: cost.Cost, depth: int) -> list[str]:
    """A line for every module down to `depth` with convolutions or matrix products."""
    unit, size = flop_unit(found)
    header = ['module', 'parameters', unit, f'plain {unit}', 'output MiB'] + ['kept MiB'] * net.training
    rows = [header]
    for name, module in net.named_modules():
        level = name.count('.') + 1 if name else 0
        if level > depth or not found.plain_flops[name]:
            continue
        cells = [
            name or type(net).__name__,
            f'{parameters(module):,}',
            f'{found.flops[name] / size:.4f}',
            f'{found.plain_flops[name] / size:.4f}',
            f'{found.outputs[name] / 2**20:,.1f}',
        ]
        rows.append(cells + [f'{found.kept[name] / 2**20:,.1f}'] * net.training)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        '  '.join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    ]


def flop_unit(found: cost.Cost) -> tuple[str, float]:
    """The unit for operations of a network and how many they are: tera, or giga where fractions of tera would round to
    0."""
    return ('TFLOP', 1e12) if found.plain_flops[''] >= 1e11 else ('GFLOP', 1e9)


def memory(count: int) -> str:
    """Bytes as '2.10 GiB', or below one as '35.2 MiB'."""
    return f'{count / 2**30:.2f} GiB' if count >= 2**30 else f'{count / 2**20:.1f} MiB'


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def totals(net: nn.Module, found: cost.Cost) -> list[str]:
    weights = sum(item.nbytes for item in (*net.parameters(), *net.buffers()))
    unit, size = flop_unit(found)
    forward, plain = found.flops[''] / size, found.plain_flops[''] / size
    lines = [
        f'parameters: {parameters(net):,} ({memory(weights)})',
        (
            f'forward pass: {forward:.3f} {unit}, 2 for a multiplication with its addition; {plain:.3f} in the plain'
            ' form, every layer where papers draw it'
        ),
    ]
    if net.training:
        backward = found.backward_flops / size
        lines.append(f'backward pass: {backward:.3f} {unit}, together {forward + backward:.3f}')
        lines.append(
            f'memory beside the weights: {memory(found.kept[""])} kept for the backward pass, {memory(found.peak)} at'
            ' most'
        )
    else:
        lines.append(f'memory beside the weights: {memory(found.peak)} at most')
    return lines


if __name__ == '__main__':
    sys.exit(main())
