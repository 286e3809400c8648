"""Faults that a review found in the program as a whole; each stays mended."""

import json
import re

import cv2
import numpy as np
import pytest
import torch
from small import EPOCH, ROOT, TRAIN, stop_after

from transforms import Normalize
from utils import checkpoint


def rates(printed):
    return re.findall(r'\[epoch (\d+)\], \[iter 6 / 6\].*\[lr ([\d.]+)\]', printed)


def test_a_finished_run_is_extended_at_the_learning_rate_of_the_new_flags(program, trained):
    code, printed = program(*TRAIN, '--max_epoch', '4', '--lr', '0.08', '--resume', 'auto')
    assert code == 0 and rates(printed) == [('1', '0.060000'), ('2', '0.040000'), ('3', '0.020000')], printed


def test_fewer_epochs_than_are_done_are_refused_and_as_many_leave_nothing_to_train(program, trained):
    last = trained
    checkpoint.save(last, {**checkpoint.load(last), 'epoch': 4})
    code, printed = program(*TRAIN, '--max_epoch', '4', '--resume', 'auto')
    assert code == 2 and f'--max_epoch 4: the run has done 5 epochs already ({last}); give more to train on' in printed
    code, printed = program(*TRAIN, '--max_epoch', '5', '--resume', 'auto')
    assert code == 0 and 'nothing to train, all 5 epochs are done; best mean IoU: ' in printed
    assert 'finished' not in printed


def test_a_checkpoint_of_an_earlier_program_goes_on_at_its_place_in_the_schedule(program, snapshot, tmp_path):
    state = checkpoint.load(snapshot)
    old = {
        'epoch': 5,
        'arch': state['arch'],
        'optimizer': state['optimizer'],
        'state_dict': {f'module.{k}': v for k, v in state['state_dict'].items()},
    }
    torch.save(old, tmp_path / 'old.pth')
    code, printed = program(
        *TRAIN, '--max_epoch', '8', '--lr', '0.008', '--resume', tmp_path / 'old.pth', '--result_dir', tmp_path / 'on'
    )
    assert code == 0 and rates(printed) == [('6', '0.002000'), ('7', '0.001000')]


def test_restore_optimizer_does_not_bring_the_old_learning_rate(program, snapshot):
    code, printed = program(*EPOCH, '--lr', '0.004', '--snapshot', snapshot, '--restore_optimizer')
    assert code == 0 and rates(printed) == [('0', '0.004000')]


def test_half_precision_that_overflows_forward_stops_before_it_reaches_a_checkpoint(program, monkeypatch):
    from engine import precision

    monkeypatch.setattr(precision, 'grad_scaler', lambda device, kind: torch.amp.GradScaler('cpu', init_scale=1024.0))
    forward, batches = Normalize.forward, []

    def poisoned(self, images):
        batches.append(images)
        images = forward(self, images)
        if len(batches) == 3:
            images[:, 0] = float('inf')
        return images

    monkeypatch.setattr(Normalize, 'forward', poisoned)
    code, printed = program(*EPOCH)
    assert code == 2 and 'batch statistics' in printed and '_leftImg8bit.png' in printed
    assert not list(program.run_dir.glob('*.pth'))


def test_overflowing_gradients_under_loss_scaling_are_skipped_without_being_counted(program, monkeypatch):
    from engine import precision

    monkeypatch.setattr(
        precision,
        'grad_scaler',
        lambda device, kind: torch.amp.GradScaler('cpu', init_scale=2.0**127, growth_interval=10**6),
    )
    code, printed = program(*EPOCH)
    assert code == 0 and 'step skipped' not in printed
    state = checkpoint.load(next(program.run_dir.glob('last*.pth')))
    assert state['skipped'] == 0 and state['scaler']['scale'] < 2.0**127


def photo(path, size=(40, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8))


def test_automatic_labels_are_never_written_over_the_images(program, tmp_path):
    folder = tmp_path / 'photos'
    photo(folder / 'a.png')
    before = (folder / 'a.png').read_bytes()
    code, printed = program(
        *('--eval', 'folder', '--eval_folder', folder, '--random_weights', '--result_dir', folder),
        *('--dump_for_auto_labelling', '--overwrite'),
    )
    assert code == 2 and 'would replace an image' in printed
    assert (folder / 'a.png').read_bytes() == before


def test_results_below_the_evaluated_folder_are_not_taken_for_images(program, tmp_path):
    photo(tmp_path / 'photos' / 'a.png')
    for _ in range(2):
        code, printed = program(
            *('--eval', 'folder', '--eval_folder', tmp_path / 'photos', '--random_weights'),
            *('--result_dir', tmp_path / 'photos' / 'out'),
        )
        assert code == 0 and '1 images evaluated' in printed, printed


def test_dumps_of_other_settings_do_not_mix_but_the_same_weights_by_another_path_do(program, snapshot, monkeypatch):
    monkeypatch.chdir(snapshot.parent)
    flags = ['--eval', 'val', '--dump_logits', '--result_dir', program.run_dir]
    assert program(*flags, '--snapshot', snapshot, small=False)[0] == 0
    for changed in (['--pre_size', '96'], ['--align_corners'], ['--do_flip'], ['--n_scales', '0.5,1.0']):
        code, printed = program(*flags, '--snapshot', snapshot, *changed, small=False)
        assert code == 2 and '--overwrite' in printed, printed
    assert program(*flags, '--snapshot', snapshot.name, small=False)[0] == 0


def test_a_directory_with_nothing_but_a_best_checkpoint_is_not_trained_into(program, trained):
    best = next(program.run_dir.glob('best*.pth'))
    trained.unlink()
    for flags in ([], ['--resume', 'auto']):
        code, printed = program(*EPOCH, *flags)
        assert code == 2 and best.name in printed and best.exists()


