import io
import os
import pickle
import tarfile
import threading
import zipfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from packing import pack, tree
from small_trees import red

from config import scope
from datasets import get_dataset
from datasets.collection.layout import find_directory, first_folder, list_files, make_items, subfolders, walk_files
from datasets.loading.cache import cache_path
from datasets.loading.loader import eval_loader
from datasets.loading.reading import label_size
from datasets.sampling.class_uniform import build, index_path
from datasets.sampling.sets import EvalSet
from utils.files.archives import ArchivePath, fingerprint, locate

NAMES = ('train/a.png', 'train/.hidden.png', 'train/deep/b.PNG', 'train/readme.txt', '.git/c.png', 'val/d.png')


@pytest.fixture(params=['.zip', '.tar', 'stored.zip', 'inside.zip', 'inside.tar'])
def packed(request, tmp_path):
    """A folder `data` and an archive elsewhere that stands for the same folder, with and without it inside."""
    folder = tree(tmp_path / 'unpacked/data', NAMES)
    (tmp_path / 'packed').mkdir()
    top = 'data' if request.param.startswith('inside') else ''
    compress = zipfile.ZIP_STORED if 'stored' in request.param else zipfile.ZIP_DEFLATED
    pack(folder, tmp_path / f'packed/data{Path("x" + request.param).suffix}', top, compress)
    return folder, tmp_path / 'packed/data'


def test_an_archive_lists_what_the_folder_does(packed):
    folder, archive = packed
    assert subfolders(archive) == subfolders(folder) == ['train', 'val']
    for listing in (
        lambda root: list_files(root / 'train', ['.png']),
        lambda root: walk_files(root),
        lambda root: walk_files(root / 'train', ['.png']),
    ):
        names = [path.relative_to(folder).as_posix() for path in listing(folder)]
        assert names and [path.relative_to(archive).as_posix() for path in listing(archive)] == names
    assert [path.read_text() for path in walk_files(archive)] == [
        'train/a.png',
        'train/deep/b.PNG',
        'train/readme.txt',
        'val/d.png',
    ]


def test_a_folder_named_like_an_image_is_no_file_but_a_broken_link_is(tmp_path):
    (tmp_path / 'folder.png').mkdir()
    (tmp_path / 'image.png').write_bytes(b'')
    (tmp_path / 'link.png').symlink_to(tmp_path / 'gone.png')
    assert [path.name for path in list_files(tmp_path, ['.png'])] == ['image.png', 'link.png']


def test_a_path_in_an_archive_is_like_a_path(packed):
    archive = locate(packed[1] / 'train')
    path = archive / 'deep' / 'b.PNG'
    assert (path.name, path.stem, path.suffix) == ('b.PNG', 'b', '.PNG')
    assert path.parent.parent == archive and path.parent.name == 'deep' and archive.parent.name == 'data'
    assert path.exists() and path.is_file() and not path.is_dir() and archive.is_dir() and not (archive / 'no').exists()
    assert path.with_suffix('.txt').name == 'b.txt' and path.with_name('x').parent == path.parent
    assert [entry.name for entry in archive.iterdir()] == ['.hidden.png', 'a.png', 'deep', 'readme.txt']
    assert path.relative_to(archive).as_posix() == 'deep/b.PNG'
    assert str(path).endswith('train/deep/b.PNG') and path.as_posix() == str(path)
    assert path.read_bytes(5) == b'train' and path.read_bytes() == b'train/deep/b.PNG'
    assert (
        len({path, archive / 'deep/b.PNG', archive / 'a.png'}) == 2
        and sorted([path, archive / 'a.png'])[0].name == 'a.png'
    )
    with pytest.raises(ValueError, match='not in the subpath'):
        path.relative_to(Path('/elsewhere'))
    with pytest.raises(NotADirectoryError, match='b.PNG: is no folder of the archive'):
        path.iterdir()
    with pytest.raises(FileNotFoundError, match="holds no '(data/)?train/no'"):
        (archive / 'no').read_bytes()


