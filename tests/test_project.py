"""Project files: the lists of packages agree, and the workflow, the hooks and the citation say what is true."""

import datetime
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import predict
from utils import compare_runs
from utils.settings import SETTINGS
from utils.version import VERSION

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10: pytest brings this one
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text('utf-8'))
PROJECT = PYPROJECT['project']


def requirements(name):
    lines = (ROOT / name).read_text('utf-8').splitlines()
    return [line for line in lines if line and not line.startswith(('#', '-r'))]


@pytest.mark.parametrize(
    'name, listed',
    [
        ('requirements.txt', PROJECT['dependencies']),
        ('requirements-extras.txt', PROJECT['optional-dependencies']['extras']),
        ('requirements-tracking.txt', PROJECT['optional-dependencies']['tracking']),
        ('requirements-dev.txt', PROJECT['optional-dependencies']['dev']),
    ],
)
def test_pyproject_lists_the_packages_of_the_requirements(name, listed):
    assert listed == requirements(name)


def test_the_versions_of_the_files_agree():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))
    newest = re.search(r'^## ([\d.]+)', (ROOT / 'CHANGELOG.md').read_text('utf-8'), re.MULTILINE).group(1)
    assert citation['version'] == newest == PROJECT['version'] == VERSION
    assert citation['license'] == PROJECT['license'] == 'MIT'


def test_the_date_of_the_citation_is_that_of_the_newest_version_as_far_as_it_has_one():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))
    heads = re.findall(r'^## ([\d.]+), (.+)$', (ROOT / 'CHANGELOG.md').read_text('utf-8'), re.MULTILINE)
    (_, newest), *earlier = heads
    dates = [datetime.date.fromisoformat(date) for _, date in earlier]
    assert dates == sorted(dates, reverse=True)
    if newest == 'in progress':
        assert citation['date-released'] >= dates[0]  # of the last change that was written there
    else:
        assert citation['date-released'] == datetime.date.fromisoformat(newest) >= dates[0]


def test_the_workflow_runs_the_oldest_versions_that_are_supported_and_the_newest():
    job = yaml.safe_load((ROOT / '.github/workflows/ci.yml').read_text('utf-8'))['jobs']['test']
    oldest, newest = job['strategy']['matrix']['include']
    assert PROJECT['requires-python'] == f'>={oldest["python"]}' and newest['torch'] == 'torch torchvision'
    for package in oldest['torch'].split():
        name, version = package.removesuffix('.*').split('==')
        assert any(line.startswith(f'{name}>={version},') for line in PROJECT['dependencies'])
    commands = [step['run'] for step in job['steps'] if 'run' in step]
    assert commands[-2:] == ['python -m pip install -r requirements-dev.txt', 'bash scripts/test.sh']


def test_the_hooks_are_the_commands_that_test_sh_checks():
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text('utf-8'))['repos'][0]['hooks']
    script = (ROOT / 'scripts/test.sh').read_text('utf-8')
    assert [hook['id'] for hook in hooks] == ['ruff-check', 'ruff-format']
    assert all(f'run {" ".join(hook["entry"].split()[:4])}' in script for hook in hooks)


def test_the_type_checker_reads_packages_that_are_there():
    assert all((ROOT / name).exists() for name in PYPROJECT['tool']['mypy']['files'])


def test_git_ignores_what_the_programs_write_by_default_and_the_results_that_the_documentation_names():
    if subprocess.run(['git', 'rev-parse'], cwd=ROOT, capture_output=True).returncode:
        pytest.skip('no clone of the repository')
    predictions = predict.build_parser().get_default('out')
    defaults = [SETTINGS['result_dir'].default, SETTINGS['assets_path'].default, predictions]
    written = [f'{folder}/file' for folder in (*defaults, 'runs', 'data', 'results')]
    written += [compare_runs.parse_args(['a', 'b']).out, 'street.onnx', 'streets.pt2', 'averaged.pth', '.runx']
    told = subprocess.run(['git', 'check-ignore', *map(str, written)], cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.split() == list(map(str, written))
    kept = subprocess.run(['git', 'check-ignore', 'docs/results/new.md', 'datasets/new.py'], cwd=ROOT)
    assert kept.returncode == 1, 'none of these'
