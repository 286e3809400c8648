"""Names of stored logits, labels and submissions that print alike (NFC, NFD): one image; two such files are refused."""

import json
import unicodedata
from types import SimpleNamespace

import dumps
import numpy as np
import pytest

import ensemble
from aggregation.benchmarks import smiyc
from aggregation.benchmarks.trees import Tree
from aggregation.fusion.members import Members
from aggregation.fusion.store import Store
from aggregation.fusion.truths import Truths, by_stem
from utils.outputs import logits as logit_files

NFC, NFD = (unicodedata.normalize(form, 'München') for form in ('NFC', 'NFD'))


def silent(line):
    pass


def rename(folder, name, manifest=True):
    """The dump of one image under another name."""
    (folder / 'val/ulm/a_logits.npz').rename(folder / f'{name}_logits.npz')
    for path in (folder / 'val').rglob('*.npz'):
        path.unlink()
    if not manifest:
        (folder / 'manifest.json').unlink()
        return folder
    content = json.loads((folder / 'manifest.json').read_text())
    entry = {**content['images']['val/ulm/a.png'], 'file': f'{name}_logits.npz'}
    content['images'] = {f'{name}.png': entry}
    (folder / 'manifest.json').write_text(json.dumps(content))
    return folder


@pytest.fixture
def two(tmp_path):
    """Two dumps of one image whose name they spell in other bytes."""
    return [
        rename(dumps.make(tmp_path / form, seed), name) for seed, (form, name) in enumerate((('c', NFC), ('d', NFD)))
    ]


def test_members_that_spell_a_name_in_other_bytes_have_the_image_in_common(two, tmp_path):
    assert NFC != NFD and Members(two).stems == [NFC]
    assert ensemble.main(['fuse', *map(str, two), '--out', str(tmp_path / 'o')]) == 0
    assert (tmp_path / 'o' / f'{NFC}_pred.png').is_file()


def test_a_file_that_the_disk_spells_otherwise_than_the_manifest_is_found(tmp_path):
    folder = rename(dumps.make(tmp_path / 'm', 0), NFC)
    (folder / f'{NFC}_logits.npz').rename(folder / f'{NFD}_logits.npz')
    store = Store(folder)
    assert store.stems == [NFC] and store.check(NFC) is None and store.unlisted() == []


def test_a_label_is_found_for_logits_whose_name_prints_alike(two):
    data = dumps.dataset()
    data.items = [SimpleNamespace(name=f'{NFD}.png', label='x')]
    assert Truths(data).shared(Members(two)) == [NFC]


@pytest.mark.parametrize('manifest', [True, False])
def test_two_logits_whose_names_print_alike_are_named_in_bytes(tmp_path, manifest):
    folder = rename(dumps.make(tmp_path / 'm', 0), NFC, manifest)
    values = np.zeros((dumps.CLASSES, *dumps.SIZE), np.float16)
    logit_files.write_logits(folder / f'{NFD}_logits.npz', values, dumps.SIZE, dumps.WHOLE)
    if manifest:
        content = json.loads((folder / 'manifest.json').read_text())
        entry = {**content['images'][f'{NFC}.png'], 'file': f'{NFD}_logits.npz'}
        content['images'][f'{NFD}.png'] = entry
        (folder / 'manifest.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"M\\xfcnchen_logits.npz' and|and 'M\\xfcnchen_logits.npz'") as told:
        Store(folder)
    assert r"'Mu\u0308nchen_logits.npz'" in str(told.value)


def test_two_images_of_a_data_set_whose_names_print_alike_are_told_apart_from_endings():
    items = [SimpleNamespace(name=f'{name}.png', label='x') for name in (NFC, NFD)]
    with pytest.raises(ValueError, match='print alike, and results have one spelling of a name; rename one of them'):
        by_stem(items)
    items = [SimpleNamespace(name=name, label='x') for name in ('a.png', 'a.jpg')]
    with pytest.raises(ValueError, match='a.png and a.jpg: differ in their endings only'):
        by_stem(items)


@pytest.mark.parametrize('images', [NFC, NFD])
def test_a_submission_is_compared_with_images_that_are_spelt_otherwise(tmp_path, images):
    pytest.importorskip('h5py')
    (tmp_path / 'maps').mkdir()
    np.savez(tmp_path / 'maps' / f'{NFD}_entropy.npz', value=np.zeros((4, 5), np.float16))
    (tmp_path / 'list.txt').write_text(f'{images}.png\n', encoding='utf-8')
    out = tmp_path / 'out'
    written = smiyc.submit(tmp_path / 'maps', out, 'm', 'AnomalyTrack-all', images=tmp_path / 'list.txt', log=silent)
    assert (written.images, written.notes[:-1]) == (1, []) and Tree(written.path).names == [f'{NFC}.hdf5']


def test_two_files_of_a_submission_whose_names_print_alike_are_refused(tmp_path):
    for name in (NFC, NFD):
        (tmp_path / f'{name}_entropy.npz').write_bytes(b'')
    with pytest.raises(ValueError, match='which print alike; keep one of them'):
        Tree(tmp_path)
