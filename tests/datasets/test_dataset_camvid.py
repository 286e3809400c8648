import cv2
import numpy as np
import pytest

from datasets import get_dataset


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
