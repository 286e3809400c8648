"""Train, evaluate and dump semantic segmentation networks.

    laptop   python train.py --dataset synthetic --trunk hrnetv2_w18_small_v1 --crop_size 192,384 --max_epoch 20
    one GPU  python train.py --dataset cityscapes --precision bf16 --rmi_loss --crop_size 1024,2048 --result_dir runs/a
    many     torchrun --standalone --nproc-per-node=8 train.py --dataset cityscapes --syncbn --precision bf16 ...
    score    python train.py --run runs/a --eval val
    go on    python train.py --resume runs/a
    look     python train.py ... --dry_run              what it would do, and what is missing

Exit code 0: done; 1: an evaluation done but for images that could not be read, which are listed, or a dry run that
misses files; 2: a mistake in flags, files or data, reported in one line; 75: a training stopped by SIGTERM or SIGUSR1,
saved and to be continued; 130: interrupted by Ctrl-C, a training saved like that.
"""

import os
import sys
import time
from functools import partial

if __name__ == '__main__':
    BEGAN = time.monotonic()  # --minutes counts what is imported below, which takes seconds

# isort: split
import datasets
from utils.cli import flags
from utils.cli.program import MISTAKES, STOPPED, check_flags, run_program

if __name__ == '__main__':  # before torch is imported, which takes seconds
    check_flags('train.py', flags.build_parser(datasets.dataset_names()).parse_all)

from utils.cli import waiting  # before torch

# isort: split
import torch

import config
import network
from datasets.custom.pixels import with_pixels
from datasets.sampling.coarse import join, training_qualities
from engine import evaluation, precision, run_name, testing
from engine.best_metric import BestMetric
from engine.builders import (
    build_learner,
    build_network,
    build_train_loader,
    dump_samples,
    get_dataset,
    verify,
    with_cache,
)
from engine.dry_run import DryRun
from engine.keeper import CheckpointKeeper
from engine.overfit import CropAlone, OverfitTraining, same_images
from engine.planning import lr_find, recipe
from engine.planning.timed import TimedTraining
from engine.run import evaluation_directory, run_context
from engine.stop import StopSignal
from engine.stop_hook import StopHook
from engine.teacher import build_teacher
from engine.training import Training
from engine.unread import unread_by_network
from loss import read_class_weights, verified_dataset
from network.summary import EVALUATION_SIZE, summary
from transforms import build_train_transform
from utils import checkpoint
from utils.channels import spread
from utils.cli.earlier_run import adopt
from utils.files.run_directory import weights_file
from utils.settings import SETTINGS

SPLITS = {'val': 'val', 'trn': 'train', 'test': 'test', 'folder': 'folder'}


def parse_args(argv=None, log=lambda line: None, dry=None):
    """The flags as a namespace, checked against each other; log: takes a line about those of an earlier run; dry: a
    DryRun. Raises ValueError for a mistake."""
    adopting = partial(adopt, log=log)
    adopting = partial(dry.adopt, adopting) if dry else adopting
    return with_pixels(flags.parse(sys.argv[1:] if argv is None else argv, datasets.dataset_names(), adopting))


def main(argv=None, began=None):
    """Run the program; returns its exit code. began: when it did, by time.monotonic (default: now)."""
    begin = partial(start, began=time.monotonic() if began is None else began)
    interrupted = 'interrupted; --resume auto continues a training from its last checkpoint'
    return run_program('train.py', begin, argv, interrupted, (*MISTAKES, RuntimeError), remedy)


def start(argv, began):
    """Parse, check, then train or evaluate; raises for a mistake."""
    notes: list[str] = []
    dry = DryRun()
    args = parse_args(argv, notes.append, dry)
    notes += flags.unread(args)
    hook = StopHook(args.on_stop) if args.on_stop and not args.eval else None
    if hook and not (args.dry_run or args.summary or args.lr_find):
        args = hook.started(args, notes.append)
    args, state = dry.load(load_state, args, notes.append) if args.dry_run else load_state(args, notes.append)
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        config.freeze()
        dry.attempt(check_names, args) if args.dry_run else check_names(args)
        notes += unread_by_network(args)
        if args.summary:
            return print_summary(args, notes)
        if args.eval:
            args = flags.with_values(args, result_dir=evaluation_directory(args, notes.append))
        with run_context(args, training=not args.eval) as run:
            run.started = began
            run.log(waiting.line(), shown=False)
            for note in notes:
                run.log(note)
            if args.dry_run:
                return dry.report(args, run, state)
            if args.eval:
                return evaluate(args, run, state)
            code = fit(args, run, state, hook)
            return testing.test_best(args, run) if args.test_after and code == 0 and not args.lr_find else code


