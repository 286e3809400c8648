"""Provenance of a number: command line, code version, package versions and machine."""

import os
import platform
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch

from utils.cli.waiting import waiting
from utils.version import VERSION

PACKAGES = (
    'torch',
    'torchvision',
    'numpy',
    'scipy',
    'opencv-python-headless',
    'opencv-python',
    'pillow',
    'runx',
    'tensorboardX',
    # timm defines backbones; the other optional packages only store what this code computes
    'zlib-ng',
    'timm',
)


def describe_start(device: torch.device, world: int = 1) -> dict:
    """Command line, time, code version, package versions and machine, JSON-ready; for hparams.json and result
    tables."""
    gpu = torch.cuda.get_device_name(device) if device.type == 'cuda' else None
    return {
        'version': VERSION,
        'line': shlex.join(sys.orig_argv),
        'folder': os.getcwd(),
        'started': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        'git': git_state(),
        'versions': {'python': platform.python_version(), **package_versions()},
        'world': world,
        'device': str(device),
        'gpu': gpu,
        'cpu': cpu_name(),
        'cuda': torch.version.cuda if gpu else None,
        'host': platform.node(),
        'platform': platform.platform(),
        'cpus': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'waiting': waiting(),
    }


def cpu_name() -> str:
    """The processor's model name, as far as the system has one."""
    with suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def package_versions() -> dict:
    """{name: version} of the packages whose version can change a number."""
    versions = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def git_state() -> dict | None:
    """{'commit': hash, 'changed': files that differ from it}, or None when the code is not in a git checkout."""
    commit = _git('rev-parse', 'HEAD')
    if commit is None:
        return None
    changed = _git('status', '--porcelain', '--untracked-files=no') or ''
    return {'commit': commit.strip(), 'changed': [line[3:] for line in changed.splitlines()]}


def _git(*arguments) -> str | None:
    try:
        done = subprocess.run(
            ['git', *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
