"""The BRAVO procedure: the rendered tree is one that the benchmark's code takes, and the script runs from end to
end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aggregation.benchmarks import bravo_files as names
from aggregation.benchmarks.bravo_files import check_complete
from aggregation.benchmarks.trees import Tree
from scripts import bravo_tree

ROOT = Path(__file__).resolve().parents[2]


def test_the_rendered_tree_has_every_subset_and_every_file(tmp_path):
    assert bravo_tree.main(['--root', str(tmp_path), '--per_subset', '1', '--size', '64,128']) == 0
    found = names.keys_of(Tree(tmp_path / 'truth').names, 'truth')
    assert {subset for subset in names.SUBSETS for key in found if names.in_subset(key, subset)} == set(
        names.SUBSETS
    ) and len(found) == 9
    with pytest.raises(ValueError, match='18 files of the submission of 9 images are missing'):
        check_complete(Tree(tmp_path / 'truth'), Tree(tmp_path / 'images'), Tree(tmp_path / 'samples'))
    assert len(list((tmp_path / 'images' / 'bravo').rglob('*.png'))) == 9


@pytest.mark.slow
@pytest.mark.parametrize('dump', ['', '1'])
def test_seven_networks_are_fused_submitted_and_scored(tmp_path, dump):
    environment = {
        **os.environ,
        'NO_VENV': '1',
        'RUN': str(tmp_path / 'run'),
        'DUMP': dump,
        'OMP_NUM_THREADS': '1',
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
    }
    done = subprocess.run(
        ['bash', 'scripts/bravo_ensemble.sh'], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    scores = json.loads((tmp_path / 'run/scores.json').read_text())
    assert 0 <= scores['bravo_index'] <= 1 and len(Tree(tmp_path / 'run/submission.tar').names) == 18
