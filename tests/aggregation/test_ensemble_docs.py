from pathlib import Path

from aggregation.flags import COMMANDS
from aggregation.scores import FUSIONS, SCORES

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'ensembles.md').read_text(encoding='utf-8')


def test_the_page_lists_every_fusion_and_score_with_its_meaning():
    missing = [name for table in (FUSIONS, SCORES) for name, entry in table.items() if f'| `{name}` | {entry.meaning} |' not in PAGE]
    assert missing == []


def test_the_page_names_every_command():
    assert [command for command in COMMANDS if command.split()[0] not in PAGE or f'{command} ' not in PAGE and f'`{command}`' not in PAGE] == []


def test_scores_that_the_page_says_need_logits_do():
    needing = [name for table in (FUSIONS, SCORES) for name, entry in table.items() if 'logit' in entry.needs]
    assert '`, `'.join(needing[:-1]) + '` and `' + needing[-1] in PAGE
