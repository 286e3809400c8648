"""Hierarchical multi-scale attention: the fusion rules, and its shortcuts against the plain form."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from network.mscale import check_scales, fuse, scale_key
from network.resize import resize, scaled_size
from scripts.baseline_network import plain_copy, plain_n_scale, plain_two_scale


@pytest.fixture
def net(small_net):
    net = small_net().double()
    for module in net.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
        elif isinstance(module, nn.BatchNorm2d):  # so that every running statistic matters
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net


def close(found, expected):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max().clamp_min(1)


@pytest.mark.parametrize('corners', [False, True])
@pytest.mark.parametrize('size', [(64, 96), (65, 97)])
def test_the_training_pass_is_the_plain_form_forward_and_backward(net, size, corners):
    for module in net.modules():
        if hasattr(module, 'align_corners'):
            module.align_corners = corners
    plain, images = plain_copy(net).train(), torch.randn(2, 3, *size, dtype=torch.float64)
    found, expected = net.train()(images), plain_two_scale(plain, images)
    assert list(found) == list(expected)
    for name in expected:
        close(found[name], expected[name])
    for outputs in (found, expected):
        sum(
            (outputs[name] * torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None, None]).square().mean()
            for name in ('pred', 'aux', 'pred_05x', 'pred_10x')
        ).backward()
    for (name, parameter), other in zip(net.named_parameters(), plain.parameters()):
        assert (parameter.grad - other.grad).abs().max() <= 1e-8 * other.grad.abs().max().clamp_min(1e-3), name


ALL_SCALES = [[0.5, 1.0, 2.0], [1.0], [0.25, 0.75, 1.0, 1.5], [1.0, 2.0], [0.5, 1.0]]
QUICK = [
    ([0.5, 1.0, 2.0], (64, 96), False),
    ([0.5, 1.0, 2.0], (51, 70), True),
    ([1.0], (51, 70), False),
    ([0.25, 0.75, 1.0, 1.5], (51, 70), False),
]
REST = [case for case in itertools.product(ALL_SCALES, [(64, 96), (51, 70)], [False, True]) if case not in QUICK]


@pytest.mark.parametrize(
    'scales, size, corners', [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in REST)]
)
def test_n_scales_are_the_plain_form(net, scales, size, corners):
    for module in net.modules():
        if hasattr(module, 'align_corners'):
            module.align_corners = corners
    net.n_scales = check_scales(scales)
    images = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        found, expected = net.eval()(images, keep_scales=True), plain_n_scale(plain_copy(net), images, scales)
        alone = net(images)
    low_to_high = sorted(scales)
    assert list(found) == [
        'pred',
        *(scale_key('pred', s) for s in low_to_high),
        *(scale_key('attn', s) for s in low_to_high[:-1]),
    ]
    for name, maps in found.items():
        close(maps, expected[name])
    assert list(alone) == ['pred']
    close(alone['pred'], found['pred'])


def test_the_two_scale_pass_in_evaluation(net):
    images = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        found, expected = net.eval()(images, keep_scales=True), plain_two_scale(plain_copy(net), images)
        alone = net(images)
    assert list(found) == ['pred', 'pred_05x', 'pred_10x', 'attn_05x']
    for name in found:
        close(found[name], expected[name])
    assert list(alone) == ['pred']
    assert torch.equal(alone['pred'], found['pred'])


def test_the_attention_head_runs_only_where_its_map_is_used(net):
    sizes = []
    net.scale_attn.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape[-2:])))
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    net.train()(images)
    assert sizes == [(8, 12)]  # stride 4 of the low scale, not of 1x
    sizes.clear()
    net.n_scales = (2.0, 1.0, 0.5)
    with torch.no_grad():
        net.eval()(images)
    assert sizes == [(8, 12), (16, 24)]  # from the smallest up, and not of 2x


def test_evaluation_neither_enlarges_the_auxiliary_logits_nor_the_largest_scale(net, monkeypatch):
    sizes, enlarge = [], net.enlarge
    monkeypatch.setattr(net, 'enlarge', lambda maps, size: sizes.append((maps.shape[1], size)) or enlarge(maps, size))
    net.n_scales = (2.0, 1.0, 0.5)
    with torch.no_grad():
        net.eval()(torch.randn(1, 3, 64, 96, dtype=torch.float64))
    assert sizes == [(5, (64, 96)), (5, (64, 96)), (1, (64, 96)), (5, (32, 48)), (1, (32, 48))]


@pytest.mark.parametrize('factor, exact', [(4, True), (8, True), (2, False), (6, False)])
def test_enlarging_and_halving_is_direct_resizing_for_multiples_of_4(factor, exact):
    maps = torch.randn(1, 2, 5, 7, dtype=torch.float64)
    size = (5 * factor, 7 * factor)
    half = (size[0] // 2, size[1] // 2)
    detour = resize(resize(maps, size, False), half, False)
    assert torch.allclose(detour, resize(maps, half, False), atol=1e-12) is exact
    corners = resize(resize(maps, size, True), half, True)
    assert not torch.allclose(corners, resize(maps, half, True), atol=1e-3)


def test_the_shortcut_is_taken_only_where_it_is_exact(net):
    logits = torch.zeros(1, 5, 32, 48)
    assert net._first_size(logits, (128, 192), (64, 96)) == (64, 96)
    assert net._first_size(logits, (128, 192), (96, 144)) == (128, 192)  # the next scale is not half
    assert net._first_size(logits, (126, 190), (63, 95)) == (126, 190)  # rounded up at stride 4
    net.align_corners = True
    assert net._first_size(logits, (128, 192), (64, 96)) == (128, 192)


def test_fuse_weights_the_scale_by_its_own_attention():
    logits, attention, other = (
        torch.full((1, 2, 2, 2), 3.0),
        torch.full((1, 1, 2, 2), 0.25),
        torch.full((1, 2, 4, 4), 1.0),
    )
    assert torch.equal(fuse(logits, attention, other, False), torch.full((1, 2, 4, 4), 0.25 * 3 + 0.75 * 1))
    assert torch.equal(fuse(logits, attention, other[:, :, :2, :2], False), torch.full((1, 2, 2, 2), 1.5))


def test_the_product_is_formed_before_it_is_enlarged():
    logits, attention = torch.tensor([[[[0.0, 4.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
    found = fuse(logits, attention, torch.zeros(1, 1, 1, 4), False)
    assert found.flatten().tolist() == [0.0, 1.0, 3.0, 4.0]  # product of the enlarged: 0, 0.25, 2.25, 4


@pytest.mark.parametrize('scale', [0.25, 0.5, 0.75, 1.5, 2.0])
def test_scaled_sizes_round_down_as_torch_does(scale):
    images = torch.zeros(1, 1, 1025, 683)
    expected = F.interpolate(images, scale_factor=scale, mode='bilinear', recompute_scale_factor=True).shape[-2:]
    assert scaled_size((1025, 683), scale) == tuple(expected)


def test_scales_are_sorted_and_checked():
    assert check_scales([0.5, 2, 1.0]) == (2.0, 1.0, 0.5)
    for scales, message in [
        ([0.5, 2.0], '0.5,2|lacks 1.0'),
        ([1.0, 1.0], 'each be given once'),
        ([1.0, -1.0], 'must be positive'),
        ([1.0, 0.0], 'must be positive'),
        ([1.0, float('nan')], 'finite'),
        ([1.0, float('inf')], 'finite'),
        (['x', 1.0], 'no list of numbers'),
        (3, 'no list of numbers'),
    ]:
        with pytest.raises(ValueError, match=message):
            check_scales(scales)


@pytest.mark.parametrize(
    'flags, message',
    [
        (['--n_scales', '0.5,2.0'], '--n_scales 2,0.5 lacks 1.0'),
        (['--n_scales', '0.5,0.5,1'], 'each be given once'),
        (['--arch', 'ocrnet.HRNet', '--n_scales', '0.5,1.0'], 'ocrnet.HRNet predicts at one scale only'),
    ],
)
def test_scales_that_do_not_fit_are_told_before_a_run_writes_anything(flags, message, program):
    code, printed = program(*flags)
    assert code == 2 and message in printed and not program.run_dir.exists()


def test_scale_keys():
    assert [scale_key('pred', s) for s in (0.25, 0.5, 1, 1.75, 2.0)] == [
        'pred_025x',
        'pred_05x',
        'pred_10x',
        'pred_175x',
        'pred_20x',
    ]


def test_single_scale_networks_refuse_n_scales(small_net):
    with pytest.raises(ValueError, match='--n_scales: basic.HRNet predicts at one scale only; choose'):
        small_net('basic.HRNet', n_scales=[0.5, 1.0])


def test_the_low_scale_comes_from_the_configuration(small_net):
    net = small_net(cfg={'MODEL__MSCALE_LO_SCALE': 0.25})
    assert net.output_names == ('pred', 'aux', 'pred_025x', 'pred_10x')
    outputs = net.train()(torch.randn(2, 3, 128, 160))
    assert outputs['pred_025x'].shape[-2:] == (32, 40)


def test_n_scales_can_be_differentiated_in_evaluation(net):
    net.n_scales = (2.0, 1.0, 0.5)
    images = torch.randn(1, 3, 32, 48, dtype=torch.float64, requires_grad=True)
    net.eval()(images)['pred'].sum().backward()
    assert images.grad.abs().sum() > 0


def test_a_copy_is_independent(net):
    other = copy.deepcopy(net)
    other.n_scales, other.options.OCR.MID_CHANNELS = (1.0,), 8
    assert net.n_scales == ()
    assert net.options.OCR.MID_CHANNELS == 32
