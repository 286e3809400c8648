"""Cityscapes' coarse images: where their labels are, and what becomes of those that a network wrote."""

import pickle
import shutil

import numpy as np
import pytest

from config import scope
from datasets import get_dataset
from datasets.collection.cityscapes_coarse import inside_window
from datasets.collection.layout import locate

ROAD, CAR, TRUCK, BUS = 7, 26, 27, 28  # ids; trainIds 0, 13, 14, 15


@pytest.fixture
def tree(root, cityscapes_tree, write, stripes):
    """tree(layout) -> the folder of a Cityscapes with 2 fine and 3 coarse images; 48x32 pixels in stripes of 16
    columns."""

    def make(layout='plain', names=('bern_000000_000000', 'bern_000001_000000', 'graz_000000_000000')):
        base = cityscapes_tree(root / 'Cityscapes', {('train', 'ulm'): 2, ('val', 'lindau'): 1}, layout=layout)
        images = base / ('leftImg8bit' if layout == 'plain' else 'leftImg8bit_trainextra/leftImg8bit') / 'train_extra'
        labels = base / ('gtCoarse' if layout == 'plain' else 'gtCoarse/gtCoarse') / 'train_extra'
        for number, name in enumerate(names):
            city = name.split('_')[0]
            write(images / city / f'{name}_leftImg8bit.png', np.full((32, 48, 3), 100 + number, np.uint8))
            write(labels / city / f'{name}_gtCoarse_labelIds.png', stripes((ROAD, TRUCK, 0)))
        return base

    return make


@pytest.fixture
def auto(tree, write, stripes):
    """A tree whose coarse images have automatic labels too: car, truck, truck, of probability 127, 128 and 255 of
    255."""
    base = tree()
    folder = base / 'autolabelled/train_extra'
    for item in get_dataset('cityscapes', 'train', quality='coarse').items:
        name = folder / item.name.removeprefix('train_extra/')
        write(name, stripes((CAR, TRUCK, TRUCK)))
        write(name.with_name(f'{name.stem}_prob.png'), stripes((127, 128, 255)))
    return base


def first_row(dataset, place=0):
    return dataset.load(dataset.items[place])[1][0, [0, 16, 32]].tolist()


@pytest.mark.parametrize('layout', ['plain', 'zip'])
def test_coarse_images_have_their_own_root_and_the_labels_of_people(tree, layout):
    tree(layout)
    dataset = get_dataset('cityscapes', 'train', quality='coarse')
    assert [item.name for item in dataset.items] == [
        f'train_extra/{city}/{city}_00000{n}_000000_leftImg8bit.png'
        for city, n in (('bern', 0), ('bern', 1), ('graz', 0))
    ]
    assert dataset.load(dataset.items[2])[0][0, 0].tolist() == [102, 102, 102]
    assert first_row(dataset) == [0, 14, 255]
    assert [len(get_dataset('cityscapes', split)) for split in ('train', 'val')] == [
        2,
        1,
    ], 'the fine images are where they were'


def test_coarse_images_are_read_in_archives(tree):
    base = tree('zip')
    for name in ('leftImg8bit_trainextra', 'gtCoarse'):
        top = 'leftImg8bit' if name.startswith('left') else 'gtCoarse'
        shutil.make_archive(base / name, 'zip', base / name, top)
        shutil.rmtree(base / name)
    dataset = get_dataset('cityscapes', 'train', quality='coarse')
    assert dataset.items[0].name == 'train_extra/bern/bern_000000_000000_leftImg8bit.png' and '.zip' in str(
        dataset.items[0].label
    )
    assert first_row(dataset) == [0, 14, 255]


def test_the_damaged_image_of_the_download_is_left_out_and_told(tree):
    tree(names=('bern_000000_000000', 'troisdorf_000000_000073', 'wuppertal_000000_000000'))
    dataset = get_dataset('cityscapes', 'train', quality='coarse')
    assert [item.name.split('/')[1] for item in dataset.items] == ['bern', 'wuppertal']
    assert [item.label.name.split('_')[0] for item in dataset.items] == [
        'bern',
        'wuppertal',
    ], 'image and label stay together'
    assert dataset.notes == ['troisdorf_000000_000073_leftImg8bit.png is known to be damaged and is left out']


