import numpy as np
import pytest

from config import scope
from datasets import get_dataset
from datasets.collection.cityscapes import choose_cities
from datasets.collection.cityscapes_labels import CLASSES, LABELS

TRAIN = [
    'aachen',
    'bochum',
    'bremen',
    'cologne',
    'darmstadt',
    'dusseldorf',
    'erfurt',
    'hamburg',
    'hanover',
    'jena',
    'krefeld',
    'monchengladbach',
    'strasbourg',
    'stuttgart',
    'tubingen',
    'ulm',
    'weimar',
    'zurich',
]
VAL = ['frankfurt', 'lindau', 'munster']


@pytest.mark.parametrize(
    'cv, expected',
    [
        (0, VAL),
        (1, ['darmstadt', 'dusseldorf', 'erfurt']),
        (2, ['monchengladbach', 'strasbourg', 'stuttgart']),
        (3, VAL + TRAIN),
    ],
)
def test_folds_validate_on_the_published_cities(cv, expected):
    assert choose_cities(TRAIN, VAL, cv, 3, 'val') == expected


def test_fold_one_trains_on_the_other_eighteen_cities():
    chosen = choose_cities(TRAIN, VAL, 1, 3, 'train')
    assert len(chosen) == 18
    assert set(chosen) == set(TRAIN + VAL) - {'darmstadt', 'dusseldorf', 'erfurt'}


def test_fold_three_trains_on_all_twenty_one_cities():
    assert choose_cities(TRAIN, VAL, 3, 3, 'train') == VAL + TRAIN


@pytest.mark.parametrize('cv', [-1, 4])
def test_a_fold_that_does_not_exist_names_the_flag(cv):
    with pytest.raises(ValueError, match=rf'--cv {cv}: .* choose 0 .* to 2, or 3 for train \+ val'):
        choose_cities(TRAIN, VAL, cv, 3, 'val')


def test_the_label_table_has_34_ids_of_which_19_are_scored():
    assert [label.id for label in LABELS] == list(range(34))
    assert (CLASSES.id_to_trainid[:34] != 255).sum() == 19
    assert (CLASSES.id_to_trainid[34:] == 255).all()


def test_trainids_go_back_to_the_published_ids():
    published = CLASSES.trainid_to_id[:19].tolist()
    assert published == [
        7,
        8,
        11,
        12,
        13,
        17,
        19,
        20,
        21,
        22,
        23,
        24,
        25,
        26,
        27,
        28,
        31,
        32,
        33,
    ]
    assert CLASSES.trainid_to_id[255] == 0
    assert CLASSES.id_to_trainid[CLASSES.trainid_to_id[:19]].tolist() == list(range(19))


def test_names_and_colours_stand_in_the_order_of_trainids():
    assert (CLASSES.names[0], CLASSES.names[13], CLASSES.names[18]) == ('road', 'car', 'bicycle')
    assert CLASSES.colors[[0, 13, 18]].tolist() == [[128, 64, 128], [0, 0, 142], [119, 11, 32]]


@pytest.mark.parametrize('layout', ['plain', 'zip'])
@pytest.mark.parametrize('directory', ['Cityscapes-nvidia', 'Cityscapes', 'cityscapes', ''])
def test_both_layouts_are_found_in_every_place(root, cityscapes_tree, layout, directory):
    cityscapes_tree(root / directory, {('train', 'ulm'): 1, ('val', 'lindau'): 2}, layout=layout)
    dataset = get_dataset('cityscapes', 'val')
    assert [item.name for item in dataset.items] == [
        'val/lindau/lindau_000000_000019_leftImg8bit.png',
        'val/lindau/lindau_000001_000019_leftImg8bit.png',
    ]


def test_the_configured_folder_comes_before_the_usual_ones(root, cityscapes_tree):
    cityscapes_tree(root / 'Cityscapes', {('val', 'lindau'): 1})
    cityscapes_tree(root / 'mine', {('val', 'munster'): 1})
    with scope(DATASET__CITYSCAPES_DIR='mine'):
        assert get_dataset('cityscapes', 'val').items[0].name.startswith('val/munster/')


def test_a_pair_is_loaded_as_rgb_and_trainids(root, cityscapes_tree):
    cityscapes_tree(root / 'cityscapes', {('train', 'ulm'): 2}, ids=(7, 26, 0))
    dataset = get_dataset('cityscapes', 'train')
    image, label = dataset.load(dataset.items[1])
    assert image.shape == (32, 48, 3) and image.dtype == np.uint8 and image[0, 0].tolist() == [1, 2, 3]
    assert label.dtype == np.uint8 and label[5, [0, 16, 32]].tolist() == [0, 13, 255]


def test_cv_zero_works_with_a_single_val_city(root, cityscapes_tree):
    cityscapes_tree(root / 'cityscapes', {('train', 'ulm'): 2, ('train', 'aachen'): 1, ('val', 'lindau'): 1})
    assert [len(get_dataset('cityscapes', split)) for split in ('train', 'val')] == [3, 1]


