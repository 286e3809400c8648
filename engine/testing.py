"""Test of a network: how images are tested with --test_settings, and --test_after, the test that ends a training.

Published test settings are those of the networks' papers and of the frameworks that trained them (docs/evaluation.md).
"""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import network
from engine.builders import build_eval_loader, build_evaluator, build_network, get_dataset
from engine.evaluation import all_faults, facts, incomplete, left_out_lines, partial, scorers, told_partial, with_scales
from engine.evaluation_record import category_line, interval_line, record_of
from network.loading import test_settings_of
from utils import checkpoint
from utils.cli.flags import with_values
from utils.files.atomic import write_json
from utils.files.run_directory import weights_file
from utils.settings import SETTINGS

HIERARCHICAL = {'n_scales': (0.5, 1.0, 2.0)}
# Seven scales and the mirror image, as single-scale and multi-scale networks on PASCAL Context are tested.
PASCAL_CONTEXT = {
    'multi_scale_inference': True,
    'default_scale': 1.0,
    'extra_scales': (0.5, 0.75, 1.25, 1.5, 1.75, 2.0),
    'do_flip': True,
}
OF_DATASET = {'pascal_context': PASCAL_CONTEXT, 'pascal_context_60': PASCAL_CONTEXT}
RESULT = 'test.json'


def published(arch: str, dataset: str) -> dict[str, Any]:
    """The test settings that a network on a dataset was published with, by flag; {} where there are none.

    Raises ValueError for an unknown arch.
    """
    # Networks of attention to scale are trained at their scales, which are in their checkpoints.
    is_hierarchical = network.takes_scales(arch) and not arch.startswith('attnscale.')
    return {**(HIERARCHICAL if is_hierarchical else {}), **OF_DATASET.get(dataset, {})}


def with_test_settings(args: Namespace, state: Mapping | None, log) -> Namespace:
    """The flags of a test with those of --test_settings that were not given; log: takes a line about them."""
    said = test_settings_of(state or {}, args.source)
    _tell_other_yaml(args, (state or {}).get('data_yaml'), log)
    wanted = published(args.arch, args.dataset) if args.test_settings == 'published' else said
    other = {name: value for name, value in wanted.items() if name not in args.given and value != getattr(args, name)}
    words = ' '.join(word for name, value in other.items() for word in SETTINGS[name].words(value))
    if args.test_settings == 'flags':
        if other and not args.run:
            log(
                f'{args.source} was validated with {words}, which this test leaves out; --test_settings stored takes it'
            )
        return args
    if not wanted:
        nothing = {
            'stored': f'{args.source} does not say how it was tested',
            'published': f'there are no published ones of {args.arch} on {args.dataset}',
        }
        log(f'--test_settings {args.test_settings}: {nothing[args.test_settings]}; the flags count')
    elif other:
        log(f'--test_settings {args.test_settings}: {words}')
    return with_values(args, **other)


def _tell_other_yaml(args, text, log):
    """Say when the file that describes the dataset is no longer what the checkpoint was trained with."""
    if text and args.data_yaml and Path(args.data_yaml).is_file() and Path(args.data_yaml).read_text('utf-8') != text:
        log(f'--data_yaml {args.data_yaml}: has changed since {args.source} was trained; it counts as it is now')


def test_best(args: Namespace, run) -> int:
    """Test the best checkpoint of a training that has ended: the score goes to its log and to test.json.

    Returns the exit code, 1 where images could not be read.
    """
    best = weights_file(run.directory, '--test_after')
    split, dataset = labelled(args, run)
    state = checkpoint.load(best)
    args = with_values(args, eval=split, snapshot=best, source=best, resume=None, finetune_from=None)
    # flags given to the training are those of its validations
    args = with_test_settings(with_values(args, given=[]), state, run.log)
    net = build_network(args, dataset, run, state)
    evaluator, faults = build_evaluator(args, run, net), []
    loader = build_eval_loader(args, run, dataset, faults)
    scoring, *beside = sinks = scorers(args, dataset.num_classes)
    images, results = evaluator.run(loader, sinks, f'test on {split} of {dataset.name}')
    found = dict(zip(sinks, results))
    score = with_scales(found[scoring], beside, found)
    faults, lost = all_faults(run.dist, faults, images), [name for name, _ in evaluator.not_finite]
    if run.is_main:
        run.log(score.table(dataset.classes))
        about = {**facts(args, evaluator, dataset), 'test_settings': SETTINGS.test_entry(args), 'images': images}
        about |= ({'left_out': faults} if faults else {}) | ({'not_finite': lost} if lost else {})
        about |= partial(evaluator, images, dataset, faults)
        written = record_of(score, dataset, about, args.bootstrap)
        write_json(run.directory / RESULT, written)
        run.log(f'test : [{split} of {dataset.name}], {score.line()}{incomplete(lost)}{told_partial(about)}')
        for line in [*score.lines_beside(), category_line(written), interval_line(written)]:
            if line is not None:
                run.log(line)
        for line in left_out_lines(faults, images, is_scored=True):
            run.log(line)
        run.log(f'{score.in_percent()} on {split}; see {run.directory / RESULT}')
    return int(bool(faults or lost))


def labelled(args: Namespace, run) -> tuple[str, datasets.Dataset]:
    """(split, dataset) of the test: test where its images are there with labels, else val, which is said."""
    why = f'{args.dataset} has no such split'
    if 'test' in datasets.splits_of(args.dataset):
        why = 'its images have no labels'
        try:
            dataset = get_dataset(args, run, 'test')
            if dataset.items[0].label is not None:
                return 'test', dataset
        except (FileNotFoundError, ValueError) as error:
            why = str(error)
    run.log(f'--test_after: tests on val, not on test: {why}')
    return 'val', get_dataset(args, run, 'val')
