"""Evaluations as the flags describe them: of a split or folder, of an epoch, and of the worst images once more."""

import copy
import math
import time
from dataclasses import replace

import numpy as np

from engine.builders import build_eval_loader, build_evaluator, build_writers
from engine.evaluator import not_finite_sentence
from engine.score import ScoreKeeper
from engine.worst import WorstImages
from loss import build_validation_criterion, read_class_weights
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
    scoring = ScoreKeeper(len(classes), run.device) if is_scored else None
    worst = WorstImages(args.dump_topn, len(classes), classes.ignore_label) if args.dump_topn else None
    sinks = [sink for sink in (scoring, worst, *dumpers, gallery) if sink is not None]
    began = time.monotonic()
    images, results = evaluator.run(loader, sinks, f'{args.eval} of {dataset.name}')
    seconds = time.monotonic() - began
    faults = all_faults(run.dist, faults, images)
    found, lost = dict(zip(sinks, results)), [name for name, _ in evaluator.not_finite]
    score, records = found.get(scoring), found[gallery]
    if faults:
        about['left_out'] = faults
    if worst is not None:
        show_worst(args, run, evaluator, dataset, worst, about, made_by)
    if run.is_main:
        report(run, score, gallery, records, dataset, about, images, lost)
        if score is not None:
            run.log(f'{score.line()}{incomplete(lost)}')
            record(run, score, classes, 0, seconds)
        scored = '' if score is None else f', {score.in_percent()}'
        run.log(f'{images} images evaluated{scored}; {where_to_look(run.directory, gallery)}')
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
        'precision': args.precision,
    }


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
    """Score an epoch on a dataset and draw some images; returns the mean IoU, None where an image was not finite.

    Args:
        best: the best score before, or None.
        criterion: what validation_criterion returned.
        rival: what the score has to reach, or None; a lower one is not reported.
    """
    [gallery] = build_writers(args, run, dataset)
    sinks = [ScoreKeeper(dataset.num_classes, run.device, criterion), gallery]
    loader = build_eval_loader(args, run, dataset)
    began = time.monotonic()
    images, (score, records) = evaluator.run(loader, sinks, f'validation of epoch {epoch}')
    seconds = time.monotonic() - began
    mean_iou, lost = score.numbers()['mean_iu'], [name for name, _ in evaluator.not_finite]
    if rival is not None and (lost or rival > mean_iou):
        return None if lost else mean_iou
    if run.is_main:
        report(run, score, gallery, records, dataset, {'arch': args.arch, 'epoch': epoch}, images, lost)
        run.log(f'this : [epoch {epoch}], {score.line()}{incomplete(lost)}')
        run.log(best_line(best, None if lost else mean_iou))
    if lost:
        run.log(
            f'validation of epoch {epoch}: {not_finite_sentence(lost, images)}; its score does not count, the best'
            ' checkpoint stays and the training goes on; if it comes again, try a lower --lr or --precision bf16'
        )
        return None
    if run.is_main:
        record(run, score, dataset.classes, epoch, seconds)
        if best is None or mean_iou > best:
            run.picture('imgs', make_grid(records, gallery.folder), epoch)
            for number, one in enumerate(records[:LARGE]):
                run.picture(f'large/{number}', large_picture(one, gallery.folder), epoch)
    return mean_iou


def record(run, score, classes, epoch, seconds):
    """Numbers of a validation in metrics.csv and the trackers: the scores, the IoU of each class, the confusion matrix
    and how long it took."""
    run.metric('val', {**score.numbers(), 'seconds': seconds}, epoch)
    ious = score.ious(classes)
    run.row('iou', epoch, {f'iou/{name}': iou for name, iou in ious.items()})
    run.scalars({f'iou/{name}': iou for name, iou in ious.items() if not math.isnan(iou)}, epoch, 'epoch')
    run.scalars({'time/val': seconds}, epoch, 'epoch')
    picture = np.asarray(confusion_picture(score.counts, classes.names))
    run.picture('confusion_matrix', picture.transpose(2, 0, 1), epoch)


def best_line(before, this) -> str:
    """The line of the best mean IoU up to now, this one included; each None where there is none."""
    scores = [score for score in (before, this) if score is not None and not math.isnan(score)]
    return f'best : {f"[mean_iu {max(scores):0.5f}]" if scores else "none"}'


def score_alone(args, run, evaluator, dataset, title):
    """The mean IoU of a dataset and nothing else; None where an image was not finite. title: of the progress."""
    scoring = ScoreKeeper(dataset.num_classes, run.device)
    _, [score] = evaluator.run(build_eval_loader(args, run, dataset), [scoring], title)
    return None if evaluator.not_finite else score.numbers()['mean_iu']


def incomplete(lost) -> str:
    """What is added to a score that lacks the images `lost`."""
    return f' incomplete: without {counted(len(lost), "image")} that the network is not finite on' if lost else ''


def report(run, score, gallery, records, dataset, about, images, lost=()):
    """Log the table of classes, and write metrics.json, the confusion matrix and the page of pictures; on rank 0.

    Args:
        score: a Score, or None.
        gallery: whose page is written.
        records: of the pictures of every rank.
        about: what was evaluated and how, by name.
        images: how many were evaluated.
        lost: names of the images that the network was not finite on, in metrics.json under `not_finite`.
    """
    classes, rows, scores = dataset.classes, None, None
    about = {**about, 'not_finite': lost} if lost else about
    if score is not None:
        run.log(score.table(classes))
        score.write(run.directory, classes, {**about, 'images': images})
        rows = score.rows(classes)
        if rows:
            numbers = score.numbers()
            scores = {'mean IoU': numbers['mean_iu'], 'pixels right': numbers['acc'], 'mean recall': numbers['acc_cls']}
            about = {**about, 'images': images}
    write_page(gallery.page, records, classes, dataset.name, facts=about, rows=rows, scores=scores)


def where_to_look(result_dir, gallery):
    """A phrase that names what an evaluation has written."""
    paths = [
        gallery.page,
        *(result_dir / name for name in ('metrics.json', 'confusion_matrix.png', 'logits', 'submit')),
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
    _, (records,) = evaluator.run(loader, [gallery], f'{len(places)} worst images')
    if run.is_main:
        records = [replace(record, index=places[record.index]) for record in records]
        page = gallery.page.with_name('topn_failures.html')
        write_topn_page(page, worst.tables(), records, dataset.classes, dataset.name, about)
        run.log(f'worst images per class: {page}')
