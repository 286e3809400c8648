"""A benchmark is added by one file in aggregation/benchmarks/: the worked example of docs/contributing.md."""

import json
import sys

import cv2
import numpy as np
import pytest

import ensemble
from aggregation import benchmarks, commands

FILE = '''
"""The share of right pixels: `eval share`."""

import numpy as np

from aggregation import flags
from aggregation.benchmarks.results import percent, show, write_page
from aggregation.benchmarks.trees import Tree, read_gray
from aggregation.commands import command
from utils.pages.sheet import table


def _eval_flags(parser):
    parser.add_argument('--gt', metavar='DIR', help='trainId PNGs')
    parser.add_argument('--pred', metavar='DIR', help='PNGs of the same names')
    flags.evaluation(parser)


@command('eval share', 'score trainId PNGs by their share of right pixels', _eval_flags, ('gt', 'pred'))
def eval_share(args):
    truths, predictions = Tree(args.gt), Tree(args.pred)
    shares = [(read_gray(truths, name) == read_gray(predictions, name)).mean() for name in truths.names]
    result = {'scores': {'share': float(np.mean(shares))}, 'notes': [f'{len(shares)} images']}
    show(args, result, [f'right pixels {percent(result["scores"]["share"])}'], page)


def page(path, result):
    rows = [['score', '%'], ['share', percent(result['scores']['share'])]]
    write_page(path, 'Right pixels', {}, [table('Scores', rows)], result['notes'])
'''


@pytest.fixture
def added(tmp_path, monkeypatch):
    """The file as if it stood among the other benchmarks."""
    benchmarks.register()
    (tmp_path / 'room').mkdir()
    (tmp_path / 'room/share.py').write_text(FILE)
    monkeypatch.setattr(benchmarks, '__path__', [*benchmarks.__path__, str(tmp_path / 'room')])
    monkeypatch.setattr(commands, 'COMMANDS', dict(commands.COMMANDS))
    yield
    sys.modules.pop('aggregation.benchmarks.share', None)
    vars(benchmarks).pop('share', None)


def test_the_command_of_a_new_benchmark_is_listed_beside_the_others(added, capsys):
    assert ensemble.main([]) == 0
    names = [line[2:21].strip() for line in capsys.readouterr().out.splitlines()[2:]]
    evals = [name for name in names if name.startswith('eval')]
    assert evals == ['eval bravo', 'eval cityscapes', 'eval ood', 'eval share']
    assert names[:5] == ['check', 'fuse', 'run', 'calibrate', 'report'] and len(names) == len(set(names)) == 13


def test_it_runs_with_the_flags_of_every_evaluation(added, tmp_path, capsys):
    for folder, images in {'gt': [[0, 1, 2, 3], [5, 5, 5, 5]], 'pred': [[0, 1, 2, 9], [5, 5, 4, 4]]}.items():
        (tmp_path / folder).mkdir()
        for name, image in zip('ab', images):
            cv2.imwrite(str(tmp_path / folder / f'{name}.png'), np.array([image], np.uint8))
    places = [f'--gt={tmp_path / "gt"}', f'--pred={tmp_path / "pred"}']
    json_file, page = tmp_path / 's.json', tmp_path / 's.html'
    assert ensemble.main(['eval', 'share', *places, '--json', str(json_file), '--page', str(page)]) == 0
    assert capsys.readouterr().out == 'right pixels 62.50 %\nnote: 2 images\n'  # (3/4 + 2/4) / 2
    assert json.loads(json_file.read_text()) == {'share': 0.625} and '62.50 %' in page.read_text()
    assert ensemble.main(['eval', 'share', places[0]]) == 2
    assert 'ensemble.py eval share needs --pred' in capsys.readouterr().err


def test_without_its_file_there_is_no_such_command(capsys):
    assert ensemble.main(['eval', 'share']) == 2
    assert "there is no command 'eval share', choose one of eval bravo, eval cityscapes, eval ood" in (
        capsys.readouterr().err
    )
