"""Waiting of OpenMP threads that have nothing to do: how long they spin before they sleep.

A thread that spins holds a core. Beside other busy programs that is the core which the thread that it waits for needs,
and a training step takes many times as long (scripts/bench_waiting.py). OpenMP reads the setting once, as torch
is imported, so the programs import this module before. It changes no number.
"""

import os
import sys

VARIABLES = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')  # of OpenMP 5.2, 21.7, and of GCC's libgomp
OURS = {'GOMP_SPINCOUNT': '2000'}  # turns of the loop in which a thread waits
IS_LATE = 'torch' in sys.modules
IS_OURS = not IS_LATE and not any(name in os.environ for name in VARIABLES)

if IS_OURS:
    os.environ.update(OURS)


def waiting() -> dict:
    """{variable: value} of what decides how idle threads wait; empty for OpenMP's own default."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def line() -> str:
    """The line about it for the log of a run."""
    values = ', '.join(f'{name}={value}' for name, value in waiting().items())
    if not values:
        return 'idle threads wait as OpenMP has it: torch was imported before this program'
    return f'idle threads wait with {values}{"" if IS_OURS else ", as the environment has it"}'
