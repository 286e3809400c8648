"""What a run of train.py consists of, each built from the program's flags: data, network, loaders, evaluator,
writers."""

from dataclasses import replace

import torch
from torch.nn.parallel import DistributedDataParallel

import datasets
import network
from config import cfg
from engine import syncbn
from engine.evaluator import EvalOptions, Evaluator
from engine.trainer import TrainOptions
from network.checkpointing import checkpoint_stages
from transforms import build_val_transform
from transforms.normalize import Normalize
from utils import checkpoint
from utils.outputs.dumper import Dumper, DumpOptions
from utils.outputs.logits import Storage
from utils.outputs.names import check_names as check_outputs


def get_dataset(args, run, split, quality='fine'):
    """The data set of the flags; says what it leaves out."""
    dataset = datasets.get_dataset(args.dataset, split, quality=quality, eval_folder=args.eval_folder)
    for note in dataset.notes:
        run.log(note)
    return without_results(dataset, run) if split == 'folder' else dataset


def verify(args, run, sets):
    """Look at the files before the first training on them. Raises ValueError, in every process, when they cannot be
    trained on."""
    if args.skip_verify:
        run.log('--skip_verify: the files are not looked at before the training')
        return
    fault = None
    if run.is_main:
        try:
            datasets.check_before_training(sets, args.assets_path, run.log)
        except (ValueError, OSError) as error:
            fault = str(error)
    fault = run.dist.broadcast_object(fault)
    if fault is not None:
        raise ValueError(fault)


def with_cache(dataset, run):
    """The data set read from --cache_dir, which is filled first; unchanged without the flag."""
    return datasets.with_cache(dataset, is_main=run.is_main, barrier=run.dist.barrier, log=run.log)


def without_results(dataset, run):
    """A folder of images without what this program has written below it before."""
    results, folder = run.directory.resolve(), datasets.on_disk(dataset.root).resolve()
    if folder in results.parents:
        own = {item for item in dataset.items if results in item.image.resolve().parents}
        dataset.items = [item for item in dataset.items if item not in own]
        run.log(f'{len(own)} images below --result_dir {run.directory} are left out')
    return dataset


def build_network(args, dataset, run, state, training=False):
    """The network with the weights of `state` on this run's device, ready to be wrapped."""
    net = network.get_net(
        args.arch,
        dataset.num_classes,
        trunk=args.trunk,
        n_scales=args.n_scales,
        align_corners=args.align_corners,
        pretrained=None if state else args.pretrained,
    )
    if state:
        averaged = (
            None if training and (not args.snapshot or args.restore_optimizer) else checkpoint.averaged_weights(state)
        )
        restored = checkpoint.restore_weights(
            net,
            averaged or state['state_dict'],
            source=args.source,
            source_arch=state.get('arch'),
            head_keys=network.head_keys(net),
            allow_class_mismatch=args.allow_class_mismatch,
            partial=args.snapshot_partial,
            allow_missing_prefixes=('scale_attn.',) if training else (),
        )
        run.log(str(restored))
        tell_other_classes(args, run, state.get('class_names'), dataset)
    if net.pretrained_report:
        run.log(str(net.pretrained_report))
    name = f'{args.arch} on {net.trunk_name}' if net.trunk_name else args.arch
    run.log(f'{name}: {sum(parameter.numel() for parameter in net.parameters()) / 1e6:0.1f} M parameters')
    if args.freeze_trunk:
        net.freeze_trunk()
    net = net.to(run.device, memory_format=torch.channels_last)
    if args.grad_ckpt and training:
        run.log(f'--grad_ckpt: {checkpoint_stages(net)} stages are computed again in the backward pass')
    if args.syncbn and training and run.dist.world > 1:
        net = syncbn.convert(net, run.device)
    elif args.syncbn and training:
        run.log('--syncbn: one process has the statistics of its own batch, nothing to synchronise')
    if args.compile:
        net.compile()
    return net


