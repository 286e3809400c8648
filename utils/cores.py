"""Cores that this process may use: those of its affinity mask, within the quota of its control group (a container)."""

import math
import os
from contextlib import suppress
from pathlib import Path

CONTROL_GROUPS, OWN_GROUPS = Path('/sys/fs/cgroup'), Path('/proc/self/cgroup')


def usable_cores() -> int:
    """The number of cores that this process may use, a part of one counted as one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(min(_quota(), cores))))


def own_cores() -> int:
    """The share of them that each process of a torchrun has."""
    return max(1, usable_cores() // int(os.environ.get('LOCAL_WORLD_SIZE', 1)))  # set by torchrun


def loader_processes(most: int = 4) -> int:
    """How many loader processes there are where no flag says it."""
    return min(most, own_cores())


def _quota() -> float:
    """The cores that the control group of this process, and those above it, allow; inf without a limit."""
    limits = [math.inf]
    with suppress(OSError):
        for line in OWN_GROUPS.read_text().splitlines():
            _, kinds, group = line.split(':', 2)  # version 2 has one line, without kinds
            if kinds and 'cpu' not in kinds.split(','):
                continue
            parts = Path(group).parts[1:]
            for depth in range(len(parts) + 1):  # in a container the innermost group may be mounted as the root
                limits.append(_limit(CONTROL_GROUPS.joinpath('cpu' if kinds else '', *parts[:depth])))
    return min(limits)


def _limit(group: Path) -> float:
    """The cores of one group: of version 2 `cpu.max` ('200000 100000' microseconds, or 'max'), of version 1 two
    files."""
    with suppress(OSError, ValueError):
        quota, period = (group / 'cpu.max').read_text().split()
        return math.inf if quota == 'max' else int(quota) / int(period)
    with suppress(OSError, ValueError):
        quota, period = (int((group / f'cpu.cfs_{name}_us').read_text()) for name in ('quota', 'period'))
        return quota / period if quota > 0 else math.inf
    return math.inf
