"""Small networks, the published layout with narrow heads, and the conversion of their weights."""

import pytest
import torch
from converting import make_weights
from narrow import NARROW, SMALL_TRUNK, enliven

from config import scope
from network import get_net
from network.convert import main


@pytest.fixture
def small_net():
    """small_net(arch, classes, trunk=..., cfg={...}, **get_net's) -> a network with narrow heads and lively weights."""

    def build(arch='ocrnet.HRNet_Mscale', classes=5, *, trunk=SMALL_TRUNK, cfg=None, **kwargs):
        torch.manual_seed(0)
        with scope(**NARROW, **(cfg or {})):
            net = get_net(arch, classes, trunk=trunk, **kwargs)
        return enliven(net)

    return build


@pytest.fixture(scope='session')
def mscale_weights():
    return make_weights('ocrnet.HRNet_Mscale')


@pytest.fixture(scope='session')
def ocrnet_weights():
    return make_weights('ocrnet.HRNet')


@pytest.fixture
def convert(tmp_path, capsys):
    """convert(tensors or path, *flags, out=...) -> (exit code, what it printed, path of the output)."""

    def call(weights, *arguments, out='out.pth'):
        source = weights
        if isinstance(weights, dict):
            source = tmp_path / 'in.pth'
            torch.save(weights, source)
        code = main([str(source), str(tmp_path / out), *arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err, tmp_path / out

    return call
