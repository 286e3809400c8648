"""Runs that know themselves: one is tested, continued, fine-tuned and used by its directory alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import small
import torch

import ensemble
import network
import predict
import train
from datasets.loading.reading import read_image
from engine.testing import published, with_test_settings
from utils import checkpoint
from utils.files.run_directory import weights_file

SETTINGS_OF_RUN = '--pre_size 96 --do_flip --flip_kind 4way --n_scales 0.5,1.0 --seed 4'
SHORT = [*small.TRAIN, *'--bs_trn 4 --skip_verify --num_workers 0'.split(), *SETTINGS_OF_RUN.split()]


@pytest.fixture(scope='module')
def finished(street, tmp_path_factory):
    """A run directory of two epochs with settings that are not the defaults, and a test at its end."""
    folder = tmp_path_factory.mktemp('finished')
    assert small.run(street, folder, [*SHORT, '--test_after', '--test_settings', 'published']) == 0
    return folder / 'run'


@pytest.fixture
def run(finished, tmp_path):
    """A copy of the run, for a test that writes into it."""
    return Path(shutil.copytree(finished, tmp_path / 'copy'))


@pytest.fixture
def call(capsys):
    """call(program, *flags) -> (exit code, what it printed)."""

    def start(program, *flags):
        code = program.main([*map(str, flags)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return start


def record(run) -> dict:
    return json.loads((run / 'hparams.json').read_text())


def change(where, **entries):
    """Write entries into the record of a run; None takes one out."""
    content = {**record(where), **entries}
    (where / 'hparams.json').write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def best(run) -> dict:
    return checkpoint.load(weights_file(run))


# ----------------------------------------------------------------------------------------------------
# --run DIR --eval val
def test_a_finished_run_is_tested_with_its_own_settings_and_scores_what_its_best_epoch_scored(run, call):
    code, printed = call(train, '--run', run, '--eval', 'val')
    assert code == 0, printed
    scores = json.loads((run / 'eval_val/metrics.json').read_text())
    assert scores['mean_iou'] == pytest.approx(best(run)['best_score'], abs=1e-7)
    assert (scores['flip'], scores['n_scales'], record(run / 'eval_val')['pre_size']) == (True, [0.5, 1.0], 96)
    said = next(line for line in printed.splitlines() if line.startswith(f'--run {run}: with the settings of that run'))
    assert all(flag in said for flag in ('--pre_size 96', '--do_flip', '--n_scales 0.5,1.0', '--dataset synthetic'))


def test_flags_beside_a_run_win_and_each_is_said(run, call, tmp_path):
    flags = ['--pre_size', '80', '--no_do_flip', '--bs_val', '1', '--result_dir', tmp_path / 'out']
    code, printed = call(train, '--run', run, '--eval', 'val', *flags)
    assert code == 0, printed
    assert '--pre_size 80: given here, that run had 96' in printed
    assert '--no_do_flip: given here, that run had it on' in printed
    assert '--bs_val' not in printed  # which is what the run had
    made = record(tmp_path / 'out')
    assert (made['pre_size'], made['do_flip'], made['n_scales']) == (80, False, [0.5, 1.0])
    assert not (run / 'eval_val').exists()


def test_a_run_without_a_record_is_tested_with_the_flags_in_its_checkpoint(run, call):
    (run / 'hparams.json').unlink()
    code, printed = call(train, '--run', run, '--eval', 'val')
    assert code == 0 and '--pre_size 96' in printed, printed
    assert record(run / 'eval_val')['do_flip'] is True


def test_a_record_of_an_older_version_lacks_flags_which_have_their_defaults(run, call):
    command = {key: value for key, value in record(run)['command'].items() if key != 'version'}
    change(run, command=command, test_settings=None, test_after=None, run=None, random_weights=None, crop_overlap=None)
    code, printed = call(train, '--run', run, '--eval', 'val')
    assert code == 0, printed
    assert (record(run / 'eval_val')['crop_overlap'], record(run / 'eval_val')['pre_size']) == (0.25, 96)


def test_a_run_that_was_moved_finds_what_its_relative_paths_meant(run, call, street, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change(
        run,
        override_dataset_root=street.name,
        **{'cfg.DATASET.ROOT': street.name},
        command={**record(run)['command'], 'folder': str(street.parent)},
    )
    code, printed = call(train, '--run', run, '--eval', 'val')
    assert code == 0, printed
    assert record(run / 'eval_val')['override_dataset_root'] == str(street)


@pytest.mark.parametrize(
    'flags, part',
    [
        ('--run RUN', 'tests a finished run; add --eval val, or continue it with --resume DIR'),
        ('--run RUN --resume RUN --eval val', '--run and --resume are two ways to use an earlier run; give one'),
        ('--run RUN/nowhere --eval val', 'is no directory; give the --result_dir of a training'),
        ('--run RUN/best_images --eval val', 'did you mean RUN?'),
        ('--run RUN --eval val --arch ocrnet.HRNet --n_scales 1.0', 'predicts at one scale only'),
        ('--run RUN --eval val --trunk hrnetv2_w18', 'of another shape'),
        ('--run RUN --eval val --dataset camvid', 'holds no camvid dataset'),
        ('--resume RUN --snapshot RUN', '--resume continues a run, --snapshot starts a new one from weights: give one'),
        ('--resume RUN --arch ocrnet.HRNet', 'the run to resume has arch ocrnet.HRNet_Mscale'),
        ('--finetune_from RUN --snapshot x.pth', 'found --snapshot beside it'),
        ('--finetune_from RUN --eval val', 'found --eval beside it'),
        ('--eval val', '--eval val: no weights were given; give --run DIR of a training or --snapshot FILE'),
        ('--eval val --snapshot RUN --random_weights', 'contradict each other'),
        ('--random_weights', '--random_weights needs --eval'),
    ],
)
def test_flags_that_do_not_go_with_a_run_are_refused(finished, call, flags, part):
    code, printed = call(train, *flags.replace('RUN', str(finished)).split())
    assert code == 2 and part.replace('RUN', str(finished)) in printed, printed


def test_weights_of_other_classes_are_refused_for_a_test(run, call, camvid):
    code, printed = call(train, '--run', run, '--eval', 'val', *camvid)
    assert code == 2 and 'has 19 classes, the network has 11' in printed, printed
    assert '--dataset camvid: given here, that run had synthetic' in printed


def test_an_evaluation_of_random_weights_says_so(street, call, tmp_path):
    data = ['--dataset', 'synthetic', '--override_dataset_root', street, '--num_workers', '0']
    code, printed = call(
        train, *data, *small.SMALL, '--eval', 'val', '--random_weights', '--result_dir', tmp_path / 'out'
    )
    assert code == 0 and 'a network that nothing was loaded into' in printed, printed


# ----------------------------------------------------------------------------------------------------
# --resume DIR
def test_a_stopped_run_is_continued_by_its_directory_alone_and_ends_in_the_same_weights(
    street, call, tmp_path, finished
):
    small.stop_after(4)  # the first step of the second epoch
    assert small.run(street, tmp_path, SHORT) == 75
    code, printed = call(train, '--resume', tmp_path / 'run', '--bs_trn', '3')
    assert code == 2 and '--bs_trn 3 (was 4)' in printed  # a step of another size, within an epoch
    code, printed = call(train, '--resume', tmp_path / 'run')
    assert code == 0 and 'continuing at epoch 1, batch 1' in printed and 'not bit for bit' not in printed, printed
    whole, parts = (
        checkpoint.load(folder / 'last_checkpoint_ep1.pth')['state_dict'] for folder in (finished, tmp_path / 'run')
    )
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_resumed_run_takes_a_flag_beside_it_and_says_what_it_had(run, call):
    code, printed = call(train, '--resume', run, '--max_epoch', '3', '--no_test_after')
    assert code == 0, printed
    assert '--max_epoch 3: given here, that run had 2' in printed and 'continuing at epoch 2, batch 0' in printed
    assert [file.name for file in run.glob('last*')] == ['last_checkpoint_ep2.pth']


# ----------------------------------------------------------------------------------------------------
# --finetune_from, --snapshot DIR, and the other programs
@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
    """The flags of a camvid of two images: 11 classes."""
    import cv2

    root = tmp_path_factory.mktemp('camvid')
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for folder in (split, f'{split}annot'):
            (root / 'camvid' / folder).mkdir(parents=True)
        for number in range(2):
            labels = rng.integers(0, 11, (64, 96), dtype=np.uint8)
            cv2.imwrite(str(root / f'camvid/{split}/{split}{number}.png'), cv2.merge([labels * 20] * 3))
            cv2.imwrite(str(root / f'camvid/{split}annot/{split}{number}.png'), labels)
    return ['--dataset', 'camvid', '--override_dataset_root', str(root), '--assets_path', str(root / 'assets')]


def test_fine_tuning_for_other_classes_keeps_all_but_the_class_layers_which_are_listed(
    finished, call, camvid, tmp_path
):
    flags = ['--finetune_from', finished, *camvid, *SHORT, '--result_dir', tmp_path / 'tuned']
    code, printed = call(train, *flags, '--max_epoch', '1', '--lr', '0', '--bs_trn', '2')
    assert code == 0, printed
    line = next(line for line in printed.splitlines() if line.startswith('--finetune_from'))
    assert 'is of 19 classes, dataset camvid has 11; 4 tensors of the class layers start anew' in line
    assert all(f'ocr.{name}' in line for name in ('cls_head.weight', 'cls_head.bias', 'aux_head.2.weight'))
    before, after = best(finished), checkpoint.load(tmp_path / 'tuned/last_checkpoint_ep0.pth')
    assert (after['epoch'], after['network']['ocr_mid_channels'], after['num_classes']) == (0, 32, 11)
    kept = [name for name, _ in network.load(finished).named_parameters() if name not in line]
    assert len(kept) > 200 and all(torch.equal(before['state_dict'][name], after['state_dict'][name]) for name in kept)
    assert before['state_dict']['ocr.cls_head.weight'].shape[0] == 19 and 'ocr.cls_head.weight' not in kept


def test_a_snapshot_that_is_a_run_directory_is_its_best_checkpoint(finished, call, street, tmp_path):
    data = ['--dataset', 'synthetic', '--override_dataset_root', street, '--num_workers', '0']
    code, printed = call(train, *data, '--eval', 'val', '--snapshot', finished, '--result_dir', tmp_path / 'out')
    assert code == 0, printed
    file = weights_file(finished)
    assert Path(file).name.startswith('best_checkpoint_ep') and f'{file}: ' in printed
    # its settings are not those of the run, which is said
    assert (
        f'{file} was validated with --pre_size 96 --n_scales 0.5,1.0 --do_flip --flip_kind 4way, which this test leaves'
        in printed
    )
    args = [
        *data,
        '--eval',
        'val',
        '--snapshot',
        finished,
        '--test_settings',
        'stored',
        '--result_dir',
        tmp_path / 'as',
    ]
    code, printed = call(train, *args)
    assert code == 0, printed
    scores = json.loads((tmp_path / 'as/metrics.json').read_text())
    assert scores['mean_iou'] == pytest.approx(best(finished)['best_score'], abs=1e-7)


def photos(street):
    return sorted((street / 'synthetic').rglob('val/**/*leftImg8bit.png'))[:2]


def logits(folder) -> list:
    files = sorted(folder.rglob('*_logits.npz'), key=lambda file: file.name)
    return [np.load(file)['logits'].astype(np.float32) for file in files]


def test_predictions_are_made_as_the_run_was_tested_unless_flags_say_otherwise(finished, call, street, tmp_path):
    code, printed = call(
        train, '--run', finished, '--eval', 'val', '--dump_logits', '--result_dir', tmp_path / 'evaluated'
    )
    assert code == 0, printed
    flags = [*photos(street), '--weights', finished, '--write', 'logits', '--device', 'cpu']
    code, printed = call(predict, *flags, '--out', tmp_path / 'same')
    assert code == 0 and 'as the weights were tested: --do_flip --flip_kind 4way --pre_size 96' in printed, printed
    expected, found = logits(tmp_path / 'evaluated/logits'), logits(tmp_path / 'same')
    assert len(found) == 2
    for file, one in zip(sorted((tmp_path / 'same').rglob('*.npz')), found):
        whole = next(tmp_path.rglob(f'evaluated/**/{file.name}'))
        np.testing.assert_allclose(np.load(whole)['logits'].astype(np.float32), one, atol=2.5e-4, rtol=1e-3)
    assert len(expected) == 5
    # from Python, too
    name = sorted((tmp_path / 'same').rglob('*.npz'))[0].name.removesuffix('_logits.npz')
    image = read_image(next(path for path in photos(street) if path.stem == name))
    predicted = network.load(finished).predict(image)
    likely = torch.from_numpy(found[0]).softmax(0).amax(0).numpy()
    np.testing.assert_allclose(predicted.confidence, likely, atol=2e-5)
    plain = network.load(finished, test_settings={}).predict(image)
    assert np.abs(plain.confidence - likely).max() > 5e-5
    with pytest.raises(ValueError, match="holds 'do_flp'; did you mean do_flip"):
        network.load(finished, test_settings={'do_flp': True})
    code, printed = call(predict, *flags, '--out', tmp_path / 'plain', '--no_flip', '--max_side', '64')
    assert code == 0 and 'as the weights were tested' not in printed, printed
    assert np.abs(logits(tmp_path / 'plain')[0] - found[0]).max() > 1e-3
    code, printed = call(predict, *flags, '--out', tmp_path / 'flags', '--test_settings', 'flags')
    assert code == 0 and 'as the weights were tested' not in printed, printed


def test_members_that_were_tested_differently_are_refused_and_one_that_does_not_say_follows(
    finished, call, street, tmp_path
):
    state = best(finished)
    checkpoint.save(tmp_path / 'other.pth', {**state, 'test_settings': {**state['test_settings'], 'do_flip': False}})
    checkpoint.save(tmp_path / 'older.pth', {key: value for key, value in state.items() if key != 'test_settings'})
    flags = [*photos(street), '--device', 'cpu', '--out', tmp_path / 'out']
    code, printed = call(predict, *flags, '--weights', finished, tmp_path / 'other.pth')
    told = ('was tested with', 'with --do_flip', 'with --no_do_flip', '--test_settings flags')
    assert code == 2 and all(part in printed for part in told), printed
    code, printed = call(predict, *flags, '--weights', finished, tmp_path / 'older.pth')
    assert code == 0 and 'as the weights were tested: --do_flip --flip_kind 4way --pre_size 96' in printed, printed


def test_an_ensemble_runs_from_directories(finished, call, street, tmp_path):
    data = ['--dataset', 'synthetic', '--override_dataset_root', street]
    flips = ['--do_flip', '--flip_kind', 'v']
    code, printed = call(ensemble, 'run', finished, *data, *flips, '--num_workers', '0', '--out', tmp_path / 'fused')
    assert code == 0 and '1 members: 5 images' in printed, printed
    told = json.loads((tmp_path / 'fused/fusion.json').read_text())
    assert 'best_checkpoint_ep' in json.dumps(told) and '"flip_kind": "v"' in json.dumps(told)


def test_a_checkpoint_says_how_its_images_are_tested(finished):
    net = network.load(finished)
    assert net.trained_on.test_settings == {
        'pre_size': 96,
        'crop_val': False,
        'n_scales': (0.5, 1.0),
        'default_scale': 1.0,
        'multi_scale_inference': False,
        'extra_scales': (0.5, 2.0),
        'do_flip': True,
        'flip_kind': '4way',
        'crop_eval': None,
        'crop_overlap': 0.25,
    }
    with pytest.raises(ValueError, match=r'x.pth: says pre_size \[1, 2\], which --pre_size cannot be'):
        network.loading.test_settings_of({'test_settings': {'pre_size': [1, 2]}}, 'x.pth')


# ----------------------------------------------------------------------------------------------------
# --test_settings published, --test_after
def test_published_tests_have_three_scales_where_attention_chooses_and_seven_with_flips_on_pascal_context():
    assert published('ocrnet.HRNet_Mscale', 'cityscapes') == {'n_scales': (0.5, 1.0, 2.0)}
    assert published('ocrnet.HRNet', 'cityscapes') == {}
    assert published('attnscale.DeepV3R50', 'cityscapes') == {}  # its scales are part of it
    for name in ('pascal_context', 'pascal_context_60'):
        found = published('ocrnet.HRNet', name)
        scales = sorted((found['default_scale'], *found['extra_scales']))
        assert scales == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
        assert found['do_flip'] and found['multi_scale_inference'] and 'n_scales' not in found
    assert published('ocrnet.HRNet_Mscale', 'pascal_context')['n_scales'] == (0.5, 1.0, 2.0)


def test_a_training_ends_with_a_test_of_its_best_weights(finished):
    tested = json.loads((finished / 'test.json').read_text())
    assert (tested['split'], tested['images'], tested['n_scales'], tested['flip']) == ('val', 5, [0.5, 1.0, 2.0], True)
    assert tested['checkpoint'] == weights_file(finished)
    log = (finished / 'logging.log').read_text()
    assert (
        '--test_after: tests on val, not on test: ' in log
        and '--test_settings published: --n_scales 0.5,1.0,2.0' in log
    )
    assert f'test : [val of synthetic], [loss {tested["loss"]:0.5f}], [mean_iu {tested["mean_iou"]:0.5f}]' in log
    assert json.loads((finished / 'metrics.json').read_text())['epoch'] in (0, 1)  # of the last validation, as it was


def test_published_settings_of_a_test_stand_under_the_flags_and_are_said(run, call):
    code, printed = call(train, '--run', run, '--eval', 'val', '--test_settings', 'published')
    assert code == 0 and '--test_settings published: --n_scales 0.5,1.0,2.0' in printed, printed
    tested = json.loads((run / 'test.json').read_text())
    assert json.loads((run / 'eval_val/metrics.json').read_text())['mean_iou'] == pytest.approx(tested['mean_iou'])


def test_a_description_of_the_data_that_has_changed_since_the_training_is_said(finished, tmp_path):
    file, told = tmp_path / 'data.yaml', []
    state = {**best(finished), 'data_yaml': 'classes: [road]'}
    for text in ('classes: [road]', 'classes: [street]'):
        file.write_text(text)
        args = train.parse_args(['--run', str(finished), '--eval', 'val', '--data_yaml', str(file)])
        with_test_settings(args, state, told.append)
    assert len(told) == 1 and 'data.yaml: has changed since' in told[0]
