"""The variants of the attention head, and the initialisation of heads."""

import pytest
import torch
from torch import nn

from network.heads import attention_head
from network.options import complete

CONV = ['conv0.weight', 'conv1.weight', 'conv2.weight']


def head(**settings):
    return attention_head(6, complete({'SEGATTN_BOT_CH': 8, **settings}))


def conv_keys(module):
    return [key for key, value in module.state_dict().items() if value.dim() == 4]


def test_attention_is_a_probability_of_one_channel():
    found = head()(torch.randn(2, 6, 5, 7))
    assert found.shape == (2, 1, 5, 7)
    assert 0 < found.min() < found.max() < 1
    assert [tuple(head().state_dict()[key].shape) for key in CONV] == [(8, 6, 3, 3), (8, 8, 3, 3), (1, 8, 1, 1)]


def test_the_second_3x3_convolution_can_be_left_out():
    assert conv_keys(head()) == CONV
    assert conv_keys(head(MSCALE_INNER_3x3=False)) == ['conv0.weight', 'conv2.weight']


def test_dropout_precedes_the_last_convolution_when_asked_for():
    names = [name for name, _ in head(MSCALE_DROPOUT=True).named_children()]
    assert names == ['conv0', 'bn0', 're0', 'conv1', 'bn1', 're1', 'drop', 'conv2', 'sig']
    assert isinstance(head(MSCALE_DROPOUT=True).drop, nn.Dropout)
    assert head(MSCALE_DROPOUT=True).drop.p == 0.5
    assert not hasattr(head(), 'drop')


def test_the_old_layout_has_numbers_for_keys_and_can_learn():
    old = head(MSCALE_OLD_ARCH=True)
    assert conv_keys(old) == ['0.weight', '3.weight', '6.weight']
    assert old.state_dict()['6.weight'].shape == (1, 8, 1, 1)
    old(torch.randn(2, 6, 5, 7)).square().mean().backward()
    assert all(parameter.grad.any() for parameter in old.parameters())


def test_old_weights_give_what_new_ones_give():
    old, new = head(MSCALE_OLD_ARCH=True).eval(), head().eval()
    new.load_state_dict(dict(zip(new.state_dict(), old.state_dict().values())))
    maps = torch.randn(1, 6, 5, 7)
    assert torch.equal(old(maps), new(maps))


def test_the_basic_head_starts_kaiming_normal_and_the_trunk_nearly_silent(small_net):
    from network import get_net

    net = get_net('basic.HRNet', 5, trunk='hrnetv2_w18_small_v1', options={'SEGATTN_BOT_CH': 64})
    state = net.state_dict()
    assert state['seg_head.3.weight'].std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert state['backbone.stage4.0.branches.3.0.conv1.weight'].std() == pytest.approx(0.001, rel=0.05)
    assert (state['backbone.bn1.weight'] == 1).all()
