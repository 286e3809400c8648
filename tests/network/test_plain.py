"""The plain form belongs to the network that it was asked of."""

import pytest
import standin
import torch

from network import cost, get_net
from network.plain import plain_form


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    standin.register(monkeypatch)


@pytest.fixture
def operations():
    """operations(net) -> those of evaluating an image of 64x96 pixels."""
    images = torch.empty(1, 3, 64, 96, device='meta')
    return lambda net: cost.forward_flops(net, images)['']


def tiny_net(arch='ocrnet.HRNet_Mscale'):
    with torch.device('meta'):
        return get_net(arch, 5, trunk=standin.PYRAMID).eval()


def test_other_networks_go_on_as_they_were(operations):
    one, other = tiny_net(), tiny_net()
    executed = operations(one)
    with plain_form(one):
        plain = operations(one)
        assert plain > executed == operations(other)
    assert operations(one) == executed


def test_it_can_be_asked_for_twice_and_ends_with_an_error_too(operations):
    net = tiny_net('basic.HRNet_ASP')
    executed = operations(net)
    with pytest.raises(ZeroDivisionError), plain_form(net):
        with plain_form(net):
            plain = operations(net)
        assert operations(net) == plain > executed
        _ = 1 / 0
    assert operations(net) == executed
