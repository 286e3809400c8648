"""Every dataset reads the tree that is documented for it: splits, names, pairs, and what is wrong with a tree."""

import shutil

import numpy as np
import pytest
from small import ROOT
from trees import FOLDERS, LAYOUTS, make_tree, scene, write

from config import scope
from datasets import dataset_names, get_classes, get_dataset
from datasets.base import DATASETS

UNLABELLED = ['bravo', 'SMIYC_anomaly', 'SMIYC_obstacle']
PAIRED = [name for name in LAYOUTS if name not in ('cityscapes', 'synthetic', *UNLABELLED)]


@pytest.mark.parametrize('name', LAYOUTS)
def test_every_item_of_every_split_is_found_and_read(root, name):
    tree = make_tree(name, root, images=3)
    for split, expected in tree.splits.items():
        dataset = get_dataset(name, split)
        assert [item.name for item in dataset.items] == expected.names
        assert dataset.labelled == (expected.labels is not None)
        for place, item in enumerate(dataset.items):
            image, label = dataset.load(item)
            assert image.shape == (64, 128, 3) and image.dtype == np.uint8
            if dataset.labelled:
                assert np.array_equal(label, expected.labels[place]), item.name


@pytest.mark.parametrize('name', LAYOUTS)
def test_a_dataset_is_read_in_place_from_a_zip_file(root, name):
    tree = make_tree(name, root, images=1)
    top = root / tree.folder.relative_to(root).parts[0]
    shutil.make_archive(str(top), 'zip', root, top.name)
    shutil.rmtree(top)
    for split, expected in tree.splits.items():
        dataset = get_dataset(name, split)
        assert [item.name for item in dataset.items] == expected.names
        labels = [dataset.load(item)[1] for item in dataset.items]
        assert all(map(np.array_equal, labels, expected.labels)) if dataset.labelled else labels == [None] * len(labels)


@pytest.mark.parametrize('name', LAYOUTS)
def test_a_tree_shows_most_classes_of_its_dataset(root, name):
    tree = make_tree(name, root, images=3)
    seen = {
        value for split in tree.splits.values() for label in split.labels or () for value in np.unique(label).tolist()
    }
    assert name in UNLABELLED or len(seen - {get_classes(name).ignore_label}) >= min(len(get_classes(name)), 14) - 2


def test_every_name_is_tested_here():
    assert set(dataset_names()) == {*LAYOUTS, 'folder', 'nullloader', 'custom'}


def test_the_page_about_datasets_has_each_of_them_and_the_folder_that_it_is_read_from():
    page = (ROOT / 'docs/datasets.md').read_text(encoding='utf-8')
    assert [
        name
        for name in dataset_names()
        if f'`{name}`' not in page and f'--dataset {name}' not in page and f'--eval {name}' not in page
    ] == []
    folders = {layout.folder.rpartition('/')[2] for layout in LAYOUTS.values()} - {'Cityscapes', 'synthetic'}
    assert [
        folder
        for folder in folders
        if f'/{folder}' not in page and f'{folder}/' not in page and f'`{folder}`' not in page
    ] == []
    assert '`ROOT/Cityscapes`' in page and '`ROOT/synthetic`' in page


@pytest.mark.parametrize('name', [name for name in dataset_names() if name != 'custom'])
def test_names_colours_and_tables_of_a_class_fit_together(name):
    kind = get_classes(name)
    assert len(kind.names) == len(set(kind.names)) == len(kind.colors) == len(kind)
    assert kind.colors.dtype == np.uint8 and kind.colors.shape[1] == 3
    assert set(kind.id_map.values()) <= {*range(len(kind)), kind.ignore_label}
    void = {'mapillary_v2': {123}, 'camvid32': {30}}.get(name, set())
    assert set(range(len(kind))) - set(kind.id_map.values()) == void, 'every class but void has an id'
    for raw, trainid in kind.id_map.items():
        if trainid != kind.ignore_label and name != 'nullloader':
            assert kind.trainid_to_id[trainid] == raw, 'what is written is what is read'


@pytest.mark.parametrize('name', PAIRED)
def test_a_missing_folder_names_the_flag(root, name):
    (root / 'something').mkdir()
    with pytest.raises(FileNotFoundError, match=f'holds no {name} dataset .*only something; .*--override_dataset_root'):
        get_dataset(name, 'train')