def test_a_run_stopped_within_an_epoch_is_not_resumed_in_steps_of_another_size(program):
    stop_after(4)
    assert program(*EPOCH)[0] == 75
    for changed in (['--bs_trn', '4'], ['--accumulate', '2']):
        code, printed = program(*EPOCH, '--resume', 'auto', *changed)
        assert code == 2 and changed[0] in printed and 'steps of the same size' in printed
    assert program(*EPOCH, '--resume', 'auto')[0] == 0


def test_resume_takes_the_trunk_that_the_run_had_by_default(program, trained):
    state = checkpoint.load(trained)
    assert state['network']['trunk'] == 'hrnetv2_w18_small_v1'
    state['network']['trunk'] = None
    checkpoint.save(trained, state)
    code, printed = program(*TRAIN, '--resume', 'auto', small=False)
    assert code == 0 and '--trunk hrnetv2_w18_small_v1: taken from the checkpoint' in printed


@pytest.mark.parametrize(
    'spoil',
    [
        {'epoch': None},
        {'epoch': 'abc'},
        {'optimizer': {'state': {}}},
        {'optimizer': [1]},
        {'rng': [{}]},
        {'scaler': 3, 'ema': 3},
    ],
)
def test_a_checkpoint_with_a_malformed_training_state_is_told_in_one_line(program, snapshot_of, tmp_path, spoil):
    state = {**checkpoint.load(snapshot_of('--ema', '0.5')), **spoil}
    torch.save(state, tmp_path / 'spoilt.pth')
    code, printed = program(*TRAIN, '--ema', '0.5', '--resume', tmp_path / 'spoilt.pth')
    assert code == 2 and 'spoilt.pth' in printed and 'Traceback' not in printed


@pytest.mark.parametrize(
    'flags, part',
    [
        (['--n_scales', 'nan,1.0'], 'not a finite number'),
        (['--lr', 'inf'], 'not a finite number'),
        (['--start_epoch', '5', '--max_epoch', '5'], '--start_epoch 5'),
        (['--ema', '1.0'], '--ema 1.0'),
        (['--eval', 'val', '--snapshot', 'x', '--allow_class_mismatch'], 'random values'),
    ],
)
def test_values_that_would_train_or_score_nonsense_are_refused(program, flags, part):
    code, printed = program(*flags)
    assert code == 2 and part in printed


def test_an_unknown_name_leaves_no_run_directory(program):
    for flags in (['--arch', 'x.Y'], ['--trunk', 'z']):
        assert program(*EPOCH, *flags)[0] == 2
    assert program(*EPOCH, dataset='citiscapes')[0] == 2
    assert not program.run_dir.exists()


def test_an_image_that_vanishes_at_a_scale_is_named(program, tmp_path):
    photo(tmp_path / 'photos' / 'dot.png', (1, 1))
    flags = ['--eval', 'folder', '--eval_folder', tmp_path / 'photos', '--random_weights']
    code, printed = program(*flags, '--n_scales', '0.5,1.0')
    assert code == 2 and 'dot.png' in printed and 'Traceback' not in printed


def test_flags_that_nothing_reads_are_said_and_the_precision_that_was_used_is_recorded(program):
    code, printed = program(*EPOCH, '--fp16', '--wt_bound', '3', '--extra_scales', '0.5')
    assert code == 0
    assert (
        '--wt_bound has no effect without --img_wt_loss' in printed
        and '--extra_scales has no effect without --multi_scale_inference' in printed
    )
    assert 'computing in bf16 instead' in printed
    assert json.loads((program.run_dir / 'hparams.json').read_text())['precision'] == 'bf16'


def test_resume_auto_beside_a_snapshot_starts_from_it_once_and_then_continues(program, snapshot):
    flags = [*TRAIN, '--resume', 'auto', '--snapshot', snapshot]
    code, printed = program(*flags, '--max_epoch', '1')
    assert (
        code == 0
        and 'starting anew' in printed
        and '499 of 499 tensors' in printed
        and '[epoch 0], [iter 1 / 6]' in printed
    )
    code, printed = program(*flags)
    assert code == 0 and 'continuing at epoch 1, batch 0' in printed and '[epoch 0]' not in printed


def test_the_python_sample_of_the_docs_builds_the_network_of_a_checkpoint(snapshot_of):
    path = snapshot_of('--ema', '0.5')
    sample = (ROOT / 'docs' / 'checkpoints.md').read_text().split('```python')[1].split('```')[0]
    names = {}
    exec(sample.replace('best_checkpoint_ep30.pth', str(path)), names)
    averaged = checkpoint.averaged_weights(checkpoint.load(path))
    assert torch.equal(names['net'].state_dict()['ocr.cls_head.weight'], averaged['ocr.cls_head.weight'])


def test_the_report_of_a_pretrained_trunk_is_logged(program, snapshot, tmp_path):
    state = checkpoint.load(snapshot)['state_dict']
    trunk = {
        f'model.{key.removeprefix("backbone.")}': value for key, value in state.items() if key.startswith('backbone.')
    }
    torch.save(trunk, tmp_path / 'trunk.pth')
    code, printed = program(*EPOCH, '--pretrained', tmp_path / 'trunk.pth')
    assert code == 0 and 'trunk.pth: 355 of 355 tensors of the trunk loaded' in printed


def test_a_failed_check_of_names_claims_no_directory(program, tmp_path):
    for name in ('x.png', 'x.jpg'):
        photo(tmp_path / 'photos' / name)
    flags = ['--eval', 'folder', '--eval_folder', tmp_path / 'photos', '--random_weights']
    code, printed = program(*flags, '--dump_logits')
    assert code == 2 and 'both would be written' in printed
    assert not (program.run_dir / 'dumps.json').exists()
