"""Flags that the other tests of the program do not show at work."""

import json
import re

import cv2
import numpy as np
import pytest
import torch
from small import EPOCH, TRAIN

from engine import training
from engine.keeper import CheckpointKeeper
from utils import checkpoint


def last(folder):
    return checkpoint.load(next(folder.glob('last_checkpoint_ep*.pth')))


def test_clip_grad_bounds_the_step(program, snapshot):
    code, printed = program(*EPOCH, '--snapshot', snapshot, '--clip_grad', '1e-30', '--weight_decay', '0')
    assert code == 0, printed
    before, after = checkpoint.load(snapshot)['state_dict'], last(program.run_dir)['state_dict']
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved and all(key.endswith(('running_mean', 'running_var', 'num_batches_tracked')) for key in moved)


def test_start_epoch_starts_at_that_epoch_and_its_learning_rate(program):
    code, printed = program(*TRAIN, '--max_epoch', '4', '--start_epoch', '3', '--lr', '0.04')
    assert code == 0
    assert set(re.findall(r'\[epoch (\d)\], \[iter', printed)) == {'3'} and '[lr 0.010000]' in printed


def test_val_freq_validates_every_second_epoch_and_the_last(program):
    code, printed = program(*TRAIN, '--max_epoch', '4', '--val_freq', '2')
    assert code == 0 and re.findall(r'this : \[epoch (\d)\]', printed) == ['0', '2', '3']


def test_save_minutes_saves_within_an_epoch(program, monkeypatch):
    saved = []
    original = CheckpointKeeper.save
    monkeypatch.setattr(
        CheckpointKeeper,
        'save',
        lambda self, state, *rest, **named: (
            saved.append(state['batch_in_epoch']),
            original(self, state, *rest, **named),
        ),
    )
    assert program(*EPOCH, '--save_minutes', '1e-9')[0] == 0
    assert saved == [1, 2, 3, 4, 5, 6, 0], 'after every step but the last, before the validation, after the epoch'
    saved.clear()
    assert program(*EPOCH, '--save_minutes', '0', '--result_dir', program.run_dir / 'other')[0] == 0
    assert saved == [6, 0]


def test_restore_optimizer_takes_the_momentum_but_not_the_epoch(program, snapshot, tmp_path):
    runs = {}
    for name, flags in (('with', ['--restore_optimizer']), ('without', [])):
        code, printed = program(*EPOCH, '--snapshot', snapshot, *flags, '--result_dir', tmp_path / name)
        assert code == 0 and '[epoch 0], [iter 6 / 6]' in printed, printed
        runs[name] = last(tmp_path / name)['state_dict']['ocr.cls_head.weight']
    assert not torch.equal(runs['with'], runs['without'])


def test_snapshot_partial_loads_the_half_that_fits(program, snapshot, tmp_path):
    state = checkpoint.load(snapshot)['state_dict']
    start = tmp_path / 'other.pth'
    torch.save({key.replace('ocr.', 'head.'): value for key, value in state.items()}, start)
    code, printed = program(*EPOCH, '--arch', 'ocrnet.HRNet', '--snapshot', start)
    assert code == 2 and '--snapshot_partial' in printed
    code, printed = program(*EPOCH, '--arch', 'ocrnet.HRNet', '--snapshot', start, '--snapshot_partial')
    assert code == 0 and 'missing in the file (ocr.' in printed


def test_dump_augmentation_images_writes_what_the_network_sees(program):
    code, printed = program(*EPOCH, '--dump_augmentation_images')
    assert code == 0
    pictures = list((program.run_dir / 'augmented').rglob('*.png'))
    assert len(pictures) == 3 * 12


def test_class_weights_change_the_loss_and_need_cross_entropy(program, tmp_path):
    losses = []
    for number, flags in enumerate(([], ['--class_weights', ','.join(['1', '0'] + ['1'] * 17)])):
        code, printed = program(*EPOCH, '--result_dir', tmp_path / str(number), *flags)
        assert code == 0, printed
        losses.append(re.findall(r'train main loss ([0-9.]+)', printed)[-1])
    assert losses[0] != losses[1]
    code, printed = program(*EPOCH, '--rmi_loss', '--class_weights', ','.join(['1'] * 19))
    assert code == 2 and '--class_weights: none of the losses (rmi, bce, bce, bce) reads it' in printed


@pytest.mark.parametrize(
    'flags, words',
    [(['--class_weights', '1,2'], 'expected 19 finite numbers'), (['--bblur', '--augment_on', 'device'], '--bblur')],
)
def test_mistakes_are_told_before_a_cache_is_written(program, tmp_path, flags, words):
    code, printed = program(*EPOCH, '--cache_dir', tmp_path / 'cache', *flags)
    assert code == 2 and words in printed and not (tmp_path / 'cache').exists()