def remedy(error):
    """The remedy to add to the message of an error that a person can mend; None for an error of the program."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or 'DefaultCPUAllocator' in text:
        return (
            '; needs less with --precision bf16; training: --grad_ckpt, a smaller --crop_size, or --bs_trn 1 with'
            ' --accumulate; evaluation: --bs_val 1, smaller or fewer --n_scales'
        )
    if isinstance(error, (ValueError, OSError)):
        return ''
    lost = 'WORLD_SIZE' in os.environ and any(
        word in text for word in ('Connection closed by peer', 'Connection reset by peer', 'gloo', 'NCCL')
    )
    return '; another process has ended, its message says why' if lost else None


def check_names(args):
    """Raise ValueError or FileNotFoundError for an unknown dataset or weight file, before anything is written."""
    datasets.get_classes(args.dataset)
    if args.freeze_trunk and args.trunk is None:
        raise ValueError(f'--freeze_trunk: {args.arch} has no trunk to freeze; leave the flag out')
    if not args.eval:
        BestMetric(args.best_metric)
    if not args.source:
        network.check_pretrained(args.pretrained, args.arch, args.trunk, args.assets_path)


def load_state(args, log):
    """(args, state): the checkpoint to resume or start from, None without one, and the flags with what it says of its
    network, the name of the trunk, and a precision that this machine has."""
    args = run_name.in_named_directory(args)
    state, source, snapshot = None, args.resume or args.snapshot, args.snapshot
    if args.resume == 'auto':
        found = CheckpointKeeper(args.result_dir).find_last(log)
        source, state = found or (snapshot, None)
        snapshot = None if found else snapshot
        log(f'continuing {source}' if found else f'--resume auto: no checkpoint in {args.result_dir}, starting anew')
    if source and state is None:
        source = weights_file(source, '--resume' if args.resume else '--snapshot')
        state = checkpoint.load(source)
    args = flags.with_values(args, source=source and str(source), snapshot=snapshot)
    args = recipe.apply(flags.adopt_network(args, state, log), state, log)
    args = testing.with_test_settings(args, state, log) if args.eval else args
    trunk = network.check_names(args.arch, args.trunk, args.n_scales)
    if state:
        args = flags.adopt_normalisation(args, network.normalisation(state, args.source), 'checkpoint', log)
        args = flags.adopt_value_range(args, network.value_range(state, args.source), log)
    else:
        own = network.own_normalisation(args.pretrained, trunk)
        args = flags.adopt_normalisation(args, own, f"trunk's {args.pretrained} weights", log)
    flags.check_normalisation(args)
    return flags.with_values(
        args,
        mean=spread(args.mean, args.in_channels),
        std=spread(args.std, args.in_channels),
        trunk=trunk,
        precision=precision.resolve(args.precision, 'cuda' if torch.cuda.is_available() else 'cpu', log),
    ), state


def print_summary(args, notes):
    """Print the notes, and what the network costs: a step of training, or with --eval an evaluation."""
    size = args.summary_size or (EVALUATION_SIZE if args.eval else args.crop_size)
    table = summary(
        args,
        len(datasets.get_classes(args.dataset)),
        size,
        args.bs_val if args.eval else args.bs_trn,
        training=not args.eval,
    )
    print(*notes, table, sep='\n')


def evaluate(args, run, state):
    """Score a split or a folder of images and write what was asked for. Returns the exit code."""
    dataset = get_dataset(args, run, SPLITS[args.eval])
    net = build_network(args, dataset, run, state)
    if state is None:
        run.log('--random_weights: these are the results of a network that nothing was loaded into')
    return evaluation.evaluate(args, run, net, dataset)


def fit(args, run, state, hook=None):
    """Train, validate, save; ends early, with everything saved, when asked to stop, of which the hook of a cluster is
    told. Returns the exit code."""
    qualities = training_qualities()
    sets = [*(get_dataset(args, run, 'train', quality) for quality in qualities), get_dataset(args, run, 'val')]
    if args.overfit:
        sets = same_images(sets, args.overfit, run.log)
    class_weights = read_class_weights(args.class_weights, sets[0].classes.names)
    verified = verified_dataset(args.class_weights)
    if verified not in (None, sets[0].name):
        run.log(
            f'--class_weights {args.class_weights}: holds the weights of {verified}, this training is on {sets[0].name}'
        )
    transform = build_train_transform(args, sets[0].ignore_label)
    transform = CropAlone(transform) if args.overfit else transform
    verify(args, run, sets)  # before the networks, which take longer
    teacher = build_teacher(args, sets[0].classes, run.device, run.log)
    net = build_network(args, sets[0], run, state, training=True)
    *train_sets, val_set = (with_cache(dataset, run) for dataset in sets)
    train_set = join(train_sets)
    loader = build_train_loader(args, run, train_set, transform, teacher)
    learner = build_learner(args, run, net, train_set, loader, class_weights, teacher)
    with StopSignal(run.log, hook.request if hook and run.is_main else None) as stop:
        kind = TimedTraining if args.minutes and not args.lr_find else OverfitTraining if args.overfit else Training
        training = kind(args, run, learner, train_set, val_set, stop)
        if state is None or args.snapshot:
            training.start(state)
        else:
            training.resume(state, loader)
        if args.lr_find:
            run.open()
            return lr_find.find(training, loader, run.directory)
        training.plan(loader)
        run.open()
        if args.dump_augmentation_images:
            dump_samples(run, loader.train_set)
        code = training.fit(loader)
        if code == STOPPED and hook and run.is_main:
            reason = stop.reason or 'a signal to another process'
            hook.stopped(training.keeper.last_files()[0], training.options.max_epoch, reason, run.log)
        return code


if __name__ == '__main__':
    sys.exit(main(began=BEGAN))
