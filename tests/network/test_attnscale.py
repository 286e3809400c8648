"""Attention to scale: weights of every scale from the features of all, or pair by pair."""

import pytest
import torch
import torch.nn.functional as F
from plain_decoders import close, deepv3plus, run, tiny, up

SIZES = [((16, 24), False), ((19, 30), True)]  # with aligned corners


def plain_scales(net, x, scales):
    """{scale: (logits at the size of x, features)}, 1.0 first."""
    corners, found = net.align_corners, {}
    for scale in sorted(scales, key=lambda scale: (scale != 1.0, scale)):
        images = F.interpolate(
            x, scale_factor=scale, mode='bilinear', align_corners=corners, recompute_scale_factor=True
        )
        feats = deepv3plus(net, images)
        found[scale] = up(up(run(net.final, feats), images.shape[-2:], corners), x.shape[-2:], corners), feats
    return found


def plain_attention(net, x, scales):
    """pred and {scale: weight} of the networks that weigh all scales at once."""
    found = plain_scales(net, x, scales)
    target = found[1.0][1].shape[-2:]
    maps = run(net.scale_attn, torch.cat([up(feats, target, net.align_corners) for _, feats in found.values()], dim=1))
    weights = dict(zip(sorted(scales), up(maps, x.shape[-2:], net.align_corners).split(1, dim=1)))
    return sum(found[scale][0] * weights[scale] for scale in scales), weights


def plain_paired(net, x, scales):
    found, scales = plain_scales(net, x, scales), sorted(scales)
    target = found[1.0][1].shape[-2:]
    feats = {scale: up(maps, target, net.align_corners) for scale, (_, maps) in found.items()}
    weights, last = {}, None
    for low, high in zip(scales, scales[1:]):
        pair = up(run(net.scale_attn, torch.cat([feats[low], feats[high]], dim=1)), x.shape[-2:], net.align_corners)
        low_weight, high_weight = pair[:, :1], pair[:, 1:]
        share = 1 if last is None else last / (low_weight + high_weight)
        weights[low], weights[high] = low_weight * share, high_weight * share
        last = high_weight
    return sum(found[scale][0] * weights[scale] for scale in scales), weights


CASES = [
    ('attnscale.DeepV3R50', plain_attention, [0.5, 1.0, 2.0], None),
    ('attnscale.DeepV3R50B', plain_attention, [0.5, 1.0, 2.0], None),
    ('attnscale.DeepV3W38', plain_attention, [0.5, 1.0], [1.0, 0.5]),
    ('attnscale.DeepV3R50BP', plain_paired, [0.5, 1.0], None),
]


@pytest.mark.parametrize('size, corners', SIZES)
@pytest.mark.parametrize('arch, oracle, scales, given', CASES)
def test_every_scale_is_weighted_in_training_and_evaluation(arch, oracle, scales, given, size, corners):
    net = tiny(arch, n_scales=given, align_corners=corners)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    names = [str(scale).replace('.', '') + 'x' for scale in scales]
    for training in (True, False):
        found, (pred, weights) = net.train(training)(images, keep_scales=True), oracle(net, images, scales)
        singles = [] if training else [f'pred_{name}' for name in names]
        assert list(found) == ['pred', *singles, *(f'attn_{name}' for name in names)]
        close(found['pred'], pred)
        for scale, name in zip(scales, names):
            close(found[f'attn_{name}'], weights[scale])
    assert net.output_names == ('pred',)
    alone = net(images)
    assert list(alone) == ['pred']
    assert torch.equal(alone['pred'], found['pred'])


@pytest.mark.parametrize('arch', [case[0] for case in CASES])
def test_every_parameter_learns_from_one_image(arch):
    net = tiny(arch).train()
    net(torch.randn(1, 3, 32, 48, dtype=torch.float64))['pred'].square().mean().backward()
    assert [
        name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


@pytest.mark.parametrize('scales', [[0.5, 1.0, 2.0], [0.5, 0.75, 1.0, 1.5], [1.0, 2.0]])
def test_a_paired_network_chains_more_scales_in_evaluation_than_it_was_trained_on(scales):
    net = tiny('attnscale.DeepV3R50BP', n_scales=scales)
    images = torch.randn(1, 3, 27, 38, dtype=torch.float64)
    assert list(net.train()(images)) == ['pred', 'attn_05x', 'attn_10x']
    with torch.no_grad():
        found, (pred, weights) = net.eval()(images, keep_scales=True), plain_paired(net, images, scales)
    close(found['pred'], pred)
    for scale in scales:
        close(found[f'attn_{str(scale).replace(".", "")}x'], weights[scale])


def test_a_pair_shares_out_what_the_pair_before_gave():
    """Pairs (0.2, 0.6) and (0.9, 0.3): the second shares 0.6 as 3 to 1."""
    net = tiny('attnscale.DeepV3R50BP', n_scales=[0.5, 1.0, 2.0]).eval()
    pairs = iter([(0.2, 0.6), (0.9, 0.3)])
    net.scale_attn.forward = lambda maps: (
        torch.tensor(next(pairs), dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    )
    outputs = net(torch.randn(1, 3, 32, 32, dtype=torch.float64), keep_scales=True)
    weights = [outputs[f'attn_{name}x'] for name in ('05', '10', '20')]
    for found, expected in zip(weights, (0.2, 0.45, 0.15)):
        torch.testing.assert_close(found, torch.full((1, 1, 32, 32), expected, dtype=torch.float64))


def test_the_heads_have_a_channel_per_scale_and_the_published_layers():
    def convs(net):
        return {
            key.removeprefix('scale_attn.'): tuple(value.shape)
            for key, value in net.state_dict().items()
            if key.startswith('scale_attn') and value.dim() == 4
        }

    plain = {'0.weight': (512, 912, 3, 3), '2.weight': (3, 512, 1, 1)}
    normed = {'0.weight': (8, 912, 3, 3), '3.weight': (8, 8, 3, 3), '6.weight': (3, 8, 1, 1)}
    assert convs(tiny('attnscale.DeepV3R50')) == plain
    assert (
        convs(tiny('attnscale.DeepV3R50B'))
        == normed
        == convs(tiny('attnscale.DeepV3R50', cfg={'MODEL__ATTNSCALE_BN_HEAD': True}))
    )
    assert convs(tiny('attnscale.DeepV3R50BP'))['6.weight'] == (2, 8, 1, 1)
    assert convs(tiny('attnscale.DeepV3R50', n_scales=[1.0, 0.5]))['2.weight'] == (2, 512, 1, 1)


def test_a_pair_needs_two_scales():
    with pytest.raises(ValueError, match='--n_scales 1 .* weighs scales in pairs; give at least two, such as 0.5,1.0'):
        tiny('attnscale.DeepV3R50BP', n_scales=[1.0])