def test_augmenting_on_the_device_is_the_training_of_the_loaders_but_for_roundings(program, tmp_path):
    losses = {}
    for where in ('loader', 'device'):
        code, printed = program(
            *EPOCH,
            '--gblur',
            '--lr',
            '1e-9',
            '--augment_on',
            where,
            '--dump_augmentation_images',
            '--result_dir',
            tmp_path / where,
        )
        assert code == 0, printed
        losses[where] = float(re.findall(r'train main loss ([0-9.]+)', printed)[-1])
        assert ('takes longer than in the loaders' in printed) == (where == 'device' and not torch.cuda.is_available())
    assert losses['loader'] != losses['device'] and abs(losses['loader'] / losses['device'] - 1) < 1e-2
    seen = [
        np.stack(
            [
                cv2.imread(str(path)).astype(float)
                for path in sorted((tmp_path / where / 'augmented').rglob('*.png'))
                if 'mask' not in path.name
            ]
        )
        for where in losses
    ]
    assert 0 < np.abs(seen[0] - seen[1]).max() <= 8


def test_a_log_line_every_log_freq_steps_and_at_the_end_of_the_epoch(program):
    code, printed = program(*EPOCH, '--log_freq', '4')
    assert code == 0 and re.findall(r'\[iter (\d) / 6\]', printed) == ['4', '6']


@pytest.mark.parametrize(
    'flags, key',
    [
        (['--loss', 'ce,img_wt,bce,rmi', '--loss_weights', '1,0.5,0.25,0.1'], 'pred/ce'),
        (['--img_wt_loss', '--wt_bound', '2', '--batch_weighting'], 'pred/img_wt'),
        (['--rmi_loss', '--ocr_aux_loss_rmi', '--ocr_alpha', '0.3'], 'aux/mi'),
        (['--rmi_loss'], 'pred/mi'),
        (['--loss', 'wrmi,wce', '--rmi_pool', 'max3', '--label_smoothing', '0.1'], 'pred/mi'),
        (['--jointwtborder', '--strict_bdr_cls', '5,6', '--border_window', '2', '--wt_bound', '2'], 'aux/border'),
    ],
)
def test_every_loss_trains_and_its_parts_are_logged(program, monkeypatch, flags, key):
    logged = []
    from engine.run import Run

    monkeypatch.setattr(Run, 'metric', lambda self, phase, numbers, step: logged.append((phase, dict(numbers))))
    code, printed = program(*EPOCH, *flags)
    assert code == 0, printed
    train = [numbers for phase, numbers in logged if phase == 'train']
    assert len(train) == 6 and key in train[0] and all(np.isfinite(list(numbers.values())).all() for numbers in train)


def test_a_loss_below_0_is_explained_once_where_mutual_information_makes_it(program, monkeypatch):
    assert training.is_negative_by_mutual_information({'loss': -0.1, 'pred/bce': 0.4, 'pred/mi': -0.6})
    assert not training.is_negative_by_mutual_information({'loss': 0.1, 'pred/bce': 0.4, 'pred/mi': -0.2})
    assert not training.is_negative_by_mutual_information({'loss': -0.1, 'pred/dc_ce': -0.1})
    monkeypatch.setattr(training, 'is_negative_by_mutual_information', lambda numbers: True)
    code, printed = program(*EPOCH)
    assert code == 0 and printed.count('the loss is below 0, which is no fault') == 1


def test_validations_can_have_the_loss_of_training(program, tmp_path):
    losses = []
    for number, flags in enumerate(([], ['--val_loss', 'same'], ['--val_loss', 'lovasz'])):
        code, printed = program(*EPOCH, '--rmi_loss', '--result_dir', tmp_path / str(number), *flags)
        assert code == 0, printed
        losses.append(float(re.findall(r'this : .*?\[loss ([-0-9.]+)\]', printed)[-1]))
    assert len(set(losses)) == 3 and np.isfinite(losses).all()
    code, printed = program(*EPOCH, '--val_loss', 'lovas')
    assert code == 2 and "--val_loss: 'lovas' is not known; did you mean lovasz?" in printed
    assert 'iter' not in printed  # told before anything was trained


def test_border_relaxation_ends_after_its_last_epoch(program, tmp_path):
    losses = []
    for name, last in (('one', '0'), ('all', '-1')):
        flags = ['--jointwtborder', '--rlx_off_epoch', last, '--lr', '0']
        code, printed = program(*TRAIN, *flags, '--result_dir', tmp_path / name)
        assert code == 0, printed
        losses.append(re.findall(r'train main loss ([0-9.]+)', printed))
    half = len(losses[0]) // 2
    assert losses[0][:half] == losses[1][:half] and losses[0][half:] != losses[1][half:]


