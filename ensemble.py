"""Turn the outputs of several models into labels, confidences, scores, benchmark results and submissions.

    fuse     python ensemble.py fuse runs/a/logits runs/b/logits --out fused
    run      python ensemble.py run a.pth b.pth --dataset cityscapes --out fused    (many GPUs: torchrun ... run ...)
    score    python ensemble.py eval bravo --gt gt.tar --submission sub.tar --json scores.json
    submit   python ensemble.py submit bravo fused sub.tar --samples bravo_SAMPLING.tar

`ensemble.py` alone lists every command. Exit code 0: done; 1: `check` found faults; 2: a mistake in flags or files,
told in one line.
"""

import inspect
import sys
from dataclasses import asdict
from pathlib import Path

import torch

import config
import datasets
import network
from aggregation import flags
from aggregation.benchmarks import (
    bravo,
    bravo_submission,
    cityscapes,
    cityscapes_submission,
    ood,
    pages,
    smiyc_submission,
    tables,
)
from aggregation.fusion import stored
from aggregation.fusion.fusing import FuseOptions, finish
from aggregation.fusion.kinds import LOGITS
from aggregation.fusion.members import Members
from aggregation.fusion.outputs import Outputs
from aggregation.fusion.pool import Pool
from aggregation.fusion.truths import Truths, by_stem, stem_of
from aggregation.statistics import calibration, difference
from aggregation.statistics.report import measure
from aggregation.statistics.report_page import write_report
from config import cfg
from datasets.collection.cityscapes_labels import LABELS, TRAINID_TO_ID
from engine.distributed import init_from_env
from engine.evaluator import EvalOptions, average_logits
from network import commandline
from transforms.normalize import Normalize
from utils import checkpoint
from utils.cli.progress import progress
from utils.cli.wording import listed
from utils.files.atomic import sha256, write_json
from utils.outputs.writers import WriterPool
from utils.settings import SETTINGS


def main(argv=None):
    """Run one command; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        command, rest = split_command(argv)
        if command is None:
            print(overview())
            return 0
        args = flags.parse(command, rest)
        return RUN[command](args) or 0
    except KeyboardInterrupt:
        print('ensemble.py: interrupted; the same command goes on where it stopped', file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if '--debug' in argv:
            raise
        print(f'ensemble.py: error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2


def split_command(argv):
    """(command, its flags): commands have one or two words; (None, []) when there is nothing but a call for help."""
    if not argv or argv[0] in ('-h', '--help'):
        return None, []
    for words in (2, 1):
        command = ' '.join(argv[:words])
        if command in flags.COMMANDS:
            return command, argv[words:]
    among = [command for command in flags.COMMANDS if command.startswith(argv[0])] or list(flags.COMMANDS)
    raise ValueError(f'there is no command {" ".join(argv[:2])!r}, choose one of {", ".join(among)}')


def overview():
    """The help text: every command in one line."""
    lines = [f'  {command:18} {meaning}' for command, meaning in flags.COMMANDS.items()]
    return '\n'.join(['usage: ensemble.py COMMAND ...   (ensemble.py COMMAND --help tells its flags)', '', *lines])


def check(args):
    found = stored.check_stores(args.folders, args.num_workers)
    print('\n'.join(stored.fault_lines(found)))
    if args.json:
        write_json(
            args.json,
            {
                folder: {**result, 'faults': [asdict(fault) for fault in result['faults']]}
                for folder, result in found.items()
            },
        )
    return int(any(result['faults'] for result in found.values()))


def open_members(args):
    return Members(args.folders, args.kind, stored.read_weights(args.weights), args.allow_missing)


def fuse_options(args):
    """What is made of the members' pool, from the flags."""
    file = getattr(args, 'calibration', None)
    calibrator, about = calibration.load(file) if file else (None, {})
    if file:
        calibration.check_fit(file, about, args.fusion, args.score)
    scores = tuple(dict.fromkeys(getattr(args, 'write_scores', ())))
    return FuseOptions(args.fusion, args.score, scores, calibrator, getattr(args, 'change_labels', False))


def settings(args, options, members):
    """Everything that decides the values of a fusion, to tell results of other settings apart. members: their
    descriptions."""
    values = {key: value for key, value in asdict(options).items() if key != 'calibrator'}
    return {**values, 'calibration': sha256(args.calibration) if args.calibration else None, 'members': members}


