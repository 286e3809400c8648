"""Answers questions about a recipe by trainings: each change alone against a base, on several folds and seeds.

    python scripts/choices.py scripts/experiments/camvid --runs runs/camvid --override_dataset_root DATA
    python scripts/choices.py scripts/experiments/camvid --runs runs/camvid --page docs/results/camvid_choices.md

The folder holds base.yml, flags of train.py, and a file per question: `about`, one sentence, and `settings`, a name and
the flags that differ from the base for each (null: without that flag); `tests` in place of `settings` are flags of the
evaluation of the base.
Trainings come seed by seed, so that what is there when time is up compares. The same command goes on where it was
stopped. --page trains nothing and writes the table of what is there. Flags that are not listed go to train.py.
"""

import argparse
import json
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.record_results import machine, read_json, validations  # noqa: E402  (the repository is not installed)
from scripts.train_folds import failed, step  # noqa: E402
from utils.cli.program import run_program  # noqa: E402
from utils.cli.wording import did_you_mean, listed  # noqa: E402
from utils.cli.yaml_file import read_yaml  # noqa: E402
from utils.files.atomic import write_text  # noqa: E402
from utils.settings.value_types import number  # noqa: E402

BASE = 'base'
OWN = ('--config', '--cv', '--seed', '--resume', '--run', '--snapshot', '--eval', '--result_dir')


@dataclass(frozen=True)
class Setting:
    """A change of the base: `question` is '' for the base itself; at_test: the flags are those of an evaluation."""

    question: str
    name: str
    flags: dict = field(default_factory=dict, hash=False)
    at_test: bool = False

    @property
    def folder(self) -> str:
        return f'{self.question}.{self.name}' if self.question else BASE


@dataclass
class Question:
    name: str
    about: str
    settings: list[Setting]