@pytest.mark.parametrize(
    'flags',
    [
        ['--mscale_no3x3', '--init_decoder'],
        ['--mscale_old_arch', '--align_corners', '--mscale_lo_scale', '0.25'],
        ['--gblur', '--rand_augment', '2,9', '--pre_size', '100'],
        [
            '--bblur',
            '--translate_aug_fix',
            '--color_aug',
            '0',
            '--scale_min',
            '0.3',
            '--scale_max',
            '0.9',
            '--crop_size',
            '48',
        ],
        [
            '--full_crop_training',
            '--optimizer',
            'radam',
            '--lr_schedule',
            'poly2',
            '--poly_step',
            '1',
            '--max_epoch',
            '2',
        ],
        [
            '--pre_size',
            '64',
            '--crop_val',
            '--crop_size',
            '16,32',
            '--optimizer',
            'adam',
            '--amsgrad',
            '--deterministic',
        ],
        ['--cv', '3', '--class_uniform_pct', '0'],
        [
            '--lr_schedule',
            'scl-poly',
            '--rlx_off_epoch',
            '0',
            '--rescale',
            '0.5',
            '--repoly',
            '2',
            '--momentum',
            '0.5',
            '--precision',
            'bf16',
            '--max_epoch',
            '2',
        ],
    ],
)
def test_these_flags_train_and_are_recorded(program, flags):
    code, printed = program(*EPOCH, *flags)
    assert code == 0, printed
    recorded = json.loads((program.run_dir / 'hparams.json').read_text())
    assert {flag[2:] for flag in flags if flag.startswith('--')} <= set(recorded['command']['given'])


def test_scores_at_another_scale_and_with_flips_are_scores_of_the_same_labels(program, snapshot, tmp_path):
    pixels = []
    for number, flags in enumerate(
        (
            ['--default_scale', '0.5'],
            ['--multi_scale_inference', '--extra_scales', '0.75', '--do_flip'],
            ['--eval', 'val'],
        )
    ):
        code, printed = program(
            '--eval', 'val', '--snapshot', snapshot, '--result_dir', tmp_path / str(number), *flags, small=False
        )
        assert code == 0, printed
        pixels.append(int(np.load(tmp_path / str(number) / 'confusion_matrix.npy').sum()))
    assert pixels[0] == pixels[1] == pixels[2]


def test_eval_trn_scores_every_training_image_once(program, snapshot):
    code, printed = program('--eval', 'trn', '--snapshot', snapshot, small=False)
    assert code == 0 and '12 images evaluated' in printed


def test_a_resumed_run_says_which_flags_changed(program, trained):
    code, printed = program(*TRAIN, '--max_epoch', '2', '--lr', '0.5', '--resume', 'auto')
    assert code == 0 and '--lr 0.5 (was 0.002)' in printed


@pytest.mark.slow
def test_a_compiled_network_trains_like_an_eager_one(program, tmp_path):
    losses = []
    for name, flags in (('eager', []), ('compiled', ['--compile'])):
        code, printed = program(*EPOCH, *flags, '--result_dir', tmp_path / name)
        assert code == 0, printed
        losses.append([float(value) for value in re.findall(r'main loss ([\d.]+)', printed)])
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_debug_shows_the_stack_trace_instead_of_one_line(program):
    with pytest.raises(ValueError, match='x.Y'):
        program('--debug', '--arch', 'x.Y')


def test_dump_topn_all_adds_the_single_scale_pictures_of_the_worst_images(program, snapshot, tmp_path):
    flags = ['--eval', 'val', '--snapshot', snapshot, '--dump_topn', '1']
    for name, more, found in (('some', [], False), ('all', ['--dump_topn_all'], True)):
        assert program(*flags, *more, '--result_dir', tmp_path / name, small=False)[0] == 0
        assert bool(list((tmp_path / name / 'best_images').rglob('*_pred_05x.png'))) is found
        assert (tmp_path / name / 'best_images' / 'topn_failures.html').exists()


def test_cache_dir_decodes_once_and_changes_no_weight(program, snapshot, tmp_path):
    plain = checkpoint.load(snapshot)['state_dict']
    cache = ['--cache_dir', tmp_path / 'cache', '--result_dir', tmp_path / 'cached']
    code, printed = program(*EPOCH, *cache)
    assert code == 0 and printed.count('are written to') == 2, printed
    assert len(list((tmp_path / 'cache').glob('synthetic_*.raw'))) == 2, 'train and val'
    cached = last(tmp_path / 'cached')['state_dict']
    assert all(torch.equal(plain[key], cached[key]) for key in plain)
    code, printed = program(
        '--dataset', 'synthetic', '--eval', 'val', '--snapshot', next((tmp_path / 'cached').glob('last*.pth')), *cache
    )
    assert code == 0 and '--cache_dir: no effect with --eval' in printed


def test_grad_ckpt_trains_to_the_same_weights(program, tmp_path):
    weights = []
    for name, flags in (('kept', []), ('again', ['--grad_ckpt'])):
        code, printed = program(*EPOCH, '--ema', '0.9', *flags, '--result_dir', tmp_path / name)
        assert code == 0, printed
        assert ('4 stages are computed again in the backward pass' in printed) is bool(flags)
        state = last(tmp_path / name)
        weights.append(
            {
                **state['state_dict'],
                **{f'ema.{key}': value for key, value in checkpoint.averaged_weights(state).items()},
            }
        )
    assert list(weights[0]) == list(weights[1]) and all(
        torch.equal(weights[0][key], weights[1][key]) for key in weights[0]
    )
