"""Evaluations as the flags describe them: of a split or folder, of an epoch, and of the worst images once more."""

import copy
import math
import time
from dataclasses import replace

import numpy as np

from engine.best_metric import BestMetric
from engine.builders import build_eval_loader, build_evaluator, build_writers
from engine.evaluation_record import category_line, interval_line, record_of, write_record
from engine.evaluator import not_finite_sentence
from engine.scale_scores import ScaleScores
from engine.score import ScoreKeeper
from engine.worst import WorstImages
from loss import build_validation_criterion, read_class_weights
from utils import metrics
from utils.cli import flags
from utils.cli.wording import counted, left_out_lines
from utils.files.atomic import sha256
from utils.outputs.dumps import DUMPS
from utils.outputs.kinds import kind_of
from utils.outputs.pictures import large_picture, make_grid
from utils.pages.confusion_matrix import confusion_picture
from utils.pages.page import write_page, write_topn_page
from utils.settings import SETTINGS

LARGE = 4  # images of a validation that trackers get one by one, as large as they are


def evaluate(args, run, net, dataset):
    """Evaluate `net` on a dataset and write what the flags ask for.

    Images that cannot be read are left out and listed at the end, unless --strict: returns the exit code, 1 with any.
    """
    evaluator, classes = build_evaluator(args, run, net), dataset.classes
    faults: list = []
    loader = build_eval_loader(args, run, dataset, None if args.strict else faults)
    about = facts(args, evaluator, dataset)
    made_by = {**SETTINGS.recorded_values(args), 'weights': args.source and sha256(args.source)}
    model = {'model': f'{args.arch} on {args.trunk}', 'weights_sha256': made_by['weights']}
    dumps = [name for name, dump in DUMPS.items() if getattr(args, dump.flag)]
    gallery, *dumpers = build_writers(args, run, dataset, made_by, {**model, **about}, dumps)
    run.open()
    is_scored = dataset.items[0].label is not None and not args.no_metrics
    scoring, *beside = scorers(args, len(classes)) if is_scored else (None,)
    worst = WorstImages(args.dump_topn, len(classes), classes.ignore_label) if args.dump_topn else None
    sinks = [sink for sink in (scoring, *beside, worst, *dumpers, gallery) if sink is not None]
    began = time.monotonic()
    images, results = evaluator.run(loader, sinks, f'{args.eval} of {dataset.name}')
    seconds = time.monotonic() - began
    faults = all_faults(run.dist, faults, images)
    found, lost = dict(zip(sinks, results)), [name for name, _ in evaluator.not_finite]
    score, records = with_scales(found.get(scoring), beside, found), found[gallery]
    about |= partial(evaluator, images, dataset, faults)
    if faults:
        about['left_out'] = faults
    if worst is not None:
        show_worst(args, run, evaluator, dataset, worst, about, made_by)
    if run.is_main:
        written = report(run, score, gallery, records, dataset, about, images, lost, args.bootstrap, table=True)
        if score is not None:
            run.log(f'{score.line()}{incomplete(lost)}{told_partial(about)}')
            for line in [*score.lines_beside(), category_line(written), interval_line(written)]:
                if line is not None:
                    run.log(line)
            if beside and not score.scales:
                run.log('--log_msinf_to_tb: this evaluation has one scale alone')
            record(run, score, classes, 0, seconds)
        told = told_partial(about) if score is None else f', {score.in_percent()}'
        run.log(f'{images} images evaluated{told}; {where_to_look(run.directory, gallery)}')
        for line in left_out_lines(faults, images, is_scored):
            run.log(line)
    if lost:
        raise ValueError(
            f'{not_finite_sentence(lost, images)}, expected numbers; they are left out of the score and have no files;'
            ' evaluate with --precision fp32, or another checkpoint'
        )
    return int(bool(faults))


def facts(args, evaluator, dataset) -> dict:
    """What is evaluated and how, for the files of a result."""
    return {
        'arch': args.arch,
        'kind': kind_of(evaluator.nets[0]),
        'checkpoint': args.source,
        'dataset': dataset.name,
        'split': args.eval,
        'n_scales': args.n_scales,
        'scales': evaluator.options.scales,
        'flip': args.do_flip,
        **({'flip_kind': args.flip_kind} if args.do_flip and args.flip_kind != 'h' else {}),
        'precision': args.precision,
    }


