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

# isort: split
import cv2
import torch

import network
from aggregation.fusion.fusing import FuseOptions
from aggregation.statistics import calibration
from datasets.loading.formats import limit_pixels
from engine import precision
from engine.prediction import Prediction
from engine.prediction_settings import as_tested, view_of
from engine.predictor import PredictOptions, Predictor
from network.averaging import EvalOptions
from network.tiles import WEIGHTS
from transforms.normalize import Normalize
from utils.classes import Classes
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.wording import counted, listed, shortened
from utils.files.atomic import sha256
from utils.files.run_directory import members, weights_file
from utils.files.sources import KINDS as SOURCE_KINDS
from utils.files.sources import find_sources
from utils.outputs.predicted import KINDS, PAGE, PredictedFiles
from utils.settings import SETTINGS
from utils.settings.retired import OF_PREDICTION
from utils.settings.value_types import crop_size, names, number, positive

ROOT = Path(__file__).resolve().parent
DEFAULT_WEIGHTS = ROOT / 'network' / 'box' / 'street.safetensors'  # used without --weights
EXAMPLE = ROOT / 'docs' / 'images' / 'street.jpg'  # predicted without SOURCE
FAULTS_SHOWN = 20
EXAMPLES = """\
colours and overlays of a photo, of everything below a folder, of a video:
  python predict.py photo.jpg photos/ drive.mp4
class ids by a network of your own instead, into a folder of your choice:
  python predict.py photos/ --weights runs/a --write labels --out ids
a large image, of which the network sees a part at a time:
  python predict.py huge.tif --tile 1024
"""
EVERYDAY = ('weights', 'write', 'out', 'n_scales', 'flip', 'max_side', 'tile', 'every', 'device', 'precision', 'batch')


def main(argv=None) -> int:
    """Run the program; returns the exit code."""
    return run_program(
        'predict.py', predict, argv, interrupted='interrupted; the same command goes on where it stopped'
    )


def predict(argv) -> int:
    args = parse_args(argv)
    limit_pixels(args.max_pixels)
    found = find_sources(args.sources, sys.stdin, args.out)
    if args.strict and found.faults:
        raise ValueError(found.faults[0][1])
    if not found.sources:
        raise ValueError('; '.join(reason for _, reason in found.faults))
    device = find_device(args.device)
    arithmetic = precision.resolve(args.precision, device.type, say)
    nets = load_networks(args, device)
    args = as_tested(args, sorted(args.weights), nets, say)
    options = predict_options(args, arithmetic, nets[0].align_corners)
    classes = nets[0].trained_on.classes
    made_with = {**settings(args), 'precision': arithmetic}
    files = PredictedFiles(args.out, args.write, classes, made_with, args.frames, args.overwrite)
    files.check(found.sources)
    todo = [source for source in found.sources if not files.done(source)]
    for note in found.notes:
        say(note)
    pairs = [(net, Normalize(net.trained_on.mean, net.trained_on.std, True).to(device)) for net in nets]
    predictor = Predictor(pairs, len(classes), device, options)
    summary = Prediction(predictor, files, args.strict, args.show).run(
        todo,
        args.max_side,
        args.every,
        resize=view_of(args),
        channels=nets[0].in_channels,
        value_range=nets[0].trained_on.value_range,
    )
    page = files.write_page(found.sources, {'weights': args.weights, 'n_scales': args.n_scales, 'flip': args.flip})
    faults = found.faults + summary.faults
    print_table(summary, classes, kept=len(found.sources) - len(todo), where=page or files.folder)
    if faults:
        say(f'{counted(len(faults), "source")} failed:')
        for line in shortened([f'  {reason}' for _, reason in faults], FAULTS_SHOWN):
            say(line)
    return int(bool(faults))


def build_parser() -> Parser:
    parser = Parser(
        prog='predict.py',
        description='Predict images, folders, archives, lists, videos and cameras.',
        everyday=EVERYDAY,
        examples=EXAMPLES,
        retired=OF_PREDICTION,
    )
    parser.add_argument('sources', nargs='*', metavar='SOURCE', help=SOURCE_KINDS)
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
    group.add_argument('--window', choices=WEIGHTS, default='gaussian', help='how pixels weigh in their tile')
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
    SETTINGS['compile'].add_to(group)
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
    if not args.sources and args.given:
        raise ValueError(f'no SOURCE; give {SOURCE_KINDS}')
    if not args.sources:
        say(f'no SOURCE: an example, a rendered street; give {SOURCE_KINDS}')
        args.sources = [str(EXAMPLE)]
    unknown = [kind for kind in args.write if kind not in KINDS]
    if unknown or not args.write:
        raise ValueError(f'--write {",".join(unknown)}: there is none, choose of {", ".join(KINDS)}')
    given = [member for path in args.weights or [str(DEFAULT_WEIGHTS)] for member in members(path)]
    args.weights = [weights_file(path, '--weights') for path in given]
    if args.show and not has_windows():
        raise ValueError(
            '--show: this OpenCV opens no window (a headless build, or no display); leave it out, or replace'
            ' opencv-python-headless by opencv-python on a desktop'
        )
    return args


