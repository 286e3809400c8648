"""The page that compares trainings, from run directories that the test writes."""

import json

import pytest
from recorded_command import COMMAND

from scripts import record_comparison


@pytest.fixture
def trained(tmp_path):
    def write(name, score, epoch=5, minutes=10, **flags):
        folder = tmp_path / name
        folder.mkdir()
        (folder / 'hparams.json').write_text(
            json.dumps({'command': COMMAND, 'seed': 0, 'result_dir': name, 'cfg.A': name, 'lr': 0.1, **flags})
        )
        (folder / 'metrics.csv').write_text(
            'start,start/step,0,timestamp,1000\nval,mean_iu,0.1,epoch,0,timestamp,1001\n'
            f'val,mean_iu,{score},epoch,{epoch},timestamp,{1000 + 60 * minutes}\n'
        )
        return str(folder)

    return write


def run(tmp_path, *folders):
    return record_comparison.main(['--title', 'T', '--out', str(tmp_path / 'page.md'), *folders])


def test_trainings_of_one_setting_are_a_row_with_the_mean_over_their_seeds(tmp_path, trained):
    folders = [
        trained('a1', 0.50, seed=1, augment_on='loader', minutes=8),
        trained('b1', 0.52, seed=1, augment_on='device'),
        trained('a2', 0.54, seed=2, augment_on='loader', minutes=12, new_flag=None),
    ]
    assert run(tmp_path, *folders) == 0
    text = (tmp_path / 'page.md').read_text()
    assert '| `--augment_on` | mean IoU % | of seeds | minutes |' in text
    assert '| loader | 52.00 | 50.00 (1), 54.00 (2) | 10 |' in text and '| device | 52.00 | 52.00 (1) | 10 |' in text
    assert 'after epoch 5' in text and 'A CPU, 2 cores' in text and 'python train.py --gblur' in text


@pytest.mark.parametrize('second, expected', [({}, 'no flag but --seed'), ({'lr': 0.2, 'epoch': 4}, 'of epochs 4, 5')])
def test_trainings_that_cannot_be_compared_are_told(tmp_path, trained, capsys, second, expected):
    assert run(tmp_path, trained('a', 0.5), trained('b', 0.5, **second)) == 2
    assert expected in capsys.readouterr().err and not (tmp_path / 'page.md').exists()


def test_one_training_or_one_without_validation_is_told(tmp_path, trained, capsys):
    alone = trained('a', 0.5)
    assert run(tmp_path, alone) == 2 and 'two or more' in capsys.readouterr().err
    other = trained('b', 0.5, lr=0.3)
    (tmp_path / 'b' / 'metrics.csv').write_text('start,start/step,0,timestamp,1000\n')
    assert run(tmp_path, alone, other) == 2 and 'no validation' in capsys.readouterr().err