def tell_other_classes(args, run, before, dataset):
    """Say when the classes of a checkpoint have other names, in which case their order may differ too."""
    other = [(then, now) for then, now in zip(before or (), dataset.class_names) if then != now]
    if other and len(before) == dataset.num_classes:
        run.log(
            f'{args.source}: was trained on other class names, {len(other)} of {len(before)} differ, {other[0][0]!r}'
            f' there is {other[0][1]!r} in dataset {dataset.name}; if these are other classes, or in another order,'
            ' scores and labels mean nothing'
        )


def wrap(args, run, net):
    """net inside DistributedDataParallel when there are several processes, else itself."""
    if run.dist.world == 1:
        return net
    return DistributedDataParallel(net, device_ids=[run.device.index] if run.device.type == 'cuda' else None)


def build_train_loader(args, run, dataset, transform):
    """Batches of augmented crops, drawn class-uniformly, in the same order whatever the number of workers."""
    transform.check_crop(dataset.sizes())
    train_set = datasets.TrainSet(
        dataset, transform, args.seed, is_main=run.is_main, barrier=run.dist.barrier, log=run.log
    )
    if args.dump_augmentation_images and run.is_main:
        paths = datasets.dump_augmented(train_set, run.directory / 'augmented', 50)
        run.log(f'{len(paths)} training samples written to {paths[0].parent}')
    return datasets.train_loader(train_set, args.bs_trn, args.num_workers, run.dist.world, run.dist.rank, args.seed)


def build_eval_loader(args, run, dataset):
    """Whole images of this rank in order; a folder's images are never resized."""
    transform = None if args.eval == 'folder' else build_val_transform(args, dataset.ignore_label)
    workers = args.num_workers if args.num_workers < 2 else args.num_workers // 2
    return datasets.eval_loader(
        datasets.EvalSet(dataset, transform), args.bs_val, workers, run.dist.world, run.dist.rank
    )


def build_evaluator(args, run, net, dataset, metrics=True, interrupt=lambda: None):
    """The evaluator that the flags describe."""
    scales = (args.default_scale, *(args.extra_scales if args.multi_scale_inference else ()))
    options = EvalOptions(
        scales=scales,
        flip=args.do_flip,
        align_corners=args.align_corners,
        precision=args.precision,
        metrics=metrics,
        max_batches=7 if args.test_mode else None,
    )
    return Evaluator(net, build_normalize(run), run.dist, options, dataset.num_classes, run.log, interrupt)


def build_normalize(run):
    return Normalize(cfg.DATASET.MEAN, cfg.DATASET.STD, channels_last=True).to(run.device)


def build_dumper(args, run, dataset, **changes):
    """The writer of everything that the flags ask for, and of the pictures of about ten images."""
    options = DumpOptions(
        dump_logits=args.dump_logits,
        dump_for_submission=args.dump_for_submission,
        dump_for_auto_labelling=args.dump_for_auto_labelling,
        dump_assets=args.dump_assets,
        dump_all_images=args.dump_all_images,
        overwrite=args.overwrite or not args.eval,
        storage=Storage(args.logits_format, args.logits_dtype, args.logits_stride),
    )
    options = replace(options, **changes)
    check_outputs(
        [item.name for item in dataset.items],
        options.outputs(),
        run.directory,
        inputs={datasets.on_disk(path) for item in dataset.items for path in (item.image, item.label) if path},
    )
    return Dumper(options, run.directory, dataset, len(dataset.items), run.dist.rank, run.log)


def train_options(args):
    """The flags that the training loop reads."""
    return TrainOptions(
        max_epoch=args.max_epoch,
        precision=args.precision,
        accumulate=args.accumulate,
        clip_grad=args.clip_grad,
        max_skipped_steps=args.max_skipped_steps,
        log_freq=args.log_freq,
        schedule_per_step=args.lr_step == 'iter',
        save_minutes=args.save_minutes,
        max_batches=11 if args.test_mode else None,
    )
