"""Write a network as a program that runs without this package: torch.export (.pt2) or ONNX (.onnx), checked before it
is written.

    python -m network.export --snapshot best.pth --n_scales 0.5,1,2 --size 1024,2048 --out street.pt2
    python -m network.export --snapshot best.pth --uint8 --dynamic --outputs labels,confidence --out street.onnx

The program takes one tensor `images` (N, 3, h, w), normalised float32 or with --uint8 RGB bytes, and returns those of
--outputs: `logits` (N, K, h, w); `labels` (N, h, w), uint8 trainIds; `confidence` (N, h, w), their softmax
probabilities. It is loaded again, by torch or onnxruntime, and compared with the network on random images; above
--tolerance nothing is written and the exit code is 1. Exit code 2: a mistake. The file says in its metadata what it
holds and which sizes it was made for (network.program_files).
"""

import math
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from network.commandline import build_network, make_parser, parse
from network.layers import Module
from network.plain import plain_form
from network.program_files import FORMATS, exported, first_line, load, onnx_runtime, refusal, write
from network.resize import EXACT_SCALES
from network.segmentation import TrainedOn
from network.segmentor import Segmentor
from transforms.normalize import Normalize
from utils.channels import spread
from utils.classes import Classes
from utils.cli.program import run_program
from utils.cli.wording import did_you_mean
from utils.files.atomic import atomic_write
from utils.outputs.kinds import as_logits
from utils.settings.value_types import crop_size, names, number, positive


def labels(logits: Tensor) -> Tensor:
    """logits (N, K, h, w) -> the class of every pixel, uint8 (N, h, w)."""
    return logits.argmax(dim=1).to(torch.uint8)


def confidence(logits: Tensor) -> Tensor:
    """logits (N, K, h, w) -> the softmax probability of that class, (N, h, w)."""
    return logits.softmax(dim=1).amax(dim=1)


OUTPUTS = {'logits': lambda logits: logits, 'labels': labels, 'confidence': confidence}


def build_parser():
    parser = make_parser('network.export', 'Write a network as a program that runs without this package.')
    group = parser.add_argument_group('export')
    group.add_argument(
        '--format',
        choices=tuple(FORMATS),
        help='kind of program (default: what the ending of --out says, .pt2 or .onnx)',
    )
    group.add_argument('--out', required=True, metavar='FILE', help='file to write')
    group.add_argument('--overwrite', action='store_true', help='replace the file of --out if it is there')
    group.add_argument(
        '--size', type=crop_size, default=(1024, 2048), metavar='S|H,W', help='size of the images in pixels'
    )
    group.add_argument('--batch', type=positive, default=1, metavar='N', help='images at a time')
    group.add_argument(
        '--dynamic',
        action='store_true',
        help=(
            'any size whose coarsest map at the smallest scale has two pixels a side (HRNet: from 64 pixels on, 128'
            ' with scale 0.5); --size is then one of those it is checked at'
        ),
    )
    group.add_argument('--uint8', action='store_true', help='the program takes RGB bytes and normalises them itself')
    group.add_argument(
        '--outputs',
        type=names,
        default=('logits',),
        metavar='LIST',
        help=f'what the program returns, in this order, of {", ".join(OUTPUTS)}',
    )
    group.add_argument('--labels', action='store_true', help='the same as --outputs labels')
    group.add_argument(
        '--tolerance',
        type=number(float, low=0, below=1),
        default=1e-3,
        metavar='D',
        help='largest difference allowed, as a share of the largest logit; of confidences as it is',
    )
    return parser


def main(argv=None) -> int:
    """Run the program; returns its exit code."""
    return run_program('network.export', export, argv)


def export(argv) -> int:
    args, state = parse(build_parser(), argv, print)
    kind = format_of(args)
    program = build_program(args, state)
    about = describe(args, program, state)
    sizes = sizes_to_check(args, program.smallest)
    with tempfile.TemporaryDirectory(prefix='export_') as folder:
        file = Path(folder) / f'program{FORMATS[kind]}'
        images = [random_images(args, size) for size in sizes]
        expected = [reference(program, batch) for batch in images]  # first: its error names a size that does not fit
        write(kind, traced(program, images[-1], args), file, about)
        run = load(kind, file)
        # nan if one is
        worst = torch.tensor([compare(run, *pair, program.outputs) for pair in zip(images, expected)]).max().item()
        if not worst <= args.tolerance:
            print(
                f'network.export: the program differs from the network by {worst:.2e} of the largest logit, more'
                f' than --tolerance {args.tolerance:g}; nothing was written',
                file=sys.stderr,
            )
            return 1
        with atomic_write(args.out) as out:
            out.write(file.read_bytes())
    print(
        f'{args.out}: largest difference to the network {worst:.2e} of the largest logit, at'
        f' {", ".join(f"{h}x{w}" for h, w in sizes)}'
    )
    return 0


