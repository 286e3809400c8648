"""Networks for images of other channels than RGB."""

import pytest
import standin
import torch
from torch import nn

from network import ARCHS, get_net
from network.input_channels import adapted, for_channels, input_layers, take_channels
from transforms.normalize import Normalize
from utils.channels import spread

OPTIONS = {'OCR': {'MID_CHANNELS': 16, 'KEY_CHANNELS': 8}, 'SEGATTN_BOT_CH': 8, 'ASPP_BOT_CH': 8}


def small(channels, arch='basic.HRNet', **options):
    return get_net(arch, 2, trunk='hrnetv2_w18_small_v1', options={**OPTIONS, 'IN_CHANNELS': channels, **options})


@pytest.mark.parametrize(
    'channels, expected',
    [(1, [6.0]), (2, [1.5, 3.0]), (4, [0.75, 1.5, 2.25, 0.75]), (6, [0.5, 1.0, 1.5, 0.5, 1.0, 1.5])],
)
def test_weights_of_rgb_are_summed_for_grey_and_repeated_for_more(channels, expected):
    weight = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    assert adapted(weight, channels).flatten().tolist() == expected


@pytest.mark.parametrize('channels', [1, 2, 4, 6, 7])
def test_an_image_of_equal_channels_gives_about_what_it_gave_in_rgb(channels):
    conv = nn.Conv2d(3, 5, 3)
    with torch.no_grad():
        conv.weight.copy_(conv.weight.mean(dim=1, keepdim=True).expand_as(conv.weight))  # no colour preferred
    before = conv(torch.ones(1, 3, 4, 4))
    conv.arch = 'x'
    holder = nn.Sequential(conv)
    take_channels(holder, channels, keep=True)
    assert torch.allclose(holder(torch.ones(1, channels, 4, 4)), before, atol=1e-6)


def test_rgb_leaves_every_weight_and_random_number_as_it_was():
    torch.manual_seed(0)
    net, drawn = small(3), torch.rand(1)
    torch.manual_seed(0)
    other, again = get_net('basic.HRNet', 2, trunk='hrnetv2_w18_small_v1', options=OPTIONS), torch.rand(1)
    assert drawn == again and all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters()))


def test_random_weights_of_more_channels_give_sums_as_large_as_before():
    torch.manual_seed(0)
    net = small(48)
    weight = net.get_submodule('backbone.conv1').weight
    rgb = small(3).get_submodule('backbone.conv1').weight
    assert weight.shape == (64, 48, 3, 3)
    assert float((weight.square().sum(1).mean() / rgb.square().sum(1).mean()).detach()) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize('arch', ARCHS.names())
def test_every_network_takes_five_channels(arch, monkeypatch):
    standin.register(monkeypatch)
    scales = {'n_scales': [0.5, 1.0]} if arch.startswith('attnscale') else {}
    with torch.device('meta'):
        net = get_net(arch, 2, standin.fitting(arch), options={**OPTIONS, 'IN_CHANNELS': 5}, **scales)
        assert net.eval()(torch.empty(1, 5, 64, 96))['pred'].shape == (1, 2, 64, 96)
    assert net.in_channels == 5 and not input_layers(net)


def test_a_trunk_of_timm_takes_one_channel():
    pytest.importorskip('timm')
    net = get_net('basic.HRNet', 2, trunk='timm/mobilenetv3_small_050', options={**OPTIONS, 'IN_CHANNELS': 1}).eval()
    assert net(torch.zeros(1, 1, 64, 96))['pred'].shape == (1, 2, 64, 96)


def test_a_network_without_a_convolution_over_its_image_says_so():
    net = nn.Sequential(nn.Linear(3, 3))
    net.arch = 'a.B'
    with pytest.raises(ValueError, match='--in_channels 4: a.B has no convolution over its image'):
        take_channels(net, 4, keep=False)


def test_weights_of_an_rgb_checkpoint_are_taken_over_and_others_are_not():
    rgb, net = small(3), small(4)
    found = for_channels(net, rgb.state_dict(), 3)
    changed = [key for key, value in rgb.state_dict().items() if found[key].shape != value.shape]
    assert changed == ['backbone.conv1.weight']
    assert torch.equal(found[changed[0]][:, 3], 0.75 * rgb.state_dict()[changed[0]][:, 0])
    assert for_channels(net, rgb.state_dict(), 6) is not found
    assert for_channels(net, rgb.state_dict(), 6)[changed[0]].shape[1] == 3


@pytest.mark.parametrize('channels, expected', [(1, (2.0,)), (3, (1.0, 2.0, 3.0)), (5, (1.0, 2.0, 3.0, 1.0, 2.0))])
def test_mean_and_std_of_rgb_are_spread_as_the_weights_are(channels, expected):
    assert spread((1.0, 2.0, 3.0), channels) == expected


def test_each_channel_is_normalised_by_its_own_mean_and_std():
    images = torch.full((1, 4, 1, 1), 255, dtype=torch.uint8)
    assert Normalize((0, 0.5, 0, 0.5), (1, 1, 2, 0.25))(images).flatten().tolist() == pytest.approx([1, 0.5, 0.5, 2])
