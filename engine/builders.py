"""Builders of the parts of a run from the flags: data, network, loaders, what is trained, evaluator, sinks."""

from argparse import Namespace
from functools import partial
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

import datasets
from config import cfg
from datasets.browse.samples import dump_augmented
from datasets.loading.cache import with_cache as read_from_cache
from datasets.loading.loader import eval_loader, train_loader
from datasets.sampling.sets import EvalSet, TrainSet
from datasets.verify.quick import check_before_training
from engine import machine, precision, syncbn
from engine.evaluator import Evaluator
from engine.stored_teacher import cut
from engine.trainer import Learner, TrainOptions, ema_of
from loss import build_criterion
from loss.optimizer import get_optimizer, get_scheduler
from network import loading
from network.averaging import EvalOptions
from network.checkpointing import checkpoint_stages
from transforms import build_mixing, build_val_transform
from transforms.deferred import augment
from transforms.normalize import Normalize
from utils.cli.wording import listed
from utils.files.archives import on_disk
from utils.outputs.dumper import Dumper
from utils.outputs.dumps import DumpOptions, check_outputs, claim
from utils.outputs.gallery import Gallery
from utils.outputs.kinds import LOGITS, MASK_SCORES
from utils.outputs.logits import Storage
from utils.outputs.writers import WriterPool
from utils.settings import SETTINGS


def get_dataset(args, run, split, quality='fine'):
    """The dataset of the flags; logs what it leaves out."""
    dataset = datasets.get_dataset(args.dataset, split, quality=quality, eval_folder=args.eval_folder)
    for note in dataset.notes:
        run.log(note)
    return without_results(dataset, run) if split == 'folder' else dataset


def verify(args, run, sets):
    """Look at the files before the first training on them; ValueError, in every process, when they do not train."""
    if args.skip_verify:
        run.log('--skip_verify: the files are not looked at before the training')
        return
    fault = None
    if run.is_main:
        try:
            check_before_training(sets, args.assets_path, run.log)
        except (ValueError, OSError) as error:
            fault = str(error)
    fault = run.dist.broadcast_object(fault)
    if fault is not None:
        raise ValueError(fault)


def with_cache(dataset, run):
    """The dataset read from --cache_dir, which is filled first; unchanged without the flag."""
    return read_from_cache(dataset, is_main=run.is_main, barrier=run.dist.barrier, log=run.log)


def without_results(dataset, run):
    """A folder of images without what this program has written below it before."""
    results, folder = run.directory.resolve(), on_disk(dataset.root).resolve()
    if folder in results.parents:
        own = {item for item in dataset.items if results in item.image.resolve().parents}
        dataset.items = [item for item in dataset.items if item not in own]
        run.log(f'{len(own)} images below --result_dir {run.directory} are left out')
    return dataset


def build_network(args, dataset, run, state, training=False):
    """The network on this run's device, ready to be wrapped.

    Args:
        dataset: which says the number of classes.
        state: of the checkpoint whose weights it takes; None: those of --pretrained.
        training: whether it is trained, not only evaluated.
    """
    net = loading.build(vars(args), dataset.num_classes, None if state else args.pretrained)
    if net.in_channels != 3 and net.pretrained_report:
        run.log(f'--in_channels {net.in_channels}: {carried_over(net.in_channels)}')
    if state:
        check_channels(args, run, loading.stored_channels(state), training)
        restored = loading.fill(
            net,
            state,
            args.source,
            averaged=not training or bool(args.snapshot and not args.restore_optimizer),
            allow_class_mismatch=args.allow_class_mismatch,
            partial=args.snapshot_partial,
            allow_missing_prefixes=('scale_attn.',) if training else (),
            class_remedy='' if training else classes_of(args, state),
        )
        run.log(str(restored))
        tell_other_classes(args, run, state.get('class_names'), dataset)
        if args.finetune_from and restored.mismatched:
            tell_new_layers(args, run, restored, state, dataset)
    if net.pretrained_report:
        run.log(str(net.pretrained_report))
    name = f'{args.arch} on {net.trunk_name}' if net.trunk_name else args.arch
    run.log(f'{name}: {sum(parameter.numel() for parameter in net.parameters()) / 1e6:0.1f} M parameters')
    if training and not args.full_crop_training:
        tell_filling(args.crop_size, net, run)
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
        lacking = machine.compiler_lacks(run.device)
        if lacking:
            run.log(f'--compile: {lacking}, so the network runs uncompiled: the same results, slower; install one')
        else:
            net.compile()
    return net


