"""The commands of ensemble.py on stored logits and on checkpoints: a function each, of the parsed flags, that returns
the exit code. They stand apart from ensemble.py because they import torch, which takes seconds: the flags are checked
before."""

from dataclasses import asdict
from pathlib import Path

import config
import datasets
import network
from aggregation.benchmarks.bravo_files import prefix_of
from aggregation.fusion import stored
from aggregation.fusion.fused_files import Outputs
from aggregation.fusion.fusing import FuseOptions
from aggregation.fusion.member_report import measure
from aggregation.fusion.member_report_page import write_report
from aggregation.fusion.members import Members, read_weights
from aggregation.fusion.pooling import wrong_kind
from aggregation.fusion.running import MemberFusion
from aggregation.fusion.store import check_stores, fault_lines
from aggregation.fusion.truths import Truths, by_stem
from aggregation.statistics import calibration
from datasets.loading.loader import eval_loader
from datasets.sampling.sets import EvalSet
from engine import machine
from engine.distributed import init_from_env
from engine.evaluation import all_faults
from engine.evaluator import Evaluator, not_finite_sentence
from network.averaging import EvalOptions
from transforms.normalize import Normalize
from transforms.pipeline import ValTransform
from utils.cli.wording import left_out_lines, listed
from utils.cores import loader_processes
from utils.files.atomic import sha256, write_json
from utils.files.run_directory import members as members_of
from utils.files.run_directory import weights_file
from utils.outputs.kinds import kind_of
from utils.settings import SETTINGS


def check(args):
    found = check_stores(args.folders, args.num_workers)
    print('\n'.join(fault_lines(found)))
    if args.json:
        plain = {folder: {**about, 'faults': list(map(asdict, about['faults']))} for folder, about in found.items()}
        write_json(args.json, plain)
    return int(any(about['faults'] for about in found.values()))


def open_members(args):
    return Members(args.folders, args.kind, read_weights(args.weights), args.allow_missing)


def fuse_options(args):
    """What is made of the members' pool, from the flags."""
    file = getattr(args, 'calibration', None)
    calibrator, about = calibration.load(file) if file else (None, {})
    if file:
        calibration.check_fit(file, about, args.fusion, args.score)
    scores = tuple(dict.fromkeys(getattr(args, 'write_scores', ())))
    return FuseOptions(args.fusion, args.score, scores, calibrator, getattr(args, 'change_labels', False))


def settings(args, options, members):
    """Everything that decides the values of a fusion; members: their descriptions."""
    values = {key: value for key, value in asdict(options).items() if key != 'calibrator'}
    return {**values, 'calibration': sha256(args.calibration) if args.calibration else None, 'members': members}


def fuse(args):
    members, options = open_members(args), fuse_options(args)
    members.need(options.needs_kinds, f'--fusion {args.fusion} with --score {args.score}')
    folders = [store.folder for store in members.stores]
    prefix = args.prefix if args.prefix is not None else prefix_of(folders, members.stems)
    if prefix.startswith('/') or '..' in prefix.split('/'):
        raise ValueError(f'--prefix {prefix}: leads out of --out {args.out}; give a relative path without ".."')
    inside = [folder for folder in folders if Path(args.out).resolve().is_relative_to(folder.resolve())]
    if inside:
        raise ValueError(f'--out {args.out}: lies in {inside[0]}, a folder of logits; give a folder of its own')
    made_with = {**settings(args, options, members.describe()), 'prefix': prefix}
    outputs = Outputs(args.out, options, made_with, prefix, args.overwrite, members.missing)
    faults = None if args.strict else []
    written, kept = stored.fuse_stored(members, options, outputs, args.num_workers, faults=faults)
    if members.missing:
        print(
            f'{len(members.missing)} images were fused from fewer members: {listed(members.missing)}; {outputs.record}'
            ' lists them'
        )
    print(
        f'{len(members)} members: {written} images fused{f", {kept} were there already" if kept else ""}; see'
        f' {outputs.folder}'
    )
    print_faults(faults, written + kept)
    return int(bool(faults))


