"""Multi-scale networks without OCR, chained and pairwise ones too, against the fusion rules written out."""

import pytest
import torch
import torch.nn.functional as F
from plain_decoders import FEATURES, TinyTrunk, classifier, close, deepv3plus, run, tiny, up

from network.mscale import check_scales

HIERARCHICAL = ['mscale.HRNet', 'mscale.HRNet_ASP', 'mscale.DeepV3Plus', 'mscale.DeeperW38']
CHAINED = ['mscale.DeepV3W38Fuse', 'mscale.DeepV3W38Fuse2']
PAIRWISE = ['mscale2.DeepV3R50', 'mscale2.HRNet']
EVERY = [*HIERARCHICAL, *CHAINED, *PAIRWISE]
SIZES = [((16, 24), False), ((19, 30), True)]  # with aligned corners
SCALES = [[0.5, 1.0, 2.0], [0.25, 0.75, 1.0, 1.5], [1.0, 2.0], [1.0]]
TRUNKS = {'mscale.HRNet': {'head_strides': (4, 8)}, 'mscale2.HRNet': {'head_strides': (4, 8)}}


def build(arch, **kwargs):
    return tiny(arch, trunk=TinyTrunk(**TRUNKS.get(arch, {})), **kwargs)


def rescaled(x, scale, corners):
    return F.interpolate(x, scale_factor=scale, mode='bilinear', align_corners=corners, recompute_scale_factor=True)


def named(kind, scale):
    return f'{kind}_{str(float(scale)).replace(".", "")}x'


def plain_views(net, x, scales):
    """{scale: (logits, attention by which it is blended, both at its images' size)}, attention None at the largest."""
    corners, views, larger = net.align_corners, {}, None
    for scale in sorted(scales, reverse=True):
        images = rescaled(x, scale, corners)
        feats = FEATURES[net.arch_key](net, images)
        attention = None
        if net.arch_key in PAIRWISE and larger is not None:
            target = feats if net.arch_key == 'mscale2.DeepV3R50' else larger
            pair = torch.cat([up(feats, target.shape[-2:], corners), up(larger, target.shape[-2:], corners)], dim=1)
            attention = run(net.scale_attn, pair)
        elif larger is not None:
            attention = run(net.scale_attn, feats)
        larger = feats
        views[scale] = tuple(
            None if m is None else up(m, images.shape[-2:], corners) for m in (run(classifier(net), feats), attention)
        )
    return views


def plain_fusion(views, corners):
    """Largest scale first: at the scale's own size down to 1.0, at the size of the images below."""
    pred = None
    for scale, (logits, attention) in views.items():
        if pred is None:
            pred = logits
        elif scale >= 1.0:
            pred = attention * logits + (1 - attention) * up(pred, logits.shape[-2:], corners)
        else:
            size = pred.shape[-2:]
            pred = up(attention * logits, size, corners) + (1 - up(attention, size, corners)) * pred
    return pred


def plain_chain(net, x, scales, at_full_size):
    """Views as above, but from the smallest scale up the ASPP is blended with that of the scale before; attention (N, 1
    or 2, h, w).

    at_full_size: logits and attention of every scale are resized to x, as hierarchical inference does.
    """
    corners, views, before = net.align_corners, {}, None
    for scale in sorted(scales):
        images, kept = rescaled(x, scale, corners), []

        def blend(aspp, before=before, kept=kept):
            if before is not None:
                lower, gate = (up(m, aspp.shape[-2:], corners) for m in before)
                aspp = gate * lower + (1 - gate) * aspp
            kept.append(aspp)
            return aspp

        feats = deepv3plus(net, images, blend)
        logits, attention = (
            up(m, images.shape[-2:], corners) for m in (run(classifier(net), feats), run(net.scale_attn, feats))
        )
        if at_full_size:
            logits, attention = up(logits, x.shape[-2:], corners), up(attention, x.shape[-2:], corners)
        before = kept[0], attention[:, -1:]
        views[scale] = logits, attention[:, :1]
    return dict(reversed(views.items()))


def plain(net, x, scales, hierarchical):
    if net.arch_key not in CHAINED:
        views = plain_views(net, x, scales)
        return plain_fusion(views, net.align_corners), views
    views = plain_chain(net, x, scales, at_full_size=hierarchical)
    if not hierarchical:
        return plain_fusion(views, net.align_corners), views
    largest, *smaller = views.values()
    pred = largest[0]
    for logits, attention in smaller:
        pred = attention * logits + (1 - attention) * pred
    return pred, views


