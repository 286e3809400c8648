"""U-Nets: the published one against its formula, and the deeper one with its outputs of deep supervision."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import train
from network import get_net
from network.unet import pad_to

KEYS = Path(__file__).parent / 'parity' / 'framework_keys.json'


@pytest.fixture(scope='module', params=['UNet', 'UNet_bilinear', 'UNetDS'])
def net(request):
    torch.manual_seed(0)
    return get_net(request.param, 5)


def formula(state, images, align_corners=None):
    """The published forward pass from the state dict in evaluation; align_corners of a bilinear variant."""

    def double(x, key):
        for conv, norm in ((0, 1), (3, 4)):
            layer = f'{key}.double_conv.{norm}'
            x = F.conv2d(x, state[f'{key}.double_conv.{conv}.weight'], padding=1)
            x = F.relu(
                F.batch_norm(
                    x, *(state[f'{layer}.{name}'] for name in ('running_mean', 'running_var', 'weight', 'bias'))
                )
            )
        return x

    maps = [double(images, 'inc')]
    for step in range(1, 5):
        maps.append(double(F.max_pool2d(maps[-1], 2), f'down{step}.maxpool_conv.1'))
    x = maps.pop()
    for step in range(1, 5):
        if align_corners is None:
            x = F.conv_transpose2d(x, state[f'up{step}.up.weight'], state[f'up{step}.up.bias'], stride=2)
        else:
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=align_corners)
        skip = maps.pop()
        rows, columns = (skip.shape[axis] - x.shape[axis] for axis in (2, 3))
        x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        x = double(torch.cat([skip, x], dim=1), f'up{step}.conv')
    return F.conv2d(x, state['outc.conv.weight'], state['outc.conv.bias'])


def test_keys_and_shapes_are_the_published_ones():
    with torch.device('meta'):
        net = get_net('UNet', 19)
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == json.loads(KEYS.read_text())['UNet']


@pytest.mark.parametrize(
    'arch, options, corners',
    [('UNet', {}, None), ('UNet_bilinear', {}, False), ('UNet_bilinear', {'align_corners': True}, True)],
)
def test_it_computes_the_published_formula_at_an_odd_size(arch, options, corners):
    torch.manual_seed(0)
    net = get_net(arch, 5, **options).double()
    images = torch.randn(1, 3, 39, 61, dtype=torch.float64)
    net.train()(images)  # running statistics other than 0 and 1
    with torch.no_grad():
        torch.testing.assert_close(
            net.eval()(images)['pred'], formula(net.state_dict(), images, corners), rtol=1e-9, atol=1e-9
        )


def test_the_bilinear_variant_is_of_the_published_size():
    with torch.device('meta'):
        net = get_net('UNet_bilinear', 1)
    assert sum(parameter.numel() for parameter in net.parameters()) == 17_262_977


def test_an_odd_row_or_column_of_padding_goes_below_and_to_the_right():
    assert pad_to(torch.ones(1, 1, 1, 1), (2, 4))[0, 0].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]


def test_training_outputs_have_their_order_and_sizes(net):
    outputs = net.train()(torch.randn(2, 3, 67, 45))
    expected = {'pred': (2, 5, 67, 45)}
    if net.arch == 'UNetDS':
        expected |= {
            'pred_ds2': (2, 5, 34, 23),
            'pred_ds4': (2, 5, 17, 12),
            'pred_ds8': (2, 5, 9, 6),
            'pred_ds16': (2, 5, 5, 3),
        }
    assert {name: tuple(maps.shape) for name, maps in outputs.items()} == expected
    assert net.output_names == tuple(expected)
    assert all(maps.is_contiguous() for maps in outputs.values())
    net.zero_grad()
    sum(maps.square().mean() for maps in outputs.values()).backward()
    assert [
        name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


def test_evaluation_has_one_output_which_is_that_of_training_without_batch_statistics(net):
    images = torch.randn(1, 3, 67, 45)
    with torch.no_grad():
        outputs = net.eval()(images)
        assert list(outputs) == ['pred']
        if net.arch == 'UNetDS':
            torch.testing.assert_close(outputs['pred'], net.train()(images)['pred'])


def test_the_deeper_one_normalises_each_image_by_itself():
    torch.manual_seed(0)
    net = get_net('UNetDS', 5).train()
    images = torch.randn(2, 3, 70, 66)
    with torch.no_grad():
        together, alone = net(images), net(images[:1])
    for name in together:
        torch.testing.assert_close(together[name][:1], alone[name], rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize(
    'arch, size, training, message',
    [
        (
            'UNet',
            (15, 40),
            False,
            'UNet: images of 15x40 pixels vanish on the way down to stride 16; both sides must be at least 16 pixels',
        ),
        (
            'UNet',
            (31, 31),
            True,
            'a single value, which has no variance to normalise by; use a crop with a side of at least 32 pixels',
        ),
        (
            'UNetDS',
            (64, 64),
            False,
            'UNetDS: images of 64x64 pixels are a single value at stride 64, .* one side must be at least 65 pixels',
        ),
    ],
)
def test_what_is_too_small_is_refused_and_the_nearest_size_works(arch, size, training, message):
    net = get_net(arch, 2).train(training)
    with pytest.raises(ValueError, match=message):
        net(torch.randn(1, 3, *size))
    with torch.no_grad():
        net(torch.randn(1, 3, size[0] + 1, size[1]))


def test_sixteen_pixels_are_enough_outside_of_training_and_in_a_larger_batch():
    net = get_net('UNet', 2)
    with torch.no_grad():
        assert net.eval()(torch.randn(1, 3, 16, 16))['pred'].shape == (1, 2, 16, 16)
        net.train()(torch.randn(2, 3, 16, 16))


def test_outputs_under_autocast_are_float32(net):
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert {maps.dtype for maps in net.train()(torch.randn(1, 3, 67, 45)).values()} == {torch.float32}


@pytest.mark.parametrize(
    'flags, message',
    [
        (['--freeze_trunk'], '--freeze_trunk: UNet has no trunk to freeze; leave the flag out'),
        (['--trunk', 'hrnetv2'], '--trunk hrnetv2: UNet has no trunk to choose; leave the flag out'),
    ],
)
def test_flags_of_a_trunk_are_mistakes(capsys, flags, message):
    assert train.main(['--arch', 'UNet', *flags]) == 2
    assert message in capsys.readouterr().err


def test_scales_of_hierarchical_inference_are_a_mistake():
    with pytest.raises(ValueError, match='--n_scales: UNet predicts at one scale only'):
        get_net('UNet', 5, n_scales=[0.5, 1.0])
