"""--dataset custom: which files and splits a data file means, and what its labels mean."""

import pickle
import shutil

import pytest
import yaml
from custom_file import CLASSES, FLAT, FOLDERS, make_images, names, open_custom, stripes
from trees import write

from config import scope
from datasets import get_dataset
from datasets.custom.splits import share_of


@pytest.fixture
def data(tmp_path):
    return make_images(tmp_path)


@pytest.fixture
def opened(data):
    return lambda values, split='train': open_custom(data, values, split)


def test_folders_of_splits_are_searched_and_named_below_the_fixed_part(opened):
    dataset = opened(FOLDERS)
    assert names(dataset) == [f'train/c0/{n:02d}.png' for n in (0, 2, 4)] + [f'train/c1/{n:02d}.png' for n in (1, 3, 5)]
    assert names(opened(FOLDERS, 'val')) == ['val/c0/06.png', 'val/c1/07.png']
    image, label = dataset.load(dataset.items[1])
    assert image[0, 0].tolist() == [2, 2, 3] and label[0, [0, 12, 24, 36]].tolist() == [0, 1, 1, 255]


def test_a_list_of_patterns_is_taken_together(opened):
    dataset = opened({**FOLDERS, 'images': ['images/{split}/c1/*.png', 'images/{split}/c0/*4.png']})
    assert names(dataset) == ['train/c0/04.png', 'train/c1/01.png', 'train/c1/03.png', 'train/c1/05.png']


def test_labels_beside_the_images_are_told_from_them(opened, data):
    for path in sorted((data / 'labels/train').iterdir()):
        path.rename(data / f'images/train/c{int(path.stem) % 2}/{path.stem}_label.png')
    for path in sorted((data / 'images/train').rglob('??.png')):
        path.rename(path.with_name(f'{path.stem}_photo.png'))
    dataset = opened(
        {
            **FOLDERS,
            'images': 'images/{split}/{folder}/{stem}_photo.png',
            'labels': 'images/{split}/{folder}/{stem}_label.png',
        }
    )
    assert [(item.name, item.label.name) for item in dataset.items][:2] == [
        ('train/c0/00_photo.png', '00_label.png'),
        ('train/c0/02_photo.png', '02_label.png'),
    ]


def test_lists_name_images_by_the_end_of_their_paths(opened, data):
    (data / 'a.txt').write_text('\ufeff./images/train/c0/00.png\r\n\r\nc1/01\n02\nc0/04.png\n02.png\n')
    (data / 'b.txt').write_text('03\n')
    lists = {**FLAT, 'splits': {'train': 'a.txt', 'val': 'b.txt'}}
    dataset = opened(lists)
    assert names(dataset) == ['c0/00.png', 'c0/02.png', 'c0/04.png', 'c1/01.png'] and names(opened(lists, 'val')) == [
        'c1/03.png'
    ]
    assert dataset.notes == ['a.txt lists 1 image more than once; they are taken once']
    del lists['images']
    (data / 'a.txt').write_text('images/train/c0/00.png\n')
    (data / 'b.txt').write_text('c1/01\n')
    assert names(opened(lists)) == ['images/train/c0/00.png'] and names(opened(lists, 'val')) == [
        'images/train/c1/01.png'
    ]


@pytest.mark.parametrize('separator', ['\t', ' , ', '   '])
def test_lists_may_name_the_labels_too(opened, data, separator):
    write(data / 'other/mask.png', stripes(7, 7, 7, 7))
    (data / 'a.txt').write_text(f'c0/00{separator}other/mask.png\nc1/01.png{separator}labels/train/01.png\n')
    dataset = opened({'splits': {'train': 'a.txt'}, 'ignore': 0, 'classes': CLASSES})
    assert [item.label.relative_to(data).as_posix() for item in dataset.items] == [
        'other/mask.png',
        'labels/train/01.png',
    ]


def test_shares_cut_one_order_that_depends_on_seed_and_path_alone(opened):
    shares = {**FLAT, 'splits': {'val': 0.34, 'test': 0.16, 'seed': 3}}
    splits = {split: names(opened(shares, split)) for split in ('train', 'val', 'test')}
    assert {split: len(found) for split, found in splits.items()} == {'train': 3, 'val': 2, 'test': 1}
    assert len({name for found in splits.values() for name in found}) == 6
    assert (
        names(
            opened(
                {
                    **FLAT,
                    'splits': {'train': 0.5, 'val': 0.34},
                },
                'train',
            )
        )
        != splits['train']
    )


def test_a_share_moves_little_when_images_come_in_addition():
    paths = [f'{n}.png' for n in range(1000)]
    before, after = share_of(paths, {'val': 0.1}, 0, 'val'), share_of([*paths, 'new.png'], {'val': 0.1}, 0, 'val')
    assert len(before) == 100 and len(set(before) - set(after)) <= 1
    assert share_of(paths[::-1], {'val': 0.1}, 0, 'val') == before != share_of(paths, {'val': 0.1}, 1, 'val')
    assert len(share_of(paths, {'train': 0.25, 'val': 0.75}, 0, 'train')) == 250
    assert sorted(before + share_of(paths, {'val': 0.1}, 0, 'train')) == sorted(paths)