def parse_args(argv):
    """The flags of this script, and those of train.py in `rest`."""
    parser = argparse.ArgumentParser(
        prog='scripts/choices.py',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.error = _refuse
    parser.add_argument('folder', metavar='FOLDER', help='base.yml and the questions')
    parser.add_argument('--runs', required=True, metavar='DIR', help='where the trainings are kept')
    parser.add_argument('--only', nargs='+', default=[], metavar='QUESTION', help='these questions alone')
    parser.add_argument('--folds', default='1,2,3', metavar='LIST', help='values of --cv (default: 1,2,3)')
    parser.add_argument('--seeds', type=number(int, low=1), default=3, metavar='N', help='seeds 0..N-1 (default: 3)')
    parser.add_argument('--page', metavar='FILE', help='write the table of what is there')
    args, args.rest = parser.parse_known_args(argv)
    odd = [flag for flag in args.rest if flag.split('=')[0] in OWN]
    if odd:
        raise ValueError(f'{odd[0]}: is decided here for every training; leave it out')
    try:
        args.folds = [int(fold) for fold in args.folds.split(',')]
    except ValueError:
        raise ValueError(f'--folds {args.folds}: expected numbers with commas between, as in 1,2,3') from None
    return args


def _refuse(message):
    raise ValueError(message)


def read_questions(folder: Path, only=()) -> list[Question]:
    """The questions of a folder in the order of their names; ValueError names a file that is no question."""
    if not (folder / f'{BASE}.yml').is_file():
        raise FileNotFoundError(f'{folder}: holds no {BASE}.yml; give a folder like scripts/experiments/camvid')
    files = {path.stem: path for path in sorted(folder.glob('*.yml')) if path.stem != BASE}
    for name in only:
        if name not in files:
            raise ValueError(f'--only {name}: {folder} has no such question; {did_you_mean(name, list(files))}')
    return [_question(path) for name, path in files.items() if not only or name in only]


def read_base(folder: Path) -> dict:
    return read_yaml(folder / f'{BASE}.yml', 'the base', 'flag: value lines')


def _question(path: Path) -> Question:
    content = read_yaml(path, 'the question', 'about and settings, or about and tests')
    kinds = sorted(content.keys() - {'about'})
    if kinds not in (['settings'], ['tests']) or 'about' not in content:
        raise ValueError(f'{path}: has {listed(sorted(content))}, expected about and one of settings and tests')
    settings = [
        Setting(path.stem, str(name), flags or {}, kinds == ['tests']) for name, flags in content[kinds[0]].items()
    ]
    return Question(path.stem, content['about'], settings)


def as_flags(values: dict) -> list[str]:
    """{'loss': 'ce', 'gblur': True} -> ['--loss=ce', '--gblur']; false and null are left out."""
    flags = []
    for name, value in values.items():
        if isinstance(value, bool) or value is None:
            flags += [f'--{name}'] if value else []
        else:
            items = value if isinstance(value, list) else [value]
            flags.append(f'--{name}={",".join(map(str, items))}')
    return flags


def trainings(questions: list[Question], folds: list[int], seeds: int):
    """(setting, fold, seed) in the order of training: seed by seed, the base first; a test needs the base alone."""
    changes = [setting for question in questions for setting in question.settings if not setting.at_test]
    for seed in range(seeds):
        for setting in [Setting('', BASE), *changes]:
            for fold in folds:
                yield setting, fold, seed


def run_of(runs: Path, setting: Setting, fold: int, seed: int) -> Path:
    return runs / setting.folder / f'cv{fold}_seed{seed}'


def is_finished(run: Path) -> bool:
    """Whether the last epoch of a training has been validated."""
    try:
        epochs = json.loads((run / 'hparams.json').read_text(encoding='utf-8'))['max_epoch']
        return validations(run)[-1][0] == epochs - 1
    except (OSError, ValueError, KeyError, IndexError):
        return False


def score(run: Path) -> float | None:
    """Mean IoU in percent of the last validation, None for a training that has not finished."""
    return 100 * validations(run)[-1][1] if is_finished(run) else None


def score_of_test(folder: Path) -> float | None:
    """Mean IoU in percent of an evaluation, None where there is none."""
    path = folder / 'metrics.json'
    return 100 * read_json(path)['mean_iou'] if path.is_file() else None


def train_all(args) -> int:
    """Train and test what is not there yet; returns the exit code of the first step that fails."""
    folder, runs = Path(args.folder), Path(args.runs)
    questions, base = read_questions(folder, args.only), read_base(folder)
    tests = [setting for question in questions for setting in question.settings if setting.at_test]
    for setting, fold, seed in trainings(questions, args.folds, args.seeds):
        run = run_of(runs, setting, fold, seed)
        title = f'{setting.folder}, fold {fold}, seed {seed}'
        if not is_finished(run):
            flags = [*as_flags({**base, **setting.flags}), *args.rest]
            flags += ['--cv', str(fold), '--seed', str(seed), '--result_dir', str(run), '--resume', 'auto']
            code = step(title, 'train.py', *flags)
            if code:
                return failed(title, code)
        for test in tests if setting.folder == BASE else ():
            out = run_of(runs, test, fold, seed)
            if score_of_test(out) is None:
                flags = ['--run', str(run), '--eval', 'val', '--result_dir', str(out), *as_flags(test.flags)]
                code = step(f'{test.folder}, fold {fold}, seed {seed}', 'train.py', *flags)
                if code:
                    return failed(test.folder, code)
    return 0


def scores_of(runs: Path, setting: Setting, folds: list[int], seeds: int) -> dict:
    """{(fold, seed): mean IoU in percent} of what is there."""
    found = {}
    for fold in folds:
        for seed in range(seeds):
            run = run_of(runs, setting, fold, seed)
            value = score_of_test(run) if setting.at_test else score(run)
            if value is not None:
                found[fold, seed] = value
    return found


def spread(values: list[float]) -> str:
    """'61.20 ± 0.83': mean and standard deviation; the value alone of one; '-' of none."""
    if len(values) < 2:
        return f'{values[0]:.2f}' if values else '-'
    return f'{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}'


def verdict(differences: dict) -> str:
    """What the paired differences to the base allow to say; differences: {(fold, seed): points}.

    Seeds are what repeats: the means over the folds of a seed are compared with their standard error, and a change is
    called better or worse beyond two of those and with three seeds at least.
    """
    by_seed = {}
    for (_, seed), value in differences.items():
        by_seed.setdefault(seed, []).append(value)
    means = [statistics.fmean(values) for values in by_seed.values()]
    if len(means) < 3:
        return f'open: {len(means)} of 3 seeds'
    mean, error = statistics.fmean(means), statistics.stdev(means) / len(means) ** 0.5
    if abs(mean) <= 2 * error:
        return 'no difference seen'
    return 'better' if mean > 0 else 'worse'


def told(flags: dict) -> str:
    """The flags of a setting as a cell, those that it leaves out too."""
    words = as_flags(flags) + [f'without --{name}' for name, value in flags.items() if value is None or value is False]
    return f'`{" ".join(words)}`' if words else ''


def table(runs: Path, question: Question, folds: list[int], seeds: int) -> list[str]:
    """Markdown: a row for the base and for each setting."""
    heads = ['setting', 'flags', *(f'fold {fold}' for fold in folds), 'mean of folds', 'to the base', 'so it is']
    lines = ['| ' + ' | '.join(heads) + ' |', '|---|---|' + '---:|' * (len(folds) + 2) + '---|']
    base = scores_of(runs, Setting('', BASE), folds, seeds)
    for setting in [Setting('', BASE), *question.settings]:
        found = scores_of(runs, setting, folds, seeds)
        of_folds = [[found[key] for key in found if key[0] == fold] for fold in folds]
        whole = [seed for seed in range(seeds) if all((fold, seed) in found for fold in folds)]
        means = [statistics.fmean(found[fold, seed] for fold in folds) for seed in whole]
        paired = {key: found[key] - base[key] for key in found.keys() & base.keys()}
        cells = [setting.name, told(setting.flags)]
        cells += [*map(spread, of_folds), spread(means)]
        if setting.question:
            cells += [f'{statistics.fmean(paired.values()):+.2f}' if paired else '-', verdict(paired)]
        else:
            cells += ['', '']
        lines.append('| ' + ' | '.join(cells) + ' |')
    return lines


def page(args) -> str:
    """The whole page as Markdown; ValueError where no training of the base has finished."""
    folder, runs = Path(args.folder), Path(args.runs)
    questions = read_questions(folder, args.only)
    finished = [
        run_of(runs, Setting('', BASE), fold, seed)
        for fold in args.folds
        for seed in range(args.seeds)
        if is_finished(run_of(runs, Setting('', BASE), fold, seed))
    ]
    if not finished:
        raise ValueError(f'{runs}: holds no finished training of the base; run this script without --page first')
    hparams = read_json(finished[0] / 'hparams.json')
    lines = [
        f'# Choices of {folder.name}',
        '',
        f'Written by `python scripts/choices.py {folder.as_posix()} --page FILE` from the run directories.',
        '',
        *machine(hparams, hparams),
        '',
        f'Every change alone against the base, `{(folder / BASE).as_posix()}.yml`: mean IoU in percent of the last',
        'validation on the fold that was left out, mean and standard deviation over seeds. *To the base* is the mean',
        'of the differences of runs of the same fold and seed. Better and worse are said beyond two standard errors of',
        'the means over folds, with three seeds at least.',
    ]
    for question in questions:
        lines += ['', f'## {question.about}', '', *table(runs, question, args.folds, args.seeds)]
    return '\n'.join(lines) + '\n'


def choices(argv) -> int:
    args = parse_args(argv)
    if not args.page:
        return train_all(args)
    write_text(args.page, page(args))
    print(args.page)
    return 0


def main(argv=None) -> int:
    """Run; returns the exit code, that of the first step that fails."""
    return run_program('scripts/choices.py', choices, argv, 'interrupted; the same command goes on')


if __name__ == '__main__':
    sys.exit(main())
