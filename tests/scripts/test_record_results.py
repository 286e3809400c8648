"""The result page, from run directories that the test writes."""

import json

import pytest
from recorded_command import COMMAND

from scripts import record_results


def test_the_page_says_what_the_files_say(tmp_path, capsys):
    line = 'python train.py --lr 0.1 --override_dataset_root /some/where --result_dir /some/run --resume auto'
    command = {**COMMAND, 'line': line}
    for name in ('run', 'eval'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'hparams.json').write_text(json.dumps({'command': command}))
    (tmp_path / 'run' / 'metrics.csv').write_text(
        'start,start/step,0,timestamp,1000\nval,loss,1.0,mean_iu,0.25,epoch,0,timestamp,1060\n'
        'val,loss,0.5,mean_iu,0.5,epoch,5,timestamp,1600\n'
    )
    (tmp_path / 'eval' / 'metrics.json').write_text(
        json.dumps(
            {
                'images': 3,
                'n_scales': [0.5, 1.0],
                'mean_iou': 0.4,
                'accuracy': 0.9,
                'classes': {'road': {'iou': 0.8}, 'car': {'iou': None}},
            }
        )
    )
    out = tmp_path / 'page.md'
    assert record_results.main(['--title', 'T', '--out', str(out), str(tmp_path / 'run'), str(tmp_path / 'eval')]) == 0
    text = out.read_text()
    assert (
        '| road | 80.00 |' in text
        and '| car | - |' in text
        and '| **mean IoU** | **40.00** |' in text
        and '| class | scales 0.5, 1 |' in text
    )
    assert '| 5 | 10 | 50.00 |' in text and 'Training took 10 minutes' in text and 'A CPU, 2 cores, 1 threads' in text
    assert (
        'python train.py --lr 0.1 --override_dataset_root OVERRIDE_DATASET_ROOT --result_dir RESULT_DIR --resume auto'
        in text
    )
    assert '/some' not in text


def test_a_folder_that_is_no_run_is_told(tmp_path, capsys):
    assert record_results.main(['--title', 'T', '--out', str(tmp_path / 'x.md'), str(tmp_path), str(tmp_path)]) == 2
    assert 'hparams.json' in capsys.readouterr().err and not (tmp_path / 'x.md').exists()


@pytest.mark.parametrize(
    'record, title',
    [
        ({}, 'as trained'),
        ({'do_flip': True}, 'flip'),
        (
            {'multi_scale_inference': True, 'default_scale': 1.0, 'extra_scales': [0.75, 1.5], 'do_flip': True},
            'scales 0.75, 1, 1.5 and flip',
        ),
    ],
)
def test_a_column_is_titled_by_scales_and_flips(record, title):
    evaluation = {'classes': {'road': {'iou': 0.8}}, 'mean_iou': 0.8, 'accuracy': 0.9}
    assert record_results.class_table([evaluation], [record])[0] == f'| class | {title} |'
