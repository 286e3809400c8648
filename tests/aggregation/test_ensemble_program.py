"""ensemble.py as a person calls it: what it writes, what it says, and its exit code."""

import json
import shutil

import bravo_tree
import cv2
import dumps
import numpy as np
import pytest
import torch
from small import command

import config
import ensemble
import network
import train
from aggregation.fusion.fused_files import Outputs
from aggregation.fusion.fusing import FuseOptions
from aggregation.fusion.running import MemberFusion
from aggregation.statistics import calibration
from aggregation.statistics.levels import to_levels
from datasets import get_dataset
from engine import ensembles
from engine.distributed import Dist
from engine.evaluator import Evaluator
from network.averaging import EvalOptions

TINY = [
    '--arch',
    'ocrnet.HRNet',
    '--trunk',
    'hrnetv2_w18_small_v1',
    '--ocr_mid_channels',
    '16',
    '--ocr_key_channels',
    '8',
    '--num_workers',
    '0',
]
CAR = 26  # label id of Cityscapes


@pytest.fixture
def program(capsys):
    """program(*arguments) -> (exit code, what it printed): ensemble.main in this process."""

    def call(*arguments):
        code = ensemble.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return call


@pytest.fixture
def two(tmp_path):
    return [dumps.make(tmp_path / name, seed) for seed, name in enumerate(('one', 'two'))]


