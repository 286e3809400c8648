"""The label tables: rows picked by hand, and what has to hold for every row."""

import pytest

from datasets.collection.cityscapes_labels import CLASSES, LABELS
from datasets.collection.mapillary import Mapillary
from datasets.collection.pascal_context import PascalContext60
from datasets.collection.tables import read_table
from datasets.prepare.pascal_context import original_table


@pytest.mark.parametrize(
    'name, count', [('mapillary', 66), ('wilddash', 81), ('idd', 40), ('shift', 23), ('pascal_context', 60)]
)
def test_ids_count_from_zero_without_gaps_and_names_are_unique(name, count):
    rows = read_table(name)
    assert [row['id'] for row in rows] == list(range(count))
    assert len({row['name'] for row in rows}) == count
    assert all(len(row['color']) == 3 and min(row['color']) >= 0 and max(row['color']) <= 255 for row in rows)


@pytest.mark.parametrize(
    'name, id, expected',
    [
        (
            'mapillary',
            7,
            {
                'name': 'construction--flat--bike-lane',
                'readable': 'Bike Lane',
                'instances': False,
                'color': (128, 64, 255),
                'trainid': 0,
            },
        ),
        (
            'mapillary',
            28,
            {'name': 'nature--snow', 'readable': 'Snow', 'instances': False, 'color': (190, 255, 255), 'trainid': 9},
        ),
        (
            'mapillary',
            49,
            {
                'name': 'object--traffic-sign--back',
                'readable': 'Traffic Sign (Back)',
                'instances': True,
                'color': (192, 192, 192),
                'trainid': 255,
            },
        ),
        (
            'mapillary',
            58,
            {
                'name': 'object--vehicle--on-rails',
                'readable': 'On Rails',
                'instances': False,
                'color': (0, 80, 100),
                'trainid': 16,
            },
        ),
        (
            'wilddash',
            34,
            {
                'name': 'pickup',
                'thing': True,
                'supercategory': 'vehicle',
                'color': (40, 0, 100),
                'cityscapes_id': 27,
                'cityscapes_thing': True,
                'trainid': 14,
                'mapillary_id': 61,
                'idd_id': 13,
                'wd2eval_id': 34,
            },
        ),
        (
            'wilddash',
            58,
            {
                'name': 'autorickshaw',
                'thing': True,
                'supercategory': 'vehicle',
                'color': (0, 0, 137),
                'cityscapes_id': 32,
                'cityscapes_thing': True,
                'trainid': 17,
                'mapillary_id': 59,
                'idd_id': 11,
                'wd2eval_id': 32,
            },
        ),
        (
            'wilddash',
            80,
            {
                'name': 'curbcut',
                'thing': False,
                'supercategory': 'flat',
                'color': (170, 170, 170),
                'cityscapes_id': 8,
                'cityscapes_thing': False,
                'trainid': 1,
                'mapillary_id': 9,
                'idd_id': 19,
                'wd2eval_id': 8,
            },
        ),
        (
            'idd',
            5,
            {
                'name': 'non-drivable fallback',
                'csId': 255,
                'csTrainId': 9,
                'level4Id': 4,
                'level3Id': 3,
                'level2_name': 'non-drivable',
                'level2Id': 3,
                'level1Id': 1,
                'instances': False,
                'ignored': False,
                'color': (152, 251, 152),
            },
        ),
        (
            'idd',
            17,
            {
                'name': 'train',
                'csId': 31,
                'csTrainId': 16,
                'level4Id': 15,
                'level3Id': 12,
                'level2_name': 'large-vehicle',
                'level2Id': 8,
                'level1Id': 3,
                'instances': True,
                'ignored': True,
                'color': (0, 80, 100),
            },
        ),
        ('shift', 6, {'name': 'road line', 'color': (157, 234, 50), 'cityscapes_id': 7, 'trainid': 0}),
        ('shift', 21, {'name': 'water', 'color': (45, 60, 150), 'cityscapes_id': 0, 'trainid': 255}),
        ('pascal_context', 10, {'id59': 9, 'original_id': 34, 'name': 'bottle', 'color': (224, 5, 255)}),
        ('pascal_context', 59, {'id59': 58, 'original_id': 458, 'name': 'wood', 'color': (31, 0, 255)}),
    ],
)
def test_rows_picked_by_hand(name, id, expected):
    assert read_table(name)[id] == {'id': id, **expected}


def test_the_vehicle_fallback_of_idd_fits_into_eight_bits():
    assert read_table('idd')[18]['csId'] == 255  # 355 in the authors' table
    assert all(0 <= row[column] <= 255 for row in read_table('idd') for column in row if column.endswith('Id'))


@pytest.mark.parametrize('name', ['wilddash', 'shift'])
def test_trainids_follow_from_the_ids_of_cityscapes(name):
    assert all(row['trainid'] == CLASSES.id_map[row['cityscapes_id']] for row in read_table(name))


def test_trainids_of_idd_follow_from_its_ids_of_cityscapes_but_for_terrain():
    differing = [row['name'] for row in read_table('idd') if row['csTrainId'] != CLASSES.id_map.get(row['csId'], 255)]
    assert differing == ['non-drivable fallback']


def test_the_first_34_classes_of_wilddash_are_those_of_cityscapes():
    rows = read_table('wilddash')
    assert all(
        rows[label.id]['cityscapes_id'] == label.id and rows[label.id]['trainid'] == label.trainid for label in LABELS
    )
    assert all(row['cityscapes_thing'] == (row['cityscapes_id'] >= 24) for row in rows)


def test_targets_of_wilddash_are_classes_of_the_other_tables():
    for row in read_table('wilddash'):
        assert 0 <= row['mapillary_id'] < 66 and 0 <= row['idd_id'] < 40 and 0 <= row['wd2eval_id'] < 81


def test_every_class_of_cityscapes_is_reached_from_mapillary():
    assert {row['trainid'] for row in read_table('mapillary')} == {*range(19), 255}


def test_mapillary_has_one_colour_for_each_class_and_those_of_the_data_set():
    rows = read_table('mapillary')
    assert len({row['color'] for row in rows}) == 66
    assert [row['color'] for row in rows[:65]] == [tuple(color) for color in Mapillary.classes.colors.tolist()]
    assert [row['readable'].replace(' ', '_') for row in rows[:65]] == list(Mapillary.classes.names)


def test_colours_of_idd_are_those_of_cityscapes_where_the_class_is_the_same():
    for row in read_table('idd'):
        if row['csTrainId'] != 255:
            assert row['color'] == tuple(CLASSES.colors[row['csTrainId']].tolist()), row['name']


def test_pascal_context_agrees_with_its_data_set_and_both_encodings_with_each_other():
    rows = read_table('pascal_context')
    assert [row['name'] for row in rows] == list(PascalContext60.classes.names)
    assert [row['color'] for row in rows] == [tuple(color) for color in PascalContext60.classes.colors.tolist()]
    assert all(row['id59'] == (row['id'] - 1) % 256 for row in rows)
    assert sorted({row['original_id'] for row in rows}) == [row['original_id'] for row in rows]
    assert original_table('id')[284] == 37 and original_table('id59')[284] == 36  # person
    assert original_table('id')[1] == 0 and original_table('id59')[1] == 255  # accordion, none of the 59
    assert len(original_table('id')) == 460
