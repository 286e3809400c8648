"""Train, evaluate and dump semantic segmentation networks.

    laptop   python train.py --dataset synthetic --trunk hrnetv2_w18_small_v1 --crop_size 192,384 --max_epoch 20
    one GPU  python train.py --dataset cityscapes --precision bf16 --rmi_loss --crop_size 1024,2048 --result_dir runs/a
    many     torchrun --standalone --nproc-per-node=8 train.py --dataset cityscapes --syncbn --precision bf16 ...
    score    python train.py --dataset cityscapes --eval val --n_scales 0.5,1.0,2.0 --snapshot runs/a/best.pth

Exit code 0: done, or stopped by SIGTERM or SIGUSR1 after saving; 2: a mistake in flags, files or data, told in one
line.
"""

import copy
import os
import shlex
import sys
from dataclasses import replace

import torch

import config
import datasets
import network
from engine import precision, report
from engine.builders import (
    build_dumper,
    build_eval_loader,
    build_evaluator,
    build_network,
    build_normalize,
    build_train_loader,
    describe_network,
    get_dataset,
    train_options,
    verify,
    with_cache,
    wrap,
)
from engine.keeper import CheckpointKeeper
from engine.run import StopSignal, run_context
from engine.state import capture_rng, pack_state, restore_optimizer, restore_random_state, restore_training
from engine.trainer import Position, Stopped, Trainer, ema_of
from engine.worst import TopnCollector
from loss import build_criterion, read_class_weights
from loss.optimizer import get_optimizer, get_scheduler
from network.summary import EVALUATION_SIZE, summary
from transforms import build_train_transform
from transforms.deferred import augment
from utils import checkpoint
from utils.cli import flags
from utils.files.atomic import sha256
from utils.outputs.pictures import make_grid
from utils.pages.page import write_topn_page

SPLITS = {'val': 'val', 'trn': 'train', 'test': 'test', 'folder': 'folder'}


def parse_args(argv=None):
    """The flags as a namespace, checked against each other. Raises ValueError for a mistake."""
    return flags.check(flags.build_parser(datasets.dataset_names()).parse_all(sys.argv[1:] if argv is None else argv))


