"""Folds of a data set: whole folders or videos, every image validated once, the same everywhere."""

import pytest
from custom_file import CLASSES, FOLDERS, make_images, names, open_custom, stripes
from small import EPOCH
from trees import write

from config import scope
from datasets import get_dataset
from datasets.custom.groups import folds_of, video_of
from datasets.custom.mistakes import Mistake
from datasets.folds import listed_folds


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


@pytest.mark.parametrize('number', [0, 1])
def test_any_data_set_has_folds_and_cityscapes_those_of_whole_cities(root, number, cityscapes_tree):
    cityscapes_tree(root / 'Cityscapes', {('train', 'ulm'): 3, ('train', 'graz'): 2, ('val', 'lindau'): 1})
    with scope(DATASET__FOLDS=2, DATASET__FOLD=number):
        cities = {
            split: {n.split('/')[1] for n in names(get_dataset('cityscapes', split))} for split in ('train', 'val')
        }
    assert [{'ulm'}, {'graz', 'lindau'}][number] == cities['val'], 'ulm has 3 images, the others 3 together'
    assert cities['train'] == {'ulm', 'graz', 'lindau'} - cities['val']


def test_splits_with_roots_of_their_own_have_names_that_begin_with_the_split(root, camvid_tree):
    camvid_tree(root / 'camvid', 'train', 4)
    camvid_tree(root / 'camvid', 'val', 2)
    with scope(DATASET__FOLDS=3, DATASET__FOLD=0, DATASET__FOLD_BY='image'):
        val = get_dataset('camvid', 'val')
        assert len(val) == 2 and len(get_dataset('camvid', 'train')) == 4
    assert all(val.load(item)[1].shape == (32, 48) for item in val.items)
    assert all((val.root / item.name).is_file() for item in val.items)


def test_another_seed_gives_other_folds_and_the_same_seed_the_same():
    paths = [f'{n}.png' for n in range(30)]
    first, again, other = (folds_of(paths, 3, 'image', seed)[0] for seed in (1, 1, 2))
    assert first == again != other != folds_of(paths, 3, 'image')[0]
    assert sorted(first.values()) == sorted(other.values()) == [0] * 10 + [1] * 10 + [2] * 10


def test_a_list_says_the_fold_of_each_image(tmp_path):
    (tmp_path / 'folds.csv').write_text('a/1.png,0\nb\\2; 1\n3 1\n')
    fold_of, told = listed_folds(['a/1.png', 'x/b/2.png', 'c/3.jpg'], tmp_path / 'folds.csv', 2)
    assert fold_of == {'a/1.png': 0, 'x/b/2.png': 1, 'c/3.jpg': 1} and told.endswith('folds.csv lists them')


@pytest.mark.parametrize(
    'text, words',
    [
        ('1.png,2', "'1.png,2' is no image and a fold from 0 to 1"),
        ('1.png', "'1.png' is no image and a fold"),
        ('9.png,0', "'9.png' fits no image of train and val"),
        ('2,0', "'2' fits 2 images (a/2.png, b/2.png)"),
        ('1,0\na/1,1', 'has a/1.png in two folds'),
        ('1,0', 'has no line for 2 images (a/2.png, b/2.png) of 3; add them'),
    ],
)
def test_a_list_that_does_not_divide_the_images_is_refused(tmp_path, text, words):
    (tmp_path / 'folds.csv').write_text(text)
    with pytest.raises(Mistake) as error:
        listed_folds(['a/1.png', 'a/2.png', 'b/2.png'], tmp_path / 'folds.csv', 2)
    assert words in str(error.value)


def test_a_fold_of_a_list_is_validated(tmp_path):
    make_images(tmp_path)
    (tmp_path / 'folds.csv').write_text(''.join(f'{number:02d},{int(number == 5)}\n' for number in range(8)))
    with scope(DATASET__FOLD_LIST=str(tmp_path / 'folds.csv')):
        assert names(fold(tmp_path, 1)) == ['train/c1/05.png'] and len(fold(tmp_path, 1, 'train')) == 7


def test_folds_and_cv_are_two_ways_to_divide(program):
    code, printed = program('--folds', '3', '--cv', '1')
    assert code == 2 and '--folds 3 and --cv 1 are two ways to divide the images' in printed
    code, printed = program('--fold', '1')
    assert code == 2 and '--fold needs --folds' in printed


def test_a_training_validates_its_fold(program):
    code, printed = program(*EPOCH, '--folds', '5', '--fold', '2')
    assert code == 0 and 'fold 2 of 5: ' in printed, printed
