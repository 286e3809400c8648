import warnings

import pytest

from datasets.loading.loader import eval_loader
from utils import cores
from utils.cli import flags
from utils.cores import loader_processes, own_cores, usable_cores


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 16 cores without a limit; machine(own, **files) writes the groups of this process."""
    monkeypatch.setattr('os.sched_getaffinity', lambda pid: range(16), raising=False)
    monkeypatch.delenv('LOCAL_WORLD_SIZE', raising=False)
    monkeypatch.setattr(cores, 'CONTROL_GROUPS', tmp_path / 'groups')
    monkeypatch.setattr(cores, 'OWN_GROUPS', tmp_path / 'own')

    def write(own, **files):
        (tmp_path / 'own').write_text(own)
        for name, text in files.items():
            path = tmp_path / 'groups' / name.replace('__', '/').replace('_max', '.max').replace('_cfs', '.cfs')
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_without_control_groups_it_is_the_affinity_mask(machine):
    assert usable_cores() == 16 and loader_processes() == 4


@pytest.mark.parametrize(
    'own, files, expected',
    [
        ('0::/\n', {'cpu_max': 'max 100000\n'}, 16),
        ('0::/\n', {'cpu_max': '200000 100000\n'}, 2),
        ('0::/\n', {'cpu_max': '150000 100000\n'}, 2),  # one and a half
        ('0::/\n', {'cpu_max': '50000 100000\n'}, 1),
        ('0::/\n', {'cpu_max': '9900000 100000\n'}, 16),
        ('0::/a/b\n', {'a__cpu_max': '300000 100000\n', 'a__b__cpu_max': 'max 100000\n'}, 3),  # of the group above
        (
            '3:cpuset:/\n1:cpu,cpuacct:/x\n0::/\n',
            {'cpu__x__cpu_cfs_quota_us': '400000', 'cpu__x__cpu_cfs_period_us': '100000'},
            4,
        ),
        ('1:cpu:/\n', {'cpu__cpu_cfs_quota_us': '-1\n', 'cpu__cpu_cfs_period_us': '100000\n'}, 16),
        ('0::/\n', {'cpu_max': 'nonsense'}, 16),
    ],
)
def test_the_quota_of_a_container_counts_whichever_version_says_it(machine, own, files, expected):
    machine(own, **files)
    assert usable_cores() == expected


def test_the_processes_of_torchrun_share_the_cores(machine, monkeypatch):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '5')
    assert (own_cores(), loader_processes()) == (3, 3)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '64')
    assert (own_cores(), loader_processes()) == (1, 1)


def test_a_loader_of_more_processes_than_cores_prints_no_warning_of_torch():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        loader = eval_loader([0], 1, num_workers=512)
        loader.loader.check_worker_number_rationality()
    assert loader.loader.num_workers == 512


def test_as_many_loader_processes_as_cores_and_a_note_where_more_are_asked_for(machine):
    machine('0::/\n', cpu_max='200000 100000')
    assert flags.parse([]).num_workers == 2
    args = flags.parse(['--num_workers', '7'])
    assert args.num_workers == 7
    assert flags.unread(args) == [
        '--num_workers 7: a process may use 2 cores here, more loader processes than that are rarely faster'
    ]
    assert flags.unread(flags.parse(['--num_workers', '2'])) == []
