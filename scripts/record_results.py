"""Page for docs/results/ of a training and its evaluations: what was trained, on what, how long, and what it scores.

    python scripts/record_results.py --title 'CamVid on a CPU' --out docs/results/camvid_cpu.md RUN EVAL [EVAL ...]

RUN is the directory of a finished training, each EVAL that of an evaluation of its checkpoint. Every number comes from
the files in them. Flags that are paths are written as their names: where files lie on one machine means nothing on
another.
"""

import argparse
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from network.weights import SOURCES  # noqa: E402
from utils.cli.program import MISTAKES, run_program  # noqa: E402
from utils.cli.wording import listed  # noqa: E402
from utils.files import metrics_csv  # noqa: E402
from utils.files.atomic import write_text  # noqa: E402  (the repository is not installed)
from utils.files.limits import parse_json  # noqa: E402
from utils.files.metrics_csv import MetricsTable  # noqa: E402

PATH_FLAGS = (
    '--override_dataset_root',
    '--assets_path',
    '--result_dir',
    '--snapshot',
    '--run',
    '--finetune_from',
    '--teacher',
    '--resume',
    '--eval_folder',
    '--pretrained',
    '--config',
)


def page_parser(doc):
    """The flags of every script that writes a page for docs/results/; doc: the script's docstring."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0], allow_abbrev=False)
    parser.add_argument('--title', required=True, help='heading of the page')
    parser.add_argument('--out', required=True, metavar='FILE', help='Markdown file to write')
    return parser


def parse_args(argv=None):
    parser = page_parser(__doc__)
    parser.add_argument('run', metavar='RUN', help='directory of a finished training')
    parser.add_argument('evaluations', metavar='EVAL', nargs='+', help='directories of evaluations')
    return parser.parse_args(argv)


def read_json(path, remedy='give the directory of a finished training, then of evaluations that scored labels'):
    try:
        return parse_json(Path(path).read_bytes())
    except OSError as error:
        raise FileNotFoundError(f'{path}: is not there; {remedy}') from error
    except ValueError as error:
        raise ValueError(f'{path}: is no JSON ({error}); {remedy}') from error


def command_of(hparams):
    """The command line without the interpreter's folder, and with the names of path flags in place of their values."""
    words = shlex.split(hparams['command']['line'])
    words = words[next(place for place, word in enumerate(words) if word.endswith('train.py')) :]
    words[0] = 'train.py'
    for place, word in enumerate(words[:-1]):
        if word in PATH_FLAGS and words[place + 1] not in ('auto', *SOURCES):
            words[place + 1] = word[2:].upper()
    return shlex.join(['python', *words])


def validations(run):
    """(epoch, mean IoU, seconds since the start) of every validation in metrics.csv."""
    table = MetricsTable.read(Path(run) / metrics_csv.NAME)
    return [
        (epoch, row['mean_iu'], row['timestamp'] - table.start)
        for epoch, row in table.of('val').items()
        if 'mean_iu' in row
    ]


def machine(hparams, evaluation):
    """The lines about hardware and versions; an evaluation on the same host fills in what an older training did not
    record."""
    command, later = hparams['command'], evaluation['command']
    same = command.get('host') == later.get('host')
    device = command['gpu'] or command.get('cpu') or (same and later.get('cpu')) or command['platform']
    versions = ', '.join(f'{name} {version}' for name, version in command['versions'].items())
    git = command['git'] or {}
    commit = git.get('commit', 'unknown')[:12] + (
        f', with changes in {listed(git["changed"])}' if git.get('changed') else ''
    )
    return [
        (
            f'* hardware: {device}, {command["cpus"]} cores, {command["threads"]} threads per process,'
            f' {command["world"]} process(es)'
        ),
        f'* versions: {versions}',
        f'* commit: {commit}',
        f'* date: {command["started"][:10]}',
    ]


def class_table(evaluations, records):
    """Markdown: a row per class, a column per evaluation, IoU in percent; records: of each, its hparams.json."""
    names = list(evaluations[0]['classes'])

    def column(evaluation, record):
        scales = evaluation.get('n_scales')
        if record.get('multi_scale_inference'):
            scales = sorted((record['default_scale'], *record['extra_scales']))
        told = ['scales ' + ', '.join(f'{scale:g}' for scale in scales)] if scales else []
        flip = {'h': 'flip', 'v': 'vertical flip', '4way': '4-way flips'}[record.get('flip_kind', 'h')]
        return ' and '.join(told + [flip] * bool(record.get('do_flip'))) or 'as trained'

    def percent(value):
        return '-' if value is None else f'{100 * value:.2f}'

    lines = ['| class | ' + ' | '.join(map(column, evaluations, records)) + ' |', '|---|' + '---:|' * len(evaluations)]
    lines += [
        f'| {name} | ' + ' | '.join(percent(e['classes'][name]['iou']) for e in evaluations) + ' |' for name in names
    ]
    lines.append('| **mean IoU** | ' + ' | '.join(f'**{percent(e["mean_iou"])}**' for e in evaluations) + ' |')
    lines.append('| pixel accuracy | ' + ' | '.join(percent(e['accuracy']) for e in evaluations) + ' |')
    return lines


def page(title, run, evaluations):
    """The whole page as Markdown."""
    hparams, scores = (
        read_json(Path(run) / 'hparams.json'),
        [read_json(Path(folder) / 'metrics.json') for folder in evaluations],
    )
    if hparams.get('eval'):
        raise ValueError(
            f'{run}: is the directory of an evaluation (--eval {hparams["eval"]}); give that of a training'
        )
    rows = validations(run)
    if not rows:
        raise ValueError(f'{run}/metrics.csv: holds no validation; give the directory of a training that has validated')
    records = [read_json(Path(folder) / 'hparams.json') for folder in evaluations]
    lines = [
        f'# {title}',
        '',
        'Written by `scripts/record_results.py` from the run directories.',
        '',
        *machine(hparams, records[0]),
        '',
        '```',
        command_of(hparams),
    ]
    lines += map(command_of, records)
    lines += [
        '```',
        '',
        f'Training took {rows[-1][2] / 60:.0f} minutes, validations included.',
        '',
        f'IoU in percent on {scores[0]["images"]} images:',
        '',
        *class_table(scores, records),
        '',
        'Mean IoU of the validations during training:',
        '',
        '| epoch | minutes | mean IoU % |',
        '|---:|---:|---:|',
    ]
    lines += [f'| {epoch} | {seconds / 60:.0f} | {100 * score:.2f} |' for epoch, score, seconds in rows]
    return '\n'.join(lines) + '\n'


def page_program(name, parse_args, make, argv=None) -> int:
    """Run a script that writes a page.

    Args:
        name: of the script.
        parse_args: argv -> args, with args.out.
        make: args -> the page; a KeyError is an entry that older files lack.

    Returns: the exit code.
    """

    def body(argv):
        args = parse_args(argv)
        write_text(args.out, make(args))
        print(args.out)

    def remedy(error):
        return ' is missing in the files; make them again with this version' if isinstance(error, KeyError) else ''

    return run_program(name, body, argv, mistakes=(*MISTAKES, KeyError), remedy=remedy)


def main(argv=None):
    return page_program(
        'record_results.py', parse_args, lambda args: page(args.title, args.run, args.evaluations), argv
    )


if __name__ == '__main__':
    sys.exit(main())