def format_of(args) -> str:
    """The kind of program to write. Raises ValueError when no flag says so, or its packages are missing."""
    endings = {ending: kind for kind, ending in FORMATS.items()}
    told = endings.get(Path(args.out).suffix)
    kind = args.format or told
    if kind is None:
        raise ValueError(
            f'--out {args.out}: the name does not say what to write; let it end in {" or ".join(endings)}, or give'
            ' --format'
        )
    if told not in (None, kind):
        raise ValueError(
            f'--out {args.out}: the name says {told}, --format {args.format}; leave --format out, or let the name end'
            f' in {FORMATS[kind]}'
        )
    if Path(args.out).exists() and not args.overwrite:
        raise FileExistsError(f'--out {args.out}: is there already; give another name, or --overwrite to replace it')
    if 'labels' in outputs_of(args) and args.num_classes > 256:
        raise ValueError(f'--outputs labels: {args.num_classes} classes do not fit into a byte; export logits')
    if kind == 'onnx':
        onnx_runtime()
    return kind


def outputs_of(args) -> tuple[str, ...]:
    """The names of what the program returns. Raises ValueError for one that there is not, or that stands twice."""
    if args.labels and 'outputs' in args.given and args.outputs != ('labels',):
        raise ValueError(f'--labels and --outputs {",".join(args.outputs)} contradict each other; give one')
    outputs = ('labels',) if args.labels else args.outputs
    for name in outputs:
        if name not in OUTPUTS:
            near = did_you_mean(name, OUTPUTS, f'give any of {", ".join(OUTPUTS)}')
            raise ValueError(f'--outputs {",".join(outputs)}: there is no output {name!r}; {near}')
    if not outputs or len(set(outputs)) < len(outputs):
        raise ValueError(
            f'--outputs {",".join(outputs)}: give each of {", ".join(OUTPUTS)} once at most, and one at least'
        )
    return outputs


class Program(Module):
    """What is exported: images -> a tensor, or a tuple of those that `outputs` names.

    normalize: of images that are bytes. smallest: the least side of images, None for images of one size.
    """

    net: Segmentor

    def __init__(
        self, net: Segmentor, normalize: nn.Module | None, outputs: tuple[str, ...], smallest: int | None = None
    ):
        super().__init__()
        self.net, self.normalize, self.outputs, self.smallest = net, normalize, outputs, smallest

    def logits(self, images: Tensor) -> Tensor:
        values = self.net(images if self.normalize is None else self.normalize(images))['pred']
        return as_logits(values, self.net.kind)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        logits = self.logits(images)
        returned = tuple(OUTPUTS[name](logits) for name in self.outputs)
        return returned if len(returned) > 1 else returned[0]


def build_program(args, state) -> Program:
    """The program of the flags, with the weights of `state`, the content of --snapshot, if there is one."""
    net = build_network(args, state, print)
    if net.trained_on is None:
        colours = TrainedOn(Classes.numbered(args.num_classes))
        mean, std = (spread(values, net.in_channels) for values in (colours.mean, colours.std))
        net.trained_on = replace(colours, mean=mean, std=std)
    normalize = Normalize(net.trained_on.mean, net.trained_on.std) if args.uint8 else None
    return Program(net, normalize, outputs_of(args), smallest_side(net) if args.dynamic else None).eval()


def describe(args, program: Program, state) -> dict:
    """What a user of the program wants to know, for its file: `about` in the metadata of ONNX, about.json in a .pt2."""
    net = program.net
    assert net.trained_on
    return {
        'arch': net.arch,
        'trunk': net.trunk_name,
        'scales': net.scales(),
        'num_classes': args.num_classes,
        'class_names': (state or {}).get('class_names'),
        'classes': net.trained_on.classes.as_dict(),
        'input': f'{_channels(net)} bytes' if args.uint8 else f'{_channels(net)} / 255, minus mean, divided by std',
        'channels': net.in_channels,
        'value_range': net.trained_on.value_range,
        'mean': list(net.trained_on.mean),
        'std': list(net.trained_on.std),
        'outputs': list(program.outputs),
        'size': None if program.smallest else list(args.size),
        'smallest': program.smallest,
        'sizes': refusal(program.smallest) if program.smallest else f'{args.size[0]}x{args.size[1]} alone',
    }