def has_windows() -> bool:
    """Whether OpenCV can show a picture here."""
    try:
        cv2.namedWindow('predict.py')
        cv2.destroyAllWindows()
    except cv2.error:
        return False
    return True


def find_device(name: str | None) -> torch.device:
    """The device that --device names, by default a GPU where there is one. Raises ValueError when it is not there."""
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a build of torch without CUDA
        reason = str(error).splitlines()[0]
        raise ValueError(f'--device {name}: is not there ({reason}); give cpu, cuda or cuda:1') from None
    return device


def load_networks(args, device) -> list:
    """The networks of --weights in evaluation mode on the device. Raises ValueError when their classes differ."""
    paths = sorted(args.weights)
    scales = () if args.n_scales is None and args.test_settings == 'flags' else args.n_scales
    nets = [network.load(path, scales, device, strict_scales=len(paths) == 1) for path in paths]
    for path, net in zip(paths, nets):
        if net.trained_on.classes.names != nets[0].trained_on.classes.names:
            here, first = (listed(other.trained_on.classes.names, 5) for other in (net, nets[0]))
            raise ValueError(
                f'--weights {path}: has the classes {here}, {paths[0]} has {first}; an ensemble needs the same classes'
            )
        pixels, expected = ((one.in_channels, one.trained_on.value_range) for one in (net, nets[0]))
        if pixels != expected:
            raise ValueError(
                f'--weights {path}: takes images of {pixels[0]} channels and the values {pixels[1]}, {paths[0]} of'
                f' {expected[0]} and {expected[1]}; an ensemble needs the same images'
            )
        if args.compile:
            net.compile()
    return nets


def predict_options(args, arithmetic: str, align_corners: bool) -> PredictOptions:
    calibrator, about = calibration.load(args.calibration) if args.calibration else (None, {})
    if calibrator is not None:
        calibration.check_fit(args.calibration, about, args.fusion, 'msp')
        if args.smooth and isinstance(calibrator, calibration.Isotonic):
            raise ValueError(
                f'--calibration {args.calibration}: an isotonic calibration is of single frames, found --smooth'
                f' {args.smooth:g}; leave one of them out, or calibrate with --method temperature'
            )
    return PredictOptions(
        evaluation=EvalOptions(args.scales, args.flip, align_corners, arithmetic),
        fusion=FuseOptions(args.fusion, calibrator=calibrator),
        keep=frozenset(args.write) | ({'confidence'} if PAGE in args.write else set()),
        tile=args.tile,
        overlap=args.overlap,
        window=args.window,
        batch=args.batch,
        smooth=args.smooth,
        scratch=args.out,
    )


def settings(args) -> dict:
    """Everything that decides the values of a result."""
    flags = 'n_scales flip fusion max_side tile overlap window every smooth'.split()
    tested = {'pre_size': args.pre_size, 'by_height': args.by_height, 'scales': args.scales != (1.0,) and args.scales}
    return {
        'weights': sorted(map(sha256, args.weights)),
        'calibration': args.calibration and sha256(args.calibration),
        **{flag: getattr(args, flag) for flag in flags},
        **{name: value for name, value in tested.items() if value},
    }


def print_table(summary, classes: Classes, kept: int, where):
    """What was done, how fast, and which share of the pixels each class has."""
    done = summary.images + summary.frames
    if done:
        say(f'{"share":>8}  class')
        for share, name in sorted(zip(summary.counts / summary.counts.sum(), classes.names), reverse=True):
            say(f'{100 * share:7.2f} %  {name}')
    parts = [counted(summary.images, 'image')] if summary.images or not summary.frames else []
    parts += [counted(summary.frames, 'frame')] if summary.frames else []
    say(
        f'{" and ".join(parts)} in {summary.seconds:.1f} s, {done / max(summary.seconds, 1e-9):.2f} images/s'
        + (f'; {kept} were there already and were kept' if kept else '')
        + f'; see {where}'
    )
    if summary.compared:
        changed = 100 * summary.changed / summary.compared
        say(f'{changed:.2f} % of the pixels change their class from one frame of a video to the next')


def say(line: str):
    """Print a line, also of names that are no text in this terminal's encoding."""
    encoding = sys.stdout.encoding or 'utf-8'
    print(line.encode(encoding, 'backslashreplace').decode(encoding), flush=True)


if __name__ == '__main__':
    sys.exit(main())
