import re
import shlex
from pathlib import Path

import pytest

import ensemble  # noqa: F401  (whose import registers its commands)
from aggregation import benchmarks, commands
from aggregation.commands import COMMANDS, split_command
from aggregation.fusion import names
from aggregation.fusion.scores import FUSIONS, SCORES

benchmarks.register()

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'ensembles.md').read_text(encoding='utf-8')


def test_the_page_lists_every_fusion_and_score_with_its_meaning():
    missing = [
        name
        for table in (names.FUSIONS, names.SCORES)
        for name, meaning in table.items()
        if f'| `{name}` | {meaning} |' not in PAGE
    ]
    assert missing == []


def test_the_page_names_every_command():
    assert [
        command
        for command in COMMANDS
        if command.split()[0] not in PAGE or f'{command} ' not in PAGE and f'`{command}`' not in PAGE
    ] == []


def test_scores_that_the_page_says_need_logits_do():
    needing = [name for table in (FUSIONS, SCORES) for name, entry in table.items() if 'logit' in entry.needs]
    assert '`, `'.join(needing[:-1]) + '` and `' + needing[-1] in PAGE


LINES = [line for line in re.findall(r'python ensemble\.py ([^`#\n]+)', PAGE) if not line.startswith('COMMAND')]
ROWS = [row for row in re.findall(r'^\| `([^`]+)` \|', PAGE, re.MULTILINE) if row.startswith(('eval ', 'submit '))]


@pytest.mark.parametrize('line', LINES)
def test_every_command_that_the_page_prints_is_understood(line):
    command, rest = split_command(shlex.split(line.replace('...', '')))
    assert vars(commands.parse(command, rest))


@pytest.mark.parametrize('row', ROWS)
def test_every_row_of_a_table_of_commands_names_flags_that_there_are(row):
    command, rest = split_command(row.split())
    known = set(re.findall(r'--\w+', commands.make_parser(command).format_help()))
    assert {word.strip('[]') for word in rest if '--' in word} <= known


def test_the_page_prints_commands():
    assert len(LINES) >= 6 and len(ROWS) == 6
