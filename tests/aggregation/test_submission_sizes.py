"""That a submission has the sizes of the images, and what two submissions differ in."""

import os
import shutil

import bravo_tree
import cv2
import numpy as np
import pytest

import ensemble
from aggregation.benchmarks import bravo, cityscapes, smiyc
from aggregation.benchmarks import bravo_files as names
from aggregation.benchmarks.difference import compare, lines

pytest.importorskip('zstandard')
KEYS = bravo_tree.KEYS
SIZE = (40, 50)


def silent(line):
    pass


def write_pair(folder, key, size):
    bravo_tree.write(folder, names.name_of(key, 'prediction'), np.zeros(size, np.uint8))
    bravo_tree.write(folder, names.name_of(key, 'confidence'), np.zeros(size, np.uint16))


@pytest.fixture
def tree(tmp_path):
    """A submission, and below data/bravo the images, .png or .jpg."""
    bravo_tree.make(tmp_path)
    for number, key in enumerate(KEYS):
        ending = names.SPLITS[names.split_of(key)].image[number % 2]
        data = cv2.imencode(ending[-4:], np.zeros((*SIZE, 3), np.uint8))[1].tobytes()
        path = tmp_path / 'data' / 'bravo' / f'{key}{ending}'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def submit(tree, images=None, **options):
    return bravo.submit(tree / 'submission', tree / 's.tar', images=images and tree / images, log=silent, **options)


@pytest.mark.parametrize('images', ['data', 'data/bravo', 'truth', 'data.tar', 'data.zip'])
@pytest.mark.parametrize('size', [(80, 100), (50, 40)])
def test_predictions_of_another_size_than_their_images_are_refused(tree, images, size):
    if images.startswith('data.'):
        shutil.make_archive(tree / 'data', images[-3:], tree / 'data')
    assert submit(tree, images).images == 18
    (tree / 's.tar').unlink()
    write_pair(tree / 'submission', KEYS[3], size)
    with pytest.raises(
        ValueError,
        match=rf'_000001_rgb_anon_pred.png is {size[1]}x{size[0]} \(width x height\) pixels, its image .*50x40 .width',
    ):
        submit(tree, images)
    assert not list(tree.glob('*s.tar*'))


def test_images_say_what_there_must_be_where_no_samples_do(tree):
    (tree / 'submission' / names.name_of(KEYS[0], 'prediction')).unlink()
    with pytest.raises(ValueError, match='1 of 18 images have no prediction .*frame_000000'):
        submit(tree, 'data')
    written = submit(tree, 'data', allow_missing=True)
    assert written.images == 17 and any('1 of 18 images are missing' in note for note in written.notes)


def test_a_list_names_images_and_has_no_sizes(tree):
    (tree / 'list.txt').write_text(
        '\n'.join(f'/x/bravo_1.0/{path.relative_to(tree / "data" / "bravo")}' for path in (tree / 'data').rglob('*.*g'))
    )
    write_pair(tree / 'submission', KEYS[3], (80, 100))
    notes = submit(tree, 'list.txt').notes
    assert any('the sizes of 18 images cannot be read from' in note and 'were not compared' in note for note in notes)
    assert not any('images are missing' in note for note in notes)
    (tree / 'empty.txt').write_text('nothing')
    with pytest.raises(ValueError, match='--images .*empty.txt: holds no images of the benchmark'):
        submit(tree, 'empty.txt')


def test_without_images_a_size_that_is_unusual_in_its_subset_is_noted(tree):
    assert len(submit(tree).notes) == 1  # that there are no samples
    for number in range(2):
        write_pair(tree / 'submission', f'bravo_ACDC/fog/test/G/G_{number}', SIZE)
    write_pair(tree / 'submission', KEYS[0], (80, 100))
    assert submit(tree).notes[1:] == [
        f'1 of 4 predictions of ACDCfog are not 50x40 (width x height) as most are: {KEYS[0]} 100x80 (width x height); '
        '--images compares them with the images'
    ]


def test_an_image_that_cannot_be_read_is_counted(tree):
    path = next((tree / 'data').rglob('GOPR0475_frame_000001*'))
    path.write_bytes(b'')
    assert any('the sizes of 1 images cannot be read' in note for note in submit(tree, 'data').notes)


