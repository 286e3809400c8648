"""DeepLab, Deeper and the plain heads against the plain form; which trunks they need; how their decoders start."""

import pytest
import torch
from plain_decoders import FEATURES, TinyTrunk, classifier, close, run, tiny, up

from network import ARCHS, get_net
from network.trunks.hrnet import HRNet, Layout

ONE_SCALE = ['basic.HRNet', 'basic.HRNet_ASP', 'deepv3.DeepV3', 'deepv3.DeepV3Plus', 'deeper.DeeperW38']
PYRAMID = {'head_strides': (2, 4, 8), 'skip_strides': ()}


@pytest.mark.parametrize('size, corners', [((24, 32), False), ((27, 38), False), ((27, 38), True)])
@pytest.mark.parametrize('arch', ONE_SCALE)
def test_a_network_is_its_plain_form_at_any_size_forward_and_backward(arch, size, corners):
    net = tiny(arch, align_corners=corners).train()
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    found = net(images)
    assert list(found) == ['pred'] == list(net.output_names)
    expected = up(run(classifier(net), FEATURES[arch](net, images)), size, corners)
    close(found['pred'], expected)
    signal = torch.randn_like(expected)
    for (name, _), one, other in zip(
        net.named_parameters(),
        torch.autograd.grad(found['pred'], list(net.parameters()), signal),
        torch.autograd.grad(expected, list(net.parameters()), signal),
    ):
        assert (one - other).abs().max() <= 1e-8 * other.abs().max().clamp_min(1e-3), name


@pytest.mark.parametrize('arch', ['basic.HRNet', 'basic.HRNet_ASP', 'deepv3.DeepV3'])
def test_heads_without_skips_read_a_whole_pyramid(arch):
    net = tiny(arch, trunk=TinyTrunk(**PYRAMID)).eval()
    images = torch.randn(1, 3, 33, 51, dtype=torch.float64)
    close(net(images)['pred'], up(run(classifier(net), FEATURES[arch](net, images)), (33, 51)))