def contents(folder):
    """name -> bytes of every result below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.suffix in ('.png', '.npz')
    }


def log(folder):
    return json.loads((folder / 'fusion.json').read_text())


def test_fuse_writes_labels_confidences_scores_and_what_they_were_made_of(program, two, tmp_path):
    code, told = program('fuse', *two, '--out', tmp_path / 'o', '--write_scores', 'entropy,variance')
    assert code == 0 and '2 members: 3 images fused' in told
    p = sum(torch.softmax(dumps.logits_of(seed, 'val/bonn/[c].png').float(), 0) for seed in (0, 1)) / 2
    read = {
        kind: cv2.imread(str(tmp_path / f'o/val/bonn/[c]_{kind}.png'), cv2.IMREAD_UNCHANGED)
        for kind in ('pred', 'conf')
    }
    assert (read['pred'] == p.argmax(0).numpy()).all()
    assert np.abs(read['conf'].astype(int) - to_levels(p.amax(0).numpy())).max() <= 1
    assert np.load(tmp_path / 'o/val/bonn/[c]_entropy.npz')['value'].dtype == np.float16
    assert log(tmp_path / 'o')['complete'] and len(log(tmp_path / 'o')['members']) == 2


def test_one_model_is_the_identity(program, two, tmp_path):
    assert program('fuse', two[0], '--out', tmp_path / 'o')[0] == 0
    for name in dumps.NAMES:
        prediction = cv2.imread(str(tmp_path / 'o' / name.replace('.png', '_pred.png')), cv2.IMREAD_UNCHANGED)
        assert (prediction == torch.softmax(dumps.logits_of(0, name).float(), 0).argmax(0).numpy()).all()


@pytest.mark.parametrize(
    'flags', [(), ('--fusion', 'vote', '--score', 'mutual_information'), ('--fusion', 'geometric', '--score', 'energy')]
)
def test_neither_the_order_of_models_nor_the_number_of_workers_changes_a_byte(program, two, tmp_path, flags):
    third = dumps.make(tmp_path / 'three', 2)
    assert (
        program('fuse', *two, third, '--out', tmp_path / 'a', '--weights', '1,2,3', '--num_workers', 1, *flags)[0] == 0
    )
    assert (
        program(
            'fuse', third, two[1], two[0], '--out', tmp_path / 'b', '--weights', '3,2,1', '--num_workers', 5, *flags
        )[0]
        == 0
    )
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b') and len(contents(tmp_path / 'a')) == 6


def test_a_score_that_is_named_twice_is_written_once(program, two, tmp_path):
    assert program('fuse', *two, '--out', tmp_path / 'o', '--write_scores', 'entropy,entropy')[0] == 0
    assert log(tmp_path / 'o')['settings']['scores'] == ['entropy']


def test_run_refuses_two_images_whose_results_would_be_one_file(program, tmp_path):
    (tmp_path / 'images').mkdir()
    for name in ('a.png', 'a.jpg'):
        cv2.imwrite(str(tmp_path / 'images' / name), np.zeros((8, 8, 3), np.uint8))
    code, told = program(
        'run', 'x.pth', '--dataset', 'folder', '--eval_folder', tmp_path / 'images', '--out', tmp_path / 'o'
    )
    assert code == 2 and 'a.jpg and a.png: differ in their endings only' in told and not (tmp_path / 'o').exists()


def test_the_published_names_are_understood(program, two, tmp_path):
    assert (
        program(
            'fuse',
            *two,
            '--out_path',
            tmp_path / 'a',
            '--label_function',
            'max',
            '--score_function',
            'max_softmax_min_softmax',
        )[0]
        == 0
    )
    assert program('fuse', *two, '--out', tmp_path / 'b', '--fusion', 'max', '--score', 'msp_min')[0] == 0
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')
    code, told = program('fuse', *two, '--out', tmp_path / 'c', '--fusion', 'max', '--label_function', 'max')
    assert code == 2 and 'say the same thing; give one' in told


def test_mask_scores_are_named_with_or_without_a_space(program, two, tmp_path):
    for kind in ('mask scores', 'mask_scores'):
        assert program('fuse', two[0], '--out', tmp_path / kind, '--kind', kind)[0] == 0
    assert log(tmp_path / 'mask_scores')['members'][0]['kind'] == 'mask scores'
    assert contents(tmp_path / 'mask scores') == contents(tmp_path / 'mask_scores')


def test_a_yaml_file_gives_defaults_under_the_flags(program, two, tmp_path):
    (tmp_path / 'c.yml').write_text(f'fusion: max\nwrite_scores: [entropy, energy]\nout: {tmp_path / "o"}\n')
    assert program('fuse', *two, '--config', tmp_path / 'c.yml', '--fusion', 'min')[0] == 0
    assert (log(tmp_path / 'o')['settings']['fusion'], log(tmp_path / 'o')['settings']['scores']) == (
        'min',
        ['entropy', 'energy'],
    )


def test_missing_images_are_recorded_and_made_again_when_they_come(program, two, tmp_path):
    path = two[1] / 'val/ulm/a_logits.npz'
    for folder in two:
        (folder / 'manifest.json').unlink()
    kept = path.read_bytes()
    path.unlink()
    assert program('fuse', *two, '--out', tmp_path / 'o')[0] == 2
    assert program('fuse', *two, '--out', tmp_path / 'o', '--allow_missing')[0] == 0
    assert log(tmp_path / 'o')['incomplete_images'] == {'val/ulm/a': [str(two[1])]}
    path.write_bytes(kept)
    code, told = program('fuse', *two, '--out', tmp_path / 'o')
    assert (
        code == 0 and '1 images fused, 2 were there already' in told and log(tmp_path / 'o')['incomplete_images'] == {}
    )
    assert program('fuse', *two, '--out', tmp_path / 'whole')[0] == 0
    assert contents(tmp_path / 'o') == contents(tmp_path / 'whole')


def test_an_interrupted_fusion_goes_on_and_leaves_no_temporary_files(program, two, tmp_path, monkeypatch):
    real, calls = ensembles.stored.finish, []

    def stops(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(ensembles.stored, 'finish', stops)
    assert program('fuse', *two, '--out', tmp_path / 'o')[0] == 130
    assert not log(tmp_path / 'o')['complete']
    (tmp_path / 'o/val/ulm').mkdir(parents=True, exist_ok=True)
    (tmp_path / 'o/val/ulm/.a_pred.png.99999999.0123abcd.tmp').write_bytes(b'half')
    monkeypatch.undo()
    code, told = program('fuse', *two, '--out', tmp_path / 'o')
    assert code == 0 and log(tmp_path / 'o')['complete'] and not list((tmp_path / 'o').rglob('*.tmp'))
    assert len(contents(tmp_path / 'o')) == 6


def test_parts_of_a_benchmark_are_fused_into_one_tree_one_after_the_other(program, tmp_path):
    parts = {
        part: [dumps.make(tmp_path / name / part, seed) for seed, name in enumerate(('one', 'two'))]
        for part in ('bravo_ACDC', 'bravo_SMIYC')
    }
    for folders in parts.values():
        assert program('fuse', *folders, '--out', tmp_path / 'o')[0] == 0
    assert all(log(tmp_path / 'o' / part)['complete'] and len(contents(tmp_path / 'o' / part)) == 6 for part in parts)
    before = contents(tmp_path / 'o/bravo_SMIYC')
    assert program('fuse', *parts['bravo_ACDC'], '--out', tmp_path / 'o', '--fusion', 'max', '--overwrite')[0] == 0
    assert contents(tmp_path / 'o/bravo_SMIYC') == before


def test_overwriting_leaves_the_results_of_a_fusion_below_alone(program, two, tmp_path):
    for out in ('o', 'o/below'):
        assert program('fuse', *two, '--out', tmp_path / out)[0] == 0
    before = contents(tmp_path / 'o/below')
    assert program('fuse', *two, '--out', tmp_path / 'o', '--fusion', 'max', '--overwrite')[0] == 0
    assert contents(tmp_path / 'o/below') == before and len(before) == 6


def test_a_damaged_record_is_overwritten_when_asked(program, two, tmp_path):
    (tmp_path / 'o').mkdir()
    (tmp_path / 'o/fusion.json').write_text('{"settings": 3}')
    assert program('fuse', *two, '--out', tmp_path / 'o', '--overwrite')[0] == 0


def test_logits_that_were_dumped_another_way_are_other_members(program, two, tmp_path):
    assert program('fuse', *two, '--out', tmp_path / 'o')[0] == 0
    manifest = json.loads((two[0] / 'manifest.json').read_text())
    (two[0] / 'manifest.json').write_text(json.dumps({**manifest, 'flip': True}))
    code, told = program('fuse', *two, '--out', tmp_path / 'o')
    assert code == 2 and 'made with other settings (members); give another --out' in told


class Constant(torch.nn.Module):
    """A network whose logits are `value` for class 0 and 0 for the others."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, images, keep_scales=False):
        logits = images.new_zeros(len(images), dumps.CLASSES, *images.shape[-2:])
        logits[:, 0] = self.value
        return {'pred': logits}