@pytest.mark.parametrize(
    'name', [name for name in PAIRED if name not in ('gta5', 'wilddash', 'pascal_context', 'pascal_context_60')]
)
def test_a_missing_split_is_named_with_those_that_are_there(root, name):
    """Of datasets that have a folder for each split; the others have lists. Both splits of kitti share one."""
    tree = make_tree(name, root, images=2)
    long_name = (
        FOLDERS['val']
        if (tree.folder / FOLDERS['val']).is_dir() or name == 'ade20k'
        else 'training'
        if name == 'kitti'
        else 'val'
    )
    folders = [
        folder
        for folder in tree.folder.rglob('*')
        if folder.is_dir() and folder.name in (long_name, f'{long_name}annot', f'{long_name}annot32')
    ]
    for folder in folders:
        shutil.rmtree(folder)
    there = (
        'only test is'
        if name == 'kitti'
        else 'only train is'
        if 'test' not in tree.splits
        else 'only (train and test are|test and train are)'
    )
    with pytest.raises(FileNotFoundError, match=f"split 'val' is missing, {there} there; .*--override_dataset_root"):
        get_dataset(name, 'val')


@pytest.mark.parametrize('name', sorted({*PAIRED, *UNLABELLED} - {'camvid', 'camvid32'}))
def test_a_fold_of_a_dataset_without_folds_is_refused(root, name):
    make_tree(name, root, images=1)
    with (
        scope(DATASET__CV=1),
        pytest.raises(
            ValueError, match=f"--cv 1: dataset '{name}' has no folds for cross-validation.*; leave the flag out"
        ),
    ):
        get_dataset(name, 'val')


def test_folds_are_ignored_where_a_whole_folder_is_read(tmp_path):
    write(tmp_path / 'images/a.png', scene(0)[0])
    with scope(DATASET__CV=1):
        assert len(get_dataset('camvid', 'folder', eval_folder=tmp_path / 'images')) == 1


@pytest.mark.parametrize('name', PAIRED)
def test_a_missing_label_is_counted(root, name):
    make_tree(name, root, images=3)
    dataset = get_dataset(name, 'train')
    dataset.items[0].label.unlink()
    with pytest.raises(
        FileNotFoundError,
        match=rf'{dataset.items[0].image.name}: its label .*{dataset.items[0].label.name} does not exist \(1 of the',
    ):
        get_dataset(name, 'train')


@pytest.mark.parametrize('name', PAIRED)
def test_an_id_outside_the_table_names_the_file(root, name):
    make_tree(name, root, images=1)
    dataset = get_dataset(name, 'train')
    item = dataset.items[0]
    write(item.label, np.full((64, 128), 200, np.uint8))
    with pytest.raises(ValueError, match=f'{item.label.name}: label ids 200 are not in the map of dataset {name!r}'):
        dataset.load(item)


@pytest.mark.parametrize('name', PAIRED)
def test_hidden_files_are_left_out(root, name):
    make_tree(name, root, images=2)
    dataset = get_dataset(name, 'train')
    image = dataset.items[0].image
    image.with_name(f'._{image.name}').write_bytes(b'\0')
    assert [item.name for item in get_dataset(name, 'train').items] == [item.name for item in dataset.items]


@pytest.mark.parametrize('name', [name for name in PAIRED if name not in ('camvid', 'camvid32')])
def test_a_missing_label_folder_says_how_to_get_it(root, name):
    tree = make_tree(name, root, images=1)
    folders = [
        folder.format(split=DATASETS[name].folder_names.get('train', 'train'))
        for folder in DATASETS[name].label_folders
    ]
    (tree.folder / folders[0]).rename(tree.folder / 'elsewhere')
    with pytest.raises(
        FileNotFoundError,
        match=f'has no folder {" or ".join(folders)}, which holds the labels; .*--override_dataset_root',
    ):
        get_dataset(name, 'train')


@pytest.mark.parametrize(
    'name, directories',
    [
        ('mapillary', ['mapillary', 'Mapillary', 'mapillary-vistas-2.0']),
        ('bdd100k', ['BDD100K', 'bdd']),
        ('idd', ['IDD', 'idd', 'idd20k']),
        ('kitti', ['kitti', 'data_semantics']),
        ('gta5', ['gta5', 'GTAV']),
        ('ade20k', ['ADE20K', 'ade20k']),
        ('pascal_context', ['VOCdevkit/VOC2010', 'VOCtrainval_03-May-2010/VOCdevkit/VOC2010']),
    ],
)
def test_usual_folder_names_are_tried(root, name, directories):
    folder = make_tree(name, root, images=2).folder
    for directory in directories:
        (root / directory).parent.mkdir(parents=True, exist_ok=True)
        folder = folder.rename(root / directory)
        assert get_dataset(name, 'train').directory == folder
    with scope(DATASET__ROOT=str(folder)):
        assert get_dataset(name, 'val').directory == folder


CONFIGURED = [(name, DATASETS[name].directory_key) for name in (*PAIRED, *UNLABELLED) if DATASETS[name].directory_key]


