"""The label tables, entry by entry, against a transcription of the published ones (tests/datasets/tables) or its
checksum.

Checked in full: names, order, colours and ids of every class. Not checked, since only the download has it: that the
files of a release hold these ids. Mapillary Vistas names its classes in a config.json that is read where it is there.
"""

import csv
import hashlib
from pathlib import Path

import pytest

from datasets import get_classes
from datasets.collection.cityscapes_labels import CLASSES, LABELS
from datasets.collection.tables import read_table


def published(name):
    """The rows of a transcription as dicts of str; r, g, b joined to 'color', a tuple."""
    with open(Path(__file__).parent / 'tables' / f'{name}.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    return [{**row, 'color': tuple(int(row[channel]) for channel in 'rgb')} for row in rows]


def colours(kind):
    return [tuple(color) for color in kind.colors.tolist()]


def test_cityscapes_has_the_published_ids_categories_and_colours():
    # license plate, which no 8-bit file can hold
    rows = [row for row in published('cityscapes') if row['id'] != '-1']
    assert [
        (label.name, label.id, label.trainid, label.category, label.has_instances, label.color) for label in LABELS
    ] == [
        (row['name'], int(row['id']), int(row['trainid']), row['category'], row['instances'] == 'yes', row['color'])
        for row in rows
    ]
    assert len(rows) == 34


@pytest.mark.parametrize('name', ['cityscapes', 'synthetic', 'kitti'])
def test_datasets_of_cityscapes_ids_map_each_as_published(name):
    kind = get_classes(name)
    expected = {int(row['id']): int(row['trainid']) for row in published('cityscapes') if row['id'] != '-1'}
    assert kind.id_map == expected and (kind.trainid_to_id == CLASSES.trainid_to_id).all()
    assert [kind.id_to_trainid[raw] for raw in range(256)] == [expected.get(raw, 255) for raw in range(256)]


@pytest.mark.parametrize(
    'name',
    [
        'mapillary_citylabel',
        'bdd100k',
        'idd',
        'gta5',
        'shift',
        'wilddash',
        'bravo',
        'SMIYC_anomaly',
        'SMIYC_obstacle',
        'acdc',
    ],
)
def test_datasets_of_trainids_have_the_classes_of_cityscapes(name):
    kind = get_classes(name)
    rows = sorted(
        (int(row['trainid']), row['name'], row['color'])
        for row in published('cityscapes')
        if row['trainid'] not in ('255', '-1')
    )
    assert kind.id_map == {**{trainid: trainid for trainid in range(19)}, 255: 255}
    assert (len(kind), kind.ignore_label) == (19, 255)
    assert list(zip(range(19), list(kind.names), colours(kind))) == rows


def test_mapillary_has_the_65_published_classes_and_ignores_the_last_entry():
    kind, rows = get_classes('mapillary'), published('mapillary')
    assert [row['id'] for row in rows] == [str(place) for place in range(66)] and rows[65]['readable'] == 'Unlabeled'
    assert list(kind.names) == [row['readable'].replace(' ', '_') for row in rows[:65]]
    assert colours(kind) == [row['color'] for row in rows[:65]]
    assert (len(kind), kind.ignore_label) == (65, 65) and kind.id_map == {entry: entry for entry in range(66)}


def test_mapillary_2_0_has_124_entries_named_and_coloured_as_those_of_1_2():
    kind = get_classes('mapillary_v2')
    assert (len(kind), kind.ignore_label) == (124, 255) and kind.id_map == {
        **{entry: entry for entry in range(123)},
        123: 255,
    }
    assert [
        list(kind.names).index(name)
        for name in ('Bird', 'Curb', 'Road', 'Sidewalk', 'Person', 'Sky', 'Car', 'Unlabeled')
    ] == [0, 4, 21, 24, 30, 61, 108, 123]
    before = {row['readable'].replace(' ', '_'): row['color'] for row in published('mapillary')}
    both = {name: color for name, color in zip(list(kind.names), colours(kind)) if name in before}
    changed = {name for name, color in both.items() if color != before[name]}
    assert changed == {'Lane_Marking_-_Crosswalk'} and len(both) == 63


@pytest.mark.parametrize('name, column', [('pascal_context', 'id59'), ('pascal_context_60', 'id60')])
def test_pascal_context_has_the_published_classes(name, column):
    kind = get_classes(name)
    rows = [row for row in published('pascal_context') if row[column] != '255']
    assert [int(row[column]) for row in rows] == list(range(len(kind)))
    assert list(kind.names) == [row['name'] for row in rows] and colours(kind) == [row['color'] for row in rows]
    assert kind.id_map == {**{trainid: trainid for trainid in range(len(kind))}, 255: 255}


def test_ade20k_shifts_its_150_classes_by_one():
    kind = get_classes('ade20k')
    assert kind.id_map == {0: 255, **{raw: raw - 1 for raw in range(1, 151)}}
    assert [kind.id_to_trainid[raw] for raw in (0, 1, 150, 151, 255)] == [255, 0, 149, 255, 255]
    assert [kind.trainid_to_id[trainid] for trainid in (0, 149, 255)] == [1, 150, 0]
    assert [list(kind.names)[trainid] for trainid in (0, 6, 12, 20, 149)] == ['wall', 'road', 'person', 'car', 'flag']
    assert colours(kind)[12] == (150, 5, 61) and colours(kind)[149] == (92, 0, 255)
    assert colours(kind)[:60] == [row['color'] for row in published('pascal_context')], (
        'PASCAL Context took its colours from here'
    )


def test_camvid_has_its_32_colours_and_ignores_void():
    kind, eleven = get_classes('camvid32'), get_classes('camvid')
    assert list(kind.names) == sorted(kind.names, key=str.lower) and len(set(colours(kind))) == 32
    assert kind.id_map == {**{trainid: trainid for trainid in range(32)}, 30: 255, 255: 255} and colours(kind)[30] == (
        0,
        0,
        0,
    )
    shared = {name: color for name, color in zip(list(eleven.names), colours(eleven)) if name in list(kind.names)}
    assert len(shared) == 9 and all(
        colours(kind)[list(kind.names).index(name)] == color for name, color in shared.items()
    )


# SHA-256 of lines 'name r g b', made from the lists themselves: label_colors.txt of CamVid, and for the others those
# that MMSegmentation publishes (mmseg/datasets/ade.py; tools/dataset_converters' page of Mapillary Vistas v2.0), names
# stripped of blanks.
CHECKSUMS = {
    'ade20k': '927e0af8d238f7aff23811a06d4333237ea8e90101dd30fc036c2a034662120a',
    'camvid32': '0e5693c9c1200bf90b00028dfdab7129771cf487ca9aad1a883f03d50601e1f0',
    'mapillary_v2': 'e1ffa00ad2df52e20bb7215fc19b3a6966b55fb52fdd4db2efde6239733514c0',
}


@pytest.mark.parametrize('name', CHECKSUMS)
def test_every_name_and_colour_is_that_of_the_published_list(name):
    rows = [(row.get('readable') or row['name'], *row['color']) for row in read_table(name)]
    assert (
        hashlib.sha256(''.join(f'{" ".join(map(str, row))}\n' for row in rows).encode()).hexdigest() == CHECKSUMS[name]
    )
    kind = get_classes(name)
    assert [(names, *color) for names, color in zip(list(kind.names), colours(kind))] == [
        (row[0].replace(' ', '_') if name == 'mapillary_v2' else row[0], *row[1:]) for row in rows
    ]


@pytest.mark.parametrize(
    'name, columns',
    [
        (
            'mapillary',
            {'id': 'id', 'name': 'name', 'readable': 'readable', 'instances': 'instances', 'trainid': 'trainid'},
        ),
        ('pascal_context', {'id60': 'id', 'id59': 'id59', 'original': 'original_id', 'name': 'name'}),
        ('shift', {'id': 'id', 'name': 'name', 'cityscapes_id': 'cityscapes_id', 'trainid': 'trainid'}),
        (
            'wilddash',
            dict.fromkeys(
                (
                    'id',
                    'name',
                    'thing',
                    'supercategory',
                    'cityscapes_id',
                    'cityscapes_thing',
                    'trainid',
                    'mapillary_id',
                    'idd_id',
                    'wd2eval_id',
                )
            ),
        ),
        (
            'idd',
            dict.fromkeys(
                (
                    'name',
                    'id',
                    'csId',
                    'csTrainId',
                    'level4Id',
                    'level3Id',
                    'level2_name',
                    'level2Id',
                    'level1Id',
                    'instances',
                    'ignored',
                )
            ),
        ),
    ],
)
def test_the_tables_of_the_preparation_are_the_published_ones(name, columns):
    rows, table = published(name), read_table(name)
    assert [row['color'] for row in table] == [row['color'] for row in rows]
    for column, ours in columns.items():
        expected = [{'yes': 'True', 'no': 'False'}.get(row[column], row[column]) for row in rows]
        if column == 'csId':
            expected[18] = '255'  # vehicle fallback; the published 355 is a slip, no 8-bit file can hold it
        assert [str(row[ours or column]) for row in table] == expected, column
