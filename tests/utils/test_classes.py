"""Classes: names, colours and ids of a label set, there and back."""

import json

import numpy as np
import pytest

from utils.classes import Classes

ROAD_CAR = Classes(
    ('road', 'car'), [[128, 64, 128], [0, 0, 142]], ids=(7, 26), void_id=0, id_map={7: 0, 26: 1, 0: 255, 4: 255}
)


def test_trainids_become_the_ids_of_label_files_and_all_else_void():
    assert ROAD_CAR.trainid_to_id[[0, 1, 2, 255]].tolist() == [7, 26, 0, 0]


def test_raw_ids_become_trainids_and_unknown_ones_the_ignore_label():
    assert ROAD_CAR.id_to_trainid[[7, 26, 4, 99]].tolist() == [0, 1, 255, 255]


def test_pixels_of_no_class_are_painted_black():
    assert ROAD_CAR.paint(np.array([[0, 1, 255]])).tolist() == [[[128, 64, 128], [0, 0, 142], [0, 0, 0]]]


def test_a_description_in_json_gives_the_same_classes_back():
    again = Classes.from_dict(json.loads(json.dumps(ROAD_CAR.as_dict())), 'a.json')
    assert again == ROAD_CAR and again != Classes.numbered(2)


def test_without_ids_label_files_hold_trainids():
    classes = Classes.numbered(3)
    assert classes.names == ('class 0', 'class 1', 'class 2') and classes.ids == (0, 1, 2)
    assert len({tuple(color) for color in classes.colors.tolist()}) == 3
    assert classes.id_to_trainid[[2, 255, 3]].tolist() == [2, 255, 255]


@pytest.mark.parametrize('change, words', [
    ({'colors': [[0, 0, 300], [0, 0, 0]]}, 'outside 0 to 255'), ({'names': ['road']}, '1 names, 2 colours'),
    ({'names': [1, 2]}, 'no text'), ({'ids': None}, 'TypeError'),
    ({'id_map': [[7]]}, 'ValueError'), ({'id_map': [[7, 999]]}, 'an id'),
])  # fmt: skip
def test_a_damaged_description_names_the_file_and_the_fault(change, words):
    with pytest.raises(ValueError, match='a.json: ') as told:
        Classes.from_dict({**ROAD_CAR.as_dict(), **change}, 'a.json')
    assert words in str(told.value)