def fuse(args):
    members, options = open_members(args), fuse_options(args)
    if options.needs_logits:
        members.need_logits(f'--fusion {args.fusion} with --score {args.score}')
    prefix = args.prefix if args.prefix is not None else stored.benchmark_prefix(members)
    if prefix.startswith('/') or '..' in prefix.split('/'):
        raise ValueError(f'--prefix {prefix}: leads out of --out {args.out}; give a relative path without ".."')
    inside = [
        store.folder for store in members.stores if Path(args.out).resolve().is_relative_to(store.folder.resolve())
    ]
    if inside:
        raise ValueError(f'--out {args.out}: lies in {inside[0]}, a folder of logits; give a folder of its own')
    outputs = Outputs(
        args.out,
        options,
        {**settings(args, options, stored.describe(members)), 'prefix': prefix},
        prefix,
        args.overwrite,
        members.missing,
    )
    written, kept = stored.fuse_stored(members, options, outputs, args.num_workers)
    if members.missing:
        print(
            f'{len(members.missing)} images were fused from fewer members: {listed(members.missing)}; {outputs.record}'
            ' lists them'
        )
    print(
        f'{len(members)} members: {written} images fused{f", {kept} were there already" if kept else ""}; see'
        f' {outputs.folder}'
    )


def run(args):
    """Fuse the members' outputs on the device as they are made; under torchrun every process takes its share of the
    images."""
    options = fuse_options(args)
    paths, weights = checkpoints_in_order(args)
    dist = init_from_env(False)
    try:
        with config.scope(**SETTINGS.as_cfg(vars(args))):
            dataset = datasets.get_dataset(
                args.dataset, 'folder' if args.eval_folder else args.split, eval_folder=args.eval_folder
            )
            normalize = Normalize(cfg.DATASET.MEAN, cfg.DATASET.STD, channels_last=True).to(dist.device)
        stems = list(by_stem(dataset.items))
        nets = [load_member(path, args, dist) for path in paths]
        if {net.num_classes for net in nets} != {dataset.num_classes}:
            raise ValueError(
                f'{listed(paths)}: have {listed(net.num_classes for net in nets)} classes, dataset {dataset.name} has '
                f'{dataset.num_classes}; run members of one label set'
            )
        members = [
            {'checkpoint': path, 'weights_sha256': sha256(path), 'weight': weight}
            for path, weight in zip(paths, weights)
        ]
        how = {'n_scales': args.n_scales, 'do_flip': args.do_flip, 'precision': args.precision, 'dataset': dataset.name}
        # rank 0 removes what is overwritten; an --out that is refused is so on every rank
        with dist.main_first():
            outputs = Outputs(
                args.out,
                options,
                {**settings(args, options, members), **how},
                overwrite=args.overwrite and dist.is_main,
            )
        loader = datasets.eval_loader(datasets.EvalSet(dataset), 1, args.num_workers, dist.world, dist.rank)
        run_images(
            nets,
            paths,
            weights,
            loader,
            normalize,
            options,
            outputs,
            EvalOptions(flip=args.do_flip, precision=args.precision),
            dist.device,
        )
        dist.barrier()
        if dist.is_main:
            outputs.finish(stems, {'members': members, 'class_names': list(dataset.class_names)})
            print(f'{len(nets)} members: {len(stems)} images; see {outputs.folder}')
    finally:
        dist.shutdown()


def checkpoints_in_order(args) -> tuple[list[str], list]:
    """The paths, sorted, and their weights: sums come out the same whatever order they are given in."""
    weights = stored.read_weights(args.weights) or [1.0] * len(args.checkpoints)
    if len(weights) != len(args.checkpoints):
        raise ValueError(
            f'--weights: {len(weights)} weights for {len(args.checkpoints)} checkpoints; give one for each, in the same'
            ' order'
        )
    rows = sorted(zip(args.checkpoints, weights), key=lambda row: row[0])
    return [path for path, _ in rows], [weight for _, weight in rows]


def load_member(path, args, dist):
    """The network of a checkpoint in eval mode on this process's device, with `num_classes`; scales are for those that
    have them."""
    program, state = commandline.parse(
        commandline.make_parser('ensemble', ''), ['--snapshot', str(path)], log=lambda line: None
    )
    hierarchical = 'n_scales' in inspect.signature(network.ARCHS[program.arch]).parameters
    with config.scope(**SETTINGS.as_cfg(vars(program))):
        net = network.get_net(
            program.arch,
            program.num_classes,
            trunk=program.trunk,
            n_scales=args.n_scales if hierarchical else None,
            align_corners=program.align_corners,
        )
    weights = checkpoint.averaged_weights(state) or state['state_dict']
    loaded = checkpoint.restore_weights(
        net, weights, source=str(path), source_arch=state.get('arch'), head_keys=network.head_keys(net)
    )
    if dist.is_main:
        print(loaded)
    net.keep_scales, net.num_classes = False, program.num_classes
    return net.to(dist.device, memory_format=torch.channels_last).eval()


