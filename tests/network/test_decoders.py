"""Decoders of a pyramid against computations by hand or in another way; test_decoders_oracle.py has transformers'."""

import pytest
import standin
import torch
import torch.nn.functional as F
from torch import nn

from network.decoders.dpt import Fusion
from network.decoders.fpn import Climb, FeaturePyramid
from network.decoders.levels import DepthPyramid, SimplePyramid
from network.decoders.upernet import means_of_parts

CLASSES, CHANNELS = 5, 16
VIT = 'timm/test_vit'  # six blocks of 64 channels, patch 16


@pytest.fixture
def decoder(small_net, monkeypatch):
    """decoder(arch, trunk=..., cfg=...) -> the network with narrow heads, in evaluation."""
    standin.register(monkeypatch)

    def build(arch, trunk=standin.PYRAMID, cfg=None):
        if trunk.startswith('timm/'):
            pytest.importorskip('timm')
        return small_net(arch, CLASSES, trunk=trunk, cfg={'MODEL__DECODER_CH': CHANNELS, **(cfg or {})}).eval()

    return build


def test_the_means_of_two_parts_of_five_rows_share_the_middle_one():
    maps = torch.tensor([0.0, 1, 2, 30, 400]).expand(1, 1, 2, 5)
    assert means_of_parts(maps, 2).flatten().tolist() == pytest.approx([1, 144, 1, 144])


@pytest.mark.parametrize('parts', [1, 2, 3, 6])
@pytest.mark.parametrize('size', [(1, 1), (4, 7), (12, 13)])
def test_means_of_parts_are_adaptive_pooling(parts, size):
    maps = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(means_of_parts(maps, parts), F.adaptive_avg_pool2d(maps, parts))


def test_a_feature_pyramid_adds_every_coarser_level_by_the_nearest_value():
    pyramid = FeaturePyramid([1, 1, 1], 1)
    for lateral, output in zip(pyramid.laterals, pyramid.outputs):
        nn.init.ones_(lateral.weight), nn.init.zeros_(lateral.bias)
        nn.init.dirac_(output.weight), nn.init.zeros_(output.bias)
    fine, middle, coarse = torch.zeros(1, 1, 1, 3), torch.tensor([[[[10.0, 20.0]]]]), torch.tensor([[[[1.0]]]])
    found = pyramid([fine, middle, coarse])
    assert [maps.flatten().tolist() for maps in found] == [[11, 11, 21], [11, 21], [1]]


def test_a_level_climbs_through_the_sizes_of_the_finer_ones():
    sizes = [(9, 13), (5, 7), (3, 4)]
    finer = [torch.zeros(1, 2, *size) for size in sizes]
    climb = Climb(3, 2, 4, align_corners=False)
    seen = []
    for layers in climb:
        layers.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[-2:])))
    assert climb(torch.randn(1, 2, 2, 2), finer).shape == (1, 4, 9, 13)
    assert seen == [(2, 2), (3, 4), (5, 7)]
    assert len(Climb(0, 2, 4, align_corners=False)) == 1


def test_fpn_is_the_sum_of_its_levels_at_the_finest(decoder):
    net, images = decoder('basic.FPN'), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        levels = net.pyramid(net.level_maps(images))
        assert [m.shape[-1] for m in levels] == [24, 12, 6, 3]
        climbed = [climb(level, levels[:index]) for index, (climb, level) in enumerate(zip(net.climbs, levels))]
        logits = F.conv2d(sum(climbed), net.final.weight, net.final.bias)
        torch.testing.assert_close(net(images)['pred'], F.interpolate(logits, (64, 96), mode='bilinear'))


@pytest.mark.parametrize('make', [DepthPyramid, lambda channels: SimplePyramid(channels, 8)])
def test_a_pyramid_over_a_vit_has_a_quarter_half_one_and_two_patches(make):
    found = make(8)([torch.randn(2, 8, 3, 5) for _ in range(4)])
    assert [tuple(m.shape) for m in found] == [(2, 8, 12, 20), (2, 8, 6, 10), (2, 8, 3, 5), (2, 8, 2, 3)]


def test_the_depth_pyramid_pools_the_deepest_map_and_the_simple_one_reads_no_other():
    maps = [torch.full((1, 8, 2, 2), float(depth)) for depth in range(4)]
    maps[3][..., 0, 1] = 7
    _, _, third, fourth = DepthPyramid(8).eval()(maps)
    assert third is maps[2] and fourth.unique().tolist() == [7]
    simple = SimplePyramid(8, 4).eval()
    with torch.no_grad():
        found, other = simple(maps), simple([torch.randn(1, 8, 2, 2) for _ in range(3)] + maps[3:])
    assert all(torch.equal(a, b) for a, b in zip(found, other))


