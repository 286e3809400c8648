import json

import pytest

from utils.classes import Classes
from utils.outputs.logits import MANIFEST, read_entries, read_manifest, write_manifest

ENTRY = {'file': 'val/a_logits.npz', 'bytes': 10, 'sha256': 'ab', 'size': [4, 6], 'shape': [3, 4, 6]}


def write(folder, images=None, **about):
    (folder / 'manifest.json').write_text(
        json.dumps({'format': 1, 'images': {'val/a.png': ENTRY} if images is None else images, **about})
    )
    return folder


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    found = read_manifest(
        write(
            tmp_path, kind='logits', class_names=['road', 'sky', 'car'], num_classes=3, model='m', weights_sha256=None
        )
    )
    assert found['class_names'] == ['road', 'sky', 'car'] and read_entries(tmp_path) == {'val/a.png': ENTRY}
    assert read_manifest(tmp_path / 'nowhere') is None and read_entries(tmp_path / 'nowhere') == {}


@pytest.mark.parametrize(
    'key, value, form',
    [
        ('class_names', 'road', 'a list of names'),
        ('class_names', ['road', 3], 'a list of names'),
        ('class_names', {'road': 0}, 'a list of names'),
        ('num_classes', '19', 'a whole number'),
        ('num_classes', True, 'a whole number'),
        ('kind', 7, 'text'),
        ('dataset', ['bravo'], 'text'),
        ('model', {}, 'text'),
        ('weights_sha256', 12, 'text'),
    ],
)
def test_values_of_another_type_are_named(tmp_path, key, value, form):
    with pytest.raises(ValueError, match=f'manifest.json: its {key} is .*, expected {form}; correct it'):
        read_manifest(write(tmp_path, **{key: value}))


@pytest.mark.parametrize(
    'key, value',
    [
        ('size', '4x6'),
        ('size', [4]),
        ('size', [4, 0]),
        ('size', [4, 6.5]),
        ('size', [True, 6]),
        ('shape', [4, 6]),
        ('shape', None),
        ('bytes', '10'),
        ('bytes', -1),
        ('sha256', 3),
        ('file', '../a_logits.npz'),
        ('file', 'a.png'),
        ('file', 3),
    ],
)
def test_entries_of_another_form_are_named(tmp_path, key, value):
    with pytest.raises(
        ValueError,
        match=(
            "manifest.json: its entry of 'val/a.png' names no file below the folder with its bytes, sha256, size and"
            ' shape'
        ),
    ):
        read_manifest(write(tmp_path, {'val/a.png': {**ENTRY, key: value}}))


@pytest.mark.parametrize('entry', [None, [], 'val/a_logits.npz'])
def test_an_entry_that_is_no_object_is_named(tmp_path, entry):
    with pytest.raises(ValueError, match="its entry of 'val/a.png'"):
        read_manifest(write(tmp_path, {'val/a.png': entry}))


@pytest.mark.parametrize('file', ['val/a_logits.npz', 'val/a_logits.npy', 'val/a_logits.npy.zst'])
def test_two_images_with_one_name_but_for_the_ending_are_named(tmp_path, file):
    images = {
        'val/a.png': ENTRY,
        'val/b/a.png': {**ENTRY, 'file': 'val/b/a_logits.npz'},
        'val/a.jpg': {**ENTRY, 'file': file},
    }
    with pytest.raises(
        ValueError, match="'val/a.png' and 'val/a.jpg' have the same logits, val/a .*rename one of the images"
    ):
        read_manifest(write(tmp_path, images))


def test_images_of_one_name_in_two_folders_are_two_images(tmp_path):
    images = {'a.png': {**ENTRY, 'file': 'a_logits.npz'}, 'b/a.png': {**ENTRY, 'file': 'b/a_logits.npz'}}
    assert read_entries(write(tmp_path, images)).keys() == {'a.png', 'b/a.png'}


@pytest.mark.parametrize('text', ['', '[]', '{"format": 2, "images": {}}', '{"format": 1, "images": []}'])
def test_files_that_are_no_manifest_are_refused(tmp_path, text):
    (tmp_path / 'manifest.json').write_text(text)
    with pytest.raises(ValueError, match='manifest.json: is no '):
        read_manifest(tmp_path)


def test_the_classes_of_a_manifest_are_read_back_with_their_colours_and_ids(tmp_path):
    classes = Classes(('road', 'sky'), [(128, 64, 128), (70, 130, 180)], ids=(7, 23))
    path = write_manifest(tmp_path, {'a.png': ENTRY}, {'a.png': 'val/a_logits.npz'}, classes, {'dataset': 'street'})
    found = read_manifest(tmp_path)
    assert path == tmp_path / MANIFEST and Classes.from_dict(found['classes'], 'manifest.json') == classes
    assert found['class_names'] == ['road', 'sky'] and found['num_classes'] == 2