def test_what_is_missing_is_named(tree):
    base = tree()
    shutil.move(base / 'gtCoarse', base / 'elsewhere')
    with pytest.raises(
        FileNotFoundError,
        match='has no folder gtCoarse/gtCoarse/train_extra or gtCoarse/train_extra, which holds the coarse labels',
    ):
        get_dataset('cityscapes', 'train', quality='coarse')
    with pytest.raises(
        FileNotFoundError,
        match=(
            'autolabelled: the folder of auto-labelled masks does not exist; name it with --custom_coarse_dir, or '
            'write it: train.py --eval folder --eval_folder .*leftImg8bit --dump_for_auto_labelling'
        ),
    ):
        get_dataset('cityscapes', 'train', quality='customcoarse')
    shutil.rmtree(base / 'leftImg8bit/train_extra')
    with pytest.raises(FileNotFoundError, match='leftImg8bit/train_extra, which holds the images with coarse labels'):
        get_dataset('cityscapes', 'train', quality='coarse')


def test_other_splits_and_datasets_have_no_coarse_labels(tree, camvid_tree, root):
    tree()
    with pytest.raises(ValueError, match="split 'val' has fine labels only; 'coarse' labels are for training"):
        get_dataset('cityscapes', 'val', quality='coarse')
    with pytest.raises(ValueError, match="dataset 'camvid' has no 'coarse' labels, only fine"):
        get_dataset('camvid', 'train', quality='coarse')


@pytest.mark.parametrize(
    'probability, expected',
    [(None, [13, 14, 14]), (0.0, [13, 14, 14]), (0.5, [255, 14, 14]), (0.9, [255, 255, 14]), (1.0, [255, 255, 14])],
)
def test_pixels_below_the_probability_are_void(auto, probability, expected):
    with scope(DATASET__CUSTOM_COARSE_PROB=probability):
        dataset = get_dataset('cityscapes', 'train', quality='customcoarse')
        assert first_row(dataset) == expected
    assert first_row(pickle.loads(pickle.dumps(dataset))) == expected, 'an object that exists needs no cfg'


def test_the_probability_is_not_read_when_nothing_depends_on_it(auto):
    for path in auto.rglob('*_prob.png'):
        path.unlink()
    assert first_row(get_dataset('cityscapes', 'train', quality='customcoarse')) == [13, 14, 14]
    with scope(DATASET__CUSTOM_COARSE_PROB=0.1):
        with pytest.raises(
            FileNotFoundError,
            match=r'its label .*bern_000000_000000_leftImg8bit_prob.png does not exist \(3 of the 3 images',
        ):
            get_dataset('cityscapes', 'train', quality='customcoarse')


def test_a_dropped_class_has_the_pixels_that_people_drew(auto):
    with scope(DATASET__CUSTOM_COARSE_PROB=0.0, DATASET__CUSTOM_COARSE_DROPOUT_CLASSES=(14,)):
        assert first_row(get_dataset('cityscapes', 'train', quality='customcoarse')) == [
            13,
            14,
            255,
        ], 'their truck stays, the other one is void'
    with scope(DATASET__CUSTOM_COARSE_PROB=0.0, DATASET__CUSTOM_COARSE_DROPOUT_CLASSES=(0, 13)):
        assert first_row(get_dataset('cityscapes', 'train', quality='customcoarse')) == [
            0,
            14,
            14,
        ], 'their road replaces the car of the network'


def test_pixels_that_people_drew_need_no_probability(auto):
    with scope(DATASET__CUSTOM_COARSE_PROB=1.0, DATASET__CUSTOM_COARSE_DROPOUT_CLASSES=(14,)):
        assert first_row(get_dataset('cityscapes', 'train', quality='customcoarse')) == [255, 14, 255]


@pytest.mark.parametrize('trainid', [19, 255, 300])
def test_a_dropped_class_that_does_not_exist_names_the_flag(auto, trainid):
    with scope(DATASET__CUSTOM_COARSE_DROPOUT_CLASSES=(14, trainid)):
        with pytest.raises(ValueError, match=f'--custom_coarse_dropout_classes: {trainid} is no trainId'):
            get_dataset('cityscapes', 'train', quality='customcoarse')


