"""Every dataset goes through the program: two training steps and a validation, or an evaluation without scores."""

import json

import pytest
from small import TRAIN
from trees import LAYOUTS, make_tree

from datasets import get_classes
from datasets.collection.nullloader import NullLoader

QUICK = ('mapillary', 'gta5', 'ade20k', 'pascal_context')
UNLABELLED = ('bravo', 'SMIYC_anomaly', 'SMIYC_obstacle')


@pytest.mark.parametrize(
    'name',
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in LAYOUTS
        if name not in UNLABELLED
    ],
)
def test_two_training_steps_and_a_validation(program, tmp_path, name):
    tree = make_tree(name, tmp_path / 'data', images=4)
    code, printed = program(*TRAIN, '--max_epoch', 1, '--override_dataset_root', tmp_path / 'data', dataset=name)
    assert code == 0, printed
    steps = len(tree.splits['train'].names) // 2
    assert f'[epoch 0], [iter {steps} / {steps}]' in printed
    metrics = json.loads((program.run_dir / 'metrics.json').read_text())
    kind = get_classes(name)
    assert list(metrics['classes']) == list(kind.names)
    expected = sum(int((label != kind.ignore_label).sum()) for label in tree.splits['val'].labels)
    assert metrics['pixels'] == expected, 'every pixel that is not void is scored'


@pytest.mark.parametrize(
    'name, split',
    [
        ('SMIYC_anomaly', 'val'),
        ('wilddash', 'test'),
        *(
            pytest.param(name, split, marks=pytest.mark.slow)
            for name, split in [('bravo', 'val'), ('SMIYC_obstacle', 'val'), ('kitti', 'test')]
        ),
    ],
)
def test_images_without_labels_are_evaluated_without_a_score(program, tmp_path, name, split):
    make_tree(name, tmp_path / 'data', images=2)
    code, printed = program(
        *('--eval', split, '--random_weights', '--dump_for_submission'),
        *('--override_dataset_root', tmp_path / 'data'),
        dataset=name,
    )
    assert code == 0, printed
    assert 'so there is no score' in printed and 'mean_iu' not in printed and '2 images evaluated' in printed
    assert not (program.run_dir / 'metrics.json').exists()
    assert len(list((program.run_dir / 'submit').rglob('*_pred.png'))) == 2


def test_nullloader_trains_without_any_file(program, tmp_path, monkeypatch):
    monkeypatch.setattr(NullLoader, 'length', 4)
    code, printed = program(
        *TRAIN,
        '--max_epoch',
        1,
        '--class_uniform_pct',
        '0',
        '--override_dataset_root',
        tmp_path / 'nowhere',
        dataset='nullloader',
    )
    assert code == 0, printed
    assert '[iter 2 / 2]' in printed
    assert json.loads((program.run_dir / 'metrics.json').read_text())['pixels'] == 4 * 48 * 64, (
        'four images of the crop size'
    )


def test_nullloader_with_class_uniform_sampling_is_told_in_one_line(program):
    code, printed = program(*TRAIN, dataset='nullloader')
    assert code == 2 and 'give --class_uniform_pct 0' in printed and 'Traceback' not in printed


def test_the_help_lists_the_datasets(capsys):
    import train

    with pytest.raises(SystemExit):
        train.main(['--help'])
    printed = ' '.join(capsys.readouterr().out.split())
    assert 'acdc, ade20k, bdd100k, bravo, camvid, camvid32, cityscapes, custom, folder,' in printed
