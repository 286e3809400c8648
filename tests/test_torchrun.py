"""Several processes: the published training command, and scores that do not depend on how many there are."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small import ROOT, SMALL, TRAIN, command

import train
from utils import checkpoint


def torchrun(*flags):
    done = command(
        '-m', 'torch.distributed.run', '--standalone', '--nnodes=1', '--nproc-per-node=2', 'train.py', *flags
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope='module')
def published(street, snapshot_of, tmp_path_factory):
    """A run of the published training command on two processes, on the small data set in Cityscapes' own folder."""
    folder = tmp_path_factory.mktemp('torchrun')
    (folder / 'D').mkdir()
    (folder / 'D' / 'Cityscapes-nvidia').symlink_to(street / 'synthetic')
    code, printed = torchrun(
        '--assets_path',
        folder / 'A',
        '--override_dataset_root',
        folder / 'D',
        '--dataset',
        'cityscapes',
        '--cv',
        '0',
        '--syncbn',
        '--distributed',
        '--result_dir',
        folder / 'R',
        '--crop_size',
        '52,94',
        '--fp16',
        '--bs_trn',
        '3',
        '--bs_val',
        '3',
        '--poly_exp',
        '2',
        '--lr',
        '1e-2',
        '--supervised_mscale_loss_wt',
        '0.05',
        '--max_epoch',
        '2',
        '--arch',
        'ocrnet.HRNet_Mscale',
        '--n_scales',
        '0.5,1.0,2.0',
        '--rmi_loss',
        '--class_uniform_tile',
        '1024',
        '--train_metrics',
        '--snapshot',
        snapshot_of('--arch', 'ocrnet.HRNet'),
        *SMALL,
        '--num_workers',
        '1',
    )
    return folder, code, printed


def test_the_published_training_command_runs_on_two_processes(published):
    folder, code, printed = published
    assert code == 0, printed
    assert 'missing in the file (scale_attn' in printed
    assert '[epoch 1], [iter 2 / 2]' in printed, '12 images, 3 for each of 2 processes and step'
    assert printed.count('[epoch 1], [iter 2 / 2]') == 1, 'one process talks'
    assert printed.count('train : [epoch 1], [mean_iu 0.') == 1
    assert len(checkpoint.load(folder / 'R' / 'last_checkpoint_ep1.pth')['rng']) == 2


def test_two_processes_count_every_image_once_and_dump_them_all(published):
    folder, code, printed = published
    assert code == 0, printed
    flags = [
        '--dataset',
        'cityscapes',
        '--cv',
        '0',
        '--fp16',
        '--bs_val',
        '1',
        '--arch',
        'ocrnet.HRNet_Mscale',
        '--n_scales',
        '0.5,1.0,2.0',
        '--eval',
        'val',
        '--snapshot',
        'ASSETS_PATH/seg_weights/F.pth',
        '--assets_path',
        folder / 'A',
        '--override_dataset_root',
        folder / 'D',
        '--dump_logits',
        '--dump_all_images',
        '--log_msinf_to_tb',
        '--num_workers',
        '0',
        *SMALL,
    ]
    (folder / 'A' / 'seg_weights').mkdir()
    (folder / 'A' / 'seg_weights' / 'F.pth').symlink_to(folder / 'R' / 'last_checkpoint_ep1.pth')
    assert train.main([str(word) for word in (*flags, '--result_dir', folder / 'one')]) == 0
    code, printed = torchrun(*flags, '--result_dir', folder / 'two')
    assert code == 0, printed
    counts = [np.load(folder / name / 'confusion_matrix.npy') for name in ('one', 'two')]
    assert np.array_equal(*counts)
    one, two = (json.loads((folder / name / 'metrics.json').read_text()) for name in ('one', 'two'))
    assert (
        one['scale_scores'] == two['scale_scores']
        and len(one['scale_scores']) == 3
        and one['intervals'] == two['intervals']
    )
    tables = [(folder / name / 'images.csv').read_text().splitlines() for name in ('one', 'two')]
    assert [line.split(',')[:3] for line in tables[0]] == [line.split(',')[:3] for line in tables[1]]
    assert len(tables[0]) == 1 + 5
    logged = np.load(folder / 'R' / 'confusion_matrix.npy')
    assert np.abs(logged - counts[0]).sum() <= 0.002 * counts[0].sum(), (
        'the validation scored the network that was saved, on every rank'
    )
    for name in ('one', 'two'):
        assert len(list((folder / name / 'logits').rglob('*.npz'))) == 5
        assert (folder / name / 'best_images' / 'index.html').read_text().count('"key":"input"') == 5


def test_a_mistake_on_two_processes_ends_them_both(street, tmp_path):
    code, printed = torchrun(
        '--dataset',
        'synthetic',
        '--override_dataset_root',
        street,
        '--assets_path',
        tmp_path,
        '--arch',
        'nothing.Like',
        '--result_dir',
        tmp_path / 'run',
        '--num_workers',
        '0',
    )
    assert code != 0
    assert 'train.py: error: --arch' in printed


def test_sigusr1_to_torchrun_saves_as_the_recipes_set_it_up(street, tmp_path):
    setting = re.search(r'export (PET_\w+)=(\S+)', (ROOT / 'scripts' / 'environment.sh').read_text()).groups()
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', setting[0]: setting[1]}
    log, run = tmp_path / 'log', tmp_path / 'run'
    with open(log, 'w') as output:
        started = subprocess.Popen(
            [
                sys.executable,
                '-m',
                'torch.distributed.run',
                '--standalone',
                '--nproc-per-node=2',
                'train.py',
                '--dataset',
                'synthetic',
                '--override_dataset_root',
                street,
                '--assets_path',
                tmp_path,
                '--result_dir',
                run,
                '--num_workers',
                '0',
                *SMALL,
                *TRAIN,
                '--max_epoch',
                '1000',
                '--val_freq',
                '1000',
            ],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 120
        while '[epoch 0], [iter' not in log.read_text() and time.monotonic() < deadline and started.poll() is None:
            time.sleep(0.2)
        started.send_signal(signal.SIGUSR1)
        started.wait(60)
    assert 'stopped by SIGUSR1, saved' in log.read_text(), log.read_text()
    assert len(list(run.glob('last_checkpoint_ep*.pth'))) == 1


@pytest.mark.slow
def test_weights_averaged_on_two_processes_have_the_score_that_one_process_finds(program):
    places = ['--dataset', 'synthetic', '--override_dataset_root', program.street, '--result_dir', program.run_dir]
    short = [*TRAIN, '--epoch_batches', '1', '--num_workers', '0']
    code, printed = torchrun(*places, *SMALL, *short, '--assets_path', program.run_dir.parent, '--swa_epochs', '2')
    assert code == 0 and 'the mean of the weights of 2 epochs, batch statistics of 1 batch: ' in printed, printed
    file = program.run_dir / 'swa_checkpoint_ep1.pth'
    state, last = checkpoint.load(file), checkpoint.load(program.run_dir / 'last_checkpoint_ep1.pth')
    assert state['averaged_epochs'] == 2 == last['swa']['n_averaged'] and last['swa_done'] == 2
    code, scored = program('--eval', 'val', '--snapshot', file, '--result_dir', program.run_dir / 'eval', small=False)
    assert code == 0 and f'[mean_iu {state["mean_iu"]:0.5f}]' in scored
