import errno
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from multiprocessing import get_context
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from small import ROOT

from config import scope
from datasets import get_dataset
from datasets.loading import cache
from datasets.loading.cache import PixelCache, cache_path, with_cache
from datasets.loading.loader import train_loader
from datasets.sampling.sets import EvalSet, TrainSet
from transforms import build_train_transform
from utils.cli import flags
from utils.files.atomic import WriteError


@pytest.fixture
def dataset(root, camvid_tree):
    camvid_tree(root / 'camvid', count=6)
    return get_dataset('camvid', 'train')


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'cache'


def quiet(dataset, folder):
    return with_cache(dataset, folder, log=lambda line: None)


def crops(*more):
    return build_train_transform(flags.parse(['--crop_size', '16,24', *more]), 255)


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) if isinstance(first[key], torch.Tensor) else first[key] == second[key]
        for key in first
    )


@pytest.mark.parametrize(
    'more',
    [
        [],
        ['--color_aug', '0', '--scale_min', '1', '--scale_max', '1'],
        ['--gblur', '--rand_augment', '2,9'],
        ['--full_crop_training'],
    ],
)
def test_samples_are_the_same_with_and_without_the_cache(dataset, folder, more):
    plain, cached = (
        TrainSet(data, crops(*more), seed=3, class_uniform_pct=0.5, tile=16, assets_path=folder)
        for data in (dataset, quiet(dataset, folder))
    )
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # torch warns of tensors over memory that cannot be written
        for key in [(epoch, index) for epoch in range(3) for index in range(6)]:
            assert same(plain[key], cached[key]), key


def test_evaluation_reads_whole_pairs_from_the_cache(dataset, folder):
    plain, cached = EvalSet(dataset), EvalSet(quiet(dataset, folder))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert all(same(plain[index], cached[index]) for index in range(6))


def test_loading_gives_read_only_views_of_the_file(dataset, folder):
    cached = quiet(dataset, folder)
    image, label = cached.load(cached.items[4])
    assert image[3, 5].tolist() == [4, 2, 3] and label[0, [0, 16, 32]].tolist() == [0, 3, 8]
    assert not image.flags.writeable and image.flags.c_contiguous
    assert np.shares_memory(image, cached.load(cached.items[4])[0]) and not np.shares_memory(image, label)


def test_pairs_of_many_sizes_lie_behind_one_another(root, folder, write, stripes):
    sizes = [(5, 8), (1, 4), (7, 12), (3, 4)]
    for number, (height, width) in enumerate(sizes):
        write(
            root / f'camvid/train/{number}.png',
            np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8),
        )
        write(root / f'camvid/trainannot/{number}.png', stripes((number, 11), height, width))
    dataset = get_dataset('camvid', 'train')
    cached = quiet(dataset, folder)
    assert list(cached.sizes()) == sizes
    for item in dataset.items:
        assert all(np.array_equal(*pair) for pair in zip(cached.load(item), dataset.load(item)))
    # 16 bytes, 4 sizes of 16 bytes, 4 bytes for each of 40 + 4 + 84 + 12 pixels
    assert cache_path(dataset, folder).stat().st_size == 16 + 64 + 4 * 140


def test_after_the_first_epoch_nothing_is_decoded(dataset, folder, monkeypatch):
    quiet(dataset, folder)
    monkeypatch.setattr(cv2, 'imdecode', lambda *args: pytest.fail('decoded'))
    cached = with_cache(dataset, folder, log=lambda line: pytest.fail(line))
    train_set = TrainSet(cached, crops(), seed=0, class_uniform_pct=0)
    assert train_set[0]['image'].shape == (3, 16, 24)


def test_the_size_is_told_and_without_the_flag_nothing_happens(dataset, folder):
    lines = []
    with_cache(dataset, folder, log=lines.append)
    assert lines[0] == f"the decoded pixels of split 'train' (6 pairs, 0.0 MB) are written to {folder}, once"
    assert [path.suffix for path in folder.iterdir()] == ['.raw'], 'no lock and no temporary file stays'
    assert with_cache(dataset) is dataset
    with scope(DATASET__CACHE_DIR=str(folder)):
        assert with_cache(dataset).load.__self__.path.parent == folder