def test_what_is_unpacked_goes_before_the_archive(tmp_path):
    pack(tree(tmp_path / 'src', ['train/a.png']), tmp_path / 'data.zip')
    assert isinstance(locate(tmp_path / 'data/train'), ArchivePath)
    tree(tmp_path / 'data', ['train/b.png'])
    assert locate(tmp_path / 'data/train') == tmp_path / 'data/train'
    assert find_directory(tmp_path, ['other', 'data'], ['train'], 'd', 'remedy') == tmp_path / 'data'
    pack(tmp_path / 'src', tmp_path / 'other.zip')
    assert find_directory(tmp_path, ['other', 'data'], ['train'], 'd', 'remedy') == tmp_path / 'data'
    assert first_folder(tmp_path, ['other/train', 'data/train'], 'images') == tmp_path / 'data/train'


def test_images_and_labels_may_lie_in_two_archives_or_one_of_them_unpacked(tmp_path):
    pack(tree(tmp_path / 'a', ['x/1.jpg', 'x/2.jpg']), tmp_path / 'images.zip')
    pack(tree(tmp_path / 'b', ['x/1.png', 'x/2.png']), tmp_path / 'labels.tar')

    def items():
        images = walk_files(tmp_path / 'images', ['.jpg'])
        return make_items(images, tmp_path, lambda image: tmp_path / 'labels' / image.parent.name / f'{image.stem}.png')

    assert [(item.name, item.label.read_text()) for item in items()] == [
        ('images/x/1.jpg', 'x/1.png'),
        ('images/x/2.jpg', 'x/2.png'),
    ]
    (tmp_path / 'labels.tar').unlink()
    with pytest.raises(
        FileNotFoundError, match='images.zip/x/1.jpg: its label .*labels/x/1.png does not exist .2 of the 2'
    ):
        items()
    tree(tmp_path / 'labels', ['x/1.png', 'x/2.png'])
    assert items()[1].label == tmp_path / 'labels/x/2.png'


def test_cityscapes_is_read_from_its_own_zip_files(root, cityscapes_tree, tmp_path):
    cities = {('train', 'ulm'): 2, ('train', 'jena'): 1, ('val', 'lindau'): 1}
    unpacked = cityscapes_tree(root / 'Cityscapes', cities)
    expected = get_dataset('cityscapes', 'train')
    zips = tmp_path / 'zips/Cityscapes'
    zips.mkdir(parents=True)
    for kind, name in (('leftImg8bit', 'leftImg8bit_trainvaltest'), ('gtFine', 'gtFine_trainvaltest')):
        # as they are published: the folder kind at the top
        pack(unpacked / kind, zips / f'{name}.zip', kind)
        with zipfile.ZipFile(zips / f'{name}.zip', 'a') as archive:
            archive.writestr('README', 'read me')
    with scope(DATASET__ROOT=str(zips.parent)):
        dataset = get_dataset('cityscapes', 'train')
    assert [item.name for item in dataset.items] == [item.name for item in expected.items]
    assert list(dataset.sizes()) == list(expected.sizes())
    for found, wanted in zip(map(dataset.load, dataset.items), map(expected.load, expected.items)):
        assert np.array_equal(found[0], wanted[0]) and np.array_equal(found[1], wanted[1])
    assert 'leftImg8bit_trainvaltest.zip/leftImg8bit/train/jena/' in str(dataset.items[0].image)


@pytest.mark.parametrize('name, top', [('camvid.zip', ''), ('camvid.zip', 'camvid'), ('camvid.tar', 'CamVid')])
def test_one_archive_may_stand_for_the_whole_dataset(root, camvid_tree, tmp_path, name, top):
    camvid_tree(tmp_path / 'src', count=2)
    archive = pack(tmp_path / 'src', root / name, top)
    # below the root, and as --override_dataset_root
    for dataset_root in (root, archive):
        with scope(DATASET__ROOT=str(dataset_root)):
            dataset = get_dataset('camvid', 'train')
        assert [item.name for item in dataset.items] == ['train/00.png', 'train/01.png']
        assert dataset.load(dataset.items[1])[0][0, 0].tolist() == [1, 2, 3]


