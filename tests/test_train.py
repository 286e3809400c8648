"""The program as a whole, on the small data set: train, stop, resume, evaluate, dump."""

import json
import signal

import cv2
import numpy as np
import torch
from small import EPOCH, TRAIN, stop_after

from datasets.collection.cityscapes_labels import CLASSES
from utils import checkpoint
from utils.classes import Classes
from utils.files.metrics_csv import MetricsTable
from utils.outputs.dumps import read_record
from utils.outputs.logits import read_manifest


def weights(path):
    return checkpoint.load(path)['state_dict']


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_a_training_leaves_everything_a_run_directory_holds(program):
    code, printed = program(*TRAIN, '--rmi_loss', '--supervised_mscale_loss_wt', '0.05')
    assert code == 0, printed
    found = {path.name for path in program.run_dir.iterdir()}
    assert {
        'hparams.json',
        'logging.log',
        'metrics.csv',
        'metrics.json',
        'confusion_matrix.npy',
        'confusion_matrix.png',
        'best_images',
        'last_checkpoint_ep1.pth',
    } <= found
    assert 'last_checkpoint_ep0.pth' not in found
    page = (program.run_dir / 'best_images' / 'index.html').read_text()
    mean_iou = json.loads((program.run_dir / 'metrics.json').read_text())['mean_iou']
    assert f'<dl class="scores"><div><dt>mean IoU</dt><dd>{100 * mean_iou:.2f} %</dd>' in page
    assert json.loads((program.run_dir / 'hparams.json').read_text())['max_epoch'] == 2
    table = MetricsTable.read(program.run_dir / 'metrics.csv')
    assert list(table.rows) == [(phase, epoch) for epoch in (0, 1) for phase in ('train', 'val', 'iou')]
    counts = np.load(program.run_dir / 'confusion_matrix.npy')
    assert counts.dtype == np.int64 and counts.shape == (19, 19) and 0 < counts.sum() <= 5 * 64 * 128
    assert '[epoch 1], [iter 6 / 6], [train main loss' in printed
    state = checkpoint.load(program.run_dir / 'last_checkpoint_ep1.pth')
    assert (state['arch'], state['num_classes'], state['epoch'], state['class_names'][0]) == (
        'ocrnet.HRNet_Mscale',
        19,
        1,
        'road',
    )
    assert type(state['mean_iu']) is float


def test_the_same_seed_trains_the_same_weights_and_another_seed_others(program, snapshot, tmp_path):
    finals = {'a': weights(snapshot)}
    for name, seed, workers in (('b', 0, 2), ('c', 6, 0)):
        code, printed = program(*EPOCH, '--seed', seed, '--num_workers', workers, '--result_dir', tmp_path / name)
        assert code == 0, printed
        finals[name] = weights(tmp_path / name / 'last_checkpoint_ep0.pth')
    assert same(finals['a'], finals['b'])
    assert not same(finals['a'], finals['c'])


def test_a_stopped_and_resumed_run_ends_in_the_same_weights_bit_for_bit(program, tmp_path):
    flags = [
        *TRAIN,
        '--rmi_loss',
        '--ema',
        '0.9',
        '--lr_step',
        'iter',
        '--mscale_dropout',
        '--accumulate',
        '2',
        '--optimizer',
        'adamw',
    ]
    code, printed = program(*flags, '--result_dir', tmp_path / 'whole')
    assert code == 0, printed
    stop_after(4)  # the first step of the second epoch
    code, printed = program(*flags, '--result_dir', tmp_path / 'parts')
    assert code == 75 and 'SIGTERM received' in printed and f'continue with --resume {tmp_path / "parts"}' in printed
    assert checkpoint.load(tmp_path / 'parts' / 'last_checkpoint_ep1.pth')['batch_in_epoch'] == 2
    code, printed = program(*flags, '--result_dir', tmp_path / 'parts', '--resume', 'auto')
    assert code == 0 and 'continuing at epoch 1, batch 2' in printed
    whole, parts = (checkpoint.load(tmp_path / name / 'last_checkpoint_ep1.pth') for name in ('whole', 'parts'))
    assert same(whole['state_dict'], parts['state_dict'])
    assert same(whole['ema'], parts['ema'])
    assert (whole['mean_iu'], whole['global_step']) == (parts['mean_iu'], parts['global_step'])


