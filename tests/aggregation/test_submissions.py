import json
import zipfile

import bravo_tree
import cv2
import numpy as np
import pytest

from aggregation.benchmarks import bravo, bravo_scores, cityscapes, smiyc
from aggregation.benchmarks import bravo_files as names
from aggregation.benchmarks.bravo_codec import draw_samples, encode_samples
from aggregation.benchmarks.difference import compare, lines
from aggregation.benchmarks.score_files import read_score
from aggregation.benchmarks.trees import Tree
from datasets.collection.cityscapes_labels import CLASSES
from utils.files import images

pytest.importorskip('zstandard')
pytest.importorskip('h5py')
TRAINID_TO_ID = CLASSES.trainid_to_id


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
    written = bravo.submit(tree / 'submission', tmp_path / 's.tar', samples, log=silent)
    assert written.images == 18 and bool(written.notes) != sampled
    scores = [
        bravo_scores.evaluate(tree / 'truth', submission, tree / 'samples', log=silent)['scores']
        for submission in (tree / 'submission', tmp_path / 's.tar')
    ]
    assert scores[0] == scores[1]
    archive = Tree(tmp_path / 's.tar')
    assert 'bravo_synobjs/zebra/[1]_encoded.bin' in archive and len(archive.names) == 18


def test_a_missing_image_is_refused_and_nothing_is_written(tree, tmp_path):
    bravo_tree.make(tmp_path)
    for kind in ('prediction', 'confidence'):
        (tmp_path / 'submission' / names.name_of(bravo_tree.KEYS[0], kind)).unlink()
    with pytest.raises(ValueError, match='1 of 18 images have no prediction.*GOPR0475_frame_000000'):
        bravo.submit(tmp_path / 'submission', tmp_path / 's.tar', tree / 'samples', log=silent)
    assert not list(tmp_path.glob('*.tar')) and not list(tmp_path.glob('.*'))
    written = bravo.submit(
        tmp_path / 'submission', tmp_path / 's.tar', tree / 'samples', allow_missing=True, log=silent
    )
    assert written.images == 17 and '1 of 18 images are missing' in written.notes[0]


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda folder, name: (folder / name.replace('_pred', '_conf')).unlink(), '1 predictions have no confidence'),
        (lambda folder, name: (folder / name).write_bytes(b'\x89PNG cut'), 'is damaged or no image in PNG form'),
        (
            lambda folder, name: cv2.imwrite(str(folder / name), np.full((40, 50), 19, np.uint8)),
            'expected 8-bit trainIds 0 to 18',
        ),
        (
            lambda folder, name: [
                cv2.imwrite(str(folder / n), np.zeros((4, 4), t))
                for n, t in ((name, np.uint8), (name.replace('_pred', '_conf'), np.uint16))
            ],
            'is sampled; predict at the size',
        ),
    ],
)
def test_unfit_pictures_leave_no_archive(tree, tmp_path, change, words):
    bravo_tree.make(tmp_path)
    change(tmp_path / 'submission', names.name_of(bravo_tree.KEYS[3], 'prediction'))
    with pytest.raises(ValueError, match=words):
        bravo.submit(tmp_path / 'submission', tmp_path / 's.tar', tree / 'samples', log=silent)
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
    written = cityscapes.submit(tmp_path / 'p', tmp_path / out, TRAINID_TO_ID, size=(6, 8), log=silent)
    assert written.images == 3
    name = 'lindau_000000_000019_leftImg8bit.png'
    data = (tmp_path / out / name).read_bytes() if out == 'out' else zipfile.ZipFile(tmp_path / out).read(name)
    source = cv2.imread(str(tmp_path / 'p' / 'lindau_000000_000019_leftImg8bit_pred.png'), -1)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), -1), TRAINID_TO_ID[source])


