"""Categories: the groups of classes that label tables have, and those of a file of --data_yaml."""

import pytest

import config
import datasets
from datasets.base import DATASETS
from datasets.custom.categories import read_categories
from datasets.custom.mistakes import Mistake
from utils.classes import categories_of


@pytest.mark.parametrize('name', ['cityscapes', 'synthetic', 'bdd100k', 'acdc', 'wilddash', 'mapillary_citylabel'])
def test_the_classes_of_cityscapes_stand_in_its_seven_categories(name):
    classes, categories = DATASETS[name].classes, DATASETS[name].categories
    named = {category: [classes.names[k] for k in members] for category, members in categories.items()}
    assert list(named) == ['flat', 'construction', 'object', 'nature', 'sky', 'human', 'vehicle']
    assert named['construction'] == ['building', 'wall', 'fence'] and named['human'] == ['person', 'rider']
    assert named['vehicle'] == ['car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle']


def test_the_groups_of_the_indian_dataset_are_those_of_its_own_table():
    categories = DATASETS['idd'].categories
    assert categories['2-wheeler'] == (17, 18) and categories['structures'] == (5, 6, 7)
    assert categories['non-drivable'] == (1, 9) and sorted(sum(categories.values(), ())) == list(range(19))


def test_the_groups_of_mapillary_begin_the_names_of_its_classes():
    names, categories = DATASETS['mapillary'].classes.names, DATASETS['mapillary'].categories
    assert list(categories) == ['animal', 'construction', 'human', 'marking', 'nature', 'object', 'void']
    assert [names[k] for k in categories['animal']] == ['Bird', 'Ground_Animal']
    assert sum(map(len, categories.values())) == 65


def test_a_dataset_without_groups_has_no_categories():
    assert DATASETS['ade20k'].categories == {} and DATASETS['mapillary_v2'].categories == {}


def test_categories_are_collected_in_the_order_of_their_first_class():
    assert categories_of(['flat', 'sky', 'flat']) == {'flat': (0, 2), 'sky': (1,)}


YAML = 'root: .\nimages: "*.png"\nlabels: "{stem}.gif"\nsplits: {val: 0.5}\nclasses: [road, car, bus]\n'


def test_a_file_of_the_users_may_group_its_classes(tmp_path):
    (tmp_path / 'own.yaml').write_text(f'{YAML}categories: {{vehicle: [bus, car]}}\n')
    with config.scope(DATASET__DATA_YAML=str(tmp_path / 'own.yaml')):
        from datasets.custom.custom import DataFile

        assert DataFile().categories == {'vehicle': (2, 1)}


@pytest.mark.parametrize(
    'given, words',
    [
        ([], 'categories: is a list, expected such as vehicle'),
        ({}, 'categories: is a mapping'),
        ({'vehicle': 'car'}, "categories, vehicle: is 'car', expected a list of classes"),
        ({'vehicle': ['cra']}, "categories, vehicle: there is no class 'cra'; did you mean car"),
        ({'a': ['car'], 'b': ['car']}, "categories: class 'car' is in a and b; give it to one"),
        ({'a': ['car', 'car']}, "categories: class 'car' is in a, twice"),
    ],
)
def test_a_mistake_in_categories_is_told_by_its_key(given, words):
    with pytest.raises(Mistake) as error:
        read_categories(given, ('road', 'car', 'bus'))
    assert words in str(error.value)


def test_a_mistake_in_the_file_names_the_file(tmp_path):
    (tmp_path / 'own.yaml').write_text(f'{YAML}categories: {{vehicle: [lorry]}}\n')
    with (
        config.scope(DATASET__DATA_YAML=str(tmp_path / 'own.yaml')),
        pytest.raises(ValueError, match=r"own.yaml: categories, vehicle: there is no class 'lorry'"),
    ):
        datasets.get_classes('custom')