def run_members(folder, values, batches):
    outputs = Outputs(folder, FuseOptions(), {})
    fusion = MemberFusion([f'{value}.pth' for value in values], [1.0] * len(values), FuseOptions(), outputs)
    nets = [Constant(value) for value in values]
    return Evaluator(nets, lambda images: images, Dist(), EvalOptions()).run(batches, [fusion])


def image_batch(*names):
    return {'image': torch.zeros(len(names), 3, 8, 8), 'name': list(names), 'index': list(range(len(names)))}


class FiniteOn(Constant):
    """The same, but nan for the images that are black."""

    def forward(self, images, keep_scales=False):
        logits = super().forward(images)['pred']
        logits[images.amax((1, 2, 3)) == 0] = float('nan')
        return {'pred': logits}


@pytest.mark.parametrize('place', [0, 1])
def test_an_image_on_which_one_member_is_not_finite_is_not_fused_and_the_others_are(tmp_path, place):
    batch = image_batch('a.png', 'b.png')
    batch['image'][1] = 1.0
    nets = [Constant(3.0)]
    nets.insert(place, FiniteOn(3.0))
    fusion = MemberFusion(['x.pth', 'y.pth'], [1.0, 1.0], FuseOptions(), Outputs(tmp_path / 'o', FuseOptions(), {}))
    evaluator = Evaluator(nets, lambda images: images, Dist(), EvalOptions())
    assert evaluator.run([batch], [fusion])[0] == 2
    assert evaluator.not_finite == [('a.png', place)]
    assert sorted(contents(tmp_path / 'o')) == ['b_conf.png', 'b_pred.png']