@pytest.mark.parametrize('name, key', CONFIGURED)
def test_the_configured_folder_comes_first(root, name, key):
    tree = make_tree(name, root, images=2)
    below = tree.folder.relative_to(root).parts
    (root / below[0]).rename(root / 'mine')
    with scope(**{f'DATASET__{key}': 'mine'}):
        assert get_dataset(name, 'val').directory == root / 'mine'


@pytest.mark.parametrize('name', UNLABELLED)
def test_sets_without_classes_have_no_labels_and_say_why(root, name):
    make_tree(name, root, images=3)
    dataset = get_dataset(name, 'val')
    assert (
        not dataset.labelled
        and len(dataset) == 3
        and len(dataset.notes) == 1
        and 'there is no score' in dataset.notes[0]
    )
    with pytest.raises(ValueError, match=f"dataset '{name}' has no split 'train', only val"):
        get_dataset(name, 'train')


def test_a_test_split_without_labels_says_so(root):
    make_tree('bdd100k', root, images=1)
    assert get_dataset('bdd100k', 'test').notes == [
        "split 'test' of dataset 'bdd100k' has no labels, so there is no score"
    ]
    assert get_dataset('bdd100k', 'val').notes == []


@pytest.mark.parametrize('name', PAIRED)
def test_any_folder_of_images_can_be_run_with_the_classes_of_a_dataset(tmp_path, name):
    write(tmp_path / 'images/a.png', scene(0)[0])
    dataset = get_dataset(name, 'folder', eval_folder=tmp_path / 'images')
    assert dataset.classes == get_classes(name)


def test_mapillary_takes_names_and_colours_from_its_config(root):
    folder = make_tree('mapillary', root, images=1).folder
    config = (folder / 'config.json').read_text()
    (folder / 'config.json').write_text(config.replace('"Bird"', '"Big Bird"').replace('[165, 42, 42]', '[1, 2, 3]'))
    dataset = get_dataset('mapillary', 'train')
    assert dataset.classes.names[:2] == ('Big_Bird', 'Ground_Animal')
    assert dataset.classes.colors[0].tolist() == [1, 2, 3]
    assert len(dataset.classes.names) == len(dataset.classes.colors) == 65
    (folder / 'config.json').unlink()
    dataset = get_dataset('mapillary', 'train')
    assert dataset.classes.names[0] == 'Bird' and 'has no config.json; the published names' in dataset.notes[0]


def test_a_config_of_another_version_or_of_something_else_is_an_error(root):
    folder = make_tree('mapillary', root, images=1).folder
    (folder / 'config.json').write_text(
        (make_tree('mapillary_v2', root, images=1).folder / 'config_v2.0.json').read_text()
    )
    with pytest.raises(ValueError, match="config.json: has 124 labels, but dataset 'mapillary' has 66; "):
        get_dataset('mapillary', 'train')
    for content in (
        '{',
        '{}',
        '{"labels": [3]}',
        '{"labels": [{"readable": "Bird"}]}',
        '{"labels": [{"readable": 3, "color": [1, 2, 3]}]}',
        '{"labels": [{"readable": "Bird", "color": [1, 2, 300]}]}',
    ):
        (folder / 'config.json').write_text(content)
        with pytest.raises(ValueError, match='config.json: is no config file of Mapillary Vistas'):
            get_dataset('mapillary', 'train')


def test_the_labels_of_mapillary_1_2_are_found_in_the_archive_of_2_0(root):
    folder = make_tree('mapillary', root, images=1).folder
    for split in ('train', 'val'):
        (folder / FOLDERS[split] / 'v1.2').mkdir()
        (folder / FOLDERS[split] / 'labels').rename(folder / FOLDERS[split] / 'v1.2/labels')
    (folder / 'config.json').rename(folder / 'config_v1.2.json')
    folder.rename(root / 'mapillary-vistas-2.0')
    dataset = get_dataset('mapillary', 'val')
    assert dataset.labelled and dataset.notes == []


def test_acdc_falls_back_to_label_ids(root):
    tree = make_tree('acdc', root, images=4)
    for path in sorted((tree.folder / 'gt').rglob('*_gt_labelTrainIds.png')):
        number = int(path.name.split('_')[2])
        write(path.with_name(path.name.replace('labelTrainIds', 'labelIds')), scene(number)[1])
    assert get_dataset('acdc', 'val').items[0].label.name.endswith('_gt_labelTrainIds.png')
    for path in (tree.folder / 'gt').glob('*/val/*/*_gt_labelTrainIds.png'):
        path.unlink()
    dataset = get_dataset('acdc', 'val')
    assert [
        np.array_equal(dataset.load(item)[1], label) for item, label in zip(dataset.items, tree.splits['val'].labels)
    ] == [True] * 4
    assert dataset.classes.trainid_to_id[0] == 7 and get_dataset('acdc', 'train').classes.trainid_to_id[0] == 0


