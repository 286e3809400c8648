"""--dry_run: everything is checked, what is missing is listed, and nothing is written."""

import pytest
from small import TRAIN


def left_nothing(program):
    return not program.run_dir.exists() and not (program.run_dir.parent / 'assets').exists()


def test_a_dry_run_says_what_a_training_would_do_and_writes_nothing(program):
    code, printed = program(*TRAIN, '--dry_run', '--accumulate', '2', '--loss', 'rmi,ce')
    assert code == 0 and left_nothing(program)
    lines = printed.splitlines()
    assert 'data: synthetic train, 12 images' in lines and 'data: synthetic val, 5 images' in lines
    assert 'length: 2 epochs of 3 steps, 4 images each' in lines  # 12 images in batches of 2, two of them a step
    assert 'loss: pred x 1, aux x 0.4, pred_05x x 0, pred_10x x 0' in lines
    assert lines[-1] == 'dry run: all is there' and f'would train and write to {program.run_dir}' in lines


def test_a_dry_run_fits_the_weights_that_it_would_start_from(program, snapshot):
    code, printed = program('--eval', 'val', '--snapshot', snapshot, '--dry_run')
    assert code == 0 and 'would evaluate val' in printed and left_nothing(program)
    code, printed = program('--eval', 'val', '--snapshot', snapshot, '--dry_run', '--arch', 'basic.HRNet')
    assert code == 2 and str(snapshot) in printed


def test_a_dry_run_lists_every_file_that_is_missing(program, tmp_path):
    flags = (*TRAIN, '--dry_run', '--pretrained', 'imagenet', '--override_dataset_root', tmp_path / 'nowhere')
    code, printed = program(*flags)
    missing = [line for line in printed.splitlines() if line.startswith('missing: ')]
    assert code == 1 and len(missing) == 2 and left_nothing(program)
    assert '--pretrained' in missing[0] and 'nowhere' in missing[1]
    assert printed.splitlines()[-1] == 'dry run: 2 things missing'


@pytest.mark.parametrize('start', ['--snapshot', '--finetune_from', '--resume'])
def test_a_dry_run_goes_on_without_the_weights_that_are_missing(program, start):
    code, printed = program(*TRAIN, '--dry_run', start, 'none.pth')
    assert code == 1 and 'missing: none.pth' in printed and 'length: 2 epochs of 6 steps' in printed


@pytest.mark.parametrize(
    'flags, word',
    [
        (['--loss', 'nothing'], '--loss'),
        (['--bs_trn', '13'], '--bs_trn'),
        (['--crop_size', '480,640'], '--crop_size'),
        (['--class_weights', '1,2'], '--class_weights'),
    ],
)
def test_a_mistake_ends_a_dry_run_as_it_would_end_the_run(program, flags, word):
    code, printed = program(*TRAIN, '--dry_run', *flags)
    assert code == 2 and word in printed.splitlines()[-1]