def test_members_are_pooled_image_by_image_whatever_the_batches(tmp_path):
    values = [3.0, -1.0]
    shares = [np.exp(value) / (np.exp(value) + dumps.CLASSES - 1) for value in values]
    for folder, batches in (
        ('one', [image_batch('a.png'), image_batch('b.png')]),
        ('two', [image_batch('a.png', 'b.png')]),
    ):
        assert run_members(tmp_path / folder, values, batches)[0] == 2
        for name in 'ab':
            confidence = cv2.imread(str(tmp_path / folder / f'{name}_conf.png'), cv2.IMREAD_UNCHANGED)
            assert np.unique(confidence).tolist() == [pytest.approx(65535 * np.mean(shares), abs=1)]


def test_a_calibration_goes_with_the_fusion_and_score_it_was_fitted_on(program, two, tmp_path):
    calibration.save(tmp_path / 'c.json', calibration.Temperature(2.0), {'fusion': 'mean', 'score': 'msp'})
    code, told = program(
        'fuse', *two, '--out', tmp_path / 'o', '--fusion', 'vote', '--calibration', tmp_path / 'c.json'
    )
    assert (
        code == 2
        and 'was fitted with --fusion mean, found --fusion vote --score msp' in told
        and not (tmp_path / 'o').exists()
    )
    assert program('fuse', *two, '--out', tmp_path / 'o', '--calibration', tmp_path / 'c.json')[0] == 0


def test_an_image_whose_file_was_left_empty_is_made_again(program, two, tmp_path):
    program('fuse', *two, '--out', tmp_path / 'o')
    before = contents(tmp_path / 'o')
    (tmp_path / 'o/val/ulm/a_conf.png').write_bytes(b'')
    code, told = program('fuse', *two, '--out', tmp_path / 'o')
    assert code == 0 and '1 images fused' in told and contents(tmp_path / 'o') == before


def test_a_folder_in_which_nothing_was_written_yet_takes_other_settings(program, two, tmp_path):
    program('fuse', *two, '--out', tmp_path / 'o')
    for path in (tmp_path / 'o').rglob('*.png'):
        path.unlink()
    code, told = program('fuse', *two, '--out', tmp_path / 'o', '--fusion', 'max')
    assert code == 0 and '3 images fused' in told and log(tmp_path / 'o')['settings']['fusion'] == 'max'