def test_an_archive_named_as_the_root_may_be_the_dataset_itself(root, cityscapes_tree, tmp_path):
    cityscapes_tree(tmp_path / 'src', {('train', 'ulm'): 2})
    with scope(DATASET__ROOT=str(pack(tmp_path / 'src', tmp_path / 'any_name.zip'))):
        assert len(get_dataset('synthetic', 'train')) == 2  # of a directory of its own name otherwise


def test_the_index_of_a_packed_dataset_follows_its_members(root, camvid_tree, tmp_path):
    camvid_tree(tmp_path / 'src', count=3)
    pack(tmp_path / 'src', root / 'camvid.zip')
    dataset = get_dataset('camvid', 'train')
    assert build(dataset, 32, log=lambda line: None).counts()[:4] == [3, 0, 0, 3]
    before = index_path(dataset, 32, tmp_path)
    assert index_path(get_dataset('camvid', 'train'), 32, tmp_path) == before
    camvid_tree(tmp_path / 'src', count=3, ids=(0, 1, 8))
    pack(tmp_path / 'src', root / 'camvid.zip')
    assert index_path(get_dataset('camvid', 'train'), 32, tmp_path) != before


@pytest.mark.parametrize('ending', ['.zip', '.tar'])
def test_a_folder_of_images_may_be_an_archive(tmp_path, write, ending):
    for name in ('b/2.png', '1.png', 'b/.hidden.png'):
        write(tmp_path / 'shots' / name, np.full((4, 4, 3), 7, np.uint8))
    (tmp_path / 'shots/notes.txt').write_text('')
    archive = pack(tmp_path / 'shots', tmp_path / f'pack{ending}')
    dataset = get_dataset('cityscapes', 'folder', eval_folder=str(archive))
    assert [item.name for item in dataset.items] == ['1.png', 'b/2.png']
    assert dataset.notes == [f'{archive}: 1 of 3 files is no image and is left out: 1 .txt']
    assert dataset.load(dataset.items[1])[0].max() == 7
    below = get_dataset('cityscapes', 'folder', eval_folder=str(archive / 'b'))
    assert [item.name for item in below.items] == ['2.png']


@pytest.fixture
def camvid_zip(root, camvid_tree, tmp_path):
    camvid_tree(tmp_path / 'src', count=6)
    pack(tmp_path / 'src', root / 'camvid.zip')
    return get_dataset('camvid', 'train')


def test_a_pickled_dataset_opens_its_archive_again(camvid_zip):
    copy = pickle.loads(pickle.dumps(camvid_zip))
    assert [red(copy, place) for place in range(6)] == list(range(6))
    assert copy.items[0].image.archive is copy.items[5].label.archive, 'one list of members, however many paths'


@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_processes_read_one_archive(camvid_zip, method):
    with get_context(method).Pool(2) as pool:
        assert pool.starmap(red, [(camvid_zip, place % 6) for place in range(12)]) == [0, 1, 2, 3, 4, 5] * 2


def test_loader_workers_read_from_an_archive(camvid_zip):
    batches = list(eval_loader(EvalSet(camvid_zip), 2, num_workers=2))
    assert [int(value) for batch in batches for value in batch['image'][:, 0, 0, 0]] == list(range(6))
    assert batches[0]['label'].dtype == torch.uint8


def test_threads_read_one_archive(camvid_zip):
    wrong = []

    def read():
        wrong.extend(place for place in list(range(6)) * 20 if red(camvid_zip, place) != place)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_archive_that_changed_is_told(camvid_zip):
    stored = pickle.dumps(camvid_zip)
    os.utime(camvid_zip.items[0].image.archive.file, ns=(1, 1))
    with pytest.raises(ValueError, match='camvid.zip: changed while the program ran; start it again'):
        pickle.loads(stored)