def test_the_key_follows_files_tables_and_rules(dataset, folder, monkeypatch):
    key = cache_path(dataset, folder)
    assert key.name.startswith('camvid_train_') and cache_path(get_dataset('camvid', 'train'), folder) == key
    with scope(DATASET__IGNORE_IDS=(3,)):
        keys = {key, cache_path(get_dataset('camvid', 'train'), folder)}
    for file in (dataset.items[2].label, dataset.items[2].image):
        os.utime(file, ns=(1, 1))
        keys.add(cache_path(dataset, folder))
    dataset.items.pop()
    keys.add(cache_path(dataset, folder))
    monkeypatch.setattr(cache, 'RULES', 99)
    keys.add(cache_path(dataset, folder))
    assert len(keys) == 6


def test_a_changed_file_makes_a_new_cache_and_the_old_one_is_mentioned(dataset, folder, write):
    quiet(dataset, folder)
    write(dataset.items[0].image, np.full((32, 48, 3), 99, np.uint8))
    lines = []
    cached = with_cache(dataset, folder, log=lines.append)
    assert cached.load(cached.items[0])[0].max() == 99
    assert lines[0].endswith('once; 1 earlier cache of this split there: 0.0 MB, remove what no run needs')


def test_a_cached_dataset_goes_to_workers_of_any_kind(dataset, folder):
    cached = quiet(dataset, folder)
    cached.load(cached.items[0])
    stored = pickle.dumps(cached)
    assert len(stored) < 100_000, 'the pixels stay in the file'
    assert pickle.loads(stored).load(cached.items[5])[0][0, 0].tolist() == [5, 2, 3]
    loader = train_loader(TrainSet(cached, crops(), seed=0, class_uniform_pct=0), 2, num_workers=2)
    assert sum(len(batch['name']) for batch in loader) == 6


def test_a_packed_dataset_is_cached_like_an_unpacked_one(dataset, folder, root):
    expected = [dataset.load(item) for item in dataset.items]
    with zipfile.ZipFile(root / 'camvid.zip', 'w') as archive:
        for item in dataset.items:
            for path in (item.image, item.label):
                archive.write(path, path.relative_to(root / 'camvid'))
                path.unlink()
    for name in ('train', 'trainannot', ''):
        (root / 'camvid' / name).rmdir()
    cached = quiet(get_dataset('camvid', 'train'), folder)
    assert all(
        np.array_equal(*pair) for item, pairs in zip(cached.items, expected) for pair in zip(cached.load(item), pairs)
    )


def share(barrier):
    global start
    start = barrier


def build_in_process(dataset, folder):
    start.wait()
    lines = []
    cached = with_cache(dataset, folder, log=lines.append)
    return sum('are written to' in line for line in lines), [
        int(cached.load(item)[0][0, 0, 0]) for item in cached.items
    ]


def test_of_processes_that_start_together_one_builds(dataset, folder):
    count, fork = 4, get_context('fork')
    with fork.Pool(count, share, (fork.Barrier(count),)) as pool:
        results = pool.starmap(build_in_process, [(dataset, folder)] * count, chunksize=1)
    assert sum(built for built, _ in results) == 1
    assert [values for _, values in results] == [list(range(6))] * count


BUILD_AND_DIE = """
import os, sys
from config import scope
from datasets.loading import cache
from datasets import get_dataset
from datasets.loading.cache import with_cache
write = os.pwrite
def die(descriptor, data, place):
    write(descriptor, data, place)
    os._exit(9)                 # as SIGKILL does: nothing is cleaned up
os.pwrite = die
with scope(DATASET__ROOT=sys.argv[1]):
    with_cache(get_dataset('camvid', 'train'), sys.argv[2])
"""


def test_the_lock_and_the_half_file_of_a_killed_process_are_no_obstacle(dataset, folder, root):
    killed = subprocess.run(
        [sys.executable, '-c', BUILD_AND_DIE, root, folder],
        cwd=ROOT,
        timeout=60,
    )
    assert killed.returncode == 9
    left = {path.suffix for path in folder.iterdir()}
    assert left == {'.lock', '.tmp'}
    cached = quiet(dataset, folder)
    assert cached.load(cached.items[3])[0][0, 0, 0] == 3
    assert [path.suffix for path in folder.iterdir()] == ['.raw']


