"""Label maps of PASCAL Context from .mat files, in both encodings."""

import numpy as np
import pytest
from prepare_trees import TREES, pixels, prepare
from scipy.io import savemat

from config import scope
from datasets.collection.pascal_context import PascalContext60
from datasets.registry import get_dataset


@pytest.fixture
def root(tmp_path):
    TREES['pascal_context'](tmp_path)
    return tmp_path


def loaded(root, name, split):
    with scope(DATASET__ROOT=str(root)):
        dataset = get_dataset(name, split)
    return [dataset.load(item)[1].tolist() for item in dataset.items]


def test_the_459_classes_become_59_with_and_without_background(root, capsys):
    code, printed = prepare(capsys, 'pascal_context', '--root', root)
    base = root / 'VOCdevkit/VOC2010'
    assert code == 0 and '6 written' in printed
    mode, label = pixels(base / 'PascalContext60/2008_000002.png')
    # 0, aeroplane, wood; 459 and 1 are none of the 59; person
    assert mode == 'P' and label.tolist() == [[0, 1, 59], [0, 0, 37]]
    assert pixels(base / 'PascalContext59/2008_000002.png')[1].tolist() == [[255, 0, 58], [255, 255, 36]]
    assert loaded(root, 'pascal_context', 'train') == [[[255, 0, 58], [255, 255, 36]], [[55], [255]]]
    assert loaded(root, 'pascal_context_60', 'val') == [[[2, 2]]]


def test_the_palette_is_that_of_the_data_set(root, capsys):
    from PIL import Image

    prepare(capsys, 'pascal_context_60', '--root', root)
    with Image.open(root / 'VOCdevkit/VOC2010/PascalContext60/2008_000003.png') as image:
        assert bytes(image.getpalette('RGB'))[:180] == PascalContext60.classes.colors.tobytes()


@pytest.mark.parametrize('place', ['trainval/trainval', 'VOCdevkit/VOC2010/trainval'])
def test_the_labels_may_stand_in_a_folder_of_the_name_of_the_archive_or_beside_the_images(root, capsys, place):
    (root / 'trainval').rename(root / 'aside')
    (root / place).parent.mkdir(exist_ok=True)
    (root / 'aside').rename(root / place)
    code, printed = prepare(capsys, 'pascal_context', '--root', root)
    assert code == 0 and '6 written' in printed


@pytest.mark.parametrize(
    'content',
    [
        {'Other': [[1]]},
        {'LabelMap': np.array([[460]], np.uint16)},
        {'LabelMap': np.array([[-1]], np.int16)},
        {'LabelMap': np.ones((1, 1, 3), np.uint8)},
        {'LabelMap': np.array([[0.5]])},
        None,
    ],
)
def test_a_mat_file_without_ids_is_refused_by_name(root, capsys, content):
    path = root / 'trainval/2008_000003.mat'
    path.write_bytes(b'MATLAB 5.0 MAT-file, cut off') if content is None else savemat(path, content)
    code, printed = prepare(capsys, 'pascal_context', '--root', root)
    assert code == 1 and '4 written, 2 refused' in printed
    assert printed.count('2008_000003.mat: ') == 1 and ' (2 files)\n' in printed, 'one file is behind both'


def test_missing_labels_are_refused_one_by_one_or_all_at_once(root, capsys):
    (root / 'trainval/2008_000004.mat').unlink()
    code, printed = prepare(capsys, 'pascal_context', '--root', root)
    assert code == 1 and '4 written, 2 refused' in printed and '2008_000004.mat: the file does not exist' in printed
    (root / 'trainval').rename(root / 'somewhere')
    code, printed = prepare(capsys, 'pascal_context', '--root', root)
    assert code == 2 and 'trainval' in printed and printed.count('\n') == 1