def scorers(args, num_classes: int, criterion=None) -> list:
    """The ScoreKeeper that the flags ask for, and with --log_msinf_to_tb ScaleScores."""
    measures = {*args.measures, *(() if args.eval else BestMetric(args.best_metric).measures)}
    return [
        ScoreKeeper(num_classes, criterion, measures),
        *([ScaleScores(num_classes)] if args.log_msinf_to_tb else []),
    ]


def with_scales(score, beside, found: dict):
    """The score with those of single scales, which the ScaleScores in `beside` found."""
    for sink in beside:
        score = replace(score, scales=found[sink])
    return score


def partial(evaluator, images: int, dataset, faults=()) -> dict:
    """{'partial': how many images were evaluated, and of how many} where --limit_batches or --test_mode leaves some
    out. images: that were evaluated; faults: of those that cannot be."""
    is_part = evaluator.options.max_batches and images + len(faults) < len(dataset)
    return {'partial': {'images': images, 'of': len(dataset)}} if is_part else {}


def told_partial(about: dict) -> str:
    """What is added to a score of a part of the images."""
    part = about.get('partial')
    return f' partial: {part["images"]} of {counted(part["of"], "image")}' if part else ''


def all_faults(dist, faults, images) -> list:
    """The messages of every rank about images that were left out; ValueError when nothing else was there."""
    every = [fault for part in dist.gather_objects(faults) for fault in part]
    if every and not images:
        raise ValueError(f'none of {len(every)} images could be used, the first because: {every[0]}')
    return every


def validation_criterion(args, run, dataset):
    """The criterion of --val_loss on the device of `run`; None for the cross-entropy."""
    weights = read_class_weights(args.class_weights, dataset.classes.names), dataset.class_weights
    criterion = build_validation_criterion(args, dataset.num_classes, dataset.ignore_label, *weights)
    return None if criterion is None else criterion.to(run.device)


def validate(args, run, evaluator, dataset, epoch, best, criterion, rival=None):
    """Score an epoch on a dataset and draw some images; returns the numbers of Score.all_numbers and iou/<class>, None
    where an image was not finite.

    Args:
        best: the best value of --best_metric before, or None.
        criterion: what validation_criterion returned.
        rival: what the BestMetric.rank of the value has to reach, or None; a lower one is not reported.
    """
    [gallery] = build_writers(args, run, dataset)
    scoring, *beside = scorers(args, dataset.num_classes, criterion)
    loader = build_eval_loader(args, run, dataset)
    began = time.monotonic()
    sinks = [scoring, *beside, gallery]
    images, results = evaluator.run(loader, sinks, f'validation of epoch {epoch}')
    seconds, found = time.monotonic() - began, dict(zip(sinks, results))
    score, records = with_scales(found[scoring], beside, found), found[gallery]
    metric, lost = BestMetric(args.best_metric), [name for name, _ in evaluator.not_finite]
    numbers = None if lost else numbers_of(score, dataset)
    value = None if numbers is None else numbers[metric.name]
    if rival is not None and (value is None or rival > metric.rank(value)):
        return numbers
    if run.is_main:
        about = {'arch': args.arch, 'epoch': epoch, **partial(evaluator, images, dataset)}
        report(run, score, gallery, records, dataset, about, images, lost)
        run.log(f'this : [epoch {epoch}], {score.line()}{incomplete(lost)}{told_partial(about)}')
        run.log(best_line(best, value, metric))
        for line in score.lines_beside():
            run.log(line)
    if lost:
        run.log(
            f'validation of epoch {epoch}: {not_finite_sentence(lost, images)}; its score does not count, the best'
            ' checkpoint stays and the training goes on; if it comes again, try a lower --lr or --precision bf16'
        )
        return None
    if run.is_main:
        record(run, score, dataset.classes, epoch, seconds)
        if metric.is_better(value, best):
            run.picture('imgs', make_grid(records, gallery.folder), epoch)
            for number, one in enumerate(records[:LARGE]):
                run.picture(f'large/{number}', large_picture(one, gallery.folder), epoch)
    return numbers


def numbers_of(score, dataset) -> dict:
    """Everything that --best_metric may name."""
    return {**score.all_numbers(), **{f'iou/{name}': iou for name, iou in score.ious(dataset.classes).items()}}