def tell_filling(crop_size, net, run):
    """Say that crops are filled up, where their sides are no multiples of what the trunk divides by."""
    for trunk in net.trunk_parts().values():
        unit = getattr(trunk, 'unit', 1)
        filled = [-(-side // unit) * unit for side in crop_size]
        if filled != list(crop_size):
            height, width = crop_size
            run.log(
                f'--crop_size {height},{width}: {net.trunk_name} takes multiples of {unit}, so crops are filled up to'
                f' {filled[0]}x{filled[1]} pixels inside it, and its maps are cut back'
            )


def carried_over(channels) -> str:
    how = 'are summed' if channels == 1 else f'are repeated in turn, times 3/{channels}'
    return f'the first weights for red, green and blue {how}'


def check_channels(args, run, stored, training):
    """Raise ValueError where a checkpoint is of images of `stored` channels, and those are none that can be taken
    over: RGB, for a training."""
    if stored == args.in_channels:
        return
    if training and stored == 3:
        run.log(f'{args.source}: is of RGB images; {carried_over(args.in_channels)}')
        return
    raise ValueError(
        f'{args.source}: is of images of {stored} channels, these have {args.in_channels}; give images of as'
        ' many, with --in_channels or channels in the file of --data_yaml'
    )


def classes_of(args, state) -> str:
    """What to do about an evaluation whose classes, those of --dataset, are not those of the checkpoint `state`."""
    name, file = state.get('dataset'), state.get('data_yaml')
    flags = '--dataset custom --data_yaml FILE' if file or not name else f'--dataset {name}'
    what = 'a file that describes them' if not name else f'the file that describes {name}' if file else ''
    predict = f'; python predict.py {args.eval_folder} --weights {args.source} takes them from it'
    return (
        f'the classes come from --dataset {args.dataset}; give those of the checkpoint: {flags}'
        f'{what and f", {what}"}{predict if args.eval == "folder" and state.get("network") else ""}'
    )


def describe_network(args, net, dataset):
    """What a checkpoint says of the network that is trained on `dataset` (network.description)."""
    return loading.description(
        net,
        dataset.classes,
        dataset=dataset.name,
        mean=cfg.DATASET.MEAN,
        std=cfg.DATASET.STD,
        n_scales=args.n_scales,
        data_yaml=Path(args.data_yaml).read_text(encoding='utf-8') if args.data_yaml else None,
        test_settings=SETTINGS.test_entry(args),
        value_range=cfg.DATASET.VALUE_RANGE,
    )


def tell_other_classes(args, run, before, dataset):
    """Say when the classes of a checkpoint have other names, in which case their order may differ too."""
    other = [(then, now) for then, now in zip(before or (), dataset.classes.names) if then != now]
    if other and len(before) == dataset.num_classes:
        run.log(
            f'{args.source}: was trained on other class names, {len(other)} of {len(before)} differ, {other[0][0]!r}'
            f' there is {other[0][1]!r} in dataset {dataset.name}; if these are other classes, or in another order,'
            ' scores and labels mean nothing'
        )


def tell_new_layers(args, run, restored, state, dataset):
    """Say which layers --finetune_from leaves at random values because they are those of other classes."""
    names = [name for name, _, _ in restored.mismatched]
    run.log(
        f'--finetune_from {args.finetune_from}: is of {state.get("num_classes") or "other"} classes, dataset'
        f' {dataset.name} has {dataset.num_classes}; {len(names)} tensors of the class layers start anew:'
        f' {listed(names, len(names))}; all others keep what they learned'
    )


def wrap(args, run, net, weights=None):
    """net inside DistributedDataParallel when there are several processes, else itself; weights: of its outputs in the
    loss (default: all count)."""
    if run.dist.world == 1:
        return net
    # A gradient that never comes would be waited for; those parameters keep None, as in one process.
    idle = idle_parameters(args, net.num_classes, weights) if weights else set()
    left_out = [parameter for name, parameter in net.named_parameters() if name in idle and parameter.requires_grad]
    for parameter in left_out:
        parameter.requires_grad_(False)
    wrapped = DistributedDataParallel(net, device_ids=[run.device.index] if run.device.type == 'cuda' else None)
    for parameter in left_out:
        parameter.requires_grad_(True)
    return wrapped


def idle_parameters(args, num_classes, weights) -> set:
    """The names of the parameters that get no gradient: no output with a weight in the loss above 0 depends on them."""
    with torch.random.fork_rng(devices=()), torch.device('meta'):
        net = loading.build(vars(args), num_classes).train()
        outputs = net(torch.empty(2, args.in_channels, *args.crop_size))
    loss = sum(outputs[name].mean() for name, weight in zip(net.output_names, weights) if weight)
    names, parameters = zip(*net.named_parameters())
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    return {name for name, gradient in zip(names, gradients) if gradient is None}


def build_train_loader(args, run, dataset, transform, teacher=None):
    """Batches of augmented crops, drawn class-uniformly, in the same order whatever the number of workers; teacher: of
    --teacher, whose stored logits, if it has any, the batches hold as 'beside'."""
    transform.check_crop(dataset.sizes())
    beside = None
    if teacher is not None and teacher.stored:
        teacher.check_holds([item.name for item in dataset.items])
        beside = partial(cut, teacher.stored)  # without the networks, for worker processes
    mixing = build_mixing(args, dataset.num_classes, dataset.ignore_label)
    train_set = TrainSet(
        dataset,
        transform,
        args.seed,
        mixing=mixing,
        beside=beside,
        is_main=run.is_main,
        barrier=run.dist.barrier,
        log=run.log,
    )
    return train_loader(train_set, args.bs_trn, args.num_workers, run.dist.world, run.dist.rank, args.seed)


def dump_samples(run, train_set):
    """Write the first training samples as the network sees them; on rank 0."""
    if run.is_main:
        paths = dump_augmented(train_set, run.directory / 'augmented', 50)
        run.log(f'{len(paths)} training samples written to {paths[0].parent}')


def build_eval_loader(args, run, dataset, faults=None):
    """Whole images of this rank in order; a folder's images are never resized. faults: see eval_loader."""
    transform = None if args.eval == 'folder' else build_val_transform(args, dataset.ignore_label)
    workers = args.num_workers if args.num_workers < 2 else args.num_workers // 2
    return eval_loader(EvalSet(dataset, transform), args.bs_val, workers, run.dist.world, run.dist.rank, faults)


def build_learner(args, run, net, dataset, loader, class_weights, teacher=None):
    """Everything that is trained or computes a step.

    Args:
        net: of build_network.
        dataset: of the training, which says the classes.
        loader: of the training, which says the steps of an epoch.
        class_weights: of --class_weights, or None.
        teacher: of --teacher, or None.
    """
    if teacher is not None and net.kind != LOGITS:
        raise ValueError(
            f'--teacher: {args.arch} is trained on masks and classes of queries, which learn nothing from the logits of'
            ' a teacher; leave it out, or train a network of logits, which may have this one for a teacher'
        )
    ema = ema_of(net, args.ema) if args.ema else None
    swa = AveragedModel(net) if args.swa_epochs else None  # of no epoch so far
    classes, own_weights = (dataset.num_classes, dataset.ignore_label), dataset.class_weights
    criterion = build_criterion(
        args, net.output_names, *classes, class_weights, own_weights, of_queries=net.kind == MASK_SCORES
    ).to(run.device)
    optimizer = get_optimizer(net, args)
    if args.augment_on == 'device' and run.device.type == 'cpu':
        run.log('--augment_on device: there is no GPU here, and on a CPU this takes longer than in the loaders')
    batches = train_options(args).batches(loader)
    scheduler = get_scheduler(optimizer, args, steps_per_epoch=-(-batches // args.accumulate))
    scaler = precision.grad_scaler(run.device, args.precision)
    wrapped = wrap(args, run, net, criterion.weights)
    return Learner(
        net, wrapped, build_normalize(run), criterion, optimizer, scheduler, scaler, ema, swa, augment, teacher
    )


def build_evaluator(args, run, net, interrupt=lambda: None):
    """The evaluator that the flags describe."""
    scales = (args.default_scale, *(args.extra_scales if args.multi_scale_inference else ()))
    options = EvalOptions(
        scales=scales,
        flip=args.do_flip,
        flip_kind=args.flip_kind,
        align_corners=args.align_corners,
        precision=args.precision,
        max_batches=7 if args.test_mode else args.limit_batches and args.limit_batches[-1],
        tile=args.crop_eval,
        overlap=args.crop_overlap,
    )
    return Evaluator([net], build_normalize(run), run.dist, options, run.log, interrupt)


def build_normalize(run):
    """Normalisation by the mean and std of cfg, on this run's device."""
    return Normalize(cfg.DATASET.MEAN, cfg.DATASET.STD, channels_last=True).to(run.device)


def build_writers(args, run, dataset, made_by=None, about=None, dumps=(), **changes):
    """[Gallery, and a Dumper where there are dumps]: the sinks that write files, with one pool of threads.

    Args:
        dataset: of the images, in order.
        made_by: what decides the values, for telling results of other settings apart.
        about: what was evaluated and how, for the manifest of logits.
        dumps: their names, keys of DUMPS.
        changes: other values of flags than those of `args`.

    Raises ValueError when two files would have one name, or one would replace an image.
    """
    args = Namespace(**{**vars(args), **changes})
    classes, names, pool = dataset.classes, [item.name for item in dataset.items], WriterPool()
    overwrite = args.overwrite or not args.eval
    sinks = [
        Gallery(run.directory, classes, len(names), args.dump_all_images, args.dump_assets, made_by, overwrite, pool)
    ]
    if dumps:
        storage = Storage(args.logits_format, args.logits_dtype, args.logits_stride)
        options = DumpOptions(made_by, about, storage, overwrite, args.dump_grid)
        sinks.append(Dumper(dumps, options, run.directory, classes, names, run.dist.rank, run.log, pool))
        claim(sinks[-1].dumps, run.directory, write=False)
    check_outputs(
        names,
        lambda name: [path for sink in sinks for path in sink.files(name)],
        run.directory,
        inputs={on_disk(path) for item in dataset.items for path in (item.image, item.label) if path},
    )
    return sinks


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
        max_batches=epoch_batches(args),
    )


def epoch_batches(args) -> int | None:
    """The most batches of an epoch, None for all."""
    if args.test_mode:
        return 11
    return min(filter(None, (args.epoch_batches, *(args.limit_batches or ())[:1])), default=None)
