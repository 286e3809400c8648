from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from config import scope
from datasets import Classes, get_dataset
from datasets.labels import LabelMapper


def one_pair(root, camvid_tree, **options):
    camvid_tree(root / 'camvid', count=1, **options)
    dataset = get_dataset('camvid', 'train')
    return dataset, dataset.items[0]


def test_unknown_ids_are_named_with_file_and_place(root, camvid_tree, stripes, write):
    dataset, item = one_pair(root, camvid_tree)
    label = stripes((0, 3, 8))
    label[7, 20], label[9, 1] = 77, 33
    write(item.label, label)
    with pytest.raises(
        ValueError,
        match=r'trainannot/00.png: label ids 33, 77 are not in the map of dataset .camvid. '
        r'\(first at row 7, column 20\); .*--ignore_ids',
    ):
        dataset.load(item)


def test_ignore_ids_become_the_ignore_label(root, camvid_tree):
    camvid_tree(root / 'camvid', count=1, ids=(0, 77, 8))
    with scope(DATASET__IGNORE_IDS=(77, 8)):
        dataset = get_dataset('camvid', 'train')
    assert dataset.load(dataset.items[0])[1][0, [0, 16, 32]].tolist() == [0, 255, 255]


def test_ignore_ids_out_of_range_name_the_flag(root, camvid_tree):
    camvid_tree(root / 'camvid', count=1)
    with scope(DATASET__IGNORE_IDS=(256,)):
        with pytest.raises(ValueError, match=r'--ignore_ids: \[256\]'):
            get_dataset('camvid', 'train')


def test_many_unknown_ids_are_shortened():
    mapper = LabelMapper('d', replace(Classes.numbered(1), id_map={0: 0}))
    with pytest.raises(ValueError, match='label ids 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 243 more are not'):
        mapper(np.arange(256, dtype=np.uint8).reshape(16, 16), 'x.png')


@pytest.mark.parametrize('num_classes, ignore', [(65, 65), (19, 255), (254, 255), (255, 254)])
def test_unknown_ids_are_found_whatever_the_ignore_label(num_classes, ignore):
    classes = replace(Classes.numbered(num_classes), ignore_label=ignore, id_map={0: 0, 1: ignore})
    mapper = LabelMapper('d', classes)
    assert mapper(np.array([[0, 1]], np.uint8), 'x.png').tolist() == [[0, ignore]]
    with pytest.raises(ValueError, match=r'label ids 2 .*row 0, column 1'):
        mapper(np.array([[0, 2]], np.uint8), 'x.png')


def test_a_label_of_another_size_is_an_error(root, camvid_tree, stripes, write):
    dataset, item = one_pair(root, camvid_tree)
    write(item.label, stripes((0,), height=30, width=48))
    with pytest.raises(
        ValueError, match=r'trainannot/00.png: the label is 48x30 pixels .* but its image .*train/00.png is 48x32'
    ):
        dataset.load(item)


def test_sizes_are_read_from_the_headers(root, camvid_tree, stripes, write):
    dataset, item = one_pair(root, camvid_tree)
    write(item.label, stripes((0,), height=30, width=40))
    assert list(dataset.sizes()) == [(30, 40)]
    item.label.write_bytes(b'no png')
    with pytest.raises(ValueError, match='trainannot/00.png: is no PNG, TIFF, BMP or WebP file'):
        list(dataset.sizes())


def test_palette_labels_give_indices_not_colours(root, camvid_tree, stripes):
    dataset, item = one_pair(root, camvid_tree)
    label = Image.fromarray(stripes((2, 5, 11)))
    label.putpalette(list(range(100, 196)) * 8)
    label.save(item.label)
    assert dataset.load(item)[1][0, [0, 16, 32]].tolist() == [2, 5, 255]