@pytest.mark.parametrize(
    'table, size, ids, words',
    [
        (TRAINID_TO_ID, None, np.full((6, 8), 26, np.uint8), 'expected trainIds 0 to 18; choose the other --ids'),
        (None, None, np.full((6, 8), 255, np.uint8), 'expected label ids 0 to 33'),
        (TRAINID_TO_ID, (1024, 2048), None, 'expected 2048x1024; .* or give --size 6,8'),
        (TRAINID_TO_ID, None, np.full((6, 8), 3, np.uint16), 'expected 8-bit'),
    ],
)
def test_unfit_cityscapes_files_are_refused_before_anything_is_written(tmp_path, table, size, ids, words):
    cityscapes_predictions(tmp_path / 'p', ids=ids)
    with pytest.raises(ValueError, match=words):
        cityscapes.submit(tmp_path / 'p', tmp_path / 'out', table, size=size, log=silent)
    assert not (tmp_path / 'out').exists()


def break_encoder(monkeypatch):
    """Every picture is written with one pixel changed, as a faulty disk would."""
    real = cv2.imencode

    def encode(ending, image, *rest):
        image = image.copy()
        image[0, 0] ^= 1
        return real(ending, image, *rest)

    monkeypatch.setattr(images.cv2, 'imencode', encode)


@pytest.mark.parametrize('out', ['out', 'out.zip'])
def test_what_does_not_read_back_as_it_was_predicted_never_appears(tmp_path, monkeypatch, out):
    cityscapes_predictions(tmp_path / 'p')
    break_encoder(monkeypatch)
    with pytest.raises(
        ValueError, match='lindau_000000_000019_leftImg8bit.png: what was written is not what was predicted'
    ):
        cityscapes.submit(tmp_path / 'p', tmp_path / out, TRAINID_TO_ID, size=(6, 8), log=silent)
    assert [path.name for path in tmp_path.iterdir()] == ['p']


@pytest.mark.parametrize('out', ['out', 'out.zip'])
def test_a_faulty_submission_leaves_the_one_before_as_it_was(tmp_path, monkeypatch, out):
    cityscapes_predictions(tmp_path / 'p')
    cityscapes.submit(tmp_path / 'p', tmp_path / out, TRAINID_TO_ID, size=(6, 8), log=silent)
    tree = Tree(tmp_path / out)
    before = {name: tree.read(name) for name in tree.names}
    break_encoder(monkeypatch)
    with pytest.raises(ValueError, match='not what was predicted'):
        cityscapes.submit(tmp_path / 'p', tmp_path / out, TRAINID_TO_ID, size=(6, 8), log=silent)
    tree = Tree(tmp_path / out)
    assert {name: tree.read(name) for name in tree.names} == before and len(before) == 3


def test_a_folder_is_replaced_as_a_whole_and_foreign_files_in_it_are_named(tmp_path):
    cityscapes_predictions(tmp_path / 'p')
    for _ in range(2):
        cityscapes.submit(tmp_path / 'p', tmp_path / 'out', TRAINID_TO_ID, size=(6, 8), log=silent)
    (tmp_path / 'p' / 'lindau_000002_000019_leftImg8bit_pred.png').unlink()
    (tmp_path / '.out.part').mkdir()  # of a run that was killed
    (tmp_path / '.out.part' / 'lindau_000007_000019_leftImg8bit.png').write_bytes(b'half')
    with pytest.raises(
        ValueError,
        match=(
            'holds 1 files that are no part of this submission .lindau_000002_000019_leftImg8bit.png.; give a new'
            ' folder'
        ),
    ):
        cityscapes.submit(tmp_path / 'p', tmp_path / 'out', TRAINID_TO_ID, size=(6, 8), log=silent)
    (tmp_path / 'out' / 'lindau_000002_000019_leftImg8bit.png').unlink()
    cityscapes.submit(tmp_path / 'p', tmp_path / 'out', TRAINID_TO_ID, size=(6, 8), log=silent)
    assert (
        sorted(path.name for path in tmp_path.iterdir()) == ['out', 'p']
        and len(list((tmp_path / 'out').iterdir())) == 2
    )


