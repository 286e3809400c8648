#!/usr/bin/env bash
# Makes the environment when it is missing, then runs the linter, the formatter, the type checker and the tests.
#
#   bash scripts/test.sh                     what every change has to pass
#   bash scripts/test.sh --all               the slow tests too
#   bash scripts/test.sh tests/loss -k rmi   further arguments go to pytest
#   PYTHON=python3.12 bash scripts/test.sh   another interpreter for .venv; NO_VENV=1 uses what is installed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh
use_environment requirements-dev.txt

arguments=()
for argument in "$@"; do
    if [ "$argument" = --all ]; then
        arguments+=(-m 'slow or not slow')
    else
        arguments+=("$argument")
    fi
done

run python -m ruff check .
run python -m ruff format --check .
run python -m mypy
# One thread per process: the test networks are too small to share, and more threads only wait for each other.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
run python -m pytest -n "${TEST_PROCESSES:-2}" "${arguments[@]+"${arguments[@]}"}"
