import json
import os
import threading

import numpy as np
import pytest

from config import scope
from datasets import get_dataset
from datasets.custom.splits import share_of
from datasets.loading.cache import with_cache
from datasets.sampling.class_uniform import build, index_path, load_or_build, tile_centroids
from datasets.sampling.epoch import class_quotas, draw_epoch
from datasets.sampling.sets import TrainSet
from datasets.verify.quick import check_before_training
from utils.classes import lookup_table


def slow_centroids(label, num_classes, tile):
    """The same by the definition, pixel by pixel and tile by tile."""
    found = []
    for top in range(0, label.shape[0], tile):
        for left in range(0, label.shape[1], tile):
            part = label[top : top + tile, left : left + tile]
            for trainid in range(num_classes):
                rows, columns = np.nonzero(part == trainid)
                if len(rows):
                    found.append([trainid, left + int(columns.sum()) // len(rows), top + int(rows.sum()) // len(rows)])
    return found


def test_centroids_of_a_small_label_worked_out_by_hand():
    label = np.array([[0, 0, 1, 255], [0, 2, 1, 1]], np.uint8)
    # class 0: columns 0, 1, 0 and rows 0, 0, 1; class 1: columns 2, 2, 3 and rows 0, 1, 1; class 2: (1, 1)
    assert tile_centroids(label, 3, 4).tolist() == [[0, 0, 0], [1, 2, 0], [2, 1, 1]]


def test_a_centroid_need_not_lie_on_its_class():
    assert tile_centroids(np.array([[1, 0, 0, 0, 1]], np.uint8), 2, 8).tolist() == [[0, 2, 0], [1, 2, 0]]


def test_tiles_cover_the_remainder_on_the_right_and_at_the_bottom():
    label = np.zeros((5, 7), np.uint8)
    assert tile_centroids(label, 1, 4).tolist() == [[0, 1, 1], [0, 5, 1], [0, 1, 4], [0, 5, 4]]


@pytest.mark.parametrize('shape, tile', [((37, 53), 16), ((37, 53), 100), ((16, 32), 16), ((5, 9), 1)])
def test_centroids_equal_the_definition(shape, tile):
    label = np.random.default_rng(1).choice(np.array([0, 1, 2, 4, 255], np.uint8), shape)
    assert tile_centroids(label, 5, tile).tolist() == slow_centroids(label, 5, tile)


def test_raw_ids_that_mean_one_class_share_a_centroid():
    raw = np.array([[4, 4, 9, 9, 7, 7]], np.uint8)
    table = lookup_table({4: 0, 9: 0, 7: 1}, 255)
    assert tile_centroids(raw, 2, 8, lambda ids: table[ids]).tolist() == [[0, 1, 0], [1, 4, 0]]


def test_a_label_of_ignore_only_has_no_centroids():
    assert tile_centroids(np.full((4, 4), 255, np.uint8), 3, 2).shape == (0, 3)


def test_the_published_epoch_of_cityscapes_has_1482_class_draws():
    quotas = class_quotas(2975, 19, 0.5)
    assert quotas == [78] * 19
    centroids = [np.array([[5, trainid, 0]] * 3) for trainid in range(19)]
    draws = draw_epoch(2975, centroids, quotas, seed=0, epoch=0)
    assert [sum(draw.class_id is None for draw in draws), len(draws)] == [1493, 2975]


def test_random_images_come_first_and_none_twice():
    centroids = [np.array([[3, 7, 8]]), np.array([[1, 0, 0], [2, 4, 5]])]
    draws = draw_epoch(10, centroids, [2, 2], seed=1, epoch=0)
    assert len({draw.image for draw in draws[:6]}) == 6
    assert [draw.class_id for draw in draws] == [None] * 6 + [0, 0, 1, 1]
    assert draws[6] == draws[7] == (3, (7, 8), 0)  # the only centroid, drawn again
    assert sorted(draw.image for draw in draws[8:]) == [1, 2]  # without replacement


def test_the_quota_of_an_absent_class_goes_to_random_images():
    draws = draw_epoch(10, [np.empty((0, 3), int), np.array([[1, 0, 0]])], [3, 3], seed=1, epoch=0)
    assert [draw.class_id for draw in draws] == [None] * 7 + [1] * 3


def test_an_epoch_depends_on_seed_and_epoch_only():
    def images(seed, epoch):
        return [draw.image for draw in draw_epoch(50, [np.empty((0, 3), int)], [0], seed, epoch)]

    assert images(1, 2) == images(1, 2)
    assert images(1, 2) != images(1, 3) and images(1, 2) != images(2, 2)


def test_bias_multiplies_the_quota():
    assert class_quotas(100, 4, 0.5, [0, 1, 2.5, 1]) == [0, 12, 30, 12]


@pytest.mark.parametrize(
    'pct, bias, complaint',
    [
        (1.5, None, '--class_uniform_pct 1.5'),
        (0.5, [1], 'expected 2 factors'),
        (0.5, [1, -1], 'at least 0'),
        (1.0, [2, 2], 'asks for 20 draws'),
    ],
)
def test_impossible_quotas_are_errors(pct, bias, complaint):
    with pytest.raises(ValueError, match=complaint):
        class_quotas(10, 2, pct, bias)


@pytest.fixture
def camvid(root, camvid_tree):
    camvid_tree(root / 'camvid', count=4, ids=(0, 3, 8))
    return get_dataset('camvid', 'train')


def test_the_index_lists_image_and_centroid_per_class(camvid):
    index = build(camvid, tile=32, threads=2, log=lambda line: None)
    # stripes of 16 columns; tiles of 32: columns 0-31 hold ids 0 and 3, columns 32-47 hold id 8; rows 0-31
    assert index.centroids[0].tolist() == [[image, 7, 15] for image in range(4)]
    assert index.centroids[3].tolist() == [[image, 23, 15] for image in range(4)]
    assert index.centroids[8].tolist() == [[image, 39, 15] for image in range(4)]
    assert index.absent() == [1, 2, 4, 5, 6, 7, 9, 10]
    assert index.counts()[:4] == [4, 0, 0, 4]


def test_the_index_is_written_once_and_read_again(camvid, tmp_path):
    lines = []
    first = load_or_build(camvid, 32, tmp_path / 'assets', log=lines.append)
    path = index_path(camvid, 32, tmp_path / 'assets')
    assert path.name.startswith('camvid_fine_cv0_tile32_') and path.parent.name == 'uniform_centroids'
    assert json.loads(path.read_text())['centroids']['8'] == [[image, 39, 15] for image in range(4)]
    assert str(path) in lines[-1]
    lines.clear()
    second = load_or_build(camvid, 32, tmp_path / 'assets', log=lines.append)
    assert lines == []
    assert all(np.array_equal(a, b) for a, b in zip(first.centroids, second.centroids))


def test_the_key_changes_with_tile_files_times_and_map(camvid, tmp_path):
    key = index_path(camvid, 32, tmp_path)
    assert index_path(camvid, 32, tmp_path) == key
    assert index_path(camvid, 33, tmp_path) != key
    with scope(DATASET__IGNORE_IDS=(3,)):
        assert index_path(get_dataset('camvid', 'train'), 32, tmp_path) != key
    os.utime(camvid.items[2].label, ns=(1, 1))
    changed = index_path(camvid, 32, tmp_path)
    assert changed != key
    camvid.items[3].label.unlink()
    camvid.items[3].image.unlink()
    assert index_path(get_dataset('camvid', 'train'), 32, tmp_path) not in (key, changed)


def test_a_changed_label_is_indexed_anew(camvid, tmp_path, stripes, write):
    load_or_build(camvid, 32, tmp_path)
    write(camvid.items[0].label, stripes((1, 1, 1)))
    assert load_or_build(camvid, 32, tmp_path).centroids[1][:, 0].tolist() == [0, 0]


@pytest.mark.parametrize(
    'content',
    [
        '',
        '[' * 100_000,
        '{"images": []}',
        '[1, 2]',
        '{"images": ["train/00.png", "train/01.png", "train/02.png", "train/03.png"]}',
    ],
)
def test_a_damaged_index_is_said_and_built_anew(camvid, tmp_path, content):
    path = index_path(camvid, 32, tmp_path)
    path.parent.mkdir()
    path.write_text(content)
    lines = []
    assert load_or_build(camvid, 32, tmp_path, log=lines.append).counts()[8] == 4
    assert 'is no class-uniform index of this dataset' in lines[0]
    assert json.loads(path.read_text())['tile'] == 32


def test_a_bad_label_stops_the_build_and_leaves_no_file(camvid, tmp_path, stripes, write):
    write(camvid.items[2].label, stripes((99, 99, 99)))
    with pytest.raises(
        ValueError,
        match=r'trainannot/02.png: label ids 99 are not in the map of dataset .camvid. \(first at row 0, column 0\)',
    ):
        load_or_build(camvid, 32, tmp_path, log=lambda line: None)
    assert not (tmp_path / 'uniform_centroids').exists()


def test_names_that_are_no_utf8_have_an_index_a_cache_and_a_record(root, camvid_tree, tmp_path):
    for split in ('train', 'val'):
        camvid_tree(root / 'camvid', split, count=2)
        for folder in (split, f'{split}annot'):
            # as Windows wrote it
            (root / f'camvid/{folder}/00.png').rename(root / f'camvid/{folder}' / os.fsdecode(b'caf\xe9.png'))
    sets = [get_dataset('camvid', split) for split in ('train', 'val')]
    assert '\udce9' in sets[0].items[1].name
    assert load_or_build(sets[0], 32, tmp_path, log=lambda line: None).counts()[0] == 2
    assert load_or_build(sets[0], 32, tmp_path, log=lambda line: pytest.fail(line)).counts()[0] == 2
    assert with_cache(sets[0], tmp_path, log=lambda line: None).load(sets[0].items[1])[0][0, 0, 0] == 0
    check_before_training(sets, tmp_path, lambda line: None)
    assert len(share_of([item.name for item in sets[0].items], {'val': 0.5}, 0, 'val')) == 1


def test_the_other_ranks_read_what_the_main_one_built(camvid, tmp_path):
    barrier, lines, read = threading.Barrier(2), [], []

    def other_rank():
        index = load_or_build(camvid, 32, tmp_path, is_main=False, barrier=lambda: barrier.wait(20), log=lines.append)
        read.append(index.counts())

    thread = threading.Thread(target=other_rank)
    thread.start()
    index = load_or_build(camvid, 32, tmp_path, is_main=True, barrier=lambda: barrier.wait(20))
    thread.join()
    assert read == [index.counts()] and lines == []


def test_a_tile_of_no_pixels_names_the_flag(camvid, tmp_path):
    with pytest.raises(ValueError, match='--class_uniform_tile 0'):
        load_or_build(camvid, 0, tmp_path)


def test_pct_zero_needs_no_index(camvid, tmp_path):
    train_set = TrainSet(camvid, None, seed=0, class_uniform_pct=0, assets_path=tmp_path / 'assets')
    assert not (tmp_path / 'assets').exists()
    assert sorted(draw.image for draw in train_set.draws) == [0, 1, 2, 3]


def test_absent_classes_are_told(camvid, tmp_path):
    lines = []
    TrainSet(camvid, None, seed=0, class_uniform_pct=0.5, tile=32, assets_path=tmp_path, log=lines.append)
    assert lines[-1].startswith("no label of split 'train' holds Building, Pole, Pavement, Tree,")


def test_defaults_come_from_cfg(camvid, tmp_path):
    bias = [1.0] * 11
    bias[8] = 4.0
    with scope(
        DATASET__CLASS_UNIFORM_PCT=1.0,
        DATASET__CLASS_UNIFORM_TILE=16,
        DATASET__CLASS_UNIFORM_BIAS=bias,
        ASSETS_PATH=str(tmp_path / 'a'),
    ):
        with pytest.raises(ValueError, match='--class_uniform_tile 0'):
            TrainSet(camvid, None, seed=0, tile=0)
        TrainSet(camvid, None, seed=0)
    assert '_tile16_' in next((tmp_path / 'a/uniform_centroids').iterdir()).name