def test_a_run_that_was_killed_while_it_replaced_a_folder_loses_nothing(tmp_path, monkeypatch):
    cityscapes_predictions(tmp_path / 'p')
    cityscapes.submit(tmp_path / 'p', tmp_path / 'out', TRAINID_TO_ID, size=(6, 8), log=silent)
    (tmp_path / 'out').rename(tmp_path / '.out.old')
    break_encoder(monkeypatch)
    with pytest.raises(ValueError, match='not what was predicted'):
        cityscapes.submit(tmp_path / 'p', tmp_path / 'out', TRAINID_TO_ID, size=(6, 8), log=silent)
    assert (
        sorted(path.name for path in tmp_path.iterdir()) == ['out', 'p']
        and len(list((tmp_path / 'out').iterdir())) == 3
    )


def expected_images(tmp_path, how, numbers=range(5)):
    names = [f'test/bad-honnef_x/lindau_00000{number}_000019_leftImg8bit.png' for number in numbers]
    if how == 'folder':
        for name in names:
            path = tmp_path / 'leftImg8bit' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / 'leftImg8bit'
    path = tmp_path / ('manifest.json' if how == 'manifest' else 'list.txt')
    path.write_text(
        json.dumps({'images': {name: {'file': name} for name in names}}) if how == 'manifest' else '\n'.join(names)
    )
    return path


@pytest.mark.parametrize('how', ['folder', 'manifest', 'list'])
def test_missing_cityscapes_images_are_counted_against_the_images_there_must_be(tmp_path, how):
    cityscapes_predictions(tmp_path / 'p')
    arguments = {'trainid_to_id': TRAINID_TO_ID, 'size': (6, 8), 'log': silent}
    with pytest.raises(
        ValueError,
        match='2 of 5 images have no prediction .lindau_000003_000019, lindau_000004_000019.; .*--allow_missing',
    ):
        cityscapes.submit(tmp_path / 'p', tmp_path / 'out', images=expected_images(tmp_path, how), **arguments)
    assert not (tmp_path / 'out').exists()
    written = cityscapes.submit(
        tmp_path / 'p', tmp_path / 'out', images=expected_images(tmp_path, how), allow_missing=True, **arguments
    )
    assert written.images == 3 and '2 of 5 images are missing' in written.notes[0]


def test_predictions_of_other_images_are_left_out_and_said(tmp_path):
    cityscapes_predictions(tmp_path / 'p')
    arguments = {'trainid_to_id': TRAINID_TO_ID, 'size': (6, 8), 'log': silent}
    written = cityscapes.submit(
        tmp_path / 'p', tmp_path / 'out.zip', images=expected_images(tmp_path, 'folder', [0]), **arguments
    )
    assert (
        written.images == 1
        and '2 predictions are of no image of the benchmark and were left out: lindau_000001_000019' in written.notes[0]
    )
    with pytest.raises(ValueError, match='1 of 1 images have no prediction .lindau_000009_000019.; predict them$'):
        cityscapes.submit(
            tmp_path / 'p',
            tmp_path / 'o.zip',
            images=expected_images(tmp_path, 'list', [9]),
            allow_missing=True,
            **arguments,
        )
    (tmp_path / 'empty.txt').write_text('nothing here')
    with pytest.raises(ValueError, match='--images .*empty.txt: names no image'):
        cityscapes.submit(tmp_path / 'p', tmp_path / 'o.zip', images=tmp_path / 'empty.txt', **arguments)
    assert 'the test set has 1525' in cityscapes.submit(tmp_path / 'p', tmp_path / 'o.zip', **arguments).notes[0]


def score_maps(folder, frames=('a', 'b'), seed=0, suffix='_entropy'):
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        np.savez(
            folder / f'{frame}{suffix}.npz',
            value=np.random.default_rng([seed, number]).normal(size=(5, 6)).astype(np.float16),
        )
    return folder


def test_missing_frames_of_score_maps_are_counted_against_the_masks(tmp_path):
    maps, masks = score_maps(tmp_path / 'maps'), tmp_path / 'labels_masks'
    masks.mkdir()
    for frame in 'abc':
        cv2.imwrite(str(masks / f'{frame}_labels_semantic.png'), np.zeros((5, 6), np.uint8))
    arguments = {'method': 'mine', 'dataset': 'AnomalyTrack-all', 'images': masks, 'format': 'npz', 'log': silent}
    with pytest.raises(ValueError, match='1 of 3 images have no prediction .c.'):
        smiyc.submit(maps, tmp_path / 'out', **arguments)
    assert not (tmp_path / 'out').exists()
    assert smiyc.submit(maps, tmp_path / 'out', allow_missing=True, **arguments).images == 2
    (tmp_path / 'bare').mkdir()
    with pytest.raises(ValueError, match='--images .*bare: holds no images'):
        smiyc.submit(maps, tmp_path / 'o', **{**arguments, 'images': tmp_path / 'bare'})