def _channels(net) -> str:
    return {1: 'grey', 3: 'RGB'}.get(net.in_channels, f'{net.in_channels} channels')


def smallest_side(net) -> int:
    """The least side of images of which the coarsest map at the smallest scale has two pixels: exporters treat a map of
    a single one as a case of its own."""
    inexact = [f'{scale:g}' for scale in net.scales() if scale.as_integer_ratio()[1] > EXACT_SCALES]
    if inexact:
        raise ValueError(
            f'--dynamic: sizes at scale {", ".join(inexact)} have no simple formula; take binary fractions such as'
            ' 0.75, or leave it out'
        )
    return math.ceil(2 * net.deepest_stride / min(1.0, *net.scales()))


def sizes_to_check(args, smallest: int | None) -> list[tuple[int, int]]:
    """--size, and with --dynamic two others, with sides that no stride divides. Raises ValueError for a size that a
    dynamic program would not take."""
    if smallest is None:
        return [args.size]
    if min(args.size) < smallest:
        raise ValueError(f'--size {args.size[0]},{args.size[1]}: with --dynamic {refusal(smallest)}; give larger ones')
    return [args.size, (smallest, 2 * smallest + 1), (smallest + 35, smallest + 3)]


def random_images(args, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch, args.in_channels, *size)
    return (
        torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        if args.uint8
        else torch.randn(shape, generator=generator)
    )


def reference(program: Program, images: Tensor) -> Tensor:
    with torch.no_grad():
        return program.logits(images)


def traced(program: Program, images: Tensor, args) -> torch.export.ExportedProgram:
    """The program as torch.export sees it; of any size where it has a smallest one.

    For a given size the network computes in the cheaper order. Which order is cheaper depends on the size, so that a
    program for any size is the plain form. Raises ValueError where torch.export cannot follow.
    """
    options: dict = {}
    if program.smallest:
        sides = {axis: torch.export.Dim(name, min=program.smallest) for axis, name in ((2, 'height'), (3, 'width'))}
        # what it assumes of sizes on its way, such as that no map is as large as the image, it asserts in the program
        options = {'dynamic_shapes': (sides,), 'prefer_deferred_runtime_asserts_over_guards': True}
    what, remedy = args.arch, 'choose another network'
    if program.smallest:
        what, remedy = f'{what} --dynamic', 'leave --dynamic out'
    with plain_form(program) if program.smallest else nullcontext():
        return exported(program, images, what, remedy, **options)


def compare(run, images: Tensor, logits: Tensor, outputs: tuple[str, ...]) -> float:
    """The largest difference of what a program returns for `images` from the network's logits. Raises ValueError where
    the program fails."""
    try:
        found = run(images)
    except Exception as error:  # of torch or onnxruntime
        size = 'x'.join(map(str, images.shape[-2:]))
        raise ValueError(
            f'the program fails at {size} ({first_line(error)}), so nothing was written; export another --size, or'
            ' without --dynamic'
        ) from error
    return torch.tensor([difference(*pair, logits) for pair in zip(outputs, found, strict=True)]).max().item()


@torch.no_grad()
def difference(output: str, found: Tensor, logits: Tensor) -> float:
    """How far what a program returned is from the network's logits (N, K, h, w), as a share of the largest logit.

    Of logits the largest difference; of labels how far the logit of the class named lies below the best one; of
    confidences, which have a scale of their own, the largest difference as it is.
    """
    assert found.shape[-2:] == logits.shape[-2:], (found.shape, logits.shape)
    if output == 'confidence':
        return (found - confidence(logits)).abs().amax().item()
    if output == 'labels':
        named = logits.gather(1, found.long().unsqueeze(1)).squeeze(1)
        apart = logits.amax(dim=1) - named
    else:
        apart = (found - logits).abs()
    return (apart.amax() / logits.abs().amax()).item()


if __name__ == '__main__':
    sys.exit(main())