@machine.told()
def run(args):
    """Fuse the members' outputs on the device as they are made; torchrun shares the images out to its processes."""
    options = fuse_options(args)
    paths, weights = checkpoints_in_order(args)
    if 'flip_kind' in args.given and not args.do_flip:
        print('--flip_kind has no effect without --do_flip')
    dist = init_from_env(False)
    try:
        with config.scope(**SETTINGS.as_cfg(vars(args))):
            dataset = datasets.get_dataset(
                args.dataset, 'folder' if args.eval_folder else args.split, eval_folder=args.eval_folder
            )
        stems = list(by_stem(dataset.items))
        nets = [load_member(path, args, dist) for path in paths]
        if {net.num_classes for net in nets} != {dataset.num_classes}:
            raise ValueError(
                f'{listed(paths)}: have {listed(net.num_classes for net in nets)} classes, dataset {dataset.name} has '
                f'{dataset.num_classes}; run members of one label set'
            )
        for kind in options.needs_kinds:
            others = [f'{path} ({kind_of(net)})' for path, net in zip(paths, nets) if kind_of(net) != kind]
            if others:
                raise ValueError(wrong_kind(f'--fusion {args.fusion} with --score {args.score}', kind, listed(others)))
        pre_size = seen_size(args, paths, nets, dist)
        normalize = shared_normalization(paths, nets).to(dist.device)
        take_pixels(dataset, paths, nets)
        members = [
            {'checkpoint': path, 'weights_sha256': sha256(path), 'weight': weight}
            for path, weight in zip(paths, weights)
        ]
        how = {'n_scales': args.n_scales, 'do_flip': args.do_flip, 'precision': args.precision, 'dataset': dataset.name}
        if args.do_flip and args.flip_kind != 'h':
            how['flip_kind'] = args.flip_kind
        if args.crop_eval:
            how |= {'crop_eval': args.crop_eval, 'crop_overlap': args.crop_overlap}
        if pre_size:
            how['pre_size'] = pre_size
        # rank 0 removes what is overwritten; an --out that is refused is so on every rank
        with dist.main_first():
            outputs = Outputs(
                args.out,
                options,
                {**settings(args, options, members), **how},
                overwrite=args.overwrite and dist.is_main,
            )
        faults = None if args.strict else []
        workers = loader_processes(most=2) if args.num_workers is None else args.num_workers
        images = EvalSet(dataset, ValTransform(dataset.ignore_label, pre_size))
        loader = eval_loader(images, 1, workers, dist.world, dist.rank, faults)
        evaluation = EvalOptions(
            flip=args.do_flip,
            flip_kind=args.flip_kind,
            precision=args.precision,
            tile=args.crop_eval,
            overlap=args.crop_overlap,
        )
        fusion = MemberFusion(paths, weights, options, outputs)
        evaluator = Evaluator(nets, normalize, dist, evaluation)
        images, _ = evaluator.run(loader, [fusion], 'run', 'images')
        faults = all_faults(dist, faults or [], images)
        if evaluator.not_finite:
            lost = [f'{name} of {paths[member]}' for name, member in evaluator.not_finite]
            raise ValueError(
                f'{not_finite_sentence(lost, images)}; these images are not fused, the others are in {outputs.folder};'
                ' give --precision fp32, or leave the member out'
            )
        if dist.is_main:
            done = {'members': members, 'class_names': list(dataset.classes.names)}
            outputs.finish([stem for stem in stems if outputs.done(stem)], done, faults)
            print(f'{len(nets)} members: {images} images; see {outputs.folder}')
            print_faults(faults, images)
        return int(bool(faults))
    finally:
        dist.shutdown()


def print_faults(faults, images):
    for line in left_out_lines(faults, images):
        print(line)


