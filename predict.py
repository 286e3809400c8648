"""Predict anything: images, folders, archives, lists, videos and cameras become labels, colours and overlays.

    python predict.py                                                       the network in the box, an example picture
    python predict.py photo.jpg                                             see predictions/photo_overlay.jpg
    python predict.py photo.jpg --weights runs/a                            with the best network of a training
    python predict.py photos/ drive.mp4 --weights best.pth --out results    everything below a folder, and a video
    find /data -name '*.png' | python predict.py - --weights a.pth b.pth    names on stdin, an ensemble of two
    python predict.py huge.tif --weights best.pth --tile 1024 --write labels

Without --weights it is the network of network/box, for streets seen from a car; its README says how good it is.
Results lie below --out under the name that an image has in its folder. What is there already is kept. Exit code 0: all
done; 1: some sources failed, which are listed at the end; 2: a mistake in flags or files, or the first failure with
--strict.
"""

import sys
from argparse import SUPPRESS
from pathlib import Path

import utils.cli.waiting  # noqa: F401  (before torch)
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.files.run_directory import members, weights_file
from utils.files.sources import IMAGES, VIDEOS, find_sources
from utils.files.sources import KINDS as SOURCE_KINDS
from utils.outputs.predicted import KINDS
from utils.settings import SETTINGS
from utils.settings.evaluation import TILE_WEIGHTS
from utils.settings.precision import ENGINES
from utils.settings.retired import OF_PREDICTION
from utils.settings.value_types import crop_size, names, number, positive

ROOT = Path(__file__).resolve().parent
DEFAULT_WEIGHTS = ROOT / 'network' / 'box' / 'street.safetensors'  # used without --weights
EXAMPLE = ROOT / 'docs' / 'images' / 'street.jpg'  # predicted without SOURCE
EXAMPLES = """\
colours and overlays of a photo, of everything below a folder, of a video:
  python predict.py photo.jpg photos/ drive.mp4
class ids by a network of your own instead, into a folder of your choice:
  python predict.py photos/ --weights runs/a --write labels --out ids
a large image, of which the network sees a part at a time:
  python predict.py huge.tif --tile 1024
"""
EVERYDAY = (
    'weights',
    'write',
    'out',
    'n_scales',
    'flip',
    'max_side',
    'tile',
    'every',
    'device',
    'engine',
    'precision',
    'batch',
)


def main(argv=None) -> int:
    """Run the program; returns the exit code."""
    return run_program(
        'predict.py', predict, argv, interrupted='interrupted; the same command goes on where it stopped'
    )


def predict(argv) -> int:
    args = parse_args(argv)
    found = find_sources(args.sources, sys.stdin, args.out)
    if args.strict and found.faults:
        raise ValueError(found.faults[0][1])
    if not found.sources:
        raise ValueError('; '.join(reason for _, reason in found.faults))
    from engine import predicting  # imports torch, which takes seconds: not before everything above is right

    return predicting.predict(args, found, say)


