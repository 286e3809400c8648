"""Files of several test folders can be named in one call of pytest: it imports them, and what they share, by bare
names."""

import re
from collections import Counter

from small import ROOT

FILES = sorted((ROOT / 'tests').rglob('*.py'))


def test_no_two_modules_of_the_tests_share_a_name():
    counts = Counter(file.name for file in FILES if file.name != 'conftest.py')
    assert len(counts) > 50 and [name for name, count in counts.items() if count > 1] == []


def test_no_module_imports_from_conftest_of_which_every_folder_has_its_own():
    assert [
        str(file) for file in FILES if re.search(r'^\s*(from|import) conftest\b', file.read_text(), re.MULTILINE)
    ] == []