def checkpoints_in_order(args) -> tuple[list[str], list]:
    """The paths, sorted, and their weights: sums come out the same whatever order they are given in."""
    paths = [member for path in args.checkpoints for member in members_of(path)]
    weights = read_weights(args.weights) or [1.0] * len(paths)
    if len(weights) != len(paths):
        raise ValueError(
            f'--weights: {len(weights)} weights for {len(paths)} checkpoints; give one for each, in the same order'
        )
    rows = sorted(zip(map(weights_file, paths), weights), key=lambda row: row[0])
    return [path for path, _ in rows], [weight for _, weight in rows]


def load_member(path, args, dist):
    """The network of a checkpoint on this process's device; --n_scales are for those that have scales."""
    log = print if dist.is_main else lambda line: None
    return network.load(path, args.n_scales or (), dist.device, log=log, strict_scales=False)


def take_pixels(dataset, paths, nets):
    """Have the images read with the channels and the range of values that the members were trained with; ValueError
    where they differ, or the file of --data_yaml says otherwise."""
    kinds = {(net.in_channels, net.trained_on.value_range): path for path, net in zip(paths, nets)}
    found = (dataset.channels, dataset.value_range)
    if len(kinds) > 1 or found not in {*kinds, (3, None)}:
        said = '; '.join(
            f'{path} takes {channels} channels, values {limits}' for (channels, limits), path in kinds.items()
        )
        raise ValueError(
            f'{said}; dataset {dataset.name} has {found[0]} channels, values {found[1]}; run members and images of one'
            ' kind'
        )
    dataset.channels, dataset.value_range = next(iter(kinds))


def seen_size(args, paths, nets, dist) -> int | None:
    """The long edge that images are resized to before the networks see them: --pre_size, else what the members were
    tested with; None for no resizing. Raises ValueError where they differ."""
    if args.pre_size:
        return args.pre_size
    tested = [net.trained_on.test_settings for net in nets]
    sizes = {None if one.get('crop_val') else one.get('pre_size'): path for one, path in zip(tested, paths)}
    if len(sizes) > 1:
        told = ' and '.join(f'{path} with {size or "no --pre_size"}' for size, path in sizes.items())
        raise ValueError(f'the members were tested at different sizes ({told}); give --pre_size, or dump each and fuse')
    (size,) = sizes
    if size and dist.is_main:
        print(f'--pre_size {size}: as the members were tested')
    return size


def shared_normalization(paths, nets) -> Normalize:
    """Normalisation by the mean and std that all members were trained with; ValueError where they differ."""
    kinds = {(tuple(net.trained_on.mean), tuple(net.trained_on.std)): path for path, net in zip(paths, nets)}
    if len(kinds) > 1:
        raise ValueError(
            f'{" and ".join(list(kinds.values())[:2])}: were trained on images of another mean and std; dump the logits'
            ' of each with train.py --dump_logits and fuse these'
        )
    return Normalize(*next(iter(kinds)), channels_last=True)


def labels_of(args, members) -> Truths:
    """The labels of the split that the flags name, by default of the dataset that the manifests name."""
    name = args.dataset or members.dataset
    if not name:
        raise ValueError('the folders have no manifest that names a dataset; give --dataset')
    return Truths(datasets.get_dataset(name, args.split))


def calibrate(args):
    members, options = open_members(args), fuse_options(args)
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        truths = labels_of(args, members)
        faults = None if args.strict else []
        calibrator, about = stored.calibrate_stored(
            members, options, truths, args.method, args.num_workers, faults=faults
        )
    calibration.save(args.out, calibrator, {**about, 'dataset': truths.dataset.name, 'split': args.split})
    before, after = about['before'], about['after']
    print(
        f'{args.method} on {about["images"]} images: ECE {before["ece"]:.4f} -> {after["ece"]:.4f}, NLL'
        f' {before["nll"]:.4f} -> {after["nll"]:.4f}; written to {args.out}'
    )
    print_faults(faults, about['images'])
    return int(bool(faults))


def report(args):
    members, options = open_members(args), fuse_options(args)
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        faults = None if args.strict else []
        found = measure(members, options, labels_of(args, members), args.worst, args.num_workers, faults=faults)
        page = write_report(found, Path(args.out))
    print(f'see {page}')
    print_faults(faults, found.ensemble.images)
    return int(bool(faults))