def test_the_window_keeps_the_published_rows_and_columns():
    kept = inside_window(np.ones((1024, 2048), np.uint8))
    rows, columns = np.nonzero(kept)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 839, 14, 2029)
    assert kept.sum() == 825 * 2016
    small = inside_window(np.ones((512, 1024), np.uint8))  # half of 15, 840, 14, 2030 is 7.5, 420, 7, 1015
    rows, columns = np.nonzero(small)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 419, 7, 1014)


def test_the_window_is_void_in_what_a_network_wrote_and_nowhere_else(auto):
    with scope(
        DATASET__CUSTOM_COARSE_PROB=0.0, DATASET__MASK_OUT_CITYSCAPES=True, DATASET__CUSTOM_COARSE_DROPOUT_CLASSES=(14,)
    ):
        dataset = get_dataset('cityscapes', 'train', quality='customcoarse')
        label = dataset.load(dataset.items[0])[1]
    assert label[26].tolist() == [255] * 16 + [14] * 16 + [255] * 16, (
        'row 26 of 32 lies below the window, which ends at 26.25'
    )
    assert label[25, :16].tolist() == [13] * 16
    coarse = get_dataset('cityscapes', 'train', quality='coarse')
    assert (coarse.load(coarse.items[0])[1][31, :32] != 255).all(), 'labels of people are whole'


def test_the_folder_may_have_any_name_and_place(auto, tmp_path, monkeypatch):
    shutil.move(auto / 'autolabelled', tmp_path / 'refinement')
    with scope(DATASET__CITYSCAPES_CUSTOMCOARSE=str(tmp_path / 'refinement')):
        assert first_row(get_dataset('cityscapes', 'train', quality='customcoarse')) == [13, 14, 14]
    shutil.move(tmp_path / 'refinement', auto / 'written')
    # below the dataset root
    with scope(DATASET__CITYSCAPES_CUSTOMCOARSE='Cityscapes/written', DATASET__CUSTOM_COARSE_PROB=0.9):
        assert first_row(get_dataset('cityscapes', 'train', quality='customcoarse')) == [255, 255, 14]
    shutil.make_archive(tmp_path / 'written', 'zip', auto / 'written')
    shutil.rmtree(auto / 'written')
    monkeypatch.chdir(tmp_path)
    with scope(DATASET__CITYSCAPES_CUSTOMCOARSE='written.zip', DATASET__CUSTOM_COARSE_PROB=0.9):
        assert first_row(get_dataset('cityscapes', 'train', quality='customcoarse')) == [255, 255, 14]


def test_labels_without_the_folder_train_extra_are_found_too(auto):
    shutil.move(auto / 'autolabelled/train_extra', auto / 'cities')
    shutil.rmtree(auto / 'autolabelled')
    shutil.move(auto / 'cities', auto / 'autolabelled')
    assert first_row(get_dataset('cityscapes', 'train', quality='customcoarse')) == [13, 14, 14]


def test_files_of_different_sizes_are_named(auto, write):
    with scope(DATASET__CUSTOM_COARSE_PROB=0.5):
        dataset = get_dataset('cityscapes', 'train', quality='customcoarse')
    write(dataset.items[1].label.with_name('bern_000001_000000_leftImg8bit_prob.png'), np.zeros((16, 24), np.uint8))
    with pytest.raises(
        ValueError,
        match=r'bern_000001_000000_leftImg8bit_prob.png: is 24x16 pixels \(width x height\) but .*bern_000001',
    ):
        dataset.load(dataset.items[1])


def test_every_file_that_makes_a_label_is_one_of_its_files(auto):
    def names():
        dataset = get_dataset('cityscapes', 'train', quality='customcoarse')
        return [locate(path).name for path in dataset.label_files(dataset.items[2])]

    label, probability, coarse = (
        f'graz_000000_000000_{end}.png' for end in ('leftImg8bit', 'leftImg8bit_prob', 'gtCoarse_labelIds')
    )
    assert names() == [label]
    with scope(DATASET__CUSTOM_COARSE_PROB=0.5):
        assert names() == [label, probability]
        with scope(DATASET__CUSTOM_COARSE_DROPOUT_CLASSES=(14,)):
            assert names() == [label, probability, coarse]
