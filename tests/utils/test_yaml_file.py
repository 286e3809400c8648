"""YAML files that people write: what a wrong name may have meant. Wrong content: tests/utils/test_flags.py and
test_limits.py."""

from pathlib import Path

import pytest

from utils.cli.yaml_file import NAMED, read_yaml


@pytest.fixture
def told(tmp_path, monkeypatch):
    """told(name) -> the message about a file that is not there, in a working directory with some that are."""
    monkeypatch.chdir(tmp_path)
    for name in ('photos/prepared_labelme/photos.yaml', 'streets.yml', 'a/b/c/deep.yaml', '.hidden.yaml', 'notes.txt'):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text('root: .\n')

    def call(name):
        with pytest.raises(FileNotFoundError) as error:
            read_yaml(name, '--data_yaml', 'the keys')
        return str(error.value)

    return call


@pytest.mark.parametrize(
    'name, there',
    [
        ('photo.yaml', 'photos/prepared_labelme/photos.yaml, streets.yml'),
        ('street.yaml', 'streets.yml, photos/prepared_labelme/photos.yaml'),
        ('phtos/prepared/photos.yaml', 'photos/prepared_labelme/photos.yaml, streets.yml'),
        ('photos', 'photos/prepared_labelme/photos.yaml'),
    ],
)
def test_a_file_that_is_not_there_is_answered_with_those_that_are_the_nearest_name_first(told, name, there):
    verb = 'are' if ',' in there else 'is'
    why = 'Is a directory' if name == 'photos' else 'No such file or directory'
    assert (
        told(name) == f'--data_yaml {name}: cannot be read ({why}), there {verb} {there}; give a YAML file of the keys'
    )


def test_of_many_files_a_few_are_named_and_of_none_nothing_is_said(told, tmp_path, monkeypatch):
    for number in range(8):
        Path(f'{number}.yaml').touch()
    assert told('x.yaml').count('.y') == 1 + NAMED and 'and 5 more' in told('x.yaml')
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path / 'empty')
    assert 'there ' not in told('x.yaml')