@pytest.mark.parametrize('formats', [('hdf5', 'npz'), ('npz', 'npz'), ('hdf5', 'hdf5')])
def test_two_submissions_of_score_maps_are_compared_by_frame_whatever_method_and_format(tmp_path, formats):
    for name, frames, format in (('one', 'abc', formats[0]), ('two', 'bcd', formats[1])):
        maps = score_maps(tmp_path / f'maps {name}', frames)
        smiyc.submit(maps, tmp_path / name, f'method {name}', 'AnomalyTrack-all', format=format, log=silent)
    found = compare(tmp_path / 'one', tmp_path / 'two', log=silent)
    assert len(found['images']) == 2 and len(found['only_first']) == len(found['only_second']) == 1
    same = compare(tmp_path / 'one', tmp_path / 'one', log=silent)
    assert (same['order'], same['score']) == (1.0, 0.0) and 'labels' not in same
    assert lines(same, 'A', 'B') == ['3 images in both: rank correlation 1.000000, scores differ by 0']


def test_the_difference_of_score_maps_is_that_of_their_ranks_and_values(tmp_path):
    values = {'one': [[0.0, 1, 2, 3]], 'two': [[0.0, 1, 4, 2]], 'wide': [[0.0] * 5], 'flat': [[1.0] * 4]}
    for name, value in values.items():
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / 'a_energy.npy', np.array(value, np.float32))
    found = compare(tmp_path / 'one', tmp_path / 'two', log=silent)
    # 1 - 6 * (1 + 1) / (4 * 15)
    assert found['images'] == [{'name': 'a_energy.npy', 'order': pytest.approx(0.8), 'score': 0.75}]
    assert lines(found, 'A', 'B')[1] == '  a_energy.npy: rank correlation 0.800000, scores differ by 0.75'
    found = compare(tmp_path / 'one', tmp_path / 'wide', log=silent)
    assert lines(found, 'A', 'B') == [
        '1 images in both: nothing can be compared',
        '  a_energy.npy: 4x1 (width x height) and 5x1 (width x height)',
    ]
    assert compare(tmp_path / 'one', tmp_path / 'flat', log=silent)['order'] is None


def test_submissions_of_two_kinds_have_nothing_in_common(tmp_path, tree):
    with pytest.raises(
        ValueError, match='have no file of the same name in common .*; compare two submissions of one kind'
    ):
        compare(score_maps(tmp_path / 'maps'), tree / 'submission', log=silent)


@pytest.mark.parametrize('format', ['hdf5', 'npz'])
def test_score_maps_are_written_as_the_suite_reads_them(tmp_path, format):
    values = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float16)
    (tmp_path / 'maps' / 'images').mkdir(parents=True)
    np.savez(tmp_path / 'maps' / 'images' / 'validation0000_entropy.npz', value=values)
    written = smiyc.submit(
        tmp_path / 'maps', tmp_path / 'out', 'mine', 'AnomalyTrack-all', score='entropy', format=format, log=silent
    )
    assert written.path == tmp_path / 'out' / 'anomaly_p' / 'mine' / 'AnomalyTrack-all'
    tree = Tree(written.path)
    assert tree.names == [f'validation0000.{format}']
    assert np.array_equal(read_score(tree, tree.names[0]), values.astype(np.float32))


@pytest.mark.parametrize('method', ['a/b', '..', ''])
def test_a_method_is_one_folder(tmp_path, method):
    with pytest.raises(ValueError, match='is a path, expected the name of a folder'):
        smiyc.submit(score_maps(tmp_path / 'maps'), tmp_path / 'out', method, 'AnomalyTrack-all', log=silent)


