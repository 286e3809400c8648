import copy
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from engine.syncbn import CPUSyncBatchNorm, convert


def _two_ranks(rank, port, path):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    synced = nn.parallel.DistributedDataParallel(convert(copy.deepcopy(plain), torch.device('cpu')))
    images = torch.randn(2, 3, 9, 9)
    synced(images[rank : rank + 1]).square().mean().backward()
    plain(images).square().mean().backward()
    pairs = list(
        zip(
            [p.grad for p in synced.parameters()] + list(synced.buffers()),
            [p.grad for p in plain.parameters()] + list(plain.buffers()),
        )
    )
    if rank == 0:
        torch.save(max((a - b).abs().max().item() for a, b in pairs), path)
    dist.destroy_process_group()


def test_two_processes_with_one_image_each_equal_one_process_with_both(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    mp.spawn(_two_ranks, (port, tmp_path / 'difference.pt'), nprocs=2)
    assert torch.load(tmp_path / 'difference.pt') < 1e-6


def test_the_activation_of_timms_norms_is_kept():
    layers = pytest.importorskip('timm.layers')
    norm = layers.BatchNormAct2d(4, act_layer=nn.SiLU)
    nn.init.normal_(norm.weight)
    synced = convert(nn.Sequential(copy.deepcopy(norm)), torch.device('cpu'))
    images = torch.randn(2, 4, 5, 5)
    assert type(synced[0]).__mro__[1] is CPUSyncBatchNorm
    assert torch.equal(synced(images), norm(images)) and (synced(images) < 0).any() and synced(images).min() > -0.3
    assert synced.state_dict().keys() == nn.Sequential(norm).state_dict().keys()
    assert 'Act' in type(convert(nn.Sequential(norm), torch.device('cuda'))[0]).__name__
