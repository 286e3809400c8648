"""Memory that a training may use: limits of control groups of either version, and what the machine has."""

import pytest

from engine.planning import memory
from engine.planning.memory import group_limit, machine_memory, memory_budget, shown


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    'groups, files, limit',
    [
        ('0::/job/part\n', {'job/memory.max': '1000\n', 'job/part/memory.max': 'max\n'}, 1000),
        ('0::/job\n', {'job/memory.max': '3000\n', 'memory.max': '2000\n'}, 2000),
        ('0::/job\n', {'job/memory.max': 'max\n'}, None),
        ('9:cpu:/x\n4:memory:/job\n', {'memory/job/memory.limit_in_bytes': '500\n', 'x/memory.max': '1\n'}, 500),
        ('4:memory:/job\n', {'memory/job/memory.limit_in_bytes': '9223372036854771712\n'}, None),
        ('4:cpu,memory:/\n', {'memory/memory.limit_in_bytes': '700\n'}, 700),
    ],
    ids=['a parent limits', 'the least counts', 'no limit', 'version 1', 'version 1 without', 'two controllers'],
)
def test_the_smallest_limit_on_the_way_up_counts(tmp_path, groups, files, limit):
    write(tmp_path / 'cgroup', groups)
    for name, text in files.items():
        write(tmp_path / 'fs' / name, text)
    assert group_limit(tmp_path / 'cgroup', tmp_path / 'fs') == limit


def test_a_system_without_control_groups_has_no_limit(tmp_path):
    assert group_limit(tmp_path / 'none') is None and machine_memory('MemTotal', tmp_path / 'none') is None


def test_an_entry_of_meminfo_is_in_kilobytes(tmp_path):
    write(tmp_path / 'meminfo', 'MemTotal:       2048 kB\nMemAvailable:   1024 kB\n')
    assert machine_memory('MemAvailable', tmp_path / 'meminfo') == 1 << 20


def test_the_budget_is_a_share_of_the_least_and_says_of_what(monkeypatch):
    have = {'MemTotal': 10 << 30, 'MemAvailable': 4 << 30}
    monkeypatch.setattr(memory, 'machine_memory', have.get)
    monkeypatch.setattr(memory, 'group_limit', lambda: 5 << 30)
    assert memory_budget('cpu') == (int(0.6 * (4 << 30)), '60% of the 4.0 GiB free now')
    assert memory_budget('cpu', alone=False) == (int(0.6 * (5 << 30)), '60% of the 5.0 GiB of the control group')
    assert shown(3 << 29) == '1.5 GiB'