def record(run, score, classes, epoch, seconds):
    """Numbers of a validation in metrics.csv and the trackers: the scores, those of single scales, the IoU of each
    class, the confusion matrix and how long it took."""
    run.metric('val', {**score.all_numbers(), 'seconds': seconds}, epoch)
    run.scalars({f'scale/{name}': metrics.mean_iou(counts) for name, counts in score.scales.items()}, epoch, 'epoch')
    ious = score.ious(classes)
    run.row('iou', epoch, {f'iou/{name}': iou for name, iou in ious.items()})
    run.scalars({f'iou/{name}': iou for name, iou in ious.items() if not math.isnan(iou)}, epoch, 'epoch')
    run.scalars({'time/val': seconds}, epoch, 'epoch')
    picture = np.asarray(confusion_picture(score.counts, classes.names))
    run.picture('confusion_matrix', picture.transpose(2, 0, 1), epoch)


def best_line(before, this, metric=None) -> str:
    """The line of the best value up to now of a BestMetric (default: mean IoU), this one included; each None where
    there is none."""
    metric = metric or BestMetric('mean_iu')
    values = [value for value in (before, this) if value is not None and not math.isnan(value)]
    return f'best : {f"[{metric.name} {max(values, key=metric.rank):0.5f}]" if values else "none"}'


def score_alone(args, run, evaluator, dataset, title, criterion=None):
    """The numbers of a dataset, as of validate, and nothing else; None where an image was not finite. title: of the
    progress."""
    scoring = scorers(flags.with_values(args, log_msinf_to_tb=False), dataset.num_classes, criterion)
    _, [score] = evaluator.run(build_eval_loader(args, run, dataset), scoring, title)
    return None if evaluator.not_finite else numbers_of(score, dataset)


def incomplete(lost) -> str:
    """What is added to a score that lacks the images `lost`."""
    return f' incomplete: without {counted(len(lost), "image")} that the network is not finite on' if lost else ''


def report(run, score, gallery, records, dataset, about, images, lost=(), resamplings=0, table=False):
    """Log the table of classes, and write metrics.json, the confusion matrix and the page of pictures; on rank 0.
    Returns the record in metrics.json, None without a score.

    Args:
        score: a Score, or None.
        gallery: whose page is written.
        records: of the pictures of every rank.
        about: what was evaluated and how, by name.
        images: how many were evaluated.
        lost: names of the images that the network was not finite on, in metrics.json under `not_finite`.
        resamplings: for the intervals, 0 for none.
        table: whether to write images.csv.
    """
    classes, rows, scores, written = dataset.classes, None, None, None
    about = {**about, 'not_finite': lost} if lost else about
    if score is not None:
        run.log(score.table(classes))
        written = record_of(score, dataset, {**about, 'images': images}, resamplings)
        write_record(run.directory, score, dataset, written, table)
        rows = score.rows(classes)
        if rows:
            numbers = score.numbers()
            scores = {'mean IoU': numbers['mean_iu'], 'pixels right': numbers['acc'], 'mean recall': numbers['acc_cls']}
            about = {**about, 'images': images}
    if 'partial' in about:
        about = {**about, 'partial': told_partial(about).rpartition(': ')[2]}
    write_page(gallery.page, records, classes, dataset.name, facts=about, rows=rows, scores=scores)
    return written


def where_to_look(result_dir, gallery):
    """A phrase that names what an evaluation has written."""
    paths = [
        gallery.page,
        *(result_dir / name for name in ('metrics.json', 'images.csv', 'confusion_matrix.png', 'logits', 'submit')),
    ]
    found = [str(path) for path in paths if path.exists()]
    return f'see {", ".join(found)}' if found else 'nothing was asked to be written'


def show_worst(args, run, evaluator, dataset, worst, about, made_by):
    """Evaluate the worst images of each class once more, for their pictures and the page that lists them.

    Args:
        worst: the WorstImages of the evaluation.
        about: the facts on top of the page.
        made_by: what decides the values of the pictures, as build_writers takes it.
    """
    places = worst.indices()
    chosen = copy.copy(dataset)
    chosen.items = [dataset.items[index] for index in places]
    [gallery] = build_writers(args, run, chosen, made_by, dump_all_images=True, dump_assets=args.dump_topn_all)
    loader = build_eval_loader(args, run, chosen)
    unlimited = copy.copy(evaluator)
    unlimited.options = replace(evaluator.options, max_batches=None)
    _, (records,) = unlimited.run(loader, [gallery], f'{len(places)} worst images')
    if run.is_main:
        records = [replace(record, index=places[record.index]) for record in records]
        page = gallery.page.with_name('topn_failures.html')
        write_topn_page(page, worst.tables(), records, dataset.classes, dataset.name, about)
        run.log(f'worst images per class: {page}')
