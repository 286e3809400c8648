import zipfile

import bravo_tree
import cv2
import numpy as np
import pytest

from aggregation import bravo, bravo_submission, cityscapes_submission, smiyc_submission
from aggregation import bravo_names as names
from aggregation.bravo_codec import draw_samples, encode_samples
from aggregation.difference import compare
from aggregation.score_files import read_score
from aggregation.trees import Tree
from datasets.cityscapes_labels import TRAINID_TO_ID

pytest.importorskip('zstandard')
pytest.importorskip('h5py')


def silent(line):
    pass


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """A BRAVO-shaped tree below a folder whose name would be a glob pattern, with samples."""
    root = tmp_path_factory.mktemp('bravo') / 'a [b] *'
    made = bravo_tree.make(root)
    for key, (truth, *_) in made.items():
        path = root / 'samples' / names.name_of(key, 'samples')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_samples(draw_samples(truth)))
    return root


@pytest.mark.parametrize('sampled', [True, False])
def test_an_encoded_submission_scores_as_its_pictures(tree, tmp_path, sampled):
    samples = tree / 'samples' if sampled else None
    written = bravo_submission.submit(tree / 'submission', tmp_path / 's.tar', samples, log=silent)
    assert written.images == 18 and bool(written.notes) != sampled
    scores = [bravo.evaluate(tree / 'truth', submission, tree / 'samples', log=silent)['scores'] for submission in (tree / 'submission', tmp_path / 's.tar')]
    assert scores[0] == scores[1]
    with Tree(tmp_path / 's.tar') as archive:
        assert 'bravo_synobjs/zebra/[1]_encoded.bin' in archive and len(archive.names) == 18


def test_a_missing_image_is_refused_and_nothing_is_written(tree, tmp_path):
    bravo_tree.make(tmp_path)
    for kind in ('prediction', 'confidence'):
        (tmp_path / 'submission' / names.name_of(bravo_tree.KEYS[0], kind)).unlink()
    with pytest.raises(ValueError, match='1 of 18 images have no prediction.*GOPR0475_frame_000000'):
        bravo_submission.submit(tmp_path / 'submission', tmp_path / 's.tar', tree / 'samples', log=silent)
    assert not list(tmp_path.glob('*.tar')) and not list(tmp_path.glob('.*'))
    written = bravo_submission.submit(tmp_path / 'submission', tmp_path / 's.tar', tree / 'samples', allow_missing=True, log=silent)
    assert written.images == 17 and '1 of 18 images are missing' in written.notes[0]


@pytest.mark.parametrize('change, words', [
    (lambda folder, name: (folder / name.replace('_pred', '_conf')).unlink(), '1 predictions have no confidence'),
    (lambda folder, name: (folder / name).write_bytes(b'\x89PNG cut'), 'is damaged or no image'),
    (lambda folder, name: cv2.imwrite(str(folder / name), np.full((40, 50), 19, np.uint8)), 'expected 8-bit trainIds 0 to 18'),
    (lambda folder, name: [cv2.imwrite(str(folder / n), np.zeros((4, 4), t)) for n, t in ((name, np.uint8), (name.replace('_pred', '_conf'), np.uint16))],
     'is sampled; predict at the size'),
])
def test_unfit_pictures_leave_no_archive(tree, tmp_path, change, words):
    bravo_tree.make(tmp_path)
    change(tmp_path / 'submission', names.name_of(bravo_tree.KEYS[3], 'prediction'))
    with pytest.raises(ValueError, match=words):
        bravo_submission.submit(tmp_path / 'submission', tmp_path / 's.tar', tree / 'samples', log=silent)
    assert not list(tmp_path.glob('*.tar*'))


def cityscapes_predictions(folder, count=3, ids=None):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        labels = rng.integers(0, 19, (6, 8)).astype(np.uint8) if ids is None else ids
        cv2.imwrite(str(folder / f'lindau_00000{number}_000019_leftImg8bit_pred.png'), labels)
        cv2.imwrite(str(folder / f'lindau_00000{number}_000019_leftImg8bit_conf.png'), labels.astype(np.uint16))


@pytest.mark.parametrize('out', ['out', 'out.zip'])
def test_cityscapes_files_hold_label_ids_under_the_names_of_the_images(tmp_path, out):
    cityscapes_predictions(tmp_path / 'p')
    written = cityscapes_submission.submit(tmp_path / 'p', tmp_path / out, TRAINID_TO_ID, size=(6, 8), log=silent)
    assert written.images == 3
    name = 'lindau_000000_000019_leftImg8bit.png'
    data = (tmp_path / out / name).read_bytes() if out == 'out' else zipfile.ZipFile(tmp_path / out).read(name)
    source = cv2.imread(str(tmp_path / 'p' / 'lindau_000000_000019_leftImg8bit_pred.png'), -1)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), -1), TRAINID_TO_ID[source])