def test_kitti_validates_on_every_fifth_image(root):
    make_tree('kitti', root, images=6)
    assert [item.name[-13:-7] for item in get_dataset('kitti', 'val').items] == ['000000', '000005', '000010']
    assert len(get_dataset('kitti', 'train')) == 9
    assert get_dataset('kitti', 'test').items[0].name == 'testing/image_2/000012_10.png'


def test_shift_takes_every_view_that_is_there(root):
    folder = make_tree('shift', root, images=4).folder
    assert {item.name.split('/')[1] for item in get_dataset('shift', 'train').items} == {'front', 'left_45'}
    (folder / 'discrete/images/train/left_45').rename(folder / 'left_45')
    assert {item.name.split('/')[1] for item in get_dataset('shift', 'train').items} == {'front'}
    assert {item.name.split('/')[1] for item in get_dataset('shift', 'test').items} == {'front', 'left_45'}


def test_shift_leaves_out_views_without_labels_and_says_so(root):
    folder = make_tree('shift', root, images=4).folder
    (folder / 'discrete/labels_cityscapes/train/left_45').rename(folder / 'left_45')
    dataset = get_dataset('shift', 'train')
    assert {item.name.split('/')[1] for item in dataset.items} == {'front'} and len(dataset) == 2
    assert (
        '2 train images of views left_45 have no labels and are left out; '
        f'`python -m datasets.prepare shift --views left_45 --root {root}`' in dataset.notes[0]
    )


def test_gta5_reads_its_splits_and_counts_what_is_missing(root):
    folder = make_tree('gta5', root, images=3).folder
    assert [item.name for item in get_dataset('gta5', 'val').items] == ['00003.png', '00004.png', '00005.png']
    (folder / 'images/00004.png').unlink()
    with pytest.raises(
        FileNotFoundError,
        match='split.npz: lists 3 images, of which 1 are not there, 00004 among them; .*datasets.prepare gta5',
    ):
        get_dataset('gta5', 'val')


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04', b'nonsense', None])
def test_a_broken_or_missing_split_of_gta5_names_the_program_that_makes_it(root, content):
    path = make_tree('gta5', root, images=1).folder / 'split.npz'
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match='split.npz: .*python -m datasets.prepare gta5'):
        get_dataset('gta5', 'train')


def test_the_test_split_of_wilddash_is_what_no_list_names(root):
    folder = make_tree('wilddash', root, images=2).folder
    assert [item.name for item in get_dataset('wilddash', 'test').items] == ['aa0004_100000.jpg', 'aa0005_100000.jpg']
    (folder / 'random_split/training.txt').write_text(
        '\ufeffaa0000_100000\r\n\r\n  aa0001_100000  \r\naa0099_100000\r\n'
    )
    with pytest.raises(
        FileNotFoundError, match='training.txt: lists 3 images, of which 1 are not there, aa0099_100000 among them'
    ):
        get_dataset('wilddash', 'train')
    (folder / 'random_split/training.txt').unlink()
    with pytest.raises(FileNotFoundError, match='training.txt: the file does not exist; .*datasets.prepare wilddash'):
        get_dataset('wilddash', 'train')


def test_both_pascal_contexts_read_one_folder(root):
    for name in ('pascal_context', 'pascal_context_60'):
        make_tree(name, root, images=2)
    first, second = (get_dataset(name, 'train') for name in ('pascal_context', 'pascal_context_60'))
    assert [item.image for item in first.items] == [item.image for item in second.items]
    assert first.classes.names == second.classes.names[1:] and second.classes.names[0] == 'background'


def test_camvid_with_32_classes_is_found_beside_the_11(root):
    make_tree('camvid', root, images=2)
    with pytest.raises(FileNotFoundError, match='camvid: holds no folder trainannot32, so it is no camvid32 dataset'):
        get_dataset('camvid32', 'train')
    make_tree('camvid32', root, images=2)
    assert [item.name for item in get_dataset('camvid32', 'train').items] == [
        item.name for item in get_dataset('camvid', 'train').items
    ]


def test_nullloader_gives_black_images_of_the_crop_size():
    with scope(DATASET__CROP_SIZE=(48, 96), DATASET__CLASS_UNIFORM_PCT=0.0):
        dataset = get_dataset('nullloader', 'train')
    image, label = dataset.load(dataset.items[0])
    assert len(dataset) == 3000 and dataset.items[2999].name == 'img2999'
    assert image.shape == (48, 96, 3) and label.shape == (48, 96) and not image.any() and not label.any()
    assert next(dataset.sizes()) == (48, 96)


def test_nullloader_refuses_class_uniform_sampling():
    with pytest.raises(ValueError, match='--class_uniform_pct is 0.5; give --class_uniform_pct 0'):
        get_dataset('nullloader', 'train')
