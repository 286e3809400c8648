import cv2
import numpy as np
import pytest
from small_trees import flat_image, striped_label, write_png

from config import scope
from datasets import get_dataset

EVERY = ['train/0001TP_1', 'train/0006R0_1', 'train/0016E5_1', 'val/0016E5_2']


def test_the_splits_are_read_from_their_folders(root, camvid_tree):
    camvid_tree(root / 'camvid', 'train', 3)
    camvid_tree(root / 'camvid', 'val', 2)
    camvid_tree(root / 'camvid', 'test', 1)
    assert [len(get_dataset('camvid', split)) for split in ('train', 'val', 'test')] == [3, 2, 1]
    assert get_dataset('camvid', 'val').items[1].name == 'val/01.png'
    assert get_dataset('camvid', 'test').labelled


def test_void_is_11_or_255_and_becomes_255(root, camvid_tree):
    camvid_tree(root / 'camvid', count=1, ids=(10, 11, 255))
    dataset = get_dataset('camvid', 'train')
    assert dataset.load(dataset.items[0])[1][0, [0, 16, 32]].tolist() == [10, 255, 255]


def test_there_are_eleven_classes_and_void_goes_back_to_11(root, camvid_tree):
    camvid_tree(root / 'camvid', count=1)
    dataset = get_dataset('camvid', 'train')
    assert (dataset.num_classes, dataset.ignore_label, len(dataset.classes.names), dataset.classes.colors.shape) == (
        11,
        255,
        11,
        (11, 3),
    )
    assert dataset.classes.trainid_to_id[[0, 10, 255]].tolist() == [0, 10, 11]
    assert dataset.classes.colors[3].tolist() == [128, 64, 128] and dataset.classes.names[3] == 'Road'


def test_jpeg_images_are_found_too(root, camvid_tree):
    camvid_tree(root / 'camvid', count=2)
    (root / 'camvid/train/00.png').unlink()
    cv2.imwrite(str(root / 'camvid/train/00.jpg'), np.full((32, 48, 3), 90, np.uint8))
    dataset = get_dataset('camvid', 'train')
    assert [item.name for item in dataset.items] == ['train/00.jpg', 'train/01.png']
    assert dataset.load(dataset.items[0])[0][0, 0].tolist() == [90, 90, 90]


@pytest.mark.parametrize(
    'cv, train, val',
    [
        (0, EVERY[:3], EVERY[3:]),
        (1, ['train/0006R0_1', 'train/0016E5_1'], ['train/0001TP_1']),
        (3, ['train/0001TP_1', 'train/0006R0_1'], ['train/0016E5_1']),
        (4, EVERY, EVERY),
    ],
)
def test_a_fold_leaves_one_drive_of_train_out_and_the_last_is_train_and_val(root, cv, train, val):
    for name in EVERY:
        split, stem = name.split('/')
        write_png(root / f'camvid/{split}/{stem}.png', flat_image(1))
        write_png(root / f'camvid/{split}annot/{stem}.png', striped_label((0, 3, 8)))
    with scope(DATASET__CV=cv):
        folds = [get_dataset('camvid', split) for split in ('train', 'val')]
    assert [[item.name for item in fold.items] for fold in folds] == [
        [f'{n}.png' for n in names] for names in (train, val)
    ]
    assert all(item.label.parent.name == f'{item.image.parent.name}annot' for fold in folds for item in fold.items)


def test_a_fold_that_is_not_there_is_an_error_that_lists_the_folds(root, camvid_tree):
    camvid_tree(root / 'camvid', count=1)
    with scope(DATASET__CV=5), pytest.raises(ValueError, match='--cv 5: there is no such fold; .*1 to 3.*4 for train'):
        get_dataset('camvid', 'train')


def test_the_root_itself_may_be_the_dataset(root, camvid_tree):
    camvid_tree(root, count=1)
    assert get_dataset('camvid', 'train').root == root


def test_a_missing_split_is_named(root, camvid_tree):
    camvid_tree(root / 'camvid', 'train', 1)
    with pytest.raises(
        FileNotFoundError,
        match="camvid: has no folder valannot, so split 'val' is missing, only train is there; give the folder",
    ):
        get_dataset('camvid', 'val')


def test_a_folder_of_labels_without_images_is_an_error(root, camvid_tree):
    camvid_tree(root / 'camvid', count=1)
    (root / 'camvid/train/00.png').unlink()
    with pytest.raises(FileNotFoundError, match="no images of split 'train'"):
        get_dataset('camvid', 'train')


def test_an_image_without_label_is_an_error(root, camvid_tree):
    camvid_tree(root / 'camvid', count=3)
    (root / 'camvid/trainannot/02.png').unlink()
    with pytest.raises(
        FileNotFoundError, match=r'train/02.png: its label .*trainannot/02.png does not exist \(1 of the 3 images'
    ):
        get_dataset('camvid', 'train')