def test_a_city_in_both_official_splits_stays_two_places(root, cityscapes_tree):
    cityscapes_tree(root / 'cityscapes', {('train', 'town'): 2, ('val', 'town'): 1})
    with scope(DATASET__CV=3):
        assert [item.name.split('/')[0] for item in get_dataset('cityscapes', 'train').items] == [
            'train',
            'train',
            'val',
        ]


def test_cv_three_puts_every_image_in_both_splits(root, cityscapes_tree):
    cityscapes_tree(root / 'cityscapes', {('train', 'ulm'): 2, ('val', 'lindau'): 1})
    with scope(DATASET__CV=3):
        assert [len(get_dataset('cityscapes', split)) for split in ('train', 'val')] == [3, 3]


def test_the_test_split_has_no_labels(root, cityscapes_tree):
    cityscapes_tree(root / 'cityscapes', {('test', 'berlin'): 2})
    dataset = get_dataset('cityscapes', 'test')
    image, label = dataset.load(dataset.items[0])
    assert len(dataset) == 2 and not dataset.labelled and image.shape == (32, 48, 3) and label is None


def test_items_are_sorted_and_hidden_files_are_left_out(root, cityscapes_tree, write):
    base = cityscapes_tree(root / 'cityscapes', {('train', 'ulm'): 3, ('train', 'aachen'): 2})
    write(base / 'leftImg8bit/train/ulm/._ulm_000009_000019_leftImg8bit.png', np.zeros((2, 2, 3), np.uint8))
    names = [item.name for item in get_dataset('cityscapes', 'train').items]
    assert names == sorted(names) and len(names) == 5


def test_missing_labels_are_counted(root, cityscapes_tree):
    base = cityscapes_tree(root / 'cityscapes', {('train', 'ulm'): 4})
    for number in (1, 3):
        (base / f'gtFine/train/ulm/ulm_{number:06d}_000019_gtFine_labelIds.png').unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r'ulm_000001_000019_leftImg8bit.png: its label .*ulm_000001_000019_gtFine_labelIds.png '
        r'does not exist \(2 of the 4 images',
    ):
        get_dataset('cityscapes', 'train')


def test_a_missing_label_folder_is_named(root, write):
    write(root / 'cityscapes/leftImg8bit/val/lindau/a_leftImg8bit.png', np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(
        FileNotFoundError, match='has no folder gtFine_trainvaltest/gtFine or gtFine, which holds the labels'
    ):
        get_dataset('cityscapes', 'val')


def test_a_split_without_cities_is_named(root, cityscapes_tree):
    cityscapes_tree(root / 'cityscapes', {('train', 'ulm'): 1})
    for split in ('val', 'test'):
        with pytest.raises(FileNotFoundError, match=f"has no city folders for split '{split}', only train is there; "):
            get_dataset('cityscapes', split)
    with (
        scope(DATASET__CV=1),
        pytest.raises(FileNotFoundError, match="for split 'val' with --cv 1, only train is there; "),
    ):
        get_dataset('cityscapes', 'val')


def test_city_folders_without_images_are_an_error(root):
    (root / 'cityscapes/leftImg8bit/val/lindau').mkdir(parents=True)
    (root / 'cityscapes/gtFine').mkdir()
    with pytest.raises(FileNotFoundError, match="no images of split 'val'"):
        get_dataset('cityscapes', 'val')


def test_a_missing_root_names_the_flag(root):
    with scope(DATASET__ROOT=str(root / 'nowhere')):
        with pytest.raises(
            FileNotFoundError, match='nowhere: the dataset root does not exist; .*--override_dataset_root'
        ):
            get_dataset('cityscapes', 'val')


def test_a_file_as_root_is_told_from_a_missing_one(root):
    (root / 'notes.txt').write_text('no folder')
    with scope(DATASET__ROOT=str(root / 'notes.txt')):
        with pytest.raises(
            FileNotFoundError, match='notes.txt: the dataset root is a file, not a folder; .*--override_dataset_root'
        ):
            get_dataset('cityscapes', 'val')


def test_an_empty_root_is_said_to_be_empty(root):
    with pytest.raises(FileNotFoundError, match='the dataset root is empty; .*--override_dataset_root'):
        get_dataset('cityscapes', 'val')


def test_a_root_with_other_things_lists_them(root):
    (root / 'camvid').mkdir()
    with pytest.raises(FileNotFoundError, match='holds no cityscapes dataset .*only camvid; .*--override_dataset_root'):
        get_dataset('cityscapes', 'val')


def test_a_dataset_folder_with_the_wrong_content_is_named(root):
    (root / 'Cityscapes/images').mkdir(parents=True)
    with pytest.raises(
        FileNotFoundError, match='Cityscapes: holds no folder leftImg8bit_trainvaltest/leftImg8bit or leftImg8bit'
    ):
        get_dataset('cityscapes', 'val')


def test_without_a_root_data_is_looked_for_under_the_assets(root, cityscapes_tree):
    cityscapes_tree(root.parent / 'assets/data/cityscapes', {('val', 'lindau'): 1})
    with scope(DATASET__ROOT=''):
        assert len(get_dataset('cityscapes', 'val')) == 1