def test_other_settings_are_refused_and_overwritten_even_when_that_is_interrupted(program, two, tmp_path, monkeypatch):
    assert program('fuse', *two, '--out', tmp_path / 'o')[0] == 0
    code, told = program('fuse', *two, '--out', tmp_path / 'o', '--fusion', 'vote')
    assert code == 2 and 'other settings (fusion mean, now vote); give another --out, or --overwrite' in told

    def stops(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(ensembles.stored, 'finish', stops)
    assert program('fuse', *two, '--out', tmp_path / 'o', '--fusion', 'vote', '--overwrite')[0] == 130
    monkeypatch.undo()
    assert program('fuse', *two, '--out', tmp_path / 'o', '--fusion', 'vote')[0] == 0
    assert program('fuse', *two, '--out', tmp_path / 'new', '--fusion', 'vote')[0] == 0
    assert contents(tmp_path / 'o') == contents(tmp_path / 'new')


def spoilt(tmp_path, two, how):
    """Arguments of fuse that are wrong in the way `how`, and words of the message."""
    out, broken = ['--out', tmp_path / 'o'], two[1] / 'val/ulm/b_logits.npz'
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').write_text('x')
    manifest = two[1] / 'manifest.json'
    if how == 'corrupt':
        broken.write_bytes(broken.read_bytes()[:90])
    elif how == 'nan':
        np.savez(broken, logits=np.full((dumps.CLASSES, *dumps.SIZE), np.nan, np.float16))
    elif how == 'classes':
        np.savez(broken, logits=np.zeros((7, *dumps.SIZE), np.float16))
    elif how == 'empty array':
        np.savez(broken, logits=np.zeros((0, *dumps.SIZE), np.float16))
    elif how == 'no manifest, no logits':
        manifest.write_text('{"format": 1, "images": {"a": {"file": "../a_logits.npz"}}}')
    return {
        'empty': (['fuse', two[0], tmp_path / 'empty', *out], 'holds no files'),
        'file': (['fuse', two[0], tmp_path / 'file', *out], 'is a file, no folder'),
        'twice': (['fuse', two[0], f'{two[0]}/', *out], 'given twice'),
        'corrupt': (['fuse', *two, *out, '--strict'], 'b_logits.npz: holds no logits that can be read'),
        'nan': (['fuse', *two, *out, '--strict'], 'b_logits.npz: holds nan or infinity'),
        'empty array': (['fuse', *two, *out, '--strict'], 'b_logits.npz: holds no logits that can be read'),
        'prefix': (['fuse', *two, *out, '--prefix', '../x/'], '--prefix ../x/: leads out of --out'),
        'absolute prefix': (['fuse', *two, *out, '--prefix', f'{tmp_path}/x/'], 'leads out of --out'),
        'classes': (['fuse', *two, *out, '--strict'], 'b_logits.npz: holds 7 classes'),
        'no manifest, no logits': (['fuse', *two, *out], 'names no file below the folder'),
        'out is a file': (['fuse', *two, '--out', tmp_path / 'file'], 'cannot be written'),
        'out among logits': (['fuse', *two, '--out', two[0] / 'o'], 'a folder of logits; give a folder of its own'),
        'weights': (['fuse', *two, *out, '--weights', tmp_path / 'none.json'], 'cannot be read'),
        'kind': (['fuse', *two, *out, '--kind', 'logits,softmax'], "kind 'softmax' is unknown"),
        'score': (['fuse', *two, *out, '--write_scores', 'foo'], '--write_scores foo: there is none'),
        'no list': (
            ['fuse', *two, *out, '--write_scores'],
            'where anomalous: msp, msp_min, msp_logit, least_sure',
        ),
        'no score': (['fuse', *two, *out, '--write_scores', ''], "'' names nothing; it is --write_scores LIST: scores"),
        'needs logits': (
            ['fuse', *two, *out, '--score', 'energy', '--kind', 'logits,probabilities'],
            'needs logits of every member',
        ),
        'calibration': (['fuse', *two, *out, '--calibration', tmp_path / 'file'], 'is no calibration file'),
        'change_labels': (['fuse', *two, *out, '--change_labels'], 'needs --calibration'),
        'command': (['mix'], "no command 'mix'"),
        'flag': (['fuse', *two, '--oot', 'x'], 'unknown flag --oot'),
    }[how]


@pytest.mark.parametrize(
    'how',
    [
        'empty',
        'file',
        'twice',
        'corrupt',
        'nan',
        'empty array',
        'prefix',
        'absolute prefix',
        'classes',
        'no manifest, no logits',
        'out is a file',
        'out among logits',
        'weights',
        'kind',
        'score',
        'no list',
        'no score',
        'needs logits',
        'calibration',
        'change_labels',
        'command',
        'flag',
    ],
)
def test_mistakes_are_told_in_one_sentence(program, two, tmp_path, how):
    arguments, words = spoilt(tmp_path, two, how)
    code, told = program(*arguments)
    errors = [line for line in told.splitlines() if 'images/s' not in line]
    assert code == 2 and len(errors) == 1 and errors[0].startswith('ensemble.py: error: ') and words in errors[0]


def test_images_whose_logits_are_broken_are_left_out_and_listed_at_the_end(program, two, tmp_path):
    broken = two[0] / 'val/ulm/b_logits.npz'  # of the first member: the second's file of that image is passed over
    broken.write_bytes(broken.read_bytes()[:90])
    whole = ['fuse', two[1], two[0], '--out', tmp_path / 'o']
    code, told = program(*whole)
    done = len(list((tmp_path / 'o').rglob('*_pred.png')))
    lines = told.splitlines()
    fault = lines[lines.index(f'1 of {done + 1} images were left out:') + 1]
    assert code == 1 and fault.startswith(f'  {broken}: holds no logits')
    assert f'{done} images fused' in told and not log(tmp_path / 'o')['complete']
    assert log(tmp_path / 'o')['left_out'] == [fault.strip()]
    shutil.rmtree(two[0])
    dumps.make(two[0], 0)
    assert program(*whole)[0] == 0 and log(tmp_path / 'o')['complete']


@pytest.mark.parametrize(
    'weights, words',
    [
        ('["a", "b"]', "weight 'a' is unfit"),
        ('[[1, [2]], 1]', 'is unfit; give one number'),
        ('[[0, 1, 1, 1, 1], [0, 1, 1, 1, 1]]', 'in some class all its members have weight 0'),
    ],
)
def test_weights_that_weigh_nothing_are_told(program, two, tmp_path, weights, words):
    (tmp_path / 'w.json').write_text(weights)
    code, told = program('fuse', *two, '--out', tmp_path / 'o', '--weights', tmp_path / 'w.json')
    assert code == 2 and words in told


def test_check_finds_faults_with_exit_code_one(program, two, tmp_path):
    assert program('check', *two)[0] == 0
    (two[0] / 'val/ulm/a_logits.npz').unlink()
    code, told = program('check', *two, '--json', tmp_path / 'c.json')
    assert (
        code == 1
        and 'is missing' in told
        and json.loads((tmp_path / 'c.json').read_text())[str(two[0])]['faults'][0]['why'] == 'is missing'
    )


@pytest.mark.parametrize('flags, keys', [([], set()), (['--bootstrap', '10'], {'intervals'})])
def test_scores_are_written_under_the_official_keys_and_intervals_besides(program, tmp_path, flags, keys):
    bravo_tree.make(tmp_path)
    code, _ = program(
        'eval',
        'bravo',
        '--gt',
        tmp_path / 'truth',
        '--submission',
        tmp_path / 'submission',
        '--json',
        tmp_path / 's.json',
        *flags,
    )
    found = json.loads((tmp_path / 's.json').read_text())
    assert code == 0 and len(found) == 74 + len(keys) and keys <= found.keys()
    low, high = found['intervals']['bravo_index'] if keys else (0, 1)
    assert low <= found['bravo_index'] <= high


def labelled(monkeypatch):
    monkeypatch.setattr(ensembles.datasets, 'get_dataset', lambda name, split: dumps.dataset())


@pytest.mark.parametrize('method', ['temperature', 'vector', 'isotonic'])
def test_a_calibration_is_fitted_kept_and_applied_without_changing_labels(program, two, tmp_path, monkeypatch, method):
    labelled(monkeypatch)
    code, told = program('calibrate', *two, '--method', method, '--out', tmp_path / 'c.json')
    about = json.loads((tmp_path / 'c.json').read_text())['about']
    assert code == 0 and 'ECE' in told and (about['dataset'], about['split'], about['images']) == ('toy', 'val', 3)
    if method == 'isotonic':
        assert about['after']['ece'] < about['before']['ece']
    else:
        assert about['after']['nll'] < about['before']['nll']
    assert program('fuse', *two, '--out', tmp_path / 'plain')[0] == 0
    assert program('fuse', *two, '--out', tmp_path / 'mended', '--calibration', tmp_path / 'c.json')[0] == 0
    plain, mended = contents(tmp_path / 'plain'), contents(tmp_path / 'mended')
    assert all((plain[name] == mended[name]) == name.endswith('_pred.png') for name in plain)


@pytest.mark.parametrize('method', ['temperature', 'vector'])
def test_no_calibration_is_written_where_the_classes_are_in_another_order(program, two, tmp_path, monkeypatch, method):
    data = dumps.dataset()
    turned = data.load_label
    data.load_label = lambda item: np.where((label := turned(item)) < 255, (label + 1) % 5, 255).astype(np.uint8)
    monkeypatch.setattr(ensembles.datasets, 'get_dataset', lambda name, split: data)
    code, told = program('calibrate', *two, '--method', method, '--out', tmp_path / 'c.json')
    assert code == 2 and not (tmp_path / 'c.json').exists()
    assert 'are the classes of the logits in the order of the labels' in told


def test_a_vector_calibration_changes_labels_when_asked(program, two, tmp_path, monkeypatch):
    labelled(monkeypatch)
    assert program('calibrate', *two, '--method', 'vector', '--out', tmp_path / 'c.json')[0] == 0
    content = json.loads((tmp_path / 'c.json').read_text())
    content['parameters']['shift'] = [0.0, 100.0, 0.0, 0.0, 0.0]
    (tmp_path / 'c.json').write_text(json.dumps(content))
    assert (
        program('fuse', *two, '--out', tmp_path / 'o', '--calibration', tmp_path / 'c.json', '--change_labels')[0] == 0
    )
    assert (cv2.imread(str(tmp_path / 'o/val/ulm/a_pred.png'), cv2.IMREAD_UNCHANGED) == 1).all()
    code, told = program('calibrate', *two, '--method', 'vector', '--score', 'entropy', '--out', tmp_path / 'd.json')
    assert code == 2 and '--method isotonic' in told


def test_report_writes_a_page(program, two, tmp_path, monkeypatch):
    labelled(monkeypatch)
    code, told = program('report', *two, '--out', tmp_path / 'page', '--worst', 1)
    assert code == 0 and 'index.html' in told and json.loads((tmp_path / 'page/report.json').read_text())['images'] == 3


@pytest.fixture(scope='module')
def trained(street, tmp_path_factory):
    """Checkpoints of two tiny networks trained on the street without cars; and the folder they lie in."""
    folder = tmp_path_factory.mktemp('trained')
    data = ['--dataset', 'synthetic', '--override_dataset_root', str(street), '--assets_path', str(folder / 'assets')]
    for seed in (1, 2):
        assert (
            train.main(
                [
                    *data,
                    *TINY,
                    '--seed',
                    str(seed),
                    '--ignore_ids',
                    str(CAR),
                    '--crop_size',
                    '64,128',
                    '--bs_trn',
                    '4',
                    '--max_epoch',
                    '20',
                    '--val_freq',
                    '20',
                    '--optimizer',
                    'adamw',
                    '--lr',
                    '3e-3',
                    '--class_uniform_pct',
                    '0',
                    '--result_dir',
                    str(folder / f'r{seed}'),
                ]
            )
            == 0
        )
    return folder, data, [str(next((folder / f'r{seed}').glob('last_checkpoint_*.pth'))) for seed in (1, 2)]


@pytest.mark.slow
def test_models_trained_without_a_class_find_it_as_an_anomaly(program, street, trained, tmp_path, capsys):
    folder, data, checkpoints = trained
    names = ('msp', 'entropy', 'energy')
    assert (
        program(
            'run', *checkpoints, *data, '--num_workers', 0, '--out', tmp_path / 'run', '--write_scores', ','.join(names)
        )[0]
        == 0
    )
    stored = []
    for seed, path in enumerate(checkpoints):
        assert (
            train.main(
                [
                    *data,
                    *TINY,
                    '--snapshot',
                    path,
                    '--eval',
                    'val',
                    '--dump_logits',
                    '--result_dir',
                    str(tmp_path / f'e{seed}'),
                ]
            )
            == 0
        )
        stored.append(tmp_path / f'e{seed}' / 'logits')
    assert program('fuse', *stored, '--out', tmp_path / 'fused', '--write_scores', ','.join(names))[0] == 0
    # the same but for the rounding of stored logits to float16
    for file, first in contents(tmp_path / 'run').items():
        if file.endswith('_pred.png'):
            second = cv2.imread(str(tmp_path / 'fused' / file), cv2.IMREAD_UNCHANGED)
            assert (cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_UNCHANGED) == second).mean() > 0.99
    masks = tmp_path / 'masks'
    for path in (street / 'synthetic').rglob('val/*/*_gtFine_labelIds.png'):
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        mask = np.where(ids == CAR, 1, np.where(ids < 7, 255, 0)).astype(np.uint8)
        target = (
            masks / 'val' / path.parent.name / path.name.replace('_gtFine_labelIds', '_leftImg8bit_labels_semantic')
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), mask)
    for name in names:
        code, told = program(
            'eval',
            'ood',
            '--gt',
            masks,
            '--scores',
            tmp_path / 'fused',
            '--score',
            name,
            '--json',
            tmp_path / f'{name}.json',
        )
        assert code == 0, told
        assert json.loads((tmp_path / f'{name}.json').read_text())['auroc'] > 0.5, name


