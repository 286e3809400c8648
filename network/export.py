"""Write a network as a program that runs without this package: torch.export (.pt2) or ONNX (.onnx), checked before it is written.

    python -m network.export --snapshot runs/a/best_checkpoint_ep174.pth --n_scales 0.5,1.0,2.0 --size 1024,2048 --out street.pt2
    python -m network.export --snapshot best.pth --format onnx --uint8 --labels --dynamic --out street.onnx

The program takes one tensor `images` (N, 3, h, w), normalised float32 or with --uint8 RGB bytes, and returns one: `logits`
(N, K, h, w), or with --labels `labels` (N, h, w), uint8 trainIds. It is loaded again, by torch or onnxruntime, and compared
with the network on random images; above --tolerance nothing is written and the exit code is 1. Exit code 2: a mistake.
"""
import json
import logging
import sys
import tempfile
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

import config
import network
from config import cfg
from network.commandline import make_parser, parse
from network.plain import plain_form
from network.resize import EXACT_SCALES
from transforms.normalize import Normalize
from utils import checkpoint, flags
from utils.files import atomic_write
from utils.parser import amount, crop_size, positive

FORMATS = {'torch_export': '.pt2', 'onnx': '.onnx'}
REMEDY = 'pip install -r requirements-extras.txt'
SMALLEST = 2         # multiples in a side of a dynamic size: at one, a map may be a single pixel, which exporters treat as a case of its own


def build_parser():
    parser = make_parser('network.export', 'Write a network as a program that runs without this package.')
    group = parser.add_argument_group('export')
    group.add_argument('--format', choices=tuple(FORMATS), help='kind of program (default: what the ending of --out says, .pt2 or .onnx)')
    group.add_argument('--out', required=True, metavar='FILE', help='file to write')
    group.add_argument('--size', type=crop_size, default=(1024, 2048), metavar='S|H,W', help='size of the images in pixels')
    group.add_argument('--batch', type=positive, default=1, metavar='N', help='images at a time')
    group.add_argument('--dynamic', action='store_true',
                       help='any size whose sides are multiples of the largest stride (32 for HRNet), divided by the fraction in --n_scales or the low '
                            'scale (so 64 with scale 0.5); --size is then one of those it is checked at')
    group.add_argument('--uint8', action='store_true', help='the program takes RGB bytes and normalises them itself')
    group.add_argument('--labels', action='store_true', help='the program returns the class of every pixel instead of logits')
    group.add_argument('--tolerance', type=amount, default=1e-3, metavar='D', help='largest difference allowed, as a share of the largest logit')
    return parser


