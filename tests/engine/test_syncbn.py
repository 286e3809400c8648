import copy

import pytest
import torch
import torch.distributed as dist
from small import on_two_processes
from torch import nn

from engine.syncbn import CPUSyncBatchNorm, convert


def _compare(path):
    dist.init_process_group('gloo')
    rank = dist.get_rank()
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
    on_two_processes(_compare, tmp_path / 'difference.pt')
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