def test_confidences_are_taken_as_scores_when_they_are_named(tmp_path):
    (tmp_path / 'p').mkdir()
    cv2.imwrite(str(tmp_path / 'p' / 'a_conf.png'), np.array([[0, 65535]], np.uint16))
    with pytest.raises(ValueError, match='holds no maps .*, or --score confidence to take the'):
        smiyc.submit(tmp_path / 'p', tmp_path / 'out', 'mine', 'AnomalyTrack-all', log=silent)
    written = smiyc.submit(
        tmp_path / 'p', tmp_path / 'out', 'mine', 'AnomalyTrack-all', score='confidence', format='npz', log=silent
    )
    assert np.load(written.path / 'a.npz')['value'].tolist() == [[1.0, 2**-17]]


def test_an_archive_that_is_cut_off_is_told(tmp_path, tree):
    bravo.submit(tree / 'submission', tmp_path / 's.tar', tree / 'samples', log=silent)
    (tmp_path / 's.tar').write_bytes((tmp_path / 's.tar').read_bytes()[:3000])
    with pytest.raises(ValueError, match='s.tar: is damaged or no tar archive .*is cut off.*; fetch or pack it anew'):
        bravo_scores.evaluate(tree / 'truth', tmp_path / 's.tar', log=silent)


def test_a_score_that_float16_cannot_hold_is_refused(tmp_path):
    np.savez(tmp_path / 'a.npz', value=np.full((2, 2), 1e6, np.float32))
    with pytest.raises(ValueError, match='more than float16 can'):
        smiyc.submit(tmp_path, tmp_path / 'out', 'm', 'AnomalyTrack-all', log=silent)


def test_two_zips_for_the_server_can_be_compared_and_a_damaged_one_is_named(tmp_path):
    cityscapes_predictions(tmp_path / 'p')
    for name in ('a.zip', 'b.zip'):
        cityscapes.submit(tmp_path / 'p', tmp_path / name, TRAINID_TO_ID, size=(6, 8), log=silent)
    assert compare(tmp_path / 'a.zip', tmp_path / 'b.zip', log=silent)['labels'] == 1.0
    data = bytearray((tmp_path / 'b.zip').read_bytes())
    data[80] ^= 255
    (tmp_path / 'b.zip').write_bytes(data)
    with pytest.raises(ValueError, match='b.zip/lindau_000000_000019_leftImg8bit.png: is damaged in its archive'):
        compare(tmp_path / 'a.zip', tmp_path / 'b.zip', log=silent)


def test_a_submission_differs_from_itself_nowhere_and_from_another_where_it_was_changed(tree, tmp_path):
    same = compare(tree / 'submission', tree / 'submission', log=silent)
    assert same['labels'] == 1.0 and same['confidence'] == 0.0 and not same['only_first']
    made = bravo_tree.make(tmp_path)
    key = bravo_tree.KEYS[5]
    classes = made[key][2].copy()
    classes[0] = (classes[0] + 1) % 19  # one of 40 rows
    bravo_tree.write(tmp_path / 'submission', names.name_of(key, 'prediction'), classes)
    (tmp_path / 'submission' / names.name_of(bravo_tree.KEYS[0], 'prediction')).unlink()
    changed = compare(tree / 'submission', tmp_path / 'submission', log=silent)
    assert changed['images'][0] == {
        'name': names.name_of(key, 'prediction'),
        'labels': pytest.approx(39 / 40),
        'confidence': 0.0,
    }
    assert changed['only_first'] == [names.name_of(bravo_tree.KEYS[0], 'prediction')]


def test_score_maps_are_all_checked_before_one_is_written(tmp_path):
    for frame, value in (('a', 1.0), ('b', np.nan)):
        (tmp_path / 'maps').mkdir(exist_ok=True)
        np.savez(tmp_path / f'maps/{frame}_entropy.npz', value=np.full((4, 5), value, np.float16))
    with pytest.raises(ValueError, match='b_entropy.npz holds nan'):
        smiyc.submit(tmp_path / 'maps', tmp_path / 'out', 'ours', 'AnomalyTrack-all', format='npz', log=silent)
    assert not (tmp_path / 'out').exists()