def main(argv=None) -> int:
    """Run the program; returns its exit code."""
    try:
        args, state = parse(build_parser(), sys.argv[1:] if argv is None else argv, print)
        kind = format_of(args)
        with config.scope(**flags.as_cfg(vars(args))):
            program = build_program(args, state)
        about = describe(args, program.net, state)
        sizes = sizes_to_check(args, program.net)
        with tempfile.TemporaryDirectory(prefix='export_') as folder:
            file = Path(folder) / f'program{FORMATS[kind]}'
            images = [random_images(args, size) for size in sizes]
            expected = [reference(program, batch) for batch in images]          # first: it tells what size does not fit
            write(kind, traced(program, images[0], args, about['multiple']), file, about)
            run = load(kind, file)
            worst = max(difference(run(batch), logits, args.labels) for batch, logits in zip(images, expected))
            if not worst <= args.tolerance:
                print(f'network.export: the program differs from the network by {worst:.2e} of the largest logit, more than --tolerance '
                      f'{args.tolerance:g}; nothing was written', file=sys.stderr)
                return 1
            with atomic_write(args.out) as out:
                out.write(file.read_bytes())
    except (ValueError, OSError) as error:
        print(f'network.export: error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2
    print(f'{args.out}: largest difference to the network {worst:.2e} of the largest logit, at {", ".join(f"{h}x{w}" for h, w in sizes)}')
    return 0


def format_of(args) -> str:
    """The kind of program to write. Raises ValueError when it is not told, or its packages are missing."""
    endings = {ending: kind for kind, ending in FORMATS.items()}
    kind = args.format or endings.get(Path(args.out).suffix)
    if kind is None:
        raise ValueError(f'--out {args.out}: the name does not say what to write; let it end in {" or ".join(endings)}, or give --format')
    if args.labels and args.num_classes > 256:
        raise ValueError(f'--labels: {args.num_classes} classes do not fit into a byte; export logits')
    if kind == 'onnx':
        _onnx()
    return kind


def _onnx():
    """The packages of ONNX export, imported."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise ValueError(f'--format onnx: the package {error.name} is missing; {REMEDY}') from None
    return onnx, onnxruntime


class Program(nn.Module):
    """What is exported: images -> logits (N, K, h, w), or classes (N, h, w) uint8; with `normalize` images are bytes."""

    def __init__(self, net: nn.Module, normalize: nn.Module | None, labels: bool):
        super().__init__()
        self.net, self.normalize, self.labels = net, normalize, labels

    def logits(self, images: Tensor) -> Tensor:
        return self.net(images if self.normalize is None else self.normalize(images))['pred']

    def forward(self, images: Tensor) -> Tensor:
        logits = self.logits(images)
        return logits.argmax(dim=1).to(torch.uint8) if self.labels else logits


def build_program(args, state) -> Program:
    """The network of the flags, with the weights of `state` if there is one, in evaluation."""
    net = network.get_net(args.arch, args.num_classes, trunk=args.trunk, n_scales=args.n_scales, align_corners=args.align_corners)
    if state:
        weights = checkpoint.averaged_weights(state) or state['state_dict']
        print(checkpoint.restore_weights(net, weights, source=args.snapshot, source_arch=state.get('arch'), head_keys=network.head_keys(net)))
    else:
        print('no --snapshot was given: these are random weights')
    net.keep_scales = False
    normalize = Normalize(cfg.DATASET.MEAN, cfg.DATASET.STD) if args.uint8 else None
    return Program(net, normalize, args.labels).eval()


def describe(args, net, state) -> dict:
    """What a user of the program wants to know, for its file."""
    return {'arch': net.arch, 'trunk': net.trunk_name, 'scales': net.scales(), 'num_classes': args.num_classes,
            'class_names': (state or {}).get('class_names'), 'input': 'RGB bytes' if args.uint8 else 'RGB / 255, minus mean, divided by std',
            'mean': list(cfg.DATASET.MEAN), 'std': list(cfg.DATASET.STD), 'output': 'labels' if args.labels else 'logits',
            'multiple': size_multiple(net) if args.dynamic else None}


def size_multiple(net) -> int:
    """What the sides of images have to be multiples of, so that at every scale they are multiples of the largest stride."""
    denominators = [scale.as_integer_ratio()[1] for scale in net.scales()]
    if max(denominators) > EXACT_SCALES:
        inexact = [f'{scale:g}' for scale, denominator in zip(net.scales(), denominators) if denominator > EXACT_SCALES]
        raise ValueError(f'--dynamic: sizes at scale {", ".join(inexact)} have no simple formula; take binary fractions such as 0.75, or leave it out')
    return net.deepest_stride * max(denominators)


def sizes_to_check(args, net) -> list[tuple[int, int]]:
    """--size, and with --dynamic two others. Raises ValueError for a size that a dynamic program would not take."""
    if not args.dynamic:
        return [args.size]
    multiple = size_multiple(net)
    nearest = tuple(multiple * max(SMALLEST, round(side / multiple)) for side in args.size)
    if nearest != args.size:
        raise ValueError(f'--size {args.size[0]},{args.size[1]}: with --dynamic both sides must be multiples of {multiple} from {SMALLEST * multiple} on '
                         f'(the largest stride, at the smallest scale); the nearest size is {nearest[0]},{nearest[1]}')
    others = [(multiple * rows, multiple * columns) for rows, columns in ((2, 3), (4, 2), (3, 3))]
    return [args.size, *[size for size in others if size != args.size][:2]]


def random_images(args, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (args.batch, 3, *size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8) if args.uint8 else torch.randn(shape, generator=generator)


def reference(program: Program, images: Tensor) -> Tensor:
    with torch.no_grad():
        return program.logits(images)


def traced(program: Program, images: Tensor, args, multiple: int | None) -> torch.export.ExportedProgram:
    """The program as torch.export sees it; for images whose sides are any `multiple`, if there is one.

    For a given size the network computes in the cheaper order. Which order is cheaper depends on the size, so that a
    program for any size is the plain form. Raises ValueError where torch.export cannot follow.
    """
    shapes = None
    if multiple:
        sides = [multiple * torch.export.Dim(name, min=SMALLEST) for name in ('height', 'width')]
        shapes = ({2: sides[0], 3: sides[1]},)
    try:
        with plain_form() if multiple else nullcontext(), torch.no_grad(), quiet():
            return torch.export.export(program, (images,), dynamic_shapes=shapes)
    except Exception as error:                      # torch raises many kinds, about what a trunk does with sizes
        remedy = 'leave --dynamic out' if multiple else 'choose another network'
        raise ValueError(f'{args.arch}{" --dynamic" if multiple else ""}: torch.export cannot follow this network ({_first_line(error)}); {remedy}') from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


@contextmanager
def quiet():
    """Without the exporters' notes about their own inner life."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)


def write(kind: str, traced: torch.export.ExportedProgram, file: Path, about: dict):
    """Write the program to `file` with `about` in it."""
    with quiet():
        if kind == 'torch_export':
            torch.export.save(traced, file, extra_files={'about.json': json.dumps(about)})
            return
        program = torch.onnx.export(traced, dynamo=True, input_names=['images'], output_names=[about['output']], verbose=False)
        program.model.metadata_props['about'] = json.dumps(about)
        program.save(file, external_data=False)


def load(kind: str, file: Path):
    """A function from images to what the program in `file` returns."""
    if kind == 'torch_export':
        with quiet():
            return torch.export.load(file).module()
    session = _onnx()[1].InferenceSession(file, providers=['CPUExecutionProvider'])
    return lambda images: torch.from_numpy(session.run(None, {'images': images.numpy()})[0])


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