def test_the_first_ctrl_c_finishes_the_step_and_saves_it(program):
    stop_after(1, signal.SIGINT)
    code, printed = program(*EPOCH, '--resume', 'auto')
    assert code == 130 and 'SIGINT received' in printed and 'stopped by SIGINT, saved' in printed
    assert 'resume auto: no checkpoint in' in printed and 'starting anew' in printed
    state = checkpoint.load(program.run_dir / 'last_checkpoint_ep0.pth')
    assert (state['epoch_done'], state['batch_in_epoch']) == (False, 1)


def test_a_second_ctrl_c_ends_at_once(program):
    stop_after(1, signal.SIGINT, times=2)
    code, printed = program(*EPOCH)
    assert code == 130 and 'interrupted; --resume auto' in printed
    assert not list(program.run_dir.glob('*.pth'))


def test_a_signal_during_validation_stops_without_losing_the_epoch(program, tmp_path, monkeypatch):
    from network.mscale import MultiScale

    forward = MultiScale.forward

    def interrupted(self, *arguments, **options):
        if not self.training:
            signal.raise_signal(signal.SIGUSR1)
        return forward(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MultiScale, 'forward', interrupted)
        code, printed = program(*EPOCH, '--train_metrics')
    assert code == 75 and 'stopped by SIGUSR1, saved' in printed
    state = checkpoint.load(program.run_dir / 'last_checkpoint_ep0.pth')
    assert (state['epoch_done'], state['batch_in_epoch']) == (False, 6)
    code, printed = program(*EPOCH, '--resume', 'auto', '--train_metrics')
    assert code == 0 and '[epoch 0], [iter' not in printed and 'validation of epoch 0' in printed
    row = MetricsTable.read(program.run_dir / 'metrics.csv').of('train')[0]
    assert 0 <= row['mean_iu'] <= 1 and row['loss'] > 0, 'the scores of the training are those of the first start'
    assert same(weights(program.run_dir / 'last_checkpoint_ep0.pth'), state['state_dict'])


def test_accumulating_two_batches_of_one_equals_one_batch_of_two_without_batch_statistics(street):
    """Checked on a linear network, where batch normalisation does not tell batch sizes apart."""
    from engine.distributed import Dist
    from engine.trainer import Learner, Trainer, TrainOptions
    from loss import get_criterion

    class Linear(torch.nn.Conv2d):
        def __init__(self):
            super().__init__(3, 4, 1)

        def forward(self, images):
            return {'pred': super().forward(images)}

        def set_progress(self, share):
            pass

    def one_step(batches, accumulate):
        torch.manual_seed(0)
        net = Linear()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        learner = Learner(
            net,
            net,
            torch.nn.Identity(),
            get_criterion(['ce'], [1.0], 4),
            optimizer,
            torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
            torch.amp.GradScaler('cpu', enabled=False),
        )
        trainer = Trainer(learner, TrainOptions(max_epoch=1, accumulate=accumulate), Dist())

        class Loader(list):
            def set_epoch(self, epoch, start):
                pass

        trainer.fit(Loader(batches))
        assert trainer.position.step == 1
        return net.weight

    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(2, 3, 5, 5, generator=generator), torch.randint(0, 4, (2, 5, 5), generator=generator)
    halves = [{'image': images[k : k + 1], 'label': labels[k : k + 1], 'name': [str(k)]} for k in (0, 1)]
    whole = [{'image': images, 'label': labels, 'name': ['0', '1']}]
    torch.testing.assert_close(one_step(halves, 2), one_step(whole, 1), rtol=0, atol=1e-7)


