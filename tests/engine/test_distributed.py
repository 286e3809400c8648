import json
import time

import pytest
import torch
from small import on_two_processes

from engine import distributed


def peer(folder):
    """What one of two processes is told, into a file of its own; and the order in which they run a main_first block."""
    dist = distributed.init_from_env(device='cpu')
    big = torch.tensor([2**24 + 1, 2**53 + 1])
    own = torch.tensor([1, 0]) if dist.is_main else torch.tensor([0, 3])
    summed = dist.all_reduce_sum(big * (dist.rank == 0) + own)
    with dist.main_first():
        if dist.is_main:
            time.sleep(0.2)
        with open(folder / 'order', 'a') as file:
            file.write(str(dist.rank))
    told = {
        'rank': dist.rank,
        'world': dist.world,
        'local_rank': dist.local_rank,
        'is_main': dist.is_main,
        'device': str(dist.device),
        'sum': summed.tolist(),
        'half': dist.all_reduce_sum(torch.tensor(0.5, dtype=torch.float64)).item(),
        'any': dist.any(dist.rank == 1),
        'none': dist.any(False),
        'broadcast': dist.broadcast_object({'from': dist.rank}),
        'gathered': dist.gather_objects(f'r{dist.rank}'),
    }
    dist.barrier()
    dist.shutdown()
    again = distributed.init_from_env(device='cpu')
    told['again'] = again.gather_objects(again.rank)
    again.barrier()
    again.shutdown()
    (folder / f'{dist.rank}.json').write_text(json.dumps(told))


@pytest.fixture
def no_torchrun(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture(scope='module')
def two_processes(tmp_path_factory):
    """What two processes over gloo print, and the order in which they ran a main_first block."""
    folder = tmp_path_factory.mktemp('peers')
    on_two_processes(peer, folder)
    return [json.loads((folder / f'{rank}.json').read_text()) for rank in range(2)], (folder / 'order').read_text()


def test_two_processes_know_their_ranks(two_processes):
    told, _ = two_processes
    ranks = [(peer['rank'], peer['world'], peer['local_rank'], peer['is_main'], peer['device']) for peer in told]
    assert ranks == [(0, 2, 0, True, 'cpu'), (1, 2, 1, False, 'cpu')]


def test_int64_sums_are_exact_where_floats_would_round(two_processes):
    assert [peer['sum'] for peer in two_processes[0]] == 2 * [[2**24 + 2, 2**53 + 4]]


def test_float64_sums_any_broadcast_and_gather_agree_on_every_rank(two_processes):
    for peer in two_processes[0]:
        assert peer['half'] == 1.0
        assert peer['any'] is True
        assert peer['none'] is False
        assert peer['broadcast'] == {'from': 0}
        assert peer['gathered'] == ['r0', 'r1']


def test_the_main_rank_runs_a_main_first_block_before_the_other(two_processes):
    assert two_processes[1] == '01'


def test_the_same_processes_can_form_a_second_group_after_the_first(two_processes):
    assert [peer['again'] for peer in two_processes[0]] == [[0, 1], [0, 1]]


def test_alone_every_collective_is_the_identity(no_torchrun):
    dist = distributed.init_from_env(device='cpu')
    counts = torch.tensor([1, 2])
    assert (dist.rank, dist.world, dist.is_main, str(dist.device)) == (0, 1, True, 'cpu')
    assert dist.all_reduce_sum(counts) is counts
    assert counts.tolist() == [1, 2]
    assert (dist.any(True), dist.any(False)) == (True, False)
    assert dist.broadcast_object('x') == 'x'
    assert dist.gather_objects('x') == ['x']
    with dist.main_first():
        dist.barrier()
    dist.shutdown()


def test_float32_counts_are_refused():
    with pytest.raises(AssertionError, match='int64 or float64'):
        distributed.Dist().all_reduce_sum(torch.zeros(1))


def test_distributed_without_torchrun_names_the_command(no_torchrun):
    with pytest.raises(ValueError, match='--distributed: .*torchrun --standalone --nproc-per-node=N'):
        distributed.init_from_env(distributed=True)


def test_an_incomplete_environment_names_the_variable(no_torchrun):
    no_torchrun.setenv('WORLD_SIZE', '2')
    with pytest.raises(ValueError, match='environment variable RANK: found nothing beside WORLD_SIZE=2'):
        distributed.init_from_env(device='cpu')


def test_a_master_that_is_not_given_is_named(no_torchrun):
    for name, value in (('WORLD_SIZE', '1'), ('RANK', '0'), ('LOCAL_RANK', '0')):
        no_torchrun.setenv(name, value)
    with pytest.raises(ValueError, match='MASTER_ADDR=None'):
        distributed.init_from_env(device='cpu')


def test_more_processes_than_gpus_names_the_right_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(
        ValueError, match='process 3 of this machine has no GPU of its own: torch sees 2 .*--nproc-per-node=2'
    ):
        distributed._device('cuda', 3)


def test_the_local_rank_chooses_the_gpu(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    monkeypatch.setattr(torch.cuda, 'set_device', chosen.append)
    assert distributed._device('cuda', 3) == torch.device('cuda', 3)
    assert chosen == [torch.device('cuda', 3)]
