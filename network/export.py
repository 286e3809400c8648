"""Write a network as a program that runs without this package: torch.export (.pt2) or ONNX (.onnx), checked before it
is written.

    python -m network.export --snapshot best.pth --n_scales 0.5,1,2 --size 1024,2048 --out street.pt2
    python -m network.export --snapshot best.pth --format onnx --uint8 --labels --dynamic --out street.onnx

The program takes one tensor `images` (N, 3, h, w), normalised float32 or with --uint8 RGB bytes, and returns one:
`logits` (N, K, h, w), or with --labels `labels` (N, h, w), uint8 trainIds. It is loaded again, by torch or onnxruntime,
and compared with the network on random images; above --tolerance nothing is written and the exit code is 1. Exit code
2: a mistake. The file says in its metadata which sizes it was made for (network.program_files).
"""

import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from network.commandline import build_network, make_parser, parse
from network.layers import Module
from network.plain import plain_form
from network.program_files import FORMATS, SMALLEST, first_line, load, onnx_runtime, quiet, refusal, write
from network.resize import EXACT_SCALES
from network.segmentation import TrainedOn
from network.segmentor import Segmentor
from transforms.normalize import Normalize
from utils.classes import Classes
from utils.cli.program import run_program
from utils.files.atomic import atomic_write
from utils.settings.value_types import crop_size, number, positive


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
            'any size whose sides are multiples of the largest stride (32 for HRNet), divided by the fraction in'
            ' --n_scales or the low scale (so 64 with scale 0.5); --size is then one of those it is checked at'
        ),
    )
    group.add_argument('--uint8', action='store_true', help='the program takes RGB bytes and normalises them itself')
    group.add_argument(
        '--labels', action='store_true', help='the program returns the class of every pixel instead of logits'
    )
    group.add_argument(
        '--tolerance',
        type=number(float, low=0, below=1),
        default=1e-3,
        metavar='D',
        help='largest difference allowed, as a share of the largest logit',
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
    sizes = sizes_to_check(args, program.multiple)
    with tempfile.TemporaryDirectory(prefix='export_') as folder:
        file = Path(folder) / f'program{FORMATS[kind]}'
        images = [random_images(args, size) for size in sizes]
        expected = [reference(program, batch) for batch in images]  # first: its error names a size that does not fit
        write(kind, traced(program, images[0], args), file, about)
        run = load(kind, file)
        # nan if one is
        worst = torch.tensor([compare(run, *pair, args.labels) for pair in zip(images, expected)]).max().item()
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
    if args.labels and args.num_classes > 256:
        raise ValueError(f'--labels: {args.num_classes} classes do not fit into a byte; export logits')
    if kind == 'onnx':
        onnx_runtime()
    return kind


class Program(Module):
    """What is exported: images -> logits (N, K, h, w), or classes (N, h, w) uint8; with `normalize` images are bytes.

    multiple: what the sides of images are multiples of, None for images of one size.
    """

    net: Segmentor

    def __init__(self, net: Segmentor, normalize: nn.Module | None, labels: bool, multiple: int | None = None):
        super().__init__()
        self.net, self.normalize, self.labels, self.multiple = net, normalize, labels, multiple

    def logits(self, images: Tensor) -> Tensor:
        return self.net(images if self.normalize is None else self.normalize(images))['pred']

    def forward(self, images: Tensor) -> Tensor:
        if self.multiple:
            self.check_sides(images, self.multiple)
        logits = self.logits(images)
        return logits.argmax(dim=1).to(torch.uint8) if self.labels else logits

    @staticmethod
    def check_sides(images: Tensor, multiple: int):
        """An assertion on values, since one on sizes torch.export would take as proved by their declared multiples."""
        for side in images.shape[-2:]:
            fits = torch.scalar_tensor(side, dtype=torch.int64) % multiple == 0
            torch._assert_async(fits, refusal(multiple))


def build_program(args, state) -> Program:
    """The program of the flags, with the weights of `state`, the content of --snapshot, if there is one."""
    net = build_network(args, state, print)
    net.trained_on = net.trained_on or TrainedOn(Classes.numbered(args.num_classes))
    normalize = Normalize(net.trained_on.mean, net.trained_on.std) if args.uint8 else None
    return Program(net, normalize, args.labels, size_multiple(net) if args.dynamic else None).eval()


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
        'input': 'RGB bytes' if args.uint8 else 'RGB / 255, minus mean, divided by std',
        'mean': list(net.trained_on.mean),
        'std': list(net.trained_on.std),
        'output': 'labels' if args.labels else 'logits',
        'multiple': program.multiple,
        'sizes': refusal(program.multiple) if program.multiple else f'{args.size[0]}x{args.size[1]} alone',
    }