def test_freeze_trunk_leaves_the_trunk_and_its_statistics_as_they_were(program, snapshot):
    code, printed = program(*EPOCH, '--freeze_trunk', '--snapshot', snapshot)
    assert code == 0, printed
    before, after = weights(snapshot), weights(program.run_dir / 'last_checkpoint_ep0.pth')
    changed = {key.split('.')[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {'ocr', 'scale_attn'}


def test_evaluation_dumps_agree_with_each_other_and_with_the_metrics(program, snapshot, tmp_path):
    out = tmp_path / 'eval'
    code, printed = program(
        '--eval',
        'val',
        '--snapshot',
        snapshot,
        '--n_scales',
        '0.5,1.0,2.0',
        '--bs_val',
        '2',
        '--result_dir',
        out,
        '--dump_logits',
        '--dump_for_submission',
        '--dump_for_auto_labelling',
        '--dump_assets',
        '--dump_topn',
        '1',
        small=False,
    )
    assert code == 0, printed
    assert not list(out.glob('*.pth')), 'an evaluation saves no checkpoint'
    logits_files = sorted((out / 'logits').rglob('*.npz'))
    assert len(logits_files) == 5, 'every image of every batch'
    counts = np.zeros((19, 19), np.int64)
    for path in logits_files:
        logits = np.load(path)['logits']
        assert logits.dtype == np.float16 and logits.shape == (19, 64, 128)
        stem = str(path.relative_to(out / 'logits')).removesuffix('_logits.npz')
        submitted = cv2.imread(str(out / 'submit' / f'{stem}_pred.png'), cv2.IMREAD_UNCHANGED)
        confidence = cv2.imread(str(out / 'submit' / f'{stem}_conf.png'), cv2.IMREAD_UNCHANGED)
        assert confidence.dtype == np.uint16
        close = torch.softmax(torch.from_numpy(logits.astype(np.float32)), 0).amax(0).numpy() * 65535
        assert np.abs(close - confidence).max() < 0.03 * 65535, (
            'half-precision logits change a probability by a few percent at most'
        )
        to_trainid = CLASSES.id_to_trainid
        assert (to_trainid[submitted] == logits.argmax(0)).mean() > 0.99
        assert (out / f'{stem}.png').exists() and (out / f'{stem}_prob.png').exists()
        label_path = next(program.street.rglob(stem.split('/')[-1].replace('leftImg8bit', 'gtFine_labelIds') + '.png'))
        truth = to_trainid[cv2.imread(str(label_path), cv2.IMREAD_UNCHANGED)]
        valid = truth != 255
        counts += np.bincount(19 * truth[valid].astype(int) + to_trainid[submitted[valid]], minlength=361).reshape(
            19, 19
        )
    assert np.array_equal(counts, np.load(out / 'confusion_matrix.npy'))
    assert (out / 'best_images' / 'topn_failures.html').exists()
    classes = Classes.from_dict(read_manifest(out / 'logits')['classes'], 'manifest.json')
    assert classes.names[13] == 'car' and classes.ids[13] == 26 and classes.colors[13].tolist() == [0, 0, 142]
    labels = [Classes.from_dict(entry['label_set'], 'dumps.json') for entry in read_record(out).values()]
    assert labels == [classes] * 3


def test_scores_do_not_depend_on_the_batch_size(program, snapshot, tmp_path):
    results = []
    for size in (1, 2, 5):
        assert (
            program(
                '--eval',
                'val',
                '--snapshot',
                snapshot,
                '--bs_val',
                size,
                '--result_dir',
                tmp_path / str(size),
                small=False,
            )[0]
            == 0
        )
        results.append(np.load(tmp_path / str(size) / 'confusion_matrix.npy'))
    for result in results[1:]:
        assert np.abs(result - results[0]).sum() <= 4, 'rounding may move a pixel whose two best logits are equal'


def test_eval_folder_needs_no_data_set_on_disk_and_keeps_relative_names(program, snapshot, tmp_path):
    folder = tmp_path / 'my images' / 'day 1'
    folder.mkdir(parents=True)
    for name, size in (('a.png', (40, 60)), ('b.jpg', (33, 47))):
        cv2.imwrite(str(folder / name), np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8))
    code, printed = program(
        '--eval',
        'folder',
        '--eval_folder',
        folder.parent,
        '--snapshot',
        snapshot,
        '--override_dataset_root',
        tmp_path / 'nowhere',
        '--dump_for_submission',
        '--bs_val',
        '2',
        '--n_scales',
        '0.5,1.0',
        '--result_dir',
        tmp_path / 'out',
        dataset='cityscapes',
        small=False,
    )
    assert code == 0, printed
    assert cv2.imread(str(tmp_path / 'out' / 'submit' / 'day 1' / 'b_pred.png'), cv2.IMREAD_UNCHANGED).shape == (33, 47)
    assert 'mean_iu' not in printed and not (tmp_path / 'out' / 'metrics.json').exists()


def test_an_interrupted_dump_is_continued_not_repeated(program, snapshot, tmp_path):
    flags = ['--eval', 'val', '--snapshot', snapshot, '--dump_logits', '--no_metrics', '--result_dir', tmp_path / 'out']
    assert program(*flags, small=False)[0] == 0
    files = sorted((tmp_path / 'out' / 'logits').rglob('*.npz'))
    times = [path.stat().st_mtime_ns for path in files]
    files[2].unlink()
    assert program(*flags, small=False)[0] == 0
    assert [path.stat().st_mtime_ns == time for path, time in zip(files, times)] == [True, True, False, True, True]


def test_test_mode_ends_after_two_short_epochs(program):
    code, printed = program(*TRAIN, '--max_epoch', '9', '--test_mode')
    assert code == 0 and '[epoch 1], [iter 6 / 6]' in printed and '[epoch 2]' not in printed
