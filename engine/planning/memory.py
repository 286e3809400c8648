"""Memory that a training may use: of the GPU, or of the machine and of the control groups that this process is in."""

from pathlib import Path

import torch

GPU_SHARE, CPU_SHARE = 0.85, 0.6  # the rest is for the CUDA context and fragments, or for loaders and the system
UNLIMITED = 1 << 60  # what control groups of version 1 say for no limit is about this


def memory_budget(device: str, alone: bool = True) -> tuple[int, str]:
    """(bytes, where they are) for the network, its gradients and what a step keeps.

    alone: one process, which may look at what is free at this moment; several have to come to the same result.
    """
    if device == 'cuda':
        total = torch.cuda.get_device_properties(0).total_memory
        return int(GPU_SHARE * total), f'{GPU_SHARE:.0%} of the {shown(total)} of the GPU'
    limit = group_limit()
    known = {'of the control group': limit, 'of the machine': machine_memory('MemTotal')}
    if alone:
        known['free now'] = machine_memory('MemAvailable')
    what, least = min(
        ((what, size) for what, size in known.items() if size), key=lambda pair: pair[1], default=('', 8 << 30)
    )
    return int(CPU_SHARE * least), f'{CPU_SHARE:.0%} of the {shown(least)} {what}'.rstrip()


def machine_memory(entry: str, file='/proc/meminfo') -> int | None:
    """Bytes of an entry of /proc/meminfo; None where there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f'{entry}:')), None)


def group_limit(groups='/proc/self/cgroup', root='/sys/fs/cgroup') -> int | None:
    """The smallest memory limit of the control groups that this process is in, of version 2 or 1, in bytes."""
    try:
        lines = Path(groups).read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(':', 2)
        if controllers and 'memory' not in controllers.split(','):
            continue
        top = Path(root) / 'memory' if controllers else Path(root)
        name = 'memory.limit_in_bytes' if controllers else 'memory.max'
        folder = top / path.lstrip('/')
        for place in (folder, *folder.parents):
            limits.append(_limit(place / name))
            if place == top:
                break
    return min((limit for limit in limits if limit is not None and limit < UNLIMITED), default=None)


def _limit(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # ValueError: 'max'
        return None


def shown(size: float) -> str:
    """Bytes as one reads them."""
    return f'{size / (1 << 30):.1f} GiB'