@pytest.mark.parametrize('depths, blocks', [(1, [5, 5, 5, 5]), (2, [2, 2, 5, 5]), (4, [0, 2, 3, 5]), (6, [1, 2, 4, 5])])
def test_four_levels_of_a_vit_are_spread_over_the_depths_that_it_gives(decoder, depths, blocks):
    net, seen = decoder('basic.SegFormer', VIT, {'MODEL__VIT__DEPTHS': depths}), {}
    vit, images = net.backbone.model, torch.randn(1, 3, 32, 48)
    for index, block in enumerate(vit.blocks):
        block.register_forward_hook(lambda module, inputs, output, index=index: seen.__setitem__(index, output))
    with torch.no_grad():
        levels = net.level_maps(images)
        expected = [
            vit.norm(seen[block])[:, vit.num_prefix_tokens :].transpose(1, 2).unflatten(2, (2, 3)) for block in blocks
        ]
    assert net.level_channels == [64] * 4
    for level, map in zip(levels, expected):
        torch.testing.assert_close(level, map)


def test_a_fusion_adds_the_refined_level_and_its_plain_form_resizes_first():
    fusion = Fusion(2, align_corners=True, coarsest=False).double().eval()
    for unit in (fusion.before, fusion.after):
        nn.init.zeros_(unit.convs[4].weight)  # the unit returns what it is given
    nn.init.dirac_(fusion.project.weight)
    nn.init.constant_(fusion.project.bias, 0.5)
    level, coarser = torch.ones(1, 2, 1, 2, dtype=torch.float64), torch.tensor([[[[0.0, 2.0]]] * 2]).view(1, 2, 1, 2)
    expected = [1.5, 2.5, 3.5]
    assert fusion(level, coarser.double(), (1, 3)).flatten().tolist() == expected * 2
    fusion.plain = True
    assert fusion(level, coarser.double(), (1, 3)).flatten().tolist() == expected * 2


@pytest.mark.parametrize('trunk, stride', [(standin.PYRAMID, 2), (VIT, 2)])
def test_dpt_classifies_at_half_the_stride_of_its_finest_level(decoder, trunk, stride):
    net = decoder('basic.DPT', trunk)
    with torch.no_grad():
        assert net.run_heads(torch.randn(1, 3, 64, 96)).logits.shape == (1, CLASSES, 64 // stride, 96 // stride)


@pytest.mark.parametrize('trunk', [VIT, 'timm/test_vit2'])
@pytest.mark.parametrize(
    'arch', ['basic.FPN', 'basic.UPerNet', 'basic.SegFormer', 'basic.DPT', 'basic.Upscale', 'mscale.DPT']
)
def test_decoders_take_a_vit_with_and_without_registers_any_size_and_a_batch_of_one(decoder, arch, trunk):
    net, images = decoder(arch, trunk), torch.randn(1, 3, 70, 99)
    outputs = net.train()(images)
    sum(outputs[name].square().mean() for name in net.output_names).backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
    with torch.no_grad():
        pred = net.eval()(images)['pred']
    assert pred.shape == (1, CLASSES, 70, 99) and pred.isfinite().all()


BRAVO = {'MODEL__PLAIN_LINEAR': True, 'MODEL__VIT__DEPTHS': 1}


def test_the_linear_decoder_of_bravo_is_one_matrix_over_the_last_tokens(decoder):
    net, images = decoder('basic.Linear', VIT, BRAVO), torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        tokens = net.backbone.model.forward_features(images)[:, net.backbone.model.num_prefix_tokens :]
        logits = F.linear(tokens, net.linear.weight.flatten(1), net.linear.bias).transpose(1, 2).unflatten(2, (2, 3))
        torch.testing.assert_close(net(images)['pred'], F.interpolate(logits, (32, 48), mode='bilinear'))
    assert [key for key in net.state_dict() if not key.startswith('backbone.')] == ['linear.weight', 'linear.bias']


def test_the_upscaling_decoder_quarters_the_channels_at_four_times_the_size(decoder):
    net, images = decoder('basic.Upscale', VIT, {'MODEL__VIT__DEPTHS': 1}), torch.randn(1, 3, 32, 48)
    first, _, _, second, _, third, _ = net.upscale
    with torch.no_grad():
        (maps,) = net.trunk_maps(images)
        x = F.gelu(normed(F.conv_transpose2d(maps, first.weight, stride=2)))
        x = normed(F.conv2d(normed(F.conv_transpose2d(x, second.weight, stride=2)), third.weight, padding=1))
        assert x.shape == (1, 16, 8, 12)
        torch.testing.assert_close(net.run_heads(images).logits, F.conv2d(x, net.out.weight))
    assert net.out.bias is None and 0.05 < net.out.weight.std() < 0.15


def normed(maps):
    """Layer norm over the channels of each pixel."""
    mean, variance = maps.mean(1, keepdim=True), maps.var(1, keepdim=True, unbiased=False)
    return (maps - mean) / (variance + 1e-6).sqrt()
