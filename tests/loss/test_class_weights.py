import json

import pytest

from loss import read_class_weights

NAMES = ['road', 'car', 'sky']


@pytest.fixture
def verified(tmp_path):
    def write(names=NAMES):
        classes = [
            {'name': name, 'weight_inverse': 0.25 * place or None, 'weight_balanced': 2.0, 'weight_median': 1.0}
            for place, name in enumerate(names)
        ]
        path = tmp_path / 'verify.json'
        path.write_text(json.dumps({'splits': {'train': {'classes': classes}}}))
        return path

    return write


def test_without_the_flag_there_are_none():
    assert read_class_weights(None, NAMES) is None


def test_numbers_are_one_per_class():
    assert read_class_weights('1,0,2.5', NAMES).tolist() == [1, 0, 2.5]


def test_a_verification_gives_those_of_its_training_split_and_an_absent_class_gets_0(verified):
    assert read_class_weights(f'{verified()}:inverse', NAMES).tolist() == [0, 0.25, 0.5]
    assert read_class_weights(f'{verified()}:balanced', NAMES).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    'text, expected',
    [
        ('1,2', 'has 2 weights .* expected 3'),
        ('1,2,-1', 'none negative'),
        ('0,0,0', 'not all 0'),
        ('1,nan,1', 'finite'),
        ('1,a,2', 'expected numbers such as'),
        ('verify.json:balance', 'KIND is inverse, balanced or median'),
        ('none.json:balanced', 'no such file; write it with python -m datasets.verify'),
    ],
)
def test_mistakes_name_the_flag_and_the_remedy(text, expected):
    with pytest.raises((ValueError, FileNotFoundError), match=f'--class_weights .*{expected}'):
        read_class_weights(text, NAMES)


def test_a_file_of_other_classes_or_of_something_else_is_refused(verified, tmp_path):
    with pytest.raises(ValueError, match="data set: class 0 is 'sky', not 'road', class 2 is 'road', not 'sky'; write"):
        read_class_weights(f'{verified(NAMES[::-1])}:median', NAMES)
    with pytest.raises(ValueError, match="class 2 is None, not 'sky'; write it with .* --dataset NAME"):
        read_class_weights(f'{verified(NAMES[:2])}:median', NAMES)
    for content in (
        '{}',
        'no json',
        '[1]',
        '{"splits": 3}',
        '{"splits": {"val": {}}}',
        '{"splits": {"train": {"classes": [{"name": "road"}]}}}',
        '{"splits": {"train": {"classes": [{"name": "road", "weight_median": [1]}]}}}',
    ):
        (tmp_path / 'other.json').write_text(content)
        with pytest.raises(ValueError, match='holds no class weights of split train'):
            read_class_weights(f'{tmp_path}/other.json:median', NAMES)


def test_coarse_labels_for_training_give_theirs_where_there_are_no_others(verified):
    path = verified()
    path.write_text(path.read_text().replace('"train"', '"train coarse"'))
    assert read_class_weights(f'{path}:median', NAMES).tolist() == [1, 1, 1]


def test_a_class_that_is_called_a_number_is_compared_as_text(verified):
    assert read_class_weights(f'{verified([1, 2, 3])}:median', ['1', '2', '3']).tolist() == [1, 1, 1]
