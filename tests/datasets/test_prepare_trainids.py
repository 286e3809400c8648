"""Pixels and files of the preparations that go from ids to trainIds: Mapillary, GTA5, SHIFT, WildDash 2, Cityscapes,
ADE20K."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from prepare_trees import TREES, contents, image_of, pixels, prepare, wilddash_mask, write_json, write_png
from scipy.io import savemat

from config import scope
from datasets.collection.cityscapes_labels import CLASSES
from datasets.collection.tables import read_table
from datasets.prepare import shift as shift_program
from datasets.prepare.convert import CITYSCAPES_PALETTE, look_up_codes
from datasets.registry import get_dataset


@pytest.fixture
def prepared(tmp_path, capsys):
    """prepared(name, *flags, change=None) -> (root, what was printed) of the small download, changed before, after its
    preparation."""

    def make(name, *flags, change=None, code=0):
        TREES[name](tmp_path)
        if change:
            change(tmp_path)
        found, printed = prepare(capsys, name, '--root', tmp_path, *flags)
        assert found == code, printed
        return tmp_path, printed

    return make


def loaded(root, name, split):
    """The labels of a split, in the order of its items, as the data set itself reads them."""
    with scope(DATASET__ROOT=str(root)):
        dataset = get_dataset(name, split)
    return [dataset.load(item)[1].tolist() for item in dataset.items]


def palette_of(path):
    with Image.open(path) as image:
        return bytes(image.getpalette('RGB'))


def test_mapillary_becomes_the_classes_of_cityscapes(prepared):
    root, _ = prepared('mapillary')
    base = root / 'mapillary-vistas-1.2'
    mode, label = pixels(base / 'training/labels_cityscapes/a.png')
    of = {
        7: 0,
        8: 0,
        10: 0,
        13: 0,
        23: 0,
        24: 0,
        9: 1,
        11: 1,
        15: 1,
        17: 2,
        6: 3,
        3: 4,
        5: 4,
        45: 5,
        47: 5,
        48: 6,
        46: 7,
        50: 7,
        30: 8,
        26: 9,
        28: 9,
        29: 9,
        27: 10,
        19: 11,
        20: 12,
        21: 12,
        22: 12,
        55: 13,
        61: 14,
        54: 15,
        58: 16,
        57: 17,
        52: 18,
    }
    assert mode == 'P' and label.ravel().tolist() == [of.get(id, 255) for id in range(66)]
    assert palette_of(base / 'training/labels_cityscapes/a.png')[:57] == CITYSCAPES_PALETTE
    assert loaded(root, 'mapillary_citylabel', 'train')[1] == [[0, 0], [10, 255]]
    assert loaded(root, 'mapillary_citylabel', 'val') == [[[13, 11, 255]]]


def test_the_config_of_mapillary_gains_the_classes_in_order_of_appearance(prepared):
    root, _ = prepared('mapillary')
    base = root / 'mapillary-vistas-1.2'
    text = (base / 'config_cityscapes.json').read_text()
    config = json.loads(text)
    classes = config.pop('cityscapes_labels')
    assert config == json.loads((base / 'config.json').read_text()) and text.startswith('{\n    "')
    assert [entry['id'] for entry in classes] == [255, 4, 3, 0, 1, 2, 11, 12, 9, 10, 8, 5, 7, 6, 18, 15, 13, 17, 16, 14]
    assert all(entry['color'] == CLASSES.colors[entry['id']].tolist() for entry in classes[1:])
    assert classes[0] == {
        'color': [0, 0, 0],
        'id': 255,
        'instances': False,
        'readable': 'Void',
        'name': 'void',
        'evaluate': True,
    }
    assert classes[13] == {
        'color': [250, 170, 30],
        'id': 6,
        'instances': False,
        'readable': 'Traffic light',
        'name': 'traffic light',
        'evaluate': True,
    }


def test_mapillary_labels_of_version_1_inside_version_2_are_taken(prepared):
    def as_in_version_2(root):
        base = root / 'mapillary-vistas-1.2'
        (base / 'config.json').rename(base / 'config_v1.2.json')
        for split in ('training', 'validation'):
            (base / split / 'v1.2').mkdir()
            (base / split / 'labels').rename(base / split / 'v1.2/labels')

    root, _ = prepared('mapillary', change=as_in_version_2)
    assert pixels(root / 'mapillary-vistas-1.2/validation/labels_cityscapes/c.png')[1].tolist() == [[13, 11, 255]]


@pytest.mark.parametrize(
    'spoil, part',
    [
        (lambda path: path.unlink(), 'is missing'),
        (lambda path: path.write_text('{"labels": ['), 'no whole JSON file'),
        (lambda path: path.write_text('[]'), 'is not the config of Mapillary Vistas 1.2 (0 classes instead of 66)'),
        (
            lambda path: path.write_text(path.read_text().replace('animal--bird', 'animal--eagle')),
            "class 0 is 'animal--eagle' instead of 'animal--bird'",
        ),
    ],
)
def test_another_config_of_mapillary_is_refused(prepared, spoil, part):
    root, printed = prepared('mapillary', change=lambda root: spoil(root / 'mapillary-vistas-1.2/config.json'), code=2)
    assert part in printed and 'config.json' in printed and printed.count('\n') == 1


def test_ids_outside_a_table_become_void_and_are_told_also_by_the_next_run(prepared, capsys):
    root, printed = prepared(
        'mapillary',
        change=lambda root: write_png(
            root / 'mapillary-vistas-1.2/validation/labels/c.png', [[66, 13, 200]], palette=True
        ),
    )
    assert pixels(root / 'mapillary-vistas-1.2/validation/labels_cityscapes/c.png')[1].tolist() == [[255, 0, 255]]
    for text in (printed, prepare(capsys, 'mapillary', '--root', root)[1]):
        assert (
            'note: id 66 is in no table and became 255 (void) (1 file):\n  validation/labels_cityscapes/c.png' in text
        )
        assert 'id 200' in text


def test_gta5_maps_ids_leaves_out_the_black_and_white_frames_and_makes_the_splits(prepared):
    root, printed = prepared('gta5')
    base = root / 'GTA5'
    mode, label = pixels(base / 'labels_cityscapes/00001.png')
    assert mode == 'P' and label.tolist() == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
        [12, 13, 14, 15, 16, 17],
        [18, 255, 255, 255, 255, 255],
    ]
    assert sorted(path.name for path in (base / 'labels_cityscapes').iterdir()) == [
        '00001.png',
        '00002.png',
        '00003.png',
    ]
    with np.load(base / 'split.npz') as splits:
        assert {name: splits[name].tolist() for name in splits.files} == {
            'trainIds': [1],
            'valIds': [2],
            'testIds': [3],
        }
    assert 'id 34 is in no table' in printed
    assert loaded(root, 'gta5', 'val') == [np.zeros((4, 6)).tolist()]


def test_a_label_of_gta5_takes_the_size_of_its_image_which_stays_as_it_is(prepared):
    root, printed = prepared('gta5')
    assert loaded(root, 'gta5', 'test') == [[[0, 1, 2], [10, 13, 255]]]
    assert (
        'note: the label had another size than its image and was resized (1 file):\n  labels_cityscapes/00003.png'
        in printed
    )


def test_frames_of_gta5_without_image_or_label_are_refused_and_those_of_the_splits_noted(prepared):
    def change(root):
        (root / 'GTA5/images/00002.png').unlink()
        (root / 'GTA5/labels/00003.png').unlink()
        savemat(
            root / 'GTA5/split.mat', {'trainIds': np.array([1, 9]), 'valIds': np.array([2]), 'testIds': np.array([3])}
        )

    _, printed = prepared('gta5', change=change, code=1)
    assert (
        'images/00002.png: the file does not exist' in printed
        and 'labels/00003.png: the file does not exist' in printed
    )
    assert 'note: 1 of the 2 frames in trainIds are not there, the first is 00009.png' in printed


@pytest.mark.parametrize('kind', [np.float64, np.uint16])
def test_splits_of_gta5_may_be_saved_as_doubles(prepared, kind):
    splits = {
        'trainIds': np.array([[1], [15188]], kind),
        'valIds': np.array([[2]], kind),
        'testIds': np.zeros((0, 0), kind),
    }
    root, printed = prepared('gta5', change=lambda root: savemat(root / 'GTA5/split.mat', splits))
    with np.load(root / 'GTA5/split.npz') as made:
        assert {name: (made[name].dtype.kind, made[name].tolist()) for name in made.files} == {
            'trainIds': ('i', [1]),
            'valIds': ('i', [2]),
            'testIds': ('i', []),
        }
    assert 'are not there' not in printed


@pytest.mark.parametrize(
    'spoil, part',
    [
        (
            lambda path: savemat(path, {'trainIds': [1.5], 'valIds': [2], 'testIds': [3]}),
            'trainIds holds other values than frame numbers',
        ),
        (
            lambda path: savemat(path, {'trainIds': [1], 'valIds': [np.nan], 'testIds': [3]}),
            'valIds holds other values than frame numbers',
        ),
        (
            lambda path: savemat(path, {'trainIds': ['00001'], 'valIds': [2], 'testIds': [3]}),
            'is no MATLAB file with trainIds',
        ),
        (
            lambda path: savemat(path, {'trainIds': ['one'], 'valIds': [2], 'testIds': [3]}),
            'is no MATLAB file with trainIds',
        ),
        (lambda path: path.unlink(), 'sample code'),
        (lambda path: path.write_bytes(b'no matrix'), 'is no MATLAB file'),
        (lambda path: savemat(path, {'trainIds': [1]}), "KeyError: 'valIds'"),
    ],
)
def test_a_split_file_of_gta5_that_is_none_is_told_before_anything_is_written(prepared, spoil, part):
    root, printed = prepared('gta5', change=lambda root: spoil(root / 'GTA5/split.mat'), code=2)
    assert part in printed and 'split.mat' in printed
    assert not (root / 'GTA5/labels_cityscapes').exists()


def test_shift_takes_the_red_channel_of_the_chosen_views(prepared, capsys):
    root, _ = prepared('shift')
    expected = [255, 2, 4, 255, 11, 5, 0, 0, 1, 8, 13, 3, 7, 10, 255, 255, 255, 255, 6, 255, 255, 255, 9]
    assert loaded(root, 'shift', 'val') == [np.array(expected[10:22]).reshape(2, 6).tolist()]
    results = root / 'SHIFT/discrete/labels_cityscapes'
    assert pixels(results / 'train/front/0003-17fb/00000000_semseg_front.png')[1].ravel().tolist() == expected[:12]
    assert not (results / 'train/left_90').exists()
    code, printed = prepare(capsys, 'shift', '--root', root, '--views', 'front,left_90')
    assert code == 0 and '3 files: 1 written, 2 up to date' in printed
    assert pixels(results / 'train/left_90/0003-17fb/00000000_semseg_left_90.png')[1].ravel().tolist() == expected[3:15]


@pytest.mark.parametrize('views', ['front,right', '', 'right'])
def test_views_of_shift_that_are_not_there_are_refused(prepared, views):
    _, printed = prepared('shift', '--views', views, code=2)
    assert f'--views {views}:' in printed and 'only front, left_90' in printed


def test_every_id_of_shift_has_the_trainid_of_the_table(tmp_path):
    write_png(tmp_path / 'label.png', np.dstack([np.arange(24)[None]] * 3))
    table = shift_program.id_table({row['id']: row['trainid'] for row in read_table('shift')})
    _, notes = shift_program.convert([tmp_path / 'label.png'], table, None)
    assert notes == ('id 23 is in no table and became 255 (void)',)


def test_wilddash_becomes_ids_of_cityscapes_and_trainids(prepared):
    root, _ = prepared('wilddash')
    base = root / 'WildDash2'
    mode, ids = pixels(base / 'semantic_cs/aa0000_labelIds.png')
    # road, pickup -> truck, autorickshaw -> motorcycle
    assert mode == 'L' and ids.tolist() == [[7, 7, 27], [32, 27, 0]]
    mode, label = pixels(base / 'semantic_csTrain/aa0000_labelIds.png')
    assert mode == 'P' and label.tolist() == [[0, 0, 14], [17, 14, 255]]
    assert palette_of(base / 'semantic_csTrain/aa0000_labelIds.png')[:57] == CITYSCAPES_PALETTE
    assert loaded(root, 'wilddash', 'train') == [[[0, 0, 14], [17, 14, 255]], [[255] * 3] * 2]


def test_images_of_wilddash_with_things_only_or_nothing_at_all_are_converted(prepared):
    root, _ = prepared('wilddash')
    assert pixels(root / 'WildDash2/semantic_cs/aa0001_labelIds.png')[1].tolist() == [[24, 24, 24], [0, 0, 24]]
    assert loaded(root, 'wilddash', 'val') == [[[11, 11, 11], [255, 255, 11]]]
    assert pixels(root / 'WildDash2/semantic_cs/aa0002_labelIds.png')[1].tolist() == [[0] * 3] * 2


def test_every_category_of_wilddash_is_mapped_by_the_policy(prepared):
    rows = read_table('wilddash')
    numbers = [1000 * row['id'] + 7 for row in rows]

    def one_image(root):
        base = root / 'WildDash2'
        segments = [{'id': number, 'category_id': row['id']} for number, row in zip(numbers, rows)]
        write_json(
            base / 'panoptic.json',
            {
                'images': [{'id': 1, 'file_name': 'all.jpg'}],
                'annotations': [{'image_id': 1, 'file_name': 'all.png', 'segments_info': segments}],
            },
        )
        write_png(base / 'panoptic/all.png', wilddash_mask([numbers]))

    root, _ = prepared('wilddash', change=one_image)
    assert pixels(root / 'WildDash2/semantic_cs/all_labelIds.png')[1][0].tolist() == [
        row['cityscapes_id'] for row in rows
    ]
    assert pixels(root / 'WildDash2/semantic_csTrain/all_labelIds.png')[1][0].tolist() == [
        row['trainid'] for row in rows
    ]


def test_a_category_of_wilddash_that_is_in_no_table_is_noted(prepared):
    def change(root):
        path = root / 'WildDash2/panoptic.json'
        path.write_text(path.read_text().replace('"category_id": 58', '"category_id": 99'))

    root, printed = prepared('wilddash', change=change)
    assert pixels(root / 'WildDash2/semantic_csTrain/aa0000_labelIds.png')[1].tolist() == [[0, 0, 14], [255, 14, 255]]
    assert 'category 99 is in no table and became 255 (1 file)' in printed


@pytest.mark.parametrize('segment', [1 << 24, -5])
def test_a_segment_that_no_colour_stands_for_refuses_its_mask_and_no_other(prepared, segment):
    def change(root):
        path = root / 'WildDash2/panoptic.json'
        path.write_text(path.read_text().replace('"id": 300', f'"id": {segment}'))

    root, printed = prepared('wilddash', change=change, code=1)
    assert (
        f'panoptic/aa0000.png: panoptic.json gives it the segment {segment}, but colours stand for 0 to 16777215'
        in printed
    )
    assert '4 written, 2 refused' in printed and (root / 'WildDash2/semantic_cs/aa0001_labelIds.png').exists()


def test_a_segment_is_looked_up_by_its_whole_number():
    codes = np.array([[0, 255, 256, 65536, (1 << 24) - 1]])
    assert look_up_codes(codes, {255: 1, 256: 2, 65536: 3, (1 << 24) - 1: 255}, 9).tolist() == [[9, 1, 2, 3, 255]]


def test_lists_of_wilddash_are_made_once_when_they_are_missing_and_cover_every_image(prepared, capsys):
    def change(root):
        for name in ('training', 'validation'):
            (root / f'WildDash2/random_split/{name}.txt').unlink()

    root, printed = prepared('wilddash', change=change)
    assert '8 files: 8 written' in printed
    lists = [(root / f'WildDash2/random_split/{name}.txt').read_text().split() for name in ('training', 'validation')]
    assert sorted(lists[0] + lists[1]) == ['aa0000', 'aa0001', 'aa0002']
    assert 'nothing to do' in prepare(capsys, 'wilddash', '--root', root)[1]


@pytest.mark.parametrize(
    'text, part',
    [
        (None, 'is missing'),
        ('{', 'no whole JSON'),
        ('{"images": []}', "KeyError 'annotations'"),
        ('[' * 100_000, 'no whole JSON'),
        (
            (
                '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "file_name": 7,'
                ' "segments_info": []}]}'
            ),
            'TypeError',
        ),
        (
            (
                '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "file_name": "a.png", '
                '"segments_info": [{"id": Infinity, "category_id": 1}]}]}'
            ),
            'OverflowError',
        ),
    ],
)
def test_an_annotation_of_wilddash_that_is_none_is_told(prepared, text, part):
    def change(root):
        path = root / 'WildDash2/panoptic.json'
        path.unlink() if text is None else path.write_text(text)

    _, printed = prepared('wilddash', change=change, code=2)
    assert part in printed and 'panoptic.json' in printed and printed.count('\n') == 1


def test_cityscapes_gets_trainids_beside_its_ids_and_both_where_there_are_polygons_only(prepared):
    root, printed = prepared('cityscapes')
    base = root / 'Cityscapes-nvidia'
    mode, label = pixels(
        base / 'gtFine_trainvaltest/gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds_19classes.png'
    )
    assert mode == 'P' and label.tolist() == [[0, 255, 18], [13, 16, 255]]
    assert pixels(
        base / 'gtCoarse/gtCoarse/train_extra/erlangen/erlangen_000000_000000_gtCoarse_labelIds_19classes.png'
    )[1].tolist() == [[0, 1]]
    lindau = base / 'gtFine_trainvaltest/gtFine/val/lindau/lindau_000000_000019_gtFine'
    # no license plate; the group is a car
    assert pixels(f'{lindau}_labelIds.png')[1].tolist() == [[7, 7, 26], [7, 7, 26]]
    assert pixels(f'{lindau}_labelIds_19classes.png')[1].tolist() == [[0, 0, 13], [0, 0, 13]]
    assert '4 files: 4 written' in printed and 'note' not in printed
    assert loaded(root, 'cityscapes', 'val') == [[[0, 0, 13], [0, 0, 13]]]


def test_ade20k_counts_from_zero_without_the_unlabelled_pixels(prepared):
    root, _ = prepared('ade20k')
    mode, label = pixels(root / 'ADEChallengeData2016/annotations_150classes/training/ADE_train_00000001.png')
    assert mode == 'P' and label.tolist() == [[255, 0], [149, 1]]
    assert pixels(root / 'ADEChallengeData2016/annotations_150classes/validation/ADE_val_00000001.png')[1].tolist() == [
        [12],
        [255],
    ]


def test_labels_in_a_zip_are_read_in_place(prepared, capsys):
    def pack(root):
        base = root / 'GTA5'
        shutil.make_archive(base / 'labels', 'zip', base / 'labels')
        shutil.rmtree(base / 'labels')

    root, printed = prepared('gta5', change=pack)
    assert loaded(root, 'gta5', 'val') == [np.zeros((4, 6)).tolist()]
    assert 'nothing to do' in prepare(capsys, 'gta5', '--root', root)[1]


def test_a_download_that_is_an_archive_as_a_whole_has_to_be_unpacked(tmp_path, capsys):
    TREES['idd'](tmp_path)
    shutil.make_archive(tmp_path / 'IDD_Segmentation', 'zip', tmp_path / 'IDD_Segmentation')
    shutil.rmtree(tmp_path / 'IDD_Segmentation')
    before = contents(tmp_path)
    code, printed = prepare(capsys, 'idd', '--root', tmp_path)
    assert code == 2 and 'IDD_Segmentation.zip' in printed and 'unpack it' in printed
    assert contents(tmp_path) == before


@pytest.mark.parametrize('name', ['idd', 'mapillary'])
def test_so_has_one_that_was_prepared_before_it_was_packed(prepared, capsys, name):
    root, _ = prepared(name)
    base = next(root.iterdir())
    shutil.make_archive(base, 'zip', base)
    shutil.rmtree(base)
    code, printed = prepare(capsys, name, '--root', root)
    assert (
        code == 2
        and f'{base}.zip: the results are written beside the originals, so these cannot stay in an archive; unpack it'
        in printed
    )


def test_an_image_of_another_size_is_left_to_the_data_set(prepared):
    """Only GTA5 documents differing sizes; elsewhere they are a fault that loading reports."""
    root, _ = prepared(
        'mapillary', change=lambda root: image_of(root / 'mapillary-vistas-1.2/validation/images/c.jpg', 5, 5)
    )
    with pytest.raises(ValueError, match='c.png: the label is 3x1'):
        loaded(root, 'mapillary_citylabel', 'val')