@pytest.mark.slow
def test_two_processes_write_what_one_writes_in_any_order_of_models(program, trained, tmp_path):
    folder, data, checkpoints = trained
    flags = [*data, '--num_workers', '0', '--write_scores', 'entropy']
    done = command(
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--nproc-per-node=2',
        'ensemble.py',
        'run',
        *checkpoints,
        *flags,
        '--out',
        tmp_path / 'two',
    )
    assert done.returncode == 0, done.stderr
    done = command('ensemble.py', 'run', *checkpoints[::-1], *flags, '--out', tmp_path / 'one')
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / 'one') == contents(tmp_path / 'two') and len(contents(tmp_path / 'one')) == 15
    shutil.rmtree(tmp_path / 'one' / 'val')
    assert command('ensemble.py', 'run', *checkpoints, *flags, '--out', tmp_path / 'one').returncode == 0
    assert contents(tmp_path / 'one') == contents(tmp_path / 'two')


@pytest.mark.slow
def test_an_out_of_other_settings_is_one_sentence_with_several_processes_too(trained, tmp_path):
    folder, data, checkpoints = trained
    flags = [*data, '--num_workers', '0', '--out', tmp_path / 'o']
    assert command('ensemble.py', 'run', *checkpoints, *flags).returncode == 0
    done = command(
        '-m',
        'torch.distributed.run',
        '--standalone',
        '--nproc-per-node=2',
        'ensemble.py',
        'run',
        *checkpoints,
        *flags,
        '--fusion',
        'vote',
    )
    assert (
        done.returncode != 0
        and '[rank' not in done.stderr
        and '(fusion mean, now vote); give another --out' in done.stderr
    )


def test_run_sees_images_as_its_members_were_tested(program, street, snapshot_of, tmp_path):
    member = snapshot_of('--pre_size', '96')
    data = ['--dataset', 'synthetic', '--override_dataset_root', street, '--num_workers', 0]
    code, told = program('run', member, *data, '--out', tmp_path / 'run')
    assert code == 0 and '--pre_size 96: as the members were tested' in told
    net = network.load(member, device='cpu')
    with config.scope(DATASET__ROOT=str(street)):
        dataset = get_dataset('synthetic', 'val')
    for item in dataset.items:
        labels = cv2.imread(str((tmp_path / 'run' / item.name).with_suffix('')) + '_pred.png', cv2.IMREAD_UNCHANGED)
        assert (labels == net.predict(dataset.load(item)[0]).labels).mean() > 0.999
    code, told = program('run', member, snapshot_of(), *data, '--out', tmp_path / 'both')
    assert code == 2 and 'were tested at different sizes' in told and 'with no --pre_size' in told
    assert program('run', member, snapshot_of(), *data, '--pre_size', 64, '--out', tmp_path / 'both')[0] == 0
