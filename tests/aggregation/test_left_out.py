"""Bad files among many: the others are used, the bad ones are listed at the end (exit code 1); --strict ends at the
first (exit code 2) and writes nothing."""

import json
import shutil
import zipfile

import bravo_tree
import cv2
import dumps
import numpy as np
import pytest

import ensemble
from aggregation.benchmarks import bravo_files
from aggregation.benchmarks.trees import Tree
from engine import ensembles

FRAMES = [f'lindau_00000{number}_000019' for number in range(3)]


@pytest.fixture
def program(capsys, monkeypatch):
    """program(*arguments) -> (exit code, the lines it printed but for progress)."""
    monkeypatch.setattr(ensembles.datasets, 'get_dataset', lambda name, split: dumps.dataset())

    def call(*arguments):
        code = ensemble.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, [line for line in (captured.out + captured.err).splitlines() if 'images/s' not in line]

    return call


def broken(path):
    path.write_bytes(path.read_bytes()[:60])
    return path


def of_cityscapes(folder):
    """Arguments of a submission of three frames, one of them cut off; that file; the names in the archive."""
    for number, frame in enumerate(FRAMES):
        cv2.imwrite(str(folder / f'{frame}_pred.png'), np.full((6, 8), 10 + number, np.uint8))
    bad = broken(folder / f'{FRAMES[1]}_pred.png')
    names = {f'{frame}_leftImg8bit.png' for frame in (FRAMES[0], FRAMES[2])}
    return ['submit', 'cityscapes', folder, folder.parent / 'out.zip', '--size', '6,8'], bad, names


def of_smiyc(folder):
    pytest.importorskip('h5py')
    for number in range(3):
        np.savez(folder / f'f{number}_entropy.npz', value=np.full((4, 5), number / 4, np.float16))
    bad = broken(folder / 'f1_entropy.npz')
    out = folder.parent / 'out'
    return (
        ['submit', 'smiyc', folder, out, '--method', 'm'],
        bad,
        {f'anomaly_p/m/AnomalyTrack-all/f{number}.hdf5' for number in (0, 2)},
    )


def of_bravo(folder):
    pytest.importorskip('zstandard')
    keys = list(bravo_tree.make(folder))
    bad = broken(folder / 'submission' / bravo_files.name_of(keys[3], 'prediction'))
    others = {bravo_files.name_of(key, 'encoded') for key in keys if key != keys[3]}
    return ['submit', 'bravo', folder / 'submission', folder.parent / 'out.tar'], bad, others


@pytest.mark.parametrize('make', [of_cityscapes, of_smiyc, of_bravo])
def test_a_submission_holds_the_images_that_are_right_and_lists_the_others(program, tmp_path, make):
    (tmp_path / 'p').mkdir()
    arguments, bad, names = make(tmp_path / 'p')
    out = arguments[3]
    code, lines = program(*arguments, '--strict')
    assert code == 2 and bad.name in lines[-1] and not out.exists()
    code, lines = program(*arguments)
    assert code == 1 and set(Tree(out).names) == names
    assert lines[-2] == f'1 of {len(names) + 1} images were left out:'
    assert lines[-1].startswith('  ') and bad.name in lines[-1]
    assert f'{len(names)} images, written and read back' in lines[-3]


def test_a_submission_of_bad_files_alone_is_refused(program, tmp_path):
    (tmp_path / 'p').mkdir()
    arguments, _, _ = of_cityscapes(tmp_path / 'p')
    for frame in FRAMES:
        broken(tmp_path / 'p' / f'{frame}_pred.png')
    code, lines = program(*arguments)
    assert code == 2 and f'{FRAMES[2]}_pred.png is damaged' in lines[-1] and not (tmp_path / 'out.zip').exists()


