"""The script that answers questions about a recipe: what it trains in which order, where it goes on, and its table."""

import json
from pathlib import Path

import pytest
from recorded_command import COMMAND

import train
from scripts import choices

CAMVID = Path(__file__).resolve().parents[2] / 'scripts/experiments/camvid'
SCORES = {'base': 60, 'loss.ce': 58, 'loss.wce': 60.5}


@pytest.fixture
def folder(tmp_path):
    files = {
        'base.yml': 'loss: rmi\nema: 0.9\nlr: 0.1\n',
        'loss.yml': 'about: Which loss?\nsettings:\n  ce: {loss: ce, ema: null}\n  wce: {loss: wce}\n',
        'testing.yml': 'about: Flips?\ntests:\n  flip: {do_flip: true}\n',
    }
    (tmp_path / 'questions').mkdir()
    for name, text in files.items():
        (tmp_path / 'questions' / name).write_text(text)
    return tmp_path / 'questions'


@pytest.fixture
def calls(monkeypatch):
    """The calls of train.py, which leave behind what it would: scores of SCORES, and 1 more a fold, seeds aside; an
    evaluation has 2 points more. `fail` is a title that ends with 75."""
    made = []

    def step(title, program, *flags):
        made.append((title, *flags))
        if title == step.fail:
            return 75
        run = Path(flags[flags.index('--result_dir') + 1])
        run.mkdir(parents=True, exist_ok=True)
        fold, seed = (int(part[-1]) for part in run.name.split('_'))
        if '--eval' in flags:
            (run / 'metrics.json').write_text(json.dumps({'mean_iou': (60 + fold + 2) / 100}))
        else:
            score = (SCORES[run.parent.name] + fold + (run.parent.name == 'loss.wce' and seed == 1) * -2) / 100
            (run / 'hparams.json').write_text(json.dumps({'command': COMMAND, 'max_epoch': 8}))
            (run / 'metrics.csv').write_text(
                'start,start/step,0,timestamp,1000\n' + f'val,mean_iu,{score},epoch,7,timestamp,1060\n'
            )
        return 0

    step.fail = None
    monkeypatch.setattr(choices, 'step', step)
    return made, step


def run(folder, *flags):
    return choices.main([str(folder), '--runs', str(folder.parent / 'runs'), *flags])


def test_trainings_come_seed_by_seed_and_a_test_follows_its_base(folder, calls):
    assert run(folder, '--folds', '2,3', '--seeds', '2', '--amp_note', 'x') == 0
    titles = [title for title, *_ in calls[0]]
    assert titles[:8] == [
        'base, fold 2, seed 0',
        'testing.flip, fold 2, seed 0',
        'base, fold 3, seed 0',
        'testing.flip, fold 3, seed 0',
        'loss.ce, fold 2, seed 0',
        'loss.ce, fold 3, seed 0',
        'loss.wce, fold 2, seed 0',
        'loss.wce, fold 3, seed 0',
    ]
    assert [title.replace('seed 0', 'seed 1') for title in titles[:8]] == titles[8:]


def test_a_setting_trains_with_the_flags_of_the_base_but_for_its_own(folder, calls):
    run(folder, '--only', 'loss', '--folds', '3', '--seeds', '1', '--bs_trn', '2')
    flags = {title.split(',')[0]: set(rest) for title, *rest in calls[0]}
    assert {'--loss=rmi', '--ema=0.9', '--lr=0.1', '--bs_trn', '2', '--cv', '3', '--seed', '0'} <= flags['base']
    assert '--loss=ce' in flags['loss.ce'] and not {'--ema=0.9', '--loss=rmi'} & flags['loss.ce']


def test_it_goes_on_where_it_stopped(folder, calls, capsys):
    made, step = calls
    step.fail = 'loss.ce, fold 1, seed 0'
    assert run(folder, '--seeds', '1', '--folds', '1') == 75
    assert 'ended with exit code 75' in capsys.readouterr().err
    step.fail = None
    made.clear()
    assert run(folder, '--seeds', '1', '--folds', '1') == 0
    assert [title for title, *_ in made] == ['loss.ce, fold 1, seed 0', 'loss.wce, fold 1, seed 0']


def test_the_table_says_means_differences_and_what_three_seeds_allow_to_say(folder, calls, tmp_path):
    run(folder, '--folds', '1,2')
    assert run(folder, '--folds', '1,2', '--page', str(tmp_path / 'page.md')) == 0
    text = (tmp_path / 'page.md').read_text()
    assert '| base |  | 61.00 ± 0.00 | 62.00 ± 0.00 | 61.50 ± 0.00 |  |  |' in text
    # ce is 2 points below in every run; wce is 0.5, -1.5 and 0.5 off: mean -0.17, standard deviation 1.15
    assert '| ce | `--loss=ce without --ema` | 59.00 ± 0.00 | 60.00 ± 0.00 | 59.50 ± 0.00 | -2.00 | worse |' in text
    assert '| 60.83 ± 1.15 | 61.83 ± 1.15 | 61.33 ± 1.15 | -0.17 | no difference seen |' in text
    assert '| flip | `--do_flip` | 63.00 ± 0.00 | 64.00 ± 0.00 | 63.50 ± 0.00 | +2.00 | better |' in text


def test_fewer_than_three_seeds_are_no_evidence(folder, calls, tmp_path):
    run(folder, '--only', 'loss', '--folds', '1', '--seeds', '1')
    run(folder, '--only', 'loss', '--folds', '1', '--page', str(tmp_path / 'page.md'))
    assert '| 59.00 | 59.00 | -2.00 | open: 1 of 3 seeds |' in (tmp_path / 'page.md').read_text()


@pytest.mark.parametrize(
    'flags, said',
    [
        (('--only', 'los'), 'no such question; did you mean loss?'),
        (('--cv', '1'), '--cv: is decided here'),
        (('--seeds', '0'), '--seeds'),
        (('--folds', 'all'), 'expected numbers with commas between'),
        (('--page', 'page.md'), 'holds no finished training of the base'),
    ],
)
def test_mistakes_are_told(folder, calls, capsys, flags, said):
    assert run(folder, *flags) == 2 and said in capsys.readouterr().err
    assert not calls[0]


def test_a_file_that_is_no_question_is_named(folder, calls, capsys):
    (folder / 'crop.yml').write_text('settings: {large: {crop_size: 8}}\n')
    assert run(folder) == 2 and 'crop.yml: has settings, expected about and one of' in capsys.readouterr().err


def test_every_setting_for_camvid_holds_flags_of_train_py():
    base = choices.read_base(CAMVID)
    for question in choices.read_questions(CAMVID):
        for setting in question.settings:
            flags = setting.flags if setting.at_test else {**base, **setting.flags}
            given = train.parse_args(choices.as_flags(flags)).given
            assert set(given) == {name for name, value in flags.items() if value is not None and value is not False}