def test_the_other_ranks_wait_for_the_main_one(dataset, folder):
    order = []
    with_cache(
        dataset,
        folder,
        is_main=True,
        barrier=lambda: order.append(cache_path(dataset, folder).exists()),
        log=lambda line: None,
    )
    assert order == [True], 'the main one builds first'
    with_cache(
        dataset, folder, is_main=False, barrier=lambda: order.append('waited'), log=lambda line: pytest.fail(line)
    )
    assert order == [True, 'waited']


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(dataset, folder, monkeypatch):
    monkeypatch.setattr(cache.shutil, 'disk_usage', lambda path: SimpleNamespace(free=200_000_000))
    with pytest.raises(
        ValueError,
        match=(
            r"--cache_dir .*cache: the cache of split 'train' takes 0.0 MB, but only 0.2 GB are free there; .*leave the"
            r' flag out'
        ),
    ):
        quiet(dataset, folder)
    assert list(folder.iterdir()) == []


def test_a_disk_that_fills_up_leaves_no_half_file(dataset, folder, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'pwrite', full)
    with pytest.raises(WriteError, match='camvid_train_.*raw: cannot be written, the disk is full .*free some space'):
        quiet(dataset, folder)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(dataset, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(WriteError, match='cannot be written, a part of the path is a file'):
        quiet(dataset, tmp_path / 'file/cache')


def test_writes_that_take_only_a_part_go_on(dataset, folder, monkeypatch):
    pwrite = os.pwrite
    monkeypatch.setattr(os, 'pwrite', lambda descriptor, data, place: pwrite(descriptor, data[:1000], place))
    cached = quiet(dataset, folder)
    assert all(np.array_equal(*pair) for item in dataset.items for pair in zip(cached.load(item), dataset.load(item)))


@pytest.mark.parametrize(
    'damage', [lambda data: data[:-1], lambda data: b'', lambda data: b'x' + data[1:], lambda data: data[:20]]
)
def test_a_damaged_cache_is_said_and_built_anew(dataset, folder, damage):
    quiet(dataset, folder)
    path = cache_path(dataset, folder)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    lines = []
    with_cache(dataset, folder, log=lines.append)
    assert f'{path}: is no whole cache of this dataset' in lines[0] and path.read_bytes() == whole
    assert sum('is no whole cache' in line for line in lines) == 1


def test_a_bad_label_stops_the_build_and_leaves_no_file(dataset, folder, write, stripes):
    write(dataset.items[2].label, stripes((99, 99, 99)))
    with pytest.raises(ValueError, match='trainannot/02.png: label ids 99 are not in the map'):
        quiet(dataset, folder)
    assert list(folder.iterdir()) == []


def test_a_file_system_without_locks_is_said_and_used(dataset, folder, monkeypatch):
    def no_locks(*args):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr('fcntl.flock', no_locks)
    lines = []
    with_cache(dataset, folder, log=lines.append)
    assert 'its file system has no locks' in lines[0] and cache_path(dataset, folder).exists()


def test_what_has_no_label_files_is_not_cached(dataset, folder, root):
    pictures = get_dataset('camvid', 'folder', eval_folder=root / 'camvid/train')
    lines = []
    assert with_cache(pictures, folder, log=lines.append) is pictures
    with scope(DATASET__CLASS_UNIFORM_PCT=0, DATASET__CROP_SIZE=(8, 8)):
        black = get_dataset('nullloader', 'train')
    assert with_cache(black, folder, log=lines.append) is black
    assert (
        all('has no label files, so --cache_dir is not used' in line for line in lines)
        and len(lines) == 2
        and not folder.exists()
    )


def test_a_cache_of_other_images_is_not_taken(dataset, folder):
    quiet(dataset, folder)
    with pytest.raises(ValueError, match='another header'):
        PixelCache(cache_path(dataset, folder), dataset.items[:5])