def main(argv=None):
    """Run the program; returns its exit code."""
    debug = '--debug' in (sys.argv if argv is None else argv)
    try:
        args = parse_args(argv)
        notes = flags.unread(args)
        state = load_state(args, notes.append)
        args.precision = precision.resolve(args.precision, 'cuda' if torch.cuda.is_available() else 'cpu', notes.append)
        with config.scope(**flags.as_cfg(vars(args))):
            config.freeze()
            check_names(args)
            if args.summary:
                print_summary(args, notes)
                return 0
            with run_context(args, training=not args.eval) as run:
                for note in notes:
                    run.log(note)
                return evaluate(args, run, state) if args.eval else fit(args, run, state)
    except KeyboardInterrupt:
        print('train.py: interrupted; --resume auto continues a training from its last checkpoint', file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as error:
        hint = remedy(error)
        if debug or hint is None:
            raise
        print(f'train.py: error: {" ".join(str(error).split())}{hint}', file=sys.stderr)
        return 2


def remedy(error):
    """What to add to the message of an error that a person can mend; None for an error of the program."""
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
    """Raise ValueError or FileNotFoundError for an unknown network, trunk, data set or weight file, or unfit scales,
    before anything is written."""
    datasets.dataset_class(args.dataset)
    trunk = network.check_names(args.arch, args.trunk, args.n_scales)
    if not args.source:
        network.check_pretrained(args.pretrained, args.arch, args.trunk, args.assets_path)
    if args.freeze_trunk and trunk is None:
        raise ValueError(f'--freeze_trunk: {args.arch} has no trunk to freeze; leave the flag out')


def load_state(args, log):
    """The checkpoint to resume or start from (None without one); the network flags that it holds become args'."""
    state, source = None, args.resume or args.snapshot
    if args.resume == 'auto':
        found = CheckpointKeeper(args.result_dir).find_last(log)
        source, state = found or (args.snapshot, None)
        args.snapshot = None if found else args.snapshot
        log(
            f'--resume auto: continuing {source}'
            if found
            else f'--resume auto: no checkpoint in {args.result_dir}, starting anew'
        )
    if source and state is None:
        state = checkpoint.load(source)
    args.source = source and str(source)
    flags.adopt_network(args, state, log)
    return state


def print_summary(args, notes):
    """What is to be said of the flags, and what their network costs: a step of training, or with --eval an
    evaluation."""
    size = args.summary_size or (EVALUATION_SIZE if args.eval else args.crop_size)
    table = summary(
        args,
        datasets.dataset_class(args.dataset).num_classes,
        size,
        args.bs_val if args.eval else args.bs_trn,
        training=not args.eval,
    )
    print(*notes, table, sep='\n')


def evaluate(args, run, state):
    """Score a split or a folder of images and write what was asked for."""
    dataset = get_dataset(args, run, SPLITS[args.eval])
    net = build_network(args, dataset, run, state)
    if state is None:
        run.log('no --snapshot was given: these are the results of random weights')
    labelled = dataset.items[0].label is not None
    evaluator = build_evaluator(args, run, net, dataset, metrics=labelled and not args.no_metrics)
    loader = build_eval_loader(args, run, dataset)
    about = {
        'arch': args.arch,
        'checkpoint': args.source,
        'dataset': dataset.name,
        'split': args.eval,
        'n_scales': args.n_scales,
        'scales': evaluator.options.scales,
        'flip': args.do_flip,
        'precision': args.precision,
    }
    made_by = {**flags.dump_settings(args), 'weights': args.source and sha256(args.source)}
    dumper = build_dumper(args, run, dataset, made_by=made_by)
    worst = TopnCollector(args.dump_topn, dataset.num_classes, dataset.ignore_label) if args.dump_topn else None
    result = evaluator.run(loader, dumper, worst, description=f'{args.eval} of {dataset.name}')
    if worst is not None:
        show_worst(args, run, evaluator, dataset, worst, about, made_by)
    if run.is_main:
        if evaluator.options.metrics:
            run.log(report.table(result, dataset))
            run.log(report.score_line(report.scores(result)))
            run.metric('val', report.scores(result), 0)
            report.write_metrics(run.directory, result, dataset, about)
        report.write_pictures_page(dumper, result, dataset, about)
        report.write_logit_manifest(dumper, result, dataset, about, made_by)
        run.log(f'{result.images} images evaluated; {report.where_to_look(run.directory, dumper)}')
    return 0


def fit(args, run, state):
    """Train, validate, save; ends early, with everything saved, when the run is asked to stop."""
    sets = [
        *(get_dataset(args, run, 'train', quality) for quality in datasets.training_qualities()),
        get_dataset(args, run, 'val'),
    ]
    class_weights = read_class_weights(args.class_weights, sets[0].class_names)
    transform = build_train_transform(args, sets[0].ignore_label)
    verify(args, run, sets)
    *train_sets, val_set = (with_cache(dataset, run) for dataset in sets)
    train_set = datasets.join(train_sets)
    net = build_network(args, train_set, run, state, training=True)
    description = describe_network(args, net, train_set)
    loader = build_train_loader(args, run, train_set, transform)
    ema = ema_of(net, args.ema) if args.ema else None
    criterion = build_criterion(
        args, net.output_names, train_set.num_classes, train_set.ignore_label, args.align_corners, class_weights
    ).to(run.device)
    optimizer = get_optimizer(net, args)
    if args.augment_on == 'device' and run.device.type == 'cpu':
        run.log('--augment_on device: there is no GPU here, and on a CPU this takes longer than in the loaders')
    options = train_options(args)
    batches = min(len(loader), options.max_batches or len(loader))
    scheduler = get_scheduler(optimizer, args, steps_per_epoch=-(-batches // args.accumulate))
    scaler = precision.grad_scaler(run.device, args.precision)
    keeper = CheckpointKeeper(run.directory)
    with StopSignal(run.log) as stop:
        trainer = Trainer(
            net,
            wrap(args, run, net),
            build_normalize(run),
            criterion,
            optimizer,
            scheduler,
            scaler,
            run.dist,
            options,
            run.log,
            lambda numbers, step: run.metric('train', numbers, step),
            stop,
            ema,
            augment,
        )

        def interrupt():
            if run.dist.world == 1 and stop.requested:  # several ranks finish together: the epoch is saved already
                raise Stopped

        evaluator = build_evaluator(args, run, ema.module if ema else net, val_set, interrupt=interrupt)
        trainer.position = restore(args, run, state, keeper, optimizer, scaler, ema)
        done = trainer.position.batch == batches  # a run stopped in its validation has trained that epoch
        scheduler.enter(trainer.position.epoch + done, 0 if done else trainer.position.batch // args.accumulate)

        def save(score):
            done = trainer.position.batch == 0
            rng = run.dist.gather_objects(capture_rng())
            if run.is_main:
                keeper.save(
                    pack_state(
                        net,
                        optimizer,
                        scheduler,
                        scaler,
                        epoch=trainer.position.epoch - done,
                        batch_in_epoch=trainer.position.batch,
                        global_step=trainer.position.step,
                        rng=rng,
                        ema=ema,
                        skipped=trainer.position.skipped,
                        **description,
                        mean_iu=score,
                        args=vars(args),
                        command=shlex.join(sys.argv),
                    ),
                    trainer.position.epoch - done,
                    score,
                    is_epoch_end=done,
                )
            run.dist.barrier()

        def validate(epoch):
            if epoch % args.val_freq and epoch != args.max_epoch - 1:
                return None
            # every rank scores the network that is saved
            run.dist.broadcast([*net.buffers(), *(ema.module.buffers() if ema else ())])
            save(None)  # so that a validation that runs out of memory loses nothing
            if criterion.failures:
                run.log(
                    f'region mutual information: {criterion.failures} matrices of this run were singular and left out'
                )
            return score_epoch(args, run, evaluator, val_set, epoch, keeper.best_score)

        finished = trainer.fit(loader, save, validate)
    best = 'none' if keeper.best_score is None else f'{keeper.best_score:.4f} in epoch {keeper.best_epoch}'
    ending = (
        'finished'
        if finished
        else f'stopped by {stop.name or "a signal to another process"}, saved; continue with --resume auto'
    )
    run.log(f'{ending}; best mean IoU: {best}; see {run.directory}')
    return 0


def show_worst(args, run, evaluator, dataset, collector, about, made_by):
    """Evaluate the worst images of each class once more, for their pictures and the page that lists them."""
    for rank, state in enumerate(run.dist.gather_objects(collector.state)):
        if rank != run.dist.rank:
            collector.merge(state)
    chosen = copy.copy(dataset)
    chosen.items = [dataset.items[index] for index in collector.indices()]
    dumper = build_dumper(
        args,
        run,
        chosen,
        made_by=made_by,
        dump_logits=False,
        dump_for_submission=False,
        dump_for_auto_labelling=False,
        dump_all_images=True,
        dump_assets=args.dump_topn_all,
        page=False,
    )
    result = evaluator.run(
        build_eval_loader(args, run, chosen), dumper, description=f'{len(chosen.items)} worst images'
    )
    if run.is_main:
        page = dumper.page.with_name('topn_failures.html')
        places = collector.indices()
        records = [replace(record, index=places[record.index]) for record in result.records]
        write_topn_page(page, collector.tables(), records, dataset, about)
        run.log(f'worst images per class: {page}')


def restore(args, run, state, keeper, optimizer, scaler, ema):
    """Put everything but the weights back to where a resumed run was; returns its position."""
    if state is None or args.snapshot:
        keeper.clean()
        if args.restore_optimizer:
            restore_optimizer(state, args.source, optimizer)
        return Position(epoch=args.start_epoch)
    try:
        epoch, batch = checkpoint.resume_point(state, args.source)
        if batch:
            flags.check_same_steps(args, state, run.dist.world)
        restore_training(state, args.source, optimizer, scaler, ema, run.log)
        restore_random_state(state, args.source, run.dist, run.log)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(
            f'{args.source}: its training state is not that of this program ({type(error).__name__}: {error}); '
            'start a new run from its weights with --snapshot'
        ) from error
    changed = flags.changed_since(args, state)
    if changed:
        run.log(f'resumed with other flags, so not bit for bit: {", ".join(changed)}')
    keeper.continue_from(state)
    run.log(f'continuing at epoch {epoch}, batch {batch}')
    return Position(epoch, batch, state.get('global_step', 0), state.get('skipped', 0))


def score_epoch(args, run, evaluator, dataset, epoch, best):
    """Validate; logs the table and the numbers, writes the pictures, returns the mean IoU."""
    dumper = build_dumper(args, run, dataset)
    result = evaluator.run(build_eval_loader(args, run, dataset), dumper, description=f'validation of epoch {epoch}')
    scores = report.scores(result)
    if run.is_main:
        run.log(report.table(result, dataset))
        run.log(f'this : [epoch {epoch}], {report.score_line(scores)}')
        run.log(f'best : {"none before" if best is None else f"[mean_iu {best:0.5f}]"}')
        run.metric('val', scores, epoch)
        report.write_metrics(run.directory, result, dataset, {'arch': args.arch, 'epoch': epoch})
        report.write_pictures_page(dumper, result, dataset, {'arch': args.arch, 'epoch': epoch})
        if best is None or scores['mean_iu'] > best:
            run.picture('imgs', make_grid(result.records, dumper.page.parent), epoch)
    return scores['mean_iu']


if __name__ == '__main__':
    sys.exit(main())