def test_a_cityscapes_zip_without_the_bad_file_has_the_ids_of_the_others(program, tmp_path):
    (tmp_path / 'p').mkdir()
    arguments, _, _ = of_cityscapes(tmp_path / 'p')
    assert program(*arguments, '--ids', 'train')[0] == 1
    with zipfile.ZipFile(tmp_path / 'out.zip') as archive:
        data = archive.read(f'{FRAMES[2]}_leftImg8bit.png')
    assert (cv2.imdecode(np.frombuffer(data, np.uint8), -1) == 25).all()  # trainId 12, rider


@pytest.fixture
def two(tmp_path):
    """Two folders of logits, of whose second one file is cut off; that file; and both without its image."""
    folders = [dumps.make(tmp_path / f'm{seed}', seed) for seed in (0, 1)]
    bad = broken(folders[1] / 'val/ulm/b_logits.npz')
    whole = [dumps.make(tmp_path / f'w{seed}', seed, [dumps.NAMES[0], dumps.NAMES[2]]) for seed in (0, 1)]
    return folders, bad, whole


def without_places(content):
    """What does not name the folders that were read."""
    return json.loads(json.dumps(content).replace('/m0', '/w0').replace('/m1', '/w1'))


@pytest.mark.parametrize('method', ['temperature', 'isotonic'])
def test_a_calibration_is_that_of_the_images_that_can_be_used(program, two, tmp_path, method):
    folders, bad, whole = two
    fit = ['calibrate', '--method', method, '--out', tmp_path / 'c.json']
    assert program(*fit, *whole)[0] == 0
    expected = json.loads((tmp_path / 'c.json').read_text())
    (tmp_path / 'c.json').unlink()
    code, lines = program(*fit, *folders, '--strict')
    assert code == 2 and str(bad) in lines[-1] and not (tmp_path / 'c.json').exists()
    code, lines = program(*fit, *folders)
    content = json.loads((tmp_path / 'c.json').read_text())
    assert code == 1 and lines[-2] == '1 of 3 images were left out:' and lines[-1].startswith(f'  {bad}: holds no')
    assert content['about'].pop('left_out_images') == [lines[-1].strip()]
    assert content['parameters'] == expected['parameters'] and content['about']['images'] == 2
    assert content['about']['after'] == expected['about']['after']


def test_a_report_is_that_of_the_images_that_can_be_used(program, two, tmp_path):
    folders, bad, whole = two
    assert program('report', *whole, '--out', tmp_path / 'expected')[0] == 0
    code, lines = program('report', *folders, '--out', tmp_path / 'page', '--strict')
    assert code == 2 and str(bad) in lines[-1] and not (tmp_path / 'page').exists()
    code, lines = program('report', *folders, '--out', tmp_path / 'page')
    assert code == 1 and lines[-2] == '1 of 3 images were left out:' and lines[-1].startswith(f'  {bad}: holds no')
    found, expected = (json.loads((tmp_path / name / 'report.json').read_text()) for name in ('page', 'expected'))
    assert found.pop('unusable_images') == [lines[-1].strip()] and expected.pop('unusable_images') == []
    for content in (found, expected):
        for member in content['members']:
            member.pop('folder', None)
            member.pop('manifest', None)
    assert without_places(found['ensemble']) == expected['ensemble'] and found['images'] == 2
    for name in ('left_out', 'disagreement', 'worst'):
        assert without_places(found[name]) == expected[name]
    scores = ('images', 'mean_iou', 'nll', 'ece')
    assert [[member[key] for key in scores] for member in found['members']] == [
        [member[key] for key in scores] for member in expected['members']
    ]
    assert 'images left out, as they cannot be used' in (tmp_path / 'page/index.html').read_text()


def test_a_report_goes_on_whichever_member_has_the_bad_file(program, two, tmp_path):
    folders, bad, _ = two
    shutil.copy(folders[0] / 'val/ulm/b_logits.npz', bad)
    broken(folders[0] / 'val/ulm/b_logits.npz')
    code, lines = program('report', *folders, '--out', tmp_path / 'page')
    assert code == 1 and lines[-2] == '1 of 3 images were left out:'
    assert json.loads((tmp_path / 'page/report.json').read_text())['images'] == 2