def align(net, corners):
    for module in net.modules():
        if hasattr(module, 'align_corners'):
            module.align_corners = corners


@pytest.fixture(params=EVERY)
def net(request):
    net = build(request.param)
    net.arch_key = request.param
    return net


@pytest.mark.parametrize('size, corners', SIZES)
def test_training_blends_two_scales(net, size, corners):
    align(net.train(), corners)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    found, (pred, views) = net(images), plain(net, images, [0.5, 1.0], hierarchical=False)
    assert list(found) == ['pred', 'pred_05x', 'pred_10x', 'attn_05x']
    assert net.output_names == ('pred', 'pred_05x', 'pred_10x')
    expected = {'pred': pred, 'pred_05x': views[0.5][0], 'pred_10x': views[1.0][0], 'attn_05x': views[0.5][1]}
    for name in expected:
        close(found[name], expected[name])
    signal, parameters = torch.randn_like(pred), list(net.parameters())
    for (name, _), one, other in zip(
        net.named_parameters(),
        torch.autograd.grad(found['pred'], parameters, signal),
        torch.autograd.grad(pred, parameters, signal),
    ):
        assert (one - other).abs().max() <= 1e-8 * other.abs().max().clamp_min(1e-3), name


def once_each(first, second):
    """Every pair of the two, those slow in which neither value is new."""
    return [
        pytest.param(*pair, *other, marks=pytest.mark.slow if row and column else ())
        for row, pair in enumerate(first)
        for column, other in enumerate((value,) for value in second)
    ]


@pytest.mark.parametrize('size, corners, scales', once_each(SIZES, SCALES))
def test_evaluation_blends_any_number_of_scales(net, scales, size, corners):
    align(net.eval(), corners)
    net.n_scales = check_scales(scales)
    images = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        found, (pred, views) = net(images, keep_scales=True), plain(net, images, scales, hierarchical=True)
        alone = net(images)
    low_to_high = sorted(scales)
    assert list(found) == [
        'pred',
        *(named('pred', s) for s in low_to_high),
        *(named('attn', s) for s in low_to_high[:-1]),
    ]
    close(found['pred'], pred)
    for scale, (logits, attention) in views.items():
        close(found[named('pred', scale)], logits)
        if scale != low_to_high[-1]:
            close(found[named('attn', scale)], attention)
    assert list(alone) == ['pred']
    close(alone['pred'], pred)


def test_evaluation_without_scales_is_the_pass_of_training(net):
    images = torch.randn(1, 3, 27, 38, dtype=torch.float64)
    with torch.no_grad():
        found, (pred, _) = net.eval()(images, keep_scales=True), plain(net, images, [0.5, 1.0], hierarchical=False)
    close(found['pred'], pred)


def test_every_parameter_gets_a_gradient_from_one_image(net):
    net.train()(torch.randn(1, 3, 32, 48, dtype=torch.float64))['pred'].square().mean().backward()
    assert [
        name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ] == []


def test_the_attention_head_runs_once_less_than_the_trunk(net):
    calls = []
    net.scale_attn.register_forward_hook(lambda *_: calls.append('attention'))
    net.backbone.register_forward_hook(lambda *_: calls.append('trunk'))
    images = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    net.train()(images)
    assert (calls.count('attention'), calls.count('trunk')) == (1, 2)
    calls.clear()
    net.n_scales = (2.0, 1.0, 0.5)
    with torch.no_grad():
        net.eval()(images)
    assert (calls.count('attention'), calls.count('trunk')) == (2, 3)


def test_single_scale_maps_of_a_chain_come_at_the_size_of_the_images():
    net = build('mscale.DeepV3W38Fuse', n_scales=[0.5, 1.0, 2.0]).eval()
    outputs = net(torch.randn(1, 3, 32, 48, dtype=torch.float64), keep_scales=True)
    assert {tuple(maps.shape[-2:]) for maps in outputs.values()} == {(32, 48)}
    assert list(outputs) == ['pred', 'pred_05x', 'pred_10x', 'pred_20x', 'attn_05x', 'attn_10x']


def test_the_chain_of_one_attention_channel_uses_it_twice_and_that_of_two_does_not():
    for arch, channels in zip(CHAINED, (1, 2)):
        assert build(arch).scale_attn.conv2.out_channels == channels


def test_half_precision_runs_and_returns_single(net):
    net.float().train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        outputs = net(torch.randn(2, 3, 32, 48))
    assert {maps.dtype for maps in outputs.values()} == {torch.float32}
    assert all(maps.isfinite().all() for maps in outputs.values())
