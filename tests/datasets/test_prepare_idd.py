"""Polygons of IDD as label maps: order, deleted and unknown objects, every encoding of the ids."""

import pytest
from prepare_trees import TREES, pixels, prepare, square, write_json

from config import scope
from datasets.collection.tables import read_table
from datasets.prepare.convert import draw_polygons
from datasets.registry import get_dataset

FRAME = 'gtFine/train/0/024541_gtFine'
# Road everywhere, then the fallback at the top left, the group of persons at the bottom right, sky in the middle of the
# first row; the deleted car, the unknown spaceship and the sky of two points are not drawn.
DRAWN = [
    ['vehicle fallback', 'vehicle fallback', 'sky', 'sky', 'road', 'road'],
    ['vehicle fallback'] * 2 + ['road'] * 4,
    ['road'] * 4 + ['person'] * 2,
    ['road'] * 4 + ['person'] * 2,
]


@pytest.fixture
def base(tmp_path):
    TREES['idd'](tmp_path)
    return tmp_path / 'IDD_Segmentation'


@pytest.mark.parametrize('id_type', ['csTrainId', 'csId', 'id', 'level1Id', 'level2Id', 'level3Id', 'level4Id'])
def test_polygons_are_drawn_in_their_order_with_the_ids_of_the_table(base, capsys, id_type):
    code, printed = prepare(capsys, 'idd', '--root', base.parent, '--id_type', id_type)
    ids = {row['name']: row[id_type] for row in read_table('idd')}
    assert code == 0 and '2 written' in printed
    assert pixels(base / f'{FRAME}_label{id_type}s.png')[0] == 'L'
    assert pixels(base / f'{FRAME}_label{id_type}s.png')[1].tolist() == [[ids[name] for name in row] for row in DRAWN]


def test_the_data_set_reads_what_is_drawn_without_flags(base, capsys):
    _, printed = prepare(capsys, 'idd', '--root', base.parent)
    with scope(DATASET__ROOT=str(base.parent)):
        dataset = get_dataset('idd', 'val')
    assert [dataset.load(item)[1].tolist() for item in dataset.items] == [
        [[255, 255, 10, 10, 0, 0], [255, 255, 0, 0, 0, 0], [0, 0, 0, 0, 11, 11], [0, 0, 0, 0, 11, 11]]
    ]
    assert "note: polygons with the unknown label 'spaceship' were left out (2 files)" in printed


def test_encodings_stand_beside_each_other(base, capsys):
    prepare(capsys, 'idd', '--root', base.parent)
    code, printed = prepare(capsys, 'idd', '--root', base.parent, '--id_type', 'level3Id')
    assert code == 0 and '2 written' in printed
    assert 'nothing to do' in prepare(capsys, 'idd', '--root', base.parent)[1]


def test_what_no_polygon_covers_is_unlabeled(tmp_path):
    write_json(tmp_path / 'a_polygons.json', {'imgHeight': 2, 'imgWidth': 2, 'objects': [square('road', 1, 0, 1, 1)]})
    assert draw_polygons(tmp_path / 'a_polygons.json', {'road': 0, 'unlabeled': 35}, 35)[0].tolist() == [
        [35, 0],
        [35, 0],
    ]


def test_ids_below_zero_are_not_drawn(tmp_path):
    write_json(tmp_path / 'a_polygons.json', {'imgHeight': 1, 'imgWidth': 2, 'objects': [square('plate', 0, 0, 1, 0)]})
    assert draw_polygons(tmp_path / 'a_polygons.json', {'plate': -1}, 7)[0].tolist() == [[7, 7]]


@pytest.mark.parametrize(
    'content',
    [
        {},
        [],
        {'imgHeight': 2, 'imgWidth': 2, 'objects': [{'polygon': [[0, 0], [1, 1], [0, 1]]}]},
        {'imgHeight': 2, 'imgWidth': 2, 'objects': [{'label': 'road', 'polygon': [[0], [1], [2]]}]},
        {'imgHeight': 2, 'imgWidth': 2, 'objects': [{'label': 'road', 'polygon': 'here'}]},
        {'imgHeight': 'tall', 'imgWidth': 2, 'objects': []},
        {'imgHeight': 1 << 15, 'imgWidth': 1 << 14, 'objects': []},
        {'imgHeight': 0, 'imgWidth': 2, 'objects': []},
    ],
)
def test_an_annotation_that_is_none_is_refused_by_name_and_the_others_are_drawn(base, capsys, content):
    write_json(base / f'{FRAME}_polygons.json', content)
    code, printed = prepare(capsys, 'idd', '--root', base.parent)
    assert code == 1 and '1 written, 1 refused' in printed
    assert f'{base / FRAME}_polygons.json: is no annotation of polygons' in printed


def test_an_unknown_encoding_is_a_mistake(base, capsys):
    code, printed = prepare(capsys, 'idd', '--root', base.parent, '--id_type', 'csTrainIds')
    assert code == 2 and "argument --id_type: invalid choice: 'csTrainIds'" in printed and printed.count('\n') == 1