@torch.inference_mode()
def run_images(nets, paths, weights, loader, normalize, options, outputs, evaluation, device):
    """Write the results of every image of `loader` that has none yet. Raises ValueError naming the checkpoint whose
    logits are not finite."""
    weights = [torch.tensor(weight) if isinstance(weight, list) else weight for weight in weights]
    with WriterPool() as writers:
        for batch in progress(loader, total=len(loader), desc='run'):
            stem = stem_of(batch['name'][0])
            if outputs.done(stem):
                continue
            images, pool = normalize(batch['image'].to(device, non_blocking=True)), None
            for net, path, weight in zip(nets, paths, weights):
                logits = average_logits(net, images, evaluation)[0][0]
                if not all(torch.isfinite(extreme) for extreme in logits.aminmax()):
                    raise ValueError(
                        f'{path}: its logits of {batch["name"][0]} hold nan or infinity; run it with --precision fp32,'
                        ' or leave it out'
                    )
                pool = pool or Pool(options.needs, len(logits), tuple(logits.shape[1:]), device)
                pool.add(logits, LOGITS, weight)
            writers.submit(outputs.write, stem, finish(pool, options, len(nets)))


def labels_of(args, members) -> Truths:
    """The labels of the split that the flags name, of the manifests' data set where they name none."""
    name = args.dataset or members.dataset
    if not name:
        raise ValueError('the folders have no manifest that names a dataset; give --dataset')
    return Truths(datasets.get_dataset(name, args.split))


def calibrate(args):
    members, options = open_members(args), fuse_options(args)
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        truths = labels_of(args, members)
        calibrator, about = stored.calibrate_stored(members, options, truths, args.method, args.num_workers)
    calibration.save(args.out, calibrator, {**about, 'dataset': truths.dataset.name, 'split': args.split})
    before, after = about['before'], about['after']
    print(
        f'{args.method} on {about["images"]} images: ECE {before["ece"]:.4f} -> {after["ece"]:.4f}, NLL'
        f' {before["nll"]:.4f} -> {after["nll"]:.4f}; written to {args.out}'
    )


def report(args):
    members, options = open_members(args), fuse_options(args)
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        page = write_report(
            measure(members, options, labels_of(args, members), args.worst, args.num_workers), Path(args.out)
        )
    print(f'see {page}')


def eval_bravo(args):
    result = bravo.evaluate(args.gt, args.submission, args.samples, args.bootstrap, args.num_workers)
    finish_eval(args, result, tables.bravo_lines(result), pages.bravo_page)


def eval_cityscapes(args):
    result = cityscapes.evaluate(args.gt, args.pred, LABELS, args.bootstrap, args.num_workers)
    finish_eval(args, result, tables.cityscapes_lines(result), pages.cityscapes_page)


def eval_ood(args):
    result = ood.evaluate(args.gt, args.scores, args.score, args.track, args.exact, args.bootstrap, args.num_workers)
    finish_eval(args, result, tables.ood_lines(result), pages.ood_page)


def finish_eval(args, result, lines, page):
    """Print what was found, and write it where the flags say."""
    print('\n'.join([*lines, *(f'note: {note}' for note in result['notes'])]))
    if args.json:
        write_json(args.json, {**result['scores'], **{key: result[key] for key in ('intervals',) if key in result}})
    if args.page:
        page(Path(args.page), result)


def submit_bravo(args):
    written(bravo_submission.submit(args.predictions, args.out, args.samples, args.allow_missing, args.images))


def submit_cityscapes(args):
    table = TRAINID_TO_ID if args.ids == 'train' else None
    written(cityscapes_submission.submit(args.predictions, args.out, table, args.size, args.images, args.allow_missing))


def submit_smiyc(args):
    written(
        smiyc_submission.submit(
            args.predictions,
            args.out,
            args.method,
            args.track_dataset,
            args.score,
            args.format,
            args.images,
            args.allow_missing,
        )
    )


def written(result):
    print(
        '\n'.join(
            [
                *(f'note: {note}' for note in result.notes),
                f'{result.path}: {result.images} images, written and read back',
            ]
        )
    )


def diff(args):
    found = difference.compare(args.first, args.second)
    print('\n'.join(difference.lines(found, args.first, args.second)))
    if args.json:
        write_json(args.json, found)


RUN = {
    'check': check,
    'fuse': fuse,
    'run': run,
    'calibrate': calibrate,
    'report': report,
    'eval bravo': eval_bravo,
    'eval cityscapes': eval_cityscapes,
    'eval ood': eval_ood,
    'submit bravo': submit_bravo,
    'submit cityscapes': submit_cityscapes,
    'submit smiyc': submit_smiyc,
    'diff': diff,
}

if __name__ == '__main__':
    sys.exit(main())
