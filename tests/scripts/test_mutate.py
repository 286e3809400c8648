"""The mutation tester, on a checkout of one file and its test."""

import subprocess

import pytest

from scripts import mutate

SOURCE = '''"""A module."""


def clipped(value: int = 7) -> int:
    """At least 2."""
    if value < 2 and not value == 1:
        raise ValueError(f'value {value} is too small')
    return value + 1


def other():
    return 0.5
'''
TEST = """import pytest
from module import clipped


def test_it():
    assert [clipped(value) for value in (1, 2, 3)] == [2, 3, 4] and clipped() == 8
    with pytest.raises(ValueError, match='value 0 is too small'):
        clipped(0)
"""


def changes(function=None):
    return [(mutant.line, mutant.change) for mutant in mutate.mutants(SOURCE, function)]


def test_every_place_is_changed_in_every_way_but_not_docstrings_and_annotations():
    assert [change for _, change in changes('other')] == ['0.5 -> 1.0']
    assert changes('clipped') == [
        (4, '7 -> 6'),
        (4, '7 -> 8'),
        (6, '1 -> 0'),
        (6, '1 -> 2'),
        (6, '2 -> 1'),
        (6, '2 -> 3'),
        (6, 'not value == 1 -> not not value == 1'),
        (6, 'value < 2 -> value <= 2'),
        (6, 'value < 2 and (not value == 1) -> value < 2 or not value == 1'),
        (6, 'value == 1 -> value != 1'),
        (7, "' is too small' -> ''"),
        (8, '1 -> 0'),
        (8, '1 -> 2'),
        (8, 'value + 1 -> value - 1'),
    ]
    assert changes() == [*changes('clipped'), *changes('other')]


def test_a_mutant_differs_in_that_place_alone():
    (mutant,) = mutate.mutants(SOURCE, 'other')
    assert mutant.text.replace('1.0', '0.5') == mutate.ast.unparse(mutate.ast.parse(SOURCE))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / 'module.py').write_text(SOURCE)
    (tmp_path / 'test_it.py').write_text(TEST)
    (tmp_path / 'conftest.py').write_text('')
    subprocess.run(['git', 'init', '-q', tmp_path], check=True)
    monkeypatch.setattr(mutate, 'ROOT', tmp_path.resolve())
    return tmp_path


def test_what_the_tests_do_not_notice_is_listed_and_the_checkout_stays(checkout, capsys):
    assert mutate.main(['module.py:other', 'module.py:clipped', '--tests', 'test_it.py', '--count', '3']) == 0
    assert capsys.readouterr().out.splitlines() == [
        '| file | mutants | killed | survived |',
        '|---|---:|---:|---:|',
        '| `module.py:other` | 1 of 1 | 0 | 1 |',
        '| `module.py:clipped` | 3 of 14 | 3 | 0 |',
        '',
        '1 survivor:',
        '* module.py:12: `0.5 -> 1.0`',
    ]
    assert (checkout / 'module.py').read_text() == SOURCE


def test_the_draw_is_that_of_the_seed():
    def drawn(seed):
        return [mutant.change for mutant in mutate.draw(mutate.mutants(SOURCE), 5, seed)]

    assert drawn(1) == drawn(1) != drawn(2) and len(set(drawn(1))) == 5
    assert sorted(drawn(1)) != drawn(1), 'in the order of the draw: a run that is cut short has seen all of the file'


def test_no_mutant_is_started_after_the_given_time(checkout, capsys):
    assert mutate.main(['module.py', '--tests', 'test_it.py', '--minutes', '0']) == 0
    assert '| `module.py` | 0 of 15 | 0 | 0 |' in capsys.readouterr().out


@pytest.mark.parametrize(
    'flags, words',
    [
        (['module.py:none', '--tests', 'test_it.py'], ['none: there is no such function', 'FILE:NAME']),
        (['none.py', '--tests', 'test_it.py'], ['none.py']),
        (['module.py', '--tests', 'test_none.py'], ['--tests test_none.py: pytest ends with 4', 'mend that first']),
    ],
)
def test_a_mistake_is_one_line(checkout, capsys, flags, words):
    assert mutate.main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith('mutate.py: error: ') and all(word in error for word in words)
