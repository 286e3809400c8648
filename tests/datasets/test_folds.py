"""Folds of a data set of one's own: whole folders or videos, every image validated once, the same everywhere."""

import pytest
from custom_file import CLASSES, FOLDERS, make_images, names, open_custom, stripes
from trees import write

from config import scope
from datasets.custom.groups import folds_of, video_of
from datasets.custom.mistakes import Mistake


def test_whole_folders_go_to_the_smallest_fold_the_largest_first():
    paths = [f'{folder}/{n}.jpg' for folder, count in (('a', 5), ('b', 3), ('c', 2), ('d', 1)) for n in range(count)]
    fold_of, told = folds_of(paths, 2)
    folds = {path[0]: fold for path, fold in fold_of.items()}
    # a (5) to 0, b (3) to 1, c (2) to 1, d (1) to either, both hold 5
    assert folds == {'a': 0, 'b': 1, 'c': 1, 'd': 0} and 'whole folders' in told


def test_the_order_of_the_images_does_not_matter():
    paths = [f'{folder}/{n}.jpg' for folder in 'abcdefg' for n in range(3)]
    assert folds_of(paths, 3)[0] == folds_of(paths[::-1], 3)[0]


@pytest.mark.parametrize(
    'paths',
    [
        [f'{split}/drive{video}_{n:04d}.png' for video in range(4) for split in ('train', 'val') for n in range(3)],
        [f'{split}/drive{video}/{n:04d}.png' for video in range(4) for split in ('train', 'val') for n in range(3)],
        [f'drive{video}_f{n:04d}.png' for video in range(4) for n in range(6)],
    ],
    ids=['videos in folders of splits', 'folders in folders of splits', 'one folder'],
)
def test_frames_of_one_video_are_in_one_fold_even_where_splits_had_them_in_two(paths):
    fold_of, _ = folds_of(paths, 4)
    for video in range(4):
        assert len({fold for path, fold in fold_of.items() if f'drive{video}' in path}) == 1
    assert sorted(fold_of.values()) == sorted([0, 1, 2, 3] * 6)


def test_photos_of_one_name_are_held_out_one_by_one_which_is_said():
    fold_of, told = folds_of([f'IMG_{n:04d}.jpg' for n in range(10)], 5)
    assert sorted(fold_of.values()) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] and 'the score says little' in told


def test_too_few_videos_are_refused_with_the_flag_that_divides_them():
    paths = [f'{video}_{n}.jpg' for video in 'ab' for n in range(9)]
    with pytest.raises(Mistake, match=r'only 1 folder and 2 videos .* --fold_by image'):
        folds_of(paths, 3)
    assert sorted(folds_of(paths, 3, 'image')[0].values()) == [0] * 6 + [1] * 6 + [2] * 6
    with pytest.raises(Mistake, match='only 18 images'):
        folds_of(paths, 19, 'image')
    with pytest.raises(Mistake, match='only 2 videos'):
        folds_of(paths, 3, 'video')


def test_a_video_is_a_name_without_its_last_number():
    assert [video_of(name) for name in ('a/0001TP_006690.png', 'x/drive-2_f01.jpg', 'GOPR007.png')] == [
        '0001TP',
        'drive-2',
        'GOP',
    ]


def fold(folder, number, split='val', folds=2, values=FOLDERS):
    with scope(DATASET__FOLDS=folds, DATASET__FOLD=number):
        return open_custom(folder, values, split)


def test_every_image_of_train_and_val_is_validated_in_one_fold(tmp_path):
    make_images(tmp_path)
    val = [set(names(fold(tmp_path, number))) for number in (0, 1)]
    train = [set(names(fold(tmp_path, number, 'train'))) for number in (0, 1)]
    everything = {*names(open_custom(tmp_path, FOLDERS)), *names(open_custom(tmp_path, FOLDERS, 'val'))}
    assert val[0] | val[1] == everything and not val[0] & val[1] and len(everything) == 8
    assert train == [val[1], val[0]]
    assert {name.split('/')[-2] for name in val[0]} in ({'c0'}, {'c1'}), 'the folders c0 and c1 stay whole'


def test_the_labels_come_along_and_the_fold_is_told(tmp_path):
    make_images(tmp_path)
    dataset = fold(tmp_path, 0)
    assert all(item.label.name == item.image.name for item in dataset.items)
    assert 'fold 0 of 2: 4 images of 8 for val; whole folders stay together' in dataset.notes


def test_a_file_of_shares_and_one_without_val_have_folds_too(tmp_path):
    for number in range(9):
        write(tmp_path / f'images/d{number // 3}/{number}.png', stripes(*[(number, 2, 3)] * 4))
        write(tmp_path / f'labels/d{number // 3}/{number}.png', stripes(7, 26, 27, 0))
    base = {'images': 'images/**/*.png', 'labels': 'labels/{folder}/{stem}.png', 'ignore': 0, 'classes': CLASSES}
    for splits in ({'val': 0.2}, {'train': 1.0}):
        folds = [names(fold(tmp_path, n, folds=3, values={**base, 'splits': splits})) for n in range(3)]
        assert sorted(sum(folds, [])) == [f'd{n // 3}/{n}.png' for n in range(9)]


def test_test_images_stay_apart(tmp_path):
    make_images(tmp_path)
    write(tmp_path / 'images/test/c0/99.png', stripes(*[(9, 2, 3)] * 4))
    assert names(fold(tmp_path, 0, 'test')) == ['test/c0/99.png']
    assert not [name for number in (0, 1) for name in names(fold(tmp_path, number)) if '99' in name]


def test_a_fold_that_is_not_there_is_refused(tmp_path):
    make_images(tmp_path)
    with pytest.raises(ValueError, match='--fold 2: expected 0 to 1'):
        fold(tmp_path, 2)
    with pytest.raises(ValueError, match=r'data.yaml: --folds 9: there are only 8 images'):
        with scope(DATASET__FOLD_BY='image'):
            fold(tmp_path, 0, folds=9)


def test_folds_are_for_data_of_ones_own(program):
    code, printed = program('--folds', '3')
    assert code == 2 and '--folds 3 divides --dataset custom' in printed
    code, printed = program('--fold', '1')
    assert code == 2 and '--fold needs --folds' in printed