def test_sizes_come_from_the_first_bytes_of_a_member(camvid_zip, monkeypatch):
    asked = []
    pread = os.pread
    monkeypatch.setattr(
        os, 'pread', lambda descriptor, count, place: asked.append(count) or pread(descriptor, count, place)
    )
    assert label_size(camvid_zip.items[0].label) == (32, 48)
    assert max(asked) <= 1100


def test_the_fingerprint_of_a_member_holds_size_time_and_checksum(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr(zipfile.ZipInfo('x.png', (2020, 1, 2, 3, 4, 6)), b'abc')
    info = tarfile.TarInfo('x.png')
    info.size, info.mtime = 3, 1234
    with tarfile.open(tmp_path / 'b.tar', 'w') as archive:
        archive.addfile(info, io.BytesIO(b'abc'))
    assert fingerprint(locate(tmp_path / 'a.zip') / 'x.png') == (3, '2020-1-2-3-4-6', 0x352441C2)  # CRC-32 of 'abc'
    size = (tmp_path / 'b.tar').stat().st_size
    os.utime(tmp_path / 'b.tar', ns=(1, 5678))
    assert fingerprint(locate(tmp_path / 'b.tar') / 'x.png') == (3, 1234, size, 5678)


def pack_with_fixed_times(folder, target):
    """Every file in 4096 bytes."""
    with tarfile.open(target, 'w') as archive:
        for path in sorted(folder.rglob('*.png')):
            info = tarfile.TarInfo(str(path.relative_to(folder)))
            info.size = 4096
            archive.addfile(info, io.BytesIO(path.read_bytes().ljust(4096)))


def test_a_tar_that_was_packed_anew_with_fixed_times_keeps_no_index_and_no_cache(root, camvid_tree, tmp_path):
    kept = set()
    for ids in ((0, 3, 8), (0, 3, 7)):
        camvid_tree(tmp_path / 'src', count=3, ids=ids)
        pack_with_fixed_times(tmp_path / 'src', root / 'camvid.tar')
        os.utime(root / 'camvid.tar', ns=(1, ids[2]))  # two packings are never of one nanosecond
        dataset = get_dataset('camvid', 'train')
        kept |= {index_path(dataset, 32, tmp_path), cache_path(dataset, tmp_path)}
    assert len(kept) == 4


@pytest.mark.parametrize('ending', ['.ZIP', '.TAR'])
def test_an_archive_may_be_named_in_capitals(tmp_path, ending):
    pack(tree(tmp_path / 'src', ['train/a.png']), tmp_path / f'x{ending.lower()}').rename(tmp_path / f'data{ending}')
    assert (
        find_directory(tmp_path, ['data'], ['train'], 'd', 'remedy') / 'train/a.png'
        == locate(tmp_path / f'data{ending}') / 'train/a.png'
    )
    assert (locate(tmp_path / 'data/train') / 'a.png').read_text() == 'train/a.png'


def test_links_in_a_tar_are_the_files_that_they_link_to(tmp_path):
    folder = tree(tmp_path / 'src', ['train/a.png'])
    (folder / 'train/b.png').symlink_to('a.png')
    os.link(folder / 'train/a.png', folder / 'train/c.png')
    archive = locate(pack(folder, tmp_path / 'data.tar'))
    assert [path.read_text() for path in list_files(archive / 'train', ['.png'])] == ['train/a.png'] * 3
    (folder / 'train/b.png').unlink()
    (folder / 'train/b.png').symlink_to('../../outside.png')
    (tmp_path / 'outside.png').write_text('secret')
    pack(folder, tmp_path / 'bad.tar')
    with pytest.raises(ValueError, match="bad.tar: 'train/b.png' in it is a link to .*which is no file of the archive"):
        locate(tmp_path / 'bad.tar')
