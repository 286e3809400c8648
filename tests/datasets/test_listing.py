"""What changed in a training's files since a checkpoint: told by names, sizes and ends, not by times or places."""

import os
import shutil

import pytest
from packing import pack
from small_trees import make_camvid

from config import scope
from datasets.registry import get_dataset
from datasets.sampling.listing import changes, files_of, stamps_of


@pytest.fixture
def tree(tmp_path):
    make_camvid(tmp_path / 'here/camvid')
    return tmp_path / 'here'


def train_of(root):
    with scope(DATASET__ROOT=str(root)):
        return get_dataset('camvid', 'train')


def entry(root):
    dataset = train_of(root)
    return {'files': files_of(dataset), 'stamps': stamps_of(dataset)}


def altered(path, place):
    """The same number of bytes, one of them another."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_copy_with_new_times_in_another_place_is_the_same_data(tree, tmp_path):
    before = entry(tree)
    shutil.copytree(tree, tmp_path / 'there')
    for path in (tmp_path / 'there').rglob('*.png'):
        os.utime(path, (1, 1))
    assert changes(before, train_of(tmp_path / 'there')) == []


@pytest.mark.parametrize('kind', ['image', 'label'])
@pytest.mark.parametrize('place', [40, -20])
def test_a_file_replaced_by_one_of_as_many_bytes_is_told_by_name(tree, kind, place):
    before, dataset = entry(tree), train_of(tree)
    item = dataset.items[1]
    altered(getattr(item, kind), place)
    assert changes(before, train_of(tree)) == [f'1 image replaced ({item.name})']


def test_a_file_of_another_size_is_replaced_too_and_others_are_removed_or_added(tree):
    before, dataset = entry(tree), train_of(tree)
    first, second = dataset.items[:2]
    shutil.copy(second.image, first.image.with_name('zz.png'))
    shutil.copy(second.label, first.label.with_name('zz.png'))
    first.image.write_bytes(first.image.read_bytes() + b'more')
    second.image.unlink()
    second.label.unlink()
    assert changes(before, train_of(tree)) == [
        f'1 image removed ({second.name})',
        f'1 image added ({second.name.replace(second.image.name, "zz.png")})',
        f'1 image replaced ({first.name})',
    ]


def test_a_checkpoint_without_stamps_is_compared_by_sizes(tree):
    before, item = {'files': entry(tree)['files']}, train_of(tree).items[0]
    altered(item.image, -20)
    assert changes(before, train_of(tree)) == [] and changes({}, train_of(tree)) == []
    item.image.write_bytes(item.image.read_bytes() + b'more')
    assert changes(before, train_of(tree)) == [f'1 image replaced ({item.name})']


@pytest.mark.parametrize('ending', ['zip', 'tar'])
def test_data_that_was_packed_meanwhile_is_the_same_and_a_packed_file_that_changed_is_told(tree, tmp_path, ending):
    before, item = entry(tree), train_of(tree).items[0]
    (tmp_path / 'packed').mkdir()
    pack(tree / 'camvid', tmp_path / f'packed/camvid.{ending}')
    packed = entry(tmp_path / 'packed')
    assert changes(before, train_of(tmp_path / 'packed')) == []
    altered(item.image, 40)
    (tmp_path / f'packed/camvid.{ending}').unlink()
    pack(tree / 'camvid', tmp_path / f'packed/camvid.{ending}')
    assert changes(packed, train_of(tmp_path / 'packed')) == [f'1 image replaced ({item.name})']
