"""Small networks: the published layout with narrow heads."""
import pytest
import torch

from config import scope
from network import get_net

NARROW = {'MODEL__OCR__MID_CHANNELS': 32, 'MODEL__OCR__KEY_CHANNELS': 16, 'MODEL__SEGATTN_BOT_CH': 16}
SMALL_TRUNK = 'hrnetv2_w18_small_v1'


@pytest.fixture
def small_net():
    """small_net(arch, classes, trunk=..., cfg={...}, **get_net's) -> a network with narrow heads and lively weights."""
    def build(arch='ocrnet.HRNet_Mscale', classes=5, *, trunk=SMALL_TRUNK, cfg=None, **kwargs):
        torch.manual_seed(0)
        with scope(**NARROW, **(cfg or {})):
            net = get_net(arch, classes, trunk=trunk, **kwargs)
        return enliven(net)
    return build


def enliven(net):
    """Scale the trunk's convolutions so that in eval mode, with fresh norms, signals neither die nor explode."""
    for module in (module for part in net.trunk_parts().values() for module in part.modules()):
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 0.6)
    return net