@pytest.mark.parametrize('table, size, ids, words', [
    (TRAINID_TO_ID, None, np.full((6, 8), 26, np.uint8), 'expected trainIds 0 to 18; choose the other --ids'),
    (None, None, np.full((6, 8), 255, np.uint8), 'expected label ids 0 to 33'),
    (TRAINID_TO_ID, (1024, 2048), None, 'expected 2048x1024'),
    (TRAINID_TO_ID, None, np.full((6, 8), 3, np.uint16), 'expected 8-bit'),
])
def test_unfit_cityscapes_files_are_refused_before_anything_is_written(tmp_path, table, size, ids, words):
    cityscapes_predictions(tmp_path / 'p', ids=ids)
    with pytest.raises(ValueError, match=words):
        cityscapes_submission.submit(tmp_path / 'p', tmp_path / 'out', table, size=size, log=silent)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('format', ['hdf5', 'npz'])
def test_score_maps_are_written_as_the_suite_reads_them(tmp_path, format):
    values = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float16)
    (tmp_path / 'maps' / 'images').mkdir(parents=True)
    np.savez(tmp_path / 'maps' / 'images' / 'validation0000_entropy.npz', value=values)
    written = smiyc_submission.submit(tmp_path / 'maps', tmp_path / 'out', 'mine', 'AnomalyTrack-all', score='entropy', format=format, log=silent)
    assert written.path == tmp_path / 'out' / 'anomaly_p' / 'mine' / 'AnomalyTrack-all'
    with Tree(written.path) as tree:
        assert tree.names == [f'validation0000.{format}']
        assert np.array_equal(read_score(tree, tree.names[0]), values.astype(np.float32))


def test_a_score_that_float16_cannot_hold_is_refused(tmp_path):
    np.savez(tmp_path / 'a.npz', value=np.full((2, 2), 1e6, np.float32))
    with pytest.raises(ValueError, match='more than float16 can'):
        smiyc_submission.submit(tmp_path, tmp_path / 'out', 'm', 'AnomalyTrack-all', log=silent)


def test_two_zips_for_the_server_can_be_compared_and_a_damaged_one_is_named(tmp_path):
    cityscapes_predictions(tmp_path / 'p')
    for name in ('a.zip', 'b.zip'):
        cityscapes_submission.submit(tmp_path / 'p', tmp_path / name, TRAINID_TO_ID, size=(6, 8), log=silent)
    assert compare(tmp_path / 'a.zip', tmp_path / 'b.zip', log=silent)['labels'] == 1.0
    data = bytearray((tmp_path / 'b.zip').read_bytes())
    data[80] ^= 255
    (tmp_path / 'b.zip').write_bytes(data)
    with pytest.raises(ValueError, match='b.zip: lindau_000000_000019_leftImg8bit.png cannot be unpacked'):
        compare(tmp_path / 'a.zip', tmp_path / 'b.zip', log=silent)


def test_a_submission_differs_from_itself_nowhere_and_from_another_where_it_was_changed(tree, tmp_path):
    same = compare(tree / 'submission', tree / 'submission', log=silent)
    assert same['labels'] == 1.0 and same['confidence'] == 0.0 and not same['only_first']
    made = bravo_tree.make(tmp_path)
    key = bravo_tree.KEYS[5]
    classes = made[key][2].copy()
    classes[0] = (classes[0] + 1) % 19                      # one of 40 rows
    bravo_tree.write(tmp_path / 'submission', names.name_of(key, 'prediction'), classes)
    (tmp_path / 'submission' / names.name_of(bravo_tree.KEYS[0], 'prediction')).unlink()
    changed = compare(tree / 'submission', tmp_path / 'submission', log=silent)
    assert changed['images'][0] == {'name': names.name_of(key, 'prediction'), 'labels': pytest.approx(39 / 40), 'confidence': 0.0}
    assert changed['only_first'] == [names.name_of(bravo_tree.KEYS[0], 'prediction')]


def test_score_maps_are_all_checked_before_one_is_written(tmp_path):
    for frame, value in (('a', 1.0), ('b', np.nan)):
        (tmp_path / 'maps').mkdir(exist_ok=True)
        np.savez(tmp_path / f'maps/{frame}_entropy.npz', value=np.full((4, 5), value, np.float16))
    with pytest.raises(ValueError, match='b_entropy.npz holds nan'):
        smiyc_submission.submit(tmp_path / 'maps', tmp_path / 'out', 'ours', 'AnomalyTrack-all', format='npz', log=silent)
    assert not (tmp_path / 'out').exists()
