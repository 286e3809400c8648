"""Paths, links and modules that the pages name: all of them are there."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / 'README.md', ROOT / 'CHANGELOG.md', *sorted((ROOT / 'docs').glob('*.md'))]
TOP = 'aggregation|datasets|docs|engine|loss|network|scripts|tests|transforms|utils'
OF_OTHERS = ('runx.', 'pip', 'venv')
# What the examples of a page add.
EXAMPLES = {'datasets/streets.py', 'datasets/collection/streets.py'}


def named_paths(text):
    """Paths below the top folders, among them patterns such as utils/*.py; those with braces are left out."""
    found = re.findall(rf'(?<![\w/.>}}*-])((?:{TOP})/[\w./*{{}},-]*)', text)
    return {path.rstrip('.,') for path in found if '{' not in path}


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.*)$', page.read_text('utf-8'), re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_path_is_there(page):
    missing = [path for path in named_paths(page.read_text('utf-8')) if not any(ROOT.glob(path.rstrip('/')))]
    assert set(missing) <= EXAMPLES, f'{page.name} names files that are not there'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text('utf-8')):
        if re.match(r'https?:|mailto:', target):
            continue
        name, _, anchor = target.partition('#')
        file = (page.parent / name) if name else page
        assert file.exists(), f'{page.name}: {target}'
        assert not anchor or anchor in anchors(file), f'{page.name}: {target}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_module_that_is_run_is_there(page):
    for module in set(re.findall(r'python3? -m ([a-z_.]+)', page.read_text('utf-8'))):
        if not module.startswith(OF_OTHERS):
            assert importlib.util.find_spec(module), f'{page.name}: python -m {module}'


def test_a_path_is_found_in_words_links_and_commands():
    text = 'see `utils/page.py`, [x](docs/a.md), `python scripts/b.py runs/c` in gt/datasets/x, utils/*.py and utils/d.'
    assert named_paths(text) == {'utils/page.py', 'docs/a.md', 'scripts/b.py', 'utils/*.py', 'utils/d'}