def build_parser() -> Parser:
    parser = Parser(
        prog='predict.py',
        description='Predict images, folders, archives, lists, videos and cameras.',
        everyday=EVERYDAY,
        examples=EXAMPLES,
        retired=OF_PREDICTION,
    )
    group = parser.add_argument_group('sources')
    group.add_argument('sources', nargs='*', metavar='SOURCE', help=SOURCE_KINDS)
    SETTINGS['config'].add_to(parser)
    SETTINGS['debug'].add_to(parser)
    group = parser.add_argument_group('network')
    group.add_argument(
        '--weights',
        nargs='+',
        metavar='FILE|DIR',
        help='checkpoints, or run directories; several, or a folder of fold0, fold1, ..., are an ensemble (default: the'
        ' network in the box)',
    )
    SETTINGS['n_scales'].add_to(group)
    group.add_argument('--flip', action='store_true', help='average with the prediction of the mirror image')
    group.add_argument('--no_flip', dest='flip', action='store_false', default=False, help=SUPPRESS)
    SETTINGS['flip_kind'].add_to(group, help=SETTINGS['flip_kind'].help.replace('--do_flip', '--flip'))
    SETTINGS['test_settings'].add_to(
        group,
        choices=('stored', 'flags'),
        default='stored',
        help='scales, flips, sizes and tiles that are not given; stored: as the weights were tested, flags: none',
    )
    group.add_argument(
        '--fusion', choices=('mean', 'mean_logit'), default='mean', help='what is averaged over several --weights'
    )
    group.add_argument('--calibration', metavar='FILE', help='calibrate confidences, see ensemble.py calibrate')
    group = parser.add_argument_group('size')
    group.add_argument(
        '--max_side', type=positive, metavar='PIXELS', help='reduce larger images to it; results keep their own size'
    )
    SETTINGS['pre_size'].add_to(group, help='resize the long edge to this before the network sees it, as --max_side')
    group.add_argument(
        '--tile', type=crop_size, metavar='S|H,W', help='sliding window: the network sees tiles of this size in pixels'
    )
    group.add_argument(
        '--overlap', type=number(float, 0, 0.9), default=0.25, metavar='P', help='share that tiles have in common'
    )
    group.add_argument('--window', choices=TILE_WEIGHTS, default='gaussian', help='how pixels weigh in their tile')
    SETTINGS['max_pixels'].add_to(group)
    group = parser.add_argument_group('videos')
    group.add_argument('--every', type=positive, default=1, metavar='N', help='take every N-th frame')
    group.add_argument(
        '--smooth',
        type=number(float, 0, 0.99),
        default=0.0,
        metavar='P',
        help='share of the frame before in the probabilities of a frame: less flicker, later changes',
    )
    group.add_argument('--frames', action='store_true', help='write colours and overlays per frame too')
    group.add_argument('--show', action='store_true', help='show the overlays in a window while they are made')
    group = parser.add_argument_group('precision and speed')
    group.add_argument('--device', metavar='NAME', help='cpu, cuda or cuda:1 (default: cuda where there is one)')
    SETTINGS['precision'].add_to(group)
    group.add_argument('--batch', type=positive, default=1, metavar='N', help='images or tiles in one pass')
    group.add_argument(
        '--engine',
        choices=ENGINES,
        default='eager',
        help='what runs the network: torch, eager or compiled, or a program for ONNX Runtime or OpenVINO on a CPU,'
        ' which takes seconds to make for each size of images and is faster from then on',
    )
    SETTINGS['compile'].add_to(group, help='the same as --engine compile')
    group = parser.add_argument_group('output')
    group.add_argument('--out', default='predictions', metavar='DIR', help='folder of the results')
    group.add_argument(
        '--write', type=names, default=('color', 'overlay'), metavar='KIND,KIND', help=f'any of {", ".join(KINDS)}'
    )
    group.add_argument('--overwrite', action='store_true', help='make again what is there, or was made otherwise')
    group.add_argument('--strict', action='store_true', help='end at the first source that fails')
    return parser


def parse_args(argv):
    """The flags, complete; ValueError for those that cannot be met."""
    args = build_parser().parse_all(argv)
    if not args.sources:
        pictures = [path for path in args.weights or () if Path(path).suffix.lower() in IMAGES + VIDEOS]
        if pictures:
            raise ValueError(f'--weights {pictures[0]}: is an image or video; SOURCE stands before the flags')
        say(f'no SOURCE: an example, a rendered street; give {SOURCE_KINDS}')
        args.sources = [str(EXAMPLE)]
    unknown = [kind for kind in args.write if kind not in KINDS]
    if unknown or not args.write:
        raise ValueError(f'--write {",".join(unknown)}: there is none, choose of {", ".join(KINDS)}')
    given = [member for path in args.weights or [str(DEFAULT_WEIGHTS)] for member in members(path)]
    args.weights = [weights_file(path, '--weights') for path in given]
    return args


def say(line: str):
    """Print a line, also of names that are no text in this terminal's encoding."""
    encoding = sys.stdout.encoding or 'utf-8'
    print(line.encode(encoding, 'backslashreplace').decode(encoding), flush=True)


if __name__ == '__main__':
    sys.exit(main())
