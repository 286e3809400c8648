"""Turn the outputs of several models into labels, confidences, scores, benchmark results and submissions.

    fuse     python ensemble.py fuse runs/a/logits runs/b/logits --out fused
    run      python ensemble.py run a.pth b.pth --dataset cityscapes --out fused    (many GPUs: torchrun ... run ...)
    score    python ensemble.py eval bravo --gt gt.tar --submission sub.tar --json scores.json
    submit   python ensemble.py submit bravo fused sub.tar --samples bravo_SAMPLING.tar

`ensemble.py` alone lists every command; those of benchmarks stand in aggregation/benchmarks/.
Exit code 0: done; 1: `check` found faults, or images could not be used and were left out, unless --strict; 2: a mistake
in flags or files, printed as one line.
"""

import sys
from functools import partial

import utils.cli.waiting  # noqa: F401  (before torch)
from aggregation import benchmarks, commands, flags
from utils.cli.program import run_program


def main(argv=None):
    """Run one command; returns the exit code."""
    benchmarks.register()
    return run_program(
        'ensemble.py', run_command, argv, interrupted='interrupted; the same command goes on where it stopped'
    )


def run_command(argv):
    name, rest = commands.split_command(argv)
    if name is None:
        print(commands.overview())
        return 0
    return commands.COMMANDS[name].run(commands.parse(name, rest))


def run_in_engine(name, args):
    from engine import ensembles  # imports torch, which takes seconds: not before the flags are right

    return getattr(ensembles, name)(args)


LOGITS = 'runs/a/logits runs/b/logits'
for name, meaning, declare, *shown in (
    ('check', 'verify folders of stored logits against their manifests', flags.check),
    (
        'fuse',
        'make labels, confidences and scores of stored logits',
        flags.fuse,
        ('out',),
        ('out', 'fusion', 'score', 'write_scores', 'calibration', 'weights', 'overwrite'),
        f'fuse {LOGITS} --out fused',
    ),
    (
        'run',
        'the same straight from checkpoints, without writing logits',
        flags.run,
        ('out', 'dataset'),
        ('dataset', 'data_yaml', 'override_dataset_root', 'split', 'eval_folder', 'out', 'fusion', 'score')
        + ('write_scores', 'n_scales', 'do_flip', 'precision', 'overwrite'),
        'run runs/a runs/b --dataset cityscapes --out fused',
    ),
    (
        'calibrate',
        'fit a calibration of the confidence on a labelled split',
        flags.calibrate,
        ('out',),
        ('out', 'method', 'dataset', 'data_yaml', 'override_dataset_root', 'split', 'fusion', 'score'),
        'calibrate runs/a/logits --out calibration.json',
    ),
    (
        'report',
        'a page: members, leave-one-out, disagreement, worst images',
        flags.report,
        ('out',),
        ('out', 'dataset', 'data_yaml', 'override_dataset_root', 'split', 'fusion', 'score', 'calibration', 'worst'),
        f'report {LOGITS} --out page',
    ),
):
    commands.command(name, meaning, declare, *shown)(partial(run_in_engine, name))


if __name__ == '__main__':
    sys.exit(main())
