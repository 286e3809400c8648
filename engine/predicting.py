"""Prediction as predict.py runs it: networks and settings from the flags, one pass over the sources, and what is said.

It stands apart from predict.py because it imports torch, which takes seconds: help, and mistakes in flags and sources,
are told before.
"""

from pathlib import Path

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
from network.engines import PACKAGES, with_engine
from transforms.normalize import Normalize
from utils.classes import Classes
from utils.cli.wording import counted, listed, shortened
from utils.files.atomic import sha256
from utils.files.sources import Found
from utils.outputs.predicted import PAGE, PredictedFiles

FAULTS_SHOWN = 20
LEAST = 0.005  # percent: what is below is no 0.01 %


def predict(args, found: Found, say) -> int:
    """Predict the sources with the flags of predict.py; say: prints a line. Returns the exit code: 1 where some failed.

    Raises ValueError for flags that cannot be met.
    """
    limit_pixels(args.max_pixels)
    if args.show and not has_windows():
        raise ValueError(
            '--show: this OpenCV opens no window (a headless build, or no display); leave it out, or replace'
            ' opencv-python-headless by opencv-python on a desktop'
        )
    device = find_device(args.device)
    arithmetic = precision.resolve(args.precision, device.type, say)
    engine = engine_of(args, arithmetic)
    nets = load_networks(args, device)
    args = as_tested(args, sorted(args.weights), nets, say)
    options = predict_options(args, arithmetic, nets[0].align_corners)
    classes = nets[0].trained_on.classes
    made_with = {**settings(args), 'precision': arithmetic}
    files = PredictedFiles(args.out, args.write, classes, made_with, args.frames, args.overwrite)
    files.check(found.sources)
    todo = [source for source in found.sources if not files.done(source)]
    for note in [*found.notes, *idle(args, found.sources)]:
        say(note)
    pairs = [
        (with_engine(net, engine, say), Normalize(net.trained_on.mean, net.trained_on.std, True).to(device))
        for net in nets
    ]
    predictor = Predictor(pairs, len(classes), device, options)
    summary = Prediction(predictor, files, args.strict, args.show).run(
        todo,
        args.max_side,
        args.every,
        resize=view_of(args),
        channels=nets[0].in_channels,
        value_range=nets[0].trained_on.value_range,
    )
    names = [Path(file).name for file in args.weights]  # no folders of this machine: pages are passed on
    page = files.write_page(found.sources, {'weights': names, 'n_scales': args.n_scales, 'flip': args.flip})
    faults = found.faults + summary.faults
    for line in summary_lines(
        summary, classes, kept=len(found.sources) - len(todo), where=page or files.shown(found.sources)
    ):
        say(line)
    if faults:
        say(f'{counted(len(faults), "source")} failed:')
        for line in shortened([f'  {reason}' for _, reason in faults], FAULTS_SHOWN):
            say(line)
    return int(bool(faults))


def idle(args, sources) -> list[str]:
    """A line about every given flag that has no effect."""
    without = {
        'no SOURCE is a video': ('every', 'smooth', 'frames') if not any(source.is_video for source in sources) else (),
        'there is no --tile': ('overlap', 'window') if not args.tile else (),
        'there is no --flip': ('flip_kind',) if not args.flip else (),
        'there is one of --weights': ('fusion',) if len(args.weights) == 1 else (),
    }
    lines = []
    for reason, names in without.items():
        given = [f'--{name}' for name in names if name in args.given]
        lines += [f'{", ".join(given)}: no effect, {reason}'] if given else []
    return lines


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


def engine_of(args, arithmetic: str) -> str:
    """What --engine and --compile say. Raises ValueError where they, or the precision, contradict."""
    if args.compile and 'engine' in args.given and args.engine != 'compile':
        raise ValueError(f'--compile and --engine {args.engine}: give one of them; --compile is --engine compile')
    if args.engine in PACKAGES and arithmetic != 'fp32':
        raise ValueError(
            f'--engine {args.engine}: computes in fp32, found --precision {arithmetic}; leave one of them out'
        )
    return 'compile' if args.compile else args.engine


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
        evaluation=EvalOptions(args.scales, args.flip, align_corners, arithmetic, flip_kind=args.flip_kind),
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
    if args.flip and args.flip_kind != 'h':
        tested['flip_kind'] = args.flip_kind
    return {
        'weights': sorted(map(sha256, args.weights)),
        'calibration': args.calibration and sha256(args.calibration),
        **{flag: getattr(args, flag) for flag in flags},
        **{name: value for name, value in tested.items() if value},
    }


def summary_lines(summary, classes: Classes, kept: int, where) -> list[str]:
    """What was done, how fast, and which share of the pixels each class has of those that occur."""
    done, lines = summary.images + summary.frames, []
    if done:
        shares = sorted(zip(100 * summary.counts / summary.counts.sum(), classes.names), reverse=True)
        lines += [f'{"share":>8}  class', *(f'{share:7.2f} %  {name}' for share, name in shares if share >= LEAST)]
        hardly = [name for share, name in shares if 0 < share < LEAST]
        unseen = [name for name, count in zip(classes.names, summary.counts) if not count]
        lines += [f'below 0.01 %: {listed(hardly)}'] if hardly else []
        lines += [f'not seen: {listed(unseen)}'] if unseen else []
    parts = [counted(summary.images, 'image')] if summary.images or not summary.frames else []
    parts += [counted(summary.frames, 'frame')] if summary.frames else []
    lines.append(
        f'{" and ".join(parts)} in {summary.seconds:.1f} s, {done / max(summary.seconds, 1e-9):.2f} images/s'
        + (f'; {kept} {"was" if kept == 1 else "were"} there already and kept' if kept else '')
        + f'; see {where}'
    )
    if summary.compared:
        changed = 100 * summary.changed / summary.compared
        lines.append(f'{changed:.2f} % of the pixels change their class from one frame of a video to the next')
    return lines
