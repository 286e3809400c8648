"""The script that trains all folds: its calls, where it stops and goes on, and the scores that it adds up."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from small import ROOT, SMALL

sys.path.insert(0, str(ROOT / 'tests/datasets'))
from custom_file import FOLDERS, make_images, open_custom  # noqa: E402

from scripts import train_folds  # noqa: E402


@pytest.fixture
def data(tmp_path):
    make_images(tmp_path / 'mine')
    open_custom(tmp_path / 'mine', FOLDERS)
    return tmp_path / 'mine/data.yaml'


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """The calls of programs, which leave behind what these would; `fail` names a title that ends with 75."""
    made = []

    def step(title, program, *flags):
        made.append((title, program, flags))
        if title == step.fail:
            return 75
        if program == 'train.py':
            folder = Path(flags[flags.index('--run' if '--eval' in flags else '--result_dir') + 1])
            folder.mkdir(parents=True, exist_ok=True)
            if '--eval' in flags:
                folder = folder / 'eval_val'
                folder.mkdir(exist_ok=True)
                right = 6 if 'fold0' in str(folder) else 2
                np.save(folder / 'confusion_matrix.npy', np.array([[right, 8 - right], [0, 8]]))
                (folder / 'metrics.json').write_text(json.dumps({'classes': {'road': {}, 'car': {}}}))
            elif not (folder / 'best_checkpoint_ep1.pth').exists():
                (folder / 'best_checkpoint_ep1.pth').touch()
        return 0

    step.fail = None
    monkeypatch.setattr(train_folds, 'step', step)
    return made, step


def run(data, tmp_path, *flags):
    argv = ['--folds', '2', '--data_yaml', str(data), '--result_dir', str(tmp_path / 'runs'), *flags]
    return train_folds.main(argv)


def test_every_fold_is_trained_and_scored_and_the_scores_are_put_together(data, calls, tmp_path, capsys):
    assert run(data, tmp_path, '--recipe', 'small') == 0
    made, _ = calls
    assert [title for title, *_ in made] == ['fold 0', 'score of fold 0', 'fold 1', 'score of fold 1']
    assert {'--recipe', 'small', '--resume', 'auto', '--fold', '1'} <= set(made[2][2])
    printed = capsys.readouterr().out
    # fold 0: road 6 / 8, car 8 / 10; fold 1: road 2 / 8, car 8 / 14; together road 8 / 16, car 16 / 24
    assert 'fold 0: 77.50 %' in printed and 'fold 1: 41.07 %' in printed
    assert 'mean 59.29 %, standard deviation 25.76 %' in printed and 'has not seen it: 58.33 %' in printed
    found = json.loads((tmp_path / 'runs/folds.json').read_text())
    assert found['iou'] == {'road': 0.5, 'car': pytest.approx(2 / 3)}
    assert [Path(row['weights']).name for row in found['folds']] == ['best_checkpoint_ep1.pth'] * 2


def test_an_evaluation_has_the_settings_of_its_training(data, calls, tmp_path):
    run(data, tmp_path)
    assert calls[0][1][1:] == ('train.py', ('--run', str(tmp_path / 'runs/fold0'), '--eval', 'val'))


def test_it_stops_at_the_first_failing_fold_and_goes_on_there(data, calls, tmp_path, capsys):
    made, step = calls
    step.fail = 'fold 1'
    assert run(data, tmp_path) == 75
    assert 'fold 1 ended with exit code 75; what is done is kept, the same command goes on there' in (
        capsys.readouterr().err
    )
    assert made[-1][0] == 'fold 1' and not (tmp_path / 'runs/folds.json').exists()
    step.fail = None
    made.clear()
    assert run(data, tmp_path) == 0
    assert [title for title, *_ in made] == ['fold 0', 'fold 1', 'score of fold 1'], 'fold 0 is scored already'


def test_a_better_checkpoint_is_scored_again(data, calls, tmp_path):
    run(data, tmp_path)
    best = tmp_path / 'runs/fold0/best_checkpoint_ep1.pth'
    os.utime(best, (2e9, 2e9))
    calls[0].clear()
    run(data, tmp_path)
    assert [title for title, *_ in calls[0]] == ['fold 0', 'score of fold 0', 'fold 1']


def test_the_ensemble_is_run_on_test_images_and_on_what_is_to_be_predicted(data, calls, tmp_path):
    shutil.copytree(data.parent / 'images/val', data.parent / 'images/test')
    assert run(data, tmp_path, '--predict', 'photos') == 0
    (test, program, flags), (_, predict, more) = calls[0][-2:]
    weights = [str(tmp_path / f'runs/fold{fold}/best_checkpoint_ep1.pth') for fold in (0, 1)]
    assert (test, program, flags[:3]) == ('test', 'ensemble.py', ('run', *weights))
    assert predict == 'predict.py' and more[:4] == ('photos', '--weights', *weights)


@pytest.mark.parametrize(
    'flags, part',
    [
        (['--fold', '1'], '--fold: is decided here'),
        (['--resume=x'], '--resume=x: is decided here'),
        (['--folds', '1'], 'of at least 2'),
    ],
)
def test_flags_that_the_script_decides_are_refused(data, calls, tmp_path, capsys, flags, part):
    assert run(data, tmp_path, *flags) == 2
    assert part in capsys.readouterr().err and not calls[0]


def test_a_missing_description_is_told(calls, tmp_path, capsys):
    assert run(tmp_path / 'none.yaml', tmp_path) == 2
    assert 'none.yaml: cannot be read' in capsys.readouterr().err


@pytest.mark.slow
def test_two_folds_train_in_earnest(data, tmp_path, capfd):
    flags = [*SMALL, '--crop_size', '16,48', '--bs_trn', '2', '--max_epoch', '1', '--class_uniform_tile', '32']
    flags += ['--num_workers', '0', '--assets_path', str(tmp_path / 'assets')]
    assert run(data, tmp_path, *flags, '--predict', str(data.parent / 'images')) == 0, capfd.readouterr()
    assert (tmp_path / 'runs/predictions/val/c0/06_color.png').is_file()
    assert 0 <= json.loads((tmp_path / 'runs/folds.json').read_text())['mean_iou'] <= 1
    assert run(data, tmp_path, *flags) == 0, 'a second time there is nothing to train'
