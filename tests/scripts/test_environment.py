"""Scripts around the program: the environment they make, the exit codes they hand on, the signal they pass."""

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
# An interpreter that makes environments out of copies of itself, and notes what it was asked to do.
PYTHON = """#!/usr/bin/env bash
echo "$*" >> "$NOTES"
case "$*" in
    *version_info*) exit "${OLD:-0}" ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *pytest*) exit "${TESTS:-0}" ;;
    *"ruff check"*) exit "${LINT:-0}" ;;
    *"ruff format"*) exit "${FORMAT:-0}" ;;
    *mypy*) exit "${TYPES:-0}" ;;
esac
"""
CHECKS = ['-m ruff check .', '-m ruff format --check .', '-m mypy', '-m pytest -n 2']  # what test.sh runs
SRUN = """#!/usr/bin/env bash
# Two tasks in a process group of their own, as srun starts them; SIGUSR1 goes to each of them.
shift 2
tasks=()
for rank in 0 1; do
    SLURM_PROCID=$rank SLURM_LOCALID=$rank SLURM_NTASKS=2 setsid "$@" &
    tasks+=($!)
done
trap 'kill -USR1 "${tasks[@]}"' USR1
code=0
for task in "${tasks[@]}"; do
    wait "$task" || { code=$?; [ "$code" -gt 128 ] && { code=0; wait "$task" || code=$?; }; }
done
exit "$code"
"""
TASK = """#!/usr/bin/env bash
# train.py: runs until SIGUSR1, saves and exits with 75; or fails at once.
echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $*" >> "$NOTES"
trap 'echo "saved $RANK" >> "$NOTES"; exit "${ENDS:-75}"' USR1
touch "$NOTES.ready.$RANK"
[ -n "${FAIL:-}" ] && exit 7
[ -n "${SHORT:-}" ] && exit 0
while :; do sleep 0.1; done
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def clone(tmp_path):
    """A clone with the scripts and the requirements only."""
    folder = tmp_path / 'clone'
    shutil.copytree(ROOT / 'scripts', folder / 'scripts')
    shutil.copytree(ROOT / '.ci', folder / '.ci')
    for name in ('requirements.txt', 'requirements-extras.txt', 'requirements-dev.txt'):
        shutil.copy(ROOT / name, folder)
    executable(tmp_path / 'bin' / 'snake', PYTHON)
    return folder


def call(clone, script, *arguments, **environment):
    notes = clone.parent / 'notes'
    notes.write_text('')
    inherited = {key: value for key, value in os.environ.items() if key not in ('VIRTUAL_ENV', 'NO_VENV')}
    variables = {**inherited, 'PYTHON': str(clone.parent / 'bin' / 'snake'), 'NOTES': str(notes), **environment}
    done = subprocess.run(
        ['bash', clone / script, *arguments], env=variables, capture_output=True, text=True, timeout=60
    )
    return done, notes.read_text().splitlines()


def test_the_environment_is_made_once_and_filled_again_when_the_requirements_change(clone):
    install = '-m pip install --disable-pip-version-check -r requirements-dev.txt'
    _, first = call(clone, 'scripts/test.sh')
    _, second = call(clone, 'scripts/test.sh')
    with open(clone / 'requirements.txt', 'a') as file:
        file.write('another>=1,<2\n')
    _, third = call(clone, 'scripts/test.sh')
    assert '-m venv .venv' in first and install in first
    assert second == CHECKS
    assert '-m venv .venv' not in third and install in third


def test_all_runs_the_slow_tests_and_other_arguments_go_to_pytest(clone):
    _, notes = call(clone, 'scripts/test.sh', '--all', 'tests/loss', '-k', 'rmi')
    assert notes[-1] == '-m pytest -n 2 -m slow or not slow tests/loss -k rmi'


@pytest.mark.parametrize('failing, code', [('TESTS', 1), ('LINT', 1), ('FORMAT', 1), ('TYPES', 1), ('TESTS', 5)])
def test_the_check_fails_when_the_tests_the_linter_or_the_types_fail(clone, failing, code):
    assert call(clone, '.ci/run', **{failing: str(code)})[0].returncode == code
    assert call(clone, '.ci/run')[0].returncode == 0


def test_an_old_interpreter_is_refused_with_the_variable_that_helps(clone):
    done, notes = call(clone, 'scripts/test.sh', OLD='1')
    assert done.returncode == 2 and 'set PYTHON' in done.stderr
    assert not (clone / '.venv').exists() and len(notes) == 1


def test_no_environment_is_made_when_one_is_active_or_none_is_wanted(clone):
    executable(clone.parent / 'bin' / 'python', PYTHON)
    path = f'{clone.parent / "bin"}:{os.environ["PATH"]}'
    for wish in ({'NO_VENV': '1'}, {'VIRTUAL_ENV': '/somewhere/else'}):
        done, notes = call(clone, 'scripts/test.sh', PATH=path, **wish)
        assert done.returncode == 0 and notes == CHECKS
    assert not (clone / '.venv').exists()


def slurm(clone, *, send=None, **environment):
    """Run train_slurm.sh with stand-ins for SLURM; returns (exit code, sorted notes)."""
    tools, notes = clone.parent / 'bin', clone.parent / 'notes'
    executable(tools / 'srun', SRUN)
    executable(
        tools / 'scontrol', '#!/usr/bin/env bash\n[ "$1" = show ] && echo node7 || echo "scontrol $*" >> "$NOTES"\n'
    )
    executable(tools / 'python', TASK)
    notes.write_text('')
    variables = {
        **os.environ,
        'PATH': f'{tools}:{os.environ["PATH"]}',
        'NOTES': str(notes),
        'SLURM_JOB_ID': '41',
        'SLURM_JOB_NODELIST': 'node[7-8]',
        'SLURM_SUBMIT_DIR': str(clone),
        **environment,
    }
    job = subprocess.Popen(['bash', clone / 'scripts/train_slurm.sh', '--result_dir', 'runs/a'], env=variables)
    if send:
        ready = [Path(f'{notes}.ready.{rank}') for rank in (0, 1)]
        limit = time.monotonic() + 20
        while not all(path.exists() for path in ready) and time.monotonic() < limit:
            time.sleep(0.05)
        time.sleep(0.2)
        job.send_signal(send)
    return job.wait(timeout=30), sorted(notes.read_text().splitlines())


STARTED = [f'{rank} {rank} 2 node7 train.py --distributed --resume auto --result_dir runs/a' for rank in (0, 1)]


def test_a_slurm_job_that_runs_out_of_time_saves_on_every_rank_and_queues_again(clone):
    assert slurm(clone, send=signal.SIGUSR1) == (0, [*STARTED, 'saved 0', 'saved 1', 'scontrol requeue 41'])


def test_a_slurm_job_whose_training_finished_after_the_signal_does_not_queue_again(clone):
    assert slurm(clone, send=signal.SIGUSR1, ENDS='0') == (0, [*STARTED, 'saved 0', 'saved 1'])


def test_a_slurm_job_that_ends_or_fails_by_itself_does_not_queue_again(clone):
    assert slurm(clone, SHORT='1') == (0, STARTED)
    assert slurm(clone, FAIL='1') == (7, STARTED)


def requirements(name):
    lines = (line.split('#')[0].strip() for line in (ROOT / name).read_text().splitlines())
    return {
        found.name.lower(): found
        for found in (Requirement(line) for line in lines if line and not line.startswith('-r'))
    }


def test_every_requirement_is_bounded_on_both_sides_and_holds_here():
    for name in ('requirements.txt', 'requirements-extras.txt', 'requirements-dev.txt'):
        for package, wanted in requirements(name).items():
            assert {bound.operator for bound in wanted.specifier} == {'>=', '<'}, package
            assert wanted.specifier.contains(version(package).split('+')[0]), f'{package} {version(package)}'


def test_every_package_that_the_programs_import_is_required_and_optional_ones_only_where_used():
    packages = {
        'cv2': 'opencv-python-headless',
        'PIL': 'pillow',
        'zlib_ng': 'zlib-ng',
        'yaml': 'pyyaml',
        'tensorboardX': 'tensorboardx',
    }
    ours = {path.name.removesuffix('.py') for path in ROOT.iterdir()}
    at_once, anywhere = set(), set()
    for path in [
        *ROOT.glob('*.py'),
        *(
            path
            for folder in ('aggregation', 'datasets', 'network', 'loss', 'transforms', 'utils')
            for path in (ROOT / folder).rglob('*.py')
        ),
    ]:
        tree = ast.parse(path.read_text())
        at_once |= imported(tree.body)
        anywhere |= imported(ast.walk(tree))

    def outside(found):
        return {packages.get(name, name).lower() for name in found - ours if name not in sys.stdlib_module_names}

    required, optional = (set(requirements(name)) for name in ('requirements.txt', 'requirements-extras.txt'))
    assert outside(at_once) <= required
    assert outside(anywhere) <= required | optional


def imported(nodes):
    """The top-level names of packages that import statements among `nodes` name."""
    found = set()
    for node in nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        found |= {name.split('.')[0] for name in names}
    return found