@pytest.mark.parametrize('root, packed', [('all.zip', 'all'), ('all', 'all'), ('all', 'all/images')])
def test_archives_are_read_in_place(opened, data, root, packed):
    (data / 'all').mkdir()
    for name in ('images', 'labels'):
        (data / name).rename(data / 'all' / name)
    shutil.make_archive(str(data / packed), 'zip', data / packed)
    shutil.rmtree(data / packed)
    dataset = opened({'root': root, **FOLDERS})
    assert names(dataset)[:2] == ['train/c0/00.png', 'train/c0/02.png'] and len(dataset) == 6
    assert dataset.load(dataset.items[0])[1][0, 12] == 1


def test_a_relative_root_starts_at_the_file_wherever_the_program_runs(data, monkeypatch):
    (data / 'sub').mkdir()
    (data / 'sub/data.yaml').write_text(yaml.safe_dump({**FOLDERS, 'root': '..'}))
    for folder, file, split, count in ((data / 'sub', 'data.yaml', 'train', 6), (data, 'sub/data.yaml', 'val', 2)):
        monkeypatch.chdir(folder)
        with scope(DATASET__DATA_YAML=file):
            assert len(get_dataset('custom', split)) == count


def test_a_test_split_may_have_no_labels_at_all(opened, data):
    shutil.copytree(data / 'images/val', data / 'images/test')
    dataset = opened(FOLDERS, 'test')
    assert not dataset.labelled and len(dataset) == 2 and 'there is no score' in dataset.notes[0]
    write(data / 'labels/test/06.png', stripes(7, 7, 7, 7))
    with pytest.raises(
        ValueError, match=r'has no file for 1 of the 2 images of split test \(images/test/c1/07.png\); add'
    ):
        opened(FOLDERS, 'test')


def test_the_classes_are_known_without_the_images(data, opened):
    (data / 'data.yaml').write_text(yaml.safe_dump({**FOLDERS, 'root': 'gone'}))
    with scope(DATASET__DATA_YAML=str(data / 'data.yaml')):
        dataset = get_dataset('custom', 'folder', eval_folder=data / 'images')
    assert (
        len(dataset) == 8
        and dataset.classes.names == ('road', 'car')
        and dataset.classes.trainid_to_id[[0, 1]].tolist() == [7, 26]
    )


def test_a_dataset_goes_to_another_process(opened):
    dataset = pickle.loads(pickle.dumps(opened(FOLDERS)))
    assert dataset.load(dataset.items[0])[1][0, 12] == 1


def test_ids_and_colours_given_and_not(opened):
    dataset = opened({**FOLDERS, 'classes': [{'name': 'road', 'id': 7, 'color': [128, 0, 0]}, *CLASSES[1:]]})
    assert dataset.classes.colors.tolist() == [[128, 0, 0], [0, 128, 0]], 'the first colour of PASCAL VOC is taken'
    assert dataset.classes.id_map == {7: 0, 26: 1, 27: 1, 0: 255}
    assert dataset.classes.trainid_to_id[[0, 1, 255]].tolist() == [
        7,
        26,
        0,
    ]
    plain = opened({**FOLDERS, 'ignore': [26, 27], 'unlisted': 'ignore', 'classes': ['void', *'abcdefg']})
    assert plain.classes.names[7] == 'g' and plain.classes.id_map[7] == 7 and plain.classes.id_map[200] == 255


def test_254_classes_have_254_colours(opened):
    dataset = opened(
        {**FOLDERS, 'ignore': [], 'unlisted': 'ignore', 'classes': [f'class {number}' for number in range(254)]}
    )
    assert (
        len({tuple(color) for color in dataset.classes.colors.tolist()}) == 254
        and [0, 0, 0] not in dataset.classes.colors.tolist()
    )


def test_an_unlisted_id_stops_or_is_ignored(opened, data):
    write(data / 'labels/train/00.png', stripes(7, 7, 99, 99))
    dataset = opened(FOLDERS)
    with pytest.raises(
        ValueError,
        match=(
            r'00.png: label ids 99 are not in the map .* correct the file, or add them to a class or to ignore in'
            r' .*data.yaml'
        ),
    ):
        dataset.load(dataset.items[0])
    dataset = opened({**FOLDERS, 'unlisted': 'ignore'})
    assert dataset.load(dataset.items[0])[1][0, [0, 24]].tolist() == [0, 255]


def test_labels_of_colours_become_the_numbers_of_their_classes(opened, data):
    for number in range(6):
        write(data / f'labels/train/{number:02d}.png', stripes((1, 2, 3), (4, 5, 6), (7, 8, 9), (0, 0, 0)))
    colours = {
        **FOLDERS,
        'ignore': [0, 0, 0],
        'classes': [{'name': 'a', 'rgb': [1, 2, 3]}, {'name': 'b', 'rgb': [[4, 5, 6], [7, 8, 9]], 'color': [9, 9, 9]}],
    }
    dataset = opened(colours)
    assert dataset.load(dataset.items[0])[1][0, ::12].tolist() == [0, 1, 1, 255]
    assert dataset.classes.colors.tolist() == [[1, 2, 3], [9, 9, 9]]
    assert dataset.classes.trainid_to_id[[0, 1]].tolist() == [0, 1]
    del colours['ignore']
    dataset = opened(colours)
    with pytest.raises(
        ValueError,
        match=r'the colour \(0, 0, 0\) at row 0, column 36 .* add the colour to a class or to ignore in .*data.yaml',
    ):
        dataset.load(dataset.items[0])
    dataset = opened({**colours, 'unlisted': 'ignore'})
    assert dataset.load(dataset.items[0])[1][0, ::12].tolist() == [0, 1, 1, 255]