def test_score_maps_have_the_sizes_of_their_frames(tmp_path):
    for frame, size in (('a', (5, 6)), ('b', (6, 5))):
        (tmp_path / 'maps').mkdir(exist_ok=True)
        (tmp_path / 'images').mkdir(exist_ok=True)
        np.savez(tmp_path / 'maps' / f'{frame}_entropy.npz', value=np.zeros((5, 6), np.float16))
        cv2.imwrite(str(tmp_path / 'images' / f'{frame}.webp'), np.zeros((*size, 3), np.uint8))
    arguments = {
        'method': 'm',
        'dataset': 'AnomalyTrack-all',
        'images': tmp_path / 'images',
        'format': 'npz',
        'log': silent,
    }
    with pytest.raises(ValueError, match=r'b_entropy.npz is 6x5 \(width x height\) pixels, its image .*b.webp 5x6 '):
        smiyc.submit(tmp_path / 'maps', tmp_path / 'out', **arguments)
    assert not (tmp_path / 'out').exists()
    cv2.imwrite(str(tmp_path / 'images' / 'b.webp'), np.zeros((5, 6, 3), np.uint8))
    written = smiyc.submit(tmp_path / 'maps', tmp_path / 'out', **arguments)
    assert written.images == 2 and written.notes == []


def test_the_program_compares_sizes_with_the_images(tree, capsys):
    write_pair(tree / 'submission', KEYS[3], (80, 100))
    command = ['submit', 'bravo', str(tree / 'submission'), str(tree / 's.tar'), '--images', str(tree / 'data')]
    assert ensemble.main([*command, '--strict']) == 2
    assert 'predict at the size of the images' in ''.join(capsys.readouterr())
    assert ensemble.main(command) == 1
    assert '1 of 18 images were left out:' in ''.join(capsys.readouterr())


@pytest.mark.parametrize('kind', ['bravo', 'cityscapes'])
def test_what_a_killed_run_left_of_an_archive_goes_at_the_next(tmp_path, kind):
    dead = 2**22 + 1  # above the largest process number
    out = tmp_path / ('[s] *.tar' if kind == 'bravo' else '[s] *.zip')
    left = [tmp_path / f'.{out.name}.{process}.abcd.tmp' for process in (dead, os.getpid())]
    for path in left:
        path.write_bytes(b'half')
    if kind == 'bravo':
        bravo_tree.make(tmp_path)
        bravo.submit(tmp_path / 'submission', out, log=silent)
    else:
        cv2.imwrite(str(tmp_path / 'a_000000_000000_pred.png'), np.zeros((4, 5), np.uint8))
        cityscapes.submit(tmp_path, out, size=(4, 5), log=silent)
    assert out.exists() and [path.exists() for path in left] == [False, True]  # the second is of a process that lives


def test_the_least_alike_stand_first_also_where_all_labels_are_the_same(tmp_path):
    for folder, levels in (('one', (0, 0, 0)), ('two', (100, 60000, 0))):
        for name, level in zip('abc', levels):
            bravo_tree.write(tmp_path / folder, f'{name}_pred.png', np.zeros((4, 5), np.uint8))
            bravo_tree.write(tmp_path / folder, f'{name}_conf.png', np.full((4, 5), level, np.uint16))
    bravo_tree.write(tmp_path / 'two', 'c_pred.png', np.eye(4, 5, dtype=np.uint8))
    found = compare(tmp_path / 'one', tmp_path / 'two', log=silent)
    assert [image['name'] for image in found['images']] == ['c_pred.png', 'b_pred.png', 'a_pred.png']


def test_score_maps_of_the_same_ranks_are_sorted_by_their_values(tmp_path):
    for folder, factors in (('one', (1, 1, 1)), ('two', (2, 8, 4))):
        (tmp_path / folder).mkdir()
        for name, factor in zip('abc', factors):
            np.save(tmp_path / folder / f'{name}_energy.npy', factor * np.arange(6, dtype=np.float32).reshape(2, 3))
    found = compare(tmp_path / 'one', tmp_path / 'two', log=silent)
    assert [image['name'][0] for image in found['images']] == ['b', 'c', 'a']


def test_confidences_that_only_one_side_has_are_told(tmp_path):
    for folder in ('one', 'two'):
        for name in 'abc':
            bravo_tree.write(tmp_path / folder, f'{name}_pred.png', np.zeros((4, 5), np.uint8))
    for folder, name, size in (('one', 'a', (4, 5)), ('two', 'b', (4, 5)), ('one', 'c', (4, 5)), ('two', 'c', (2, 2))):
        bravo_tree.write(tmp_path / folder, f'{name}_conf.png', np.zeros(size, np.uint16))
    found = compare(tmp_path / 'one', tmp_path / 'two', log=silent)
    assert {image['name'][0]: image['unpaired'] for image in found['images']} == {
        'a': 'only_first',
        'b': 'only_second',
        'c': 'sizes',
    }
    assert found['confidence'] is None and 'unpaired' not in found
    assert lines(found, 'A', 'B')[1:] == [
        'confidences of 1 images cannot be compared, only A has them: a_pred.png',
        'confidences of 1 images cannot be compared, only B has them: b_pred.png',
        'confidences of 1 images cannot be compared, they are of different pixels: c_pred.png',
    ]
