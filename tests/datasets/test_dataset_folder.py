import cv2
import numpy as np
import pytest

from config import scope
from datasets import dataset_names, get_dataset


def picture(path, size=(6, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 50, np.uint8))


@pytest.fixture(autouse=True)
def no_dataset_on_disk(tmp_path):
    with scope(DATASET__ROOT=str(tmp_path / 'nothing here')):
        yield


def test_a_tree_of_images_is_searched_and_named_relative_to_itself(tmp_path):
    for name in ('b.PNG', 'a.jpg', 'deep/er/c.webp', 'deep/d.tif', 'e.bmp', '.hidden.png', '.cache/f.png'):
        picture(tmp_path / 'pictures' / name)
    (tmp_path / 'pictures/notes.txt').write_text('no image')
    dataset = get_dataset('cityscapes', 'folder', eval_folder=tmp_path / 'pictures')
    assert [item.name for item in dataset.items] == ['a.jpg', 'b.PNG', 'deep/d.tif', 'deep/er/c.webp', 'e.bmp']
    assert dataset.notes == [f'{tmp_path}/pictures: 1 of 6 files is no image and is left out: 1 .txt']
    for item in dataset.items:
        image, label = dataset.load(item)
        assert image.shape == (6, 8, 3) and label is None


@pytest.mark.parametrize(
    'name, num_classes, first', [('cityscapes', 19, 'road'), ('camvid', 11, 'Sky'), ('folder', 19, 'road')]
)
def test_the_classes_are_those_of_the_dataset(tmp_path, name, num_classes, first):
    picture(tmp_path / 'x/a.png')
    dataset = get_dataset(name, 'folder', eval_folder=str(tmp_path / 'x'))
    assert (dataset.num_classes, dataset.classes.names[0], dataset.classes.colors.shape) == (
        num_classes,
        first,
        (num_classes, 3),
    )
    assert not dataset.labelled and dataset.root == tmp_path / 'x'


def test_links_to_folders_are_followed_once(tmp_path):
    picture(tmp_path / 'elsewhere/a.png')
    picture(tmp_path / 'x/b.png')
    (tmp_path / 'x/link').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'x/loop').symlink_to(tmp_path / 'x')
    dataset = get_dataset('cityscapes', 'folder', eval_folder=tmp_path / 'x')
    assert [item.name for item in dataset.items] == ['b.png', 'link/a.png']


def test_a_folder_without_images_is_an_error(tmp_path):
    (tmp_path / 'notes.txt').write_text('no image')
    with pytest.raises(FileNotFoundError, match='holds no images .*only 1 other file \\(1 .txt\\); .*--eval_folder'):
        get_dataset('cityscapes', 'folder', eval_folder=tmp_path)


def test_a_missing_folder_names_the_flag(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone: the folder does not exist; .*--eval_folder'):
        get_dataset('cityscapes', 'folder', eval_folder=tmp_path / 'gone')


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    picture(tmp_path / 'a.png')
    with pytest.raises(NotADirectoryError, match='a.png: is a file; .*--eval_folder'):
        get_dataset('cityscapes', 'folder', eval_folder=tmp_path / 'a.png')


def test_no_folder_names_the_flag():
    with pytest.raises(ValueError, match='--eval_folder'):
        get_dataset('cityscapes', 'folder')


def test_the_folder_dataset_has_no_other_split():
    with pytest.raises(ValueError, match="--dataset folder has images only, no split 'val'"):
        get_dataset('folder', 'val')


def test_an_unknown_dataset_names_the_nearest(tmp_path):
    with pytest.raises(
        ValueError,
        match='--dataset citiscapes: there is no such dataset; did you mean cityscapes.* choose one of acdc, ',
    ):
        get_dataset('citiscapes', 'val')
    with pytest.raises(ValueError, match='no such dataset; choose one of'):
        get_dataset('qqq', 'val')
    assert {'camvid', 'cityscapes', 'folder', 'synthetic'} < set(dataset_names()) and dataset_names() == sorted(
        dataset_names(), key=str.lower
    )


def test_an_unknown_split_is_an_error():
    with pytest.raises(ValueError, match="has no split 'trn', only train, val, test"):
        get_dataset('camvid', 'trn')