@pytest.mark.parametrize('arch', ONE_SCALE)
def test_one_image_is_batch_enough(arch):
    net = tiny(arch).train()
    net(torch.randn(1, 3, 16, 16, dtype=torch.float64))['pred'].square().mean().backward()
    assert [
        name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


def test_DeepLabV3Plus_takes_the_finest_skip_map_there_is():
    assert tiny('deepv3.DeepV3Plus').bot_fine.in_channels == TinyTrunk.channels[2]
    assert tiny('deepv3.DeepV3Plus', trunk=TinyTrunk(skip_strides=(4,))).bot_fine.in_channels == TinyTrunk.channels[4]


def test_the_head_of_DeepLabV3Plus_does_not_enlarge_the_ASPP():
    """256 of its 304 channels arrive at stride 8 and are convolved there."""
    net = tiny('deepv3.DeepV3Plus').eval()
    seen = []
    net.final.register_forward_pre_hook(lambda head, inputs: seen.extend(tuple(m.shape[1:]) for m in inputs[0]))
    net(torch.randn(1, 3, 64, 96, dtype=torch.float64))
    assert seen == [(48, 32, 48), (256, 8, 12)]


def test_the_trunk_of_Deeper_is_called_trunk_in_checkpoints_of_one_scale_only():
    alone, several = tiny('deeper.DeeperW38'), tiny('mscale.DeeperW38')
    assert {key.split('.')[0] for key in alone.state_dict()} == {
        'trunk',
        'aspp',
        'convs2',
        'convs4',
        'conv_up1',
        'conv_up2',
        'conv_up3',
        'conv_up5',
    }
    assert {key.split('.')[0] for key in several.state_dict()} == {
        'backbone',
        'aspp',
        'convs2',
        'convs4',
        'conv_up1',
        'conv_up2',
        'conv_up3',
        'conv_up5',
        'scale_attn',
    }
    assert alone.backbone is alone.trunk
    assert {id(p) for p in alone.trunk_parameters()} == {id(p) for p in alone.trunk.parameters()}


@pytest.mark.parametrize(
    'arch',
    [
        name
        for name in ARCHS.names()
        if name.startswith(('deepv3.DeepV3Plus', 'attnscale.'))
        or name.startswith('mscale.DeepV3')
        or name == 'mscale2.DeepV3R50'
    ],
)
def test_a_trunk_without_skips_does_not_fit_under_DeepLabV3Plus(arch):
    with pytest.raises(
        ValueError,
        match=r'--trunk: DeepLabV3\+ adds a finer map .* strides 2, 4 and 8, which the ASPP reads; choose .* wrn38',
    ):
        tiny(arch, trunk=TinyTrunk(**PYRAMID))


@pytest.mark.parametrize('arch', [name for name in ARCHS.names() if 'Deeper' in name])
def test_a_trunk_without_stride_2_does_not_fit_under_Deeper(arch):
    with pytest.raises(
        ValueError,
        match=(
            '--trunk: this decoder adds the maps of strides 2 and 4, but the trunk has maps of strides 4 and 8; choose'
            ' .*wrn38'
        ),
    ):
        tiny(arch, trunk=TinyTrunk(skip_strides=(4,)))


def test_a_single_stride_is_told_in_the_singular():
    deep = {'head_strides': (8,), 'skip_strides': ()}
    with pytest.raises(ValueError, match='has only maps of stride 8, which the ASPP reads'):
        tiny('deepv3.DeepV3Plus', trunk=TinyTrunk(**deep))
    with pytest.raises(ValueError, match='the trunk has maps of stride 8; choose'):
        tiny('deeper.DeeperW38', trunk=TinyTrunk(**deep))


def test_the_error_reaches_a_user_who_chose_an_unfit_trunk():
    with pytest.raises(ValueError, match='has only maps of strides 4, 8, 16 and 32, which the ASPP reads'):
        get_net('deepv3.DeepV3PlusW38', 19, trunk='hrnetv2_w18_small_v1')
    with pytest.raises(ValueError, match='has maps of strides 4, 8, 16 and 32'):
        get_net('deeper.DeeperW38', 19, trunk='hrnetv2_w18_small_v1')


def kaimings(net):
    """Names of the layers outside the trunk whose weights have the deviation sqrt(2 / fan-in), not torch's sqrt(1 / (3
    fan-in))."""
    names = set()
    for name, module in net.named_modules():
        if (
            isinstance(module, torch.nn.Conv2d)
            and module.weight.numel() > 500
            and not name.startswith(('backbone', 'trunk'))
        ):
            deviation = module.weight.std().item() * module.weight[0].numel() ** 0.5
            assert deviation == pytest.approx(2**0.5, rel=0.15) or deviation == pytest.approx(3**-0.5, rel=0.15), name
            if deviation > 1:
                names.add(name.split('.')[0])
    return names


INITIALISED = {
    'basic.HRNet': ({'seg_head'}, set()),
    'basic.HRNet_ASP': ({'final', 'bot_aspp', 'aspp'}, set()),
    'deepv3.DeepV3': ({'aspp', 'final'}, set()),
    'deepv3.DeepV3Plus': ({'final'}, {'bot_fine', 'bot_aspp'}),
    'deepv3.DeepV3PlusW38I': ({'final', 'bot_fine', 'bot_aspp', 'aspp'}, set()),
    'deeper.DeeperW38': (set(), {'convs2', 'convs4', 'conv_up1', 'conv_up2', 'conv_up3', 'conv_up5'}),
    'mscale.HRNet': (set(), {'cls_head', 'scale_attn'}),
    'mscale.HRNet_ASP': ({'final'}, {'bot_aspp', 'scale_attn'}),
    'mscale.DeepV3W38Fuse': ({'final'}, {'bot_fine', 'bot_aspp', 'scale_attn'}),
    'mscale.DeeperX71': (set(), {'convs2', 'convs4', 'conv_up1', 'conv_up2', 'conv_up3', 'conv_up5', 'scale_attn'}),
    'mscale2.DeepV3R50': ({'final'}, {'bot_fine', 'bot_aspp', 'scale_attn'}),
    'mscale2.HRNet': (set(), {'cls_head', 'scale_attn'}),
    'attnscale.DeepV3R50': ({'final'}, {'bot_fine', 'bot_aspp', 'scale_attn'}),
    'ocrnet.HRNet_ASPP': (set(), {'ocr', 'aspp'}),
}


@pytest.mark.parametrize('arch', INITIALISED)
def test_heads_start_as_published_and_decoders_kaiming_normal_when_asked_for(arch):
    """Layers of more than 500 weights, on a trunk of 64 channels."""

    class Wide(TinyTrunk):
        channels = {2: 64, 4: 64, 8: 64}

    wide = {
        'MODEL__SEGATTN_BOT_CH': 64,
        'MODEL__ASPP_BOT_CH': 64,
        'MODEL__OCR__MID_CHANNELS': 64,
        'MODEL__OCR__KEY_CHANNELS': 64,
    }
    plain, decoder = INITIALISED[arch]
    assert kaimings(tiny(arch, 19, trunk=Wide(), cfg=wide)) == plain
    assert kaimings(tiny(arch, 19, trunk=Wide(), cfg=wide | {'MODEL__INIT_DECODER': True})) == plain | decoder


def test_a_small_hrnet_carries_the_heads_that_need_no_skips():
    for arch in ('basic.ASPP', 'deepv3.DeepV3', 'mscale.Basic', 'mscale.ASPP'):
        net = tiny(arch, trunk=HRNet(Layout(width=4, planes=4, bottlenecks=1, modules=(1, 1, 1), blocks=1))).eval()
        assert net(torch.randn(1, 3, 40, 56, dtype=torch.float64))['pred'].shape == (1, 5, 40, 56)