def size_multiple(net) -> int:
    """What the sides of images have to be multiples of, so that at every scale they are multiples of the largest
    stride."""
    denominators = [scale.as_integer_ratio()[1] for scale in net.scales()]
    if max(denominators) > EXACT_SCALES:
        inexact = [f'{scale:g}' for scale, denominator in zip(net.scales(), denominators) if denominator > EXACT_SCALES]
        raise ValueError(
            f'--dynamic: sizes at scale {", ".join(inexact)} have no simple formula; take binary fractions such as'
            ' 0.75, or leave it out'
        )
    return net.deepest_stride * max(denominators)


def sizes_to_check(args, multiple: int | None) -> list[tuple[int, int]]:
    """--size, and with --dynamic two others. Raises ValueError for a size that a dynamic program would not take."""
    if multiple is None:
        return [args.size]
    nearest = tuple(multiple * max(SMALLEST, round(side / multiple)) for side in args.size)
    if nearest != args.size:
        raise ValueError(
            f'--size {args.size[0]},{args.size[1]}: with --dynamic {refusal(multiple)} '
            f'(the largest stride, at the smallest scale); the nearest size is {nearest[0]},{nearest[1]}'
        )
    others = [(multiple * rows, multiple * columns) for rows, columns in ((2, 3), (4, 2), (3, 3))]
    return [args.size, *[size for size in others if size != args.size][:2]]


def random_images(args, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch, 3, *size)
    return (
        torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        if args.uint8
        else torch.randn(shape, generator=generator)
    )


def reference(program: Program, images: Tensor) -> Tensor:
    with torch.no_grad():
        return program.logits(images)


def traced(program: Program, images: Tensor, args) -> torch.export.ExportedProgram:
    """The program as torch.export sees it; for images whose sides are any of its multiples, if it has one.

    For a given size the network computes in the cheaper order. Which order is cheaper depends on the size, so that a
    program for any size is the plain form. Raises ValueError where torch.export cannot follow.
    """
    shapes, multiple = None, program.multiple
    if multiple:
        sides = [multiple * torch.export.Dim(name, min=SMALLEST) for name in ('height', 'width')]
        shapes = ({2: sides[0], 3: sides[1]},)
    try:
        with plain_form(program) if multiple else nullcontext(), torch.no_grad(), quiet():
            return torch.export.export(program, (images,), dynamic_shapes=shapes)
    except Exception as error:  # torch raises many kinds, about what a trunk does with sizes
        remedy = 'leave --dynamic out' if multiple else 'choose another network'
        raise ValueError(
            f'{args.arch}{" --dynamic" if multiple else ""}: torch.export cannot follow this network'
            f' ({first_line(error)}); {remedy}'
        ) from error


def compare(run, images: Tensor, logits: Tensor, labels: bool) -> float:
    """The difference of a program's output for `images` from the network's logits. Raises ValueError where the program
    fails."""
    try:
        found = run(images)
    except Exception as error:  # of torch or onnxruntime
        size = 'x'.join(map(str, images.shape[-2:]))
        raise ValueError(
            f'the program fails at {size} ({first_line(error)}), so nothing was written; export another --size, or'
            ' without --dynamic'
        ) from error
    return difference(found, logits, labels)


@torch.no_grad()
def difference(found: Tensor, logits: Tensor, labels: bool) -> float:
    """How far a program's output is from the network's logits (N, K, h, w), as a share of the largest logit.

    Of logits the largest difference; of labels how far the logit of the class named lies below the best one.
    """
    assert found.shape[-2:] == logits.shape[-2:], (found.shape, logits.shape)
    if labels:
        named = logits.gather(1, found.long().unsqueeze(1)).squeeze(1)
        apart = logits.amax(dim=1) - named
    else:
        apart = (found - logits).abs()
    return (apart.amax() / logits.abs().amax()).item()


if __name__ == '__main__':
    sys.exit(main())
