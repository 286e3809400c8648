"""The pages about earlier programs: nothing is left out, no row is empty, and what they name is there."""

import re
from pathlib import Path

import pytest

import network
import predict
from scripts import earlier_flags
from utils.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
# Flags of other programs that the pages name, and where they are declared; torchrun is not of this project.
ELSEWHERE = {'root': 'datasets/prepare/__main__.py', 'augmented': 'datasets/browse/__main__.py'}
OF_TORCHRUN = {'standalone', 'nproc'}


def rows(name):
    """The rows of all tables of a page, as lists of cells."""
    lines = (earlier_flags.DOCS / name).read_text().splitlines()
    cells = [[cell.strip() for cell in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines if line.startswith('| ')]
    return [row for row in cells if row[-1] != 'here']


@pytest.mark.parametrize('name', earlier_flags.PAGES)
def test_a_page_is_what_the_script_writes_and_no_cell_of_it_is_empty(name):
    path, (names, dashes) = earlier_flags.DOCS / name, earlier_flags.PAGES[name]
    assert path.read_text() == earlier_flags.page(path, names, dashes)
    assert all(all(row) for row in rows(name)) and len(rows(name)) > 96
    assert [row[0] for row in rows(name)[-len(names) :]] == [f'`{dashes}{flag}`' for flag in names]


def test_every_capability_of_the_framework_has_its_row():
    assert [row[0] for row in rows('from_framework.md') if len(row) == 3] == [f'F{number}' for number in range(1, 65)]


@pytest.mark.parametrize('name', earlier_flags.PAGES)
def test_every_flag_and_network_that_a_page_names_is_there(name):
    here = '\n'.join(row[-1] for row in rows(name))
    known = {*SETTINGS, *OF_TORCHRUN, *ELSEWHERE, *(flag.lstrip('-') for flag in predict.build_parser().spellings())}
    named = set(re.findall(r'--(\w+)', here))
    assert len(named) > 40 and named - known - {'help'} == set()
    archs = re.findall(r'--arch (hrnet\w*|[A-Z]\w+)', here)
    assert all(arch in network.ARCHS for arch in archs)
    assert name != 'from_framework.md' or len(archs) > 6


@pytest.mark.parametrize('flag, file', ELSEWHERE.items())
def test_a_flag_of_another_program_is_declared_there(flag, file):
    assert f"'--{flag}'" in (ROOT / file).read_text()


def test_a_flag_says_what_it_is_here_and_what_it_did_there():
    parser = earlier_flags.build_parser()
    assert earlier_flags.meaning('momentum', parser) == '`--momentum`: of SGD'
    assert earlier_flags.meaning('trunk', parser).endswith('; did nothing there')
    assert earlier_flags.meaning('apex', parser) == 'no flag: it is --distributed, which torchrun implies'
    with pytest.raises(ValueError, match='^nothing_like_it: nothing says'):
        earlier_flags.meaning('nothing_like_it', parser)


def test_only_flags_that_are_still_there_have_changed():
    assert set(earlier_flags.CHANGED) <= {*earlier_flags.HMSA} & {*SETTINGS}


def test_a_page_without_the_mark_is_refused(tmp_path):
    (tmp_path / 'a.md').write_text('nothing')
    with pytest.raises(ValueError, match='a.md: expected the line'):
        earlier_flags.page(tmp_path / 'a.md', ['lr'], '--')
