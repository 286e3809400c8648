"""Small networks, the published layout with narrow heads, and the conversion of their weights."""

import pytest
import standin
import torch
from converting import make_weights
from narrow import NARROW, SMALL_TRUNK, enliven

from config import scope
from network import get_net
from network.convert import main
from utils import checkpoint


@pytest.fixture
def small_net():
    """small_net(arch, classes, trunk=..., cfg={...}, **get_net's) -> a network with narrow heads and lively weights."""

    def build(arch='ocrnet.HRNet_Mscale', classes=5, *, trunk=SMALL_TRUNK, cfg=None, **kwargs):
        torch.manual_seed(0)
        with scope(**NARROW, **(cfg or {})):
            net = get_net(arch, classes, trunk=trunk, **kwargs)
        return enliven(net)

    return build


@pytest.fixture
def snapshot(request, tmp_path, small_net, monkeypatch):
    """A checkpoint of a network (its name is the parameter) on the tiny trunk, as train.py writes it, and the
    network."""
    standin.register(monkeypatch)
    net = small_net(getattr(request, 'param', 'basic.Linear'), trunk=standin.PYRAMID, classes=5).eval()
    with torch.no_grad():  # so that no class has the largest logit everywhere
        net.get_submodule(net.class_layers[0]).bias -= net(torch.randn(1, 3, 64, 64))['pred'].mean((0, 2, 3))
    network = {
        'arch': net.arch,
        'trunk': net.trunk_name,
        'ocr_mid_channels': 32,
        'ocr_key_channels': 16,
        'segattn_bot_ch': 16,
    }
    path = tmp_path / 'best.pth'
    checkpoint.save(
        path,
        {
            'state_dict': net.state_dict(),
            'network': network,
            'arch': net.arch,
            'num_classes': 5,
            'class_names': list('abcde'),
        },
    )
    return path, net


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
