"""Atrous spatial pyramid pooling: its order, its rates, a pyramid of maps, a batch of one image, and where it stands in
OCR networks."""

import pytest
import torch
from plain_decoders import TinyTrunk, close, joined, plain_aspp, run, tiny
from torch import nn

import network.aspp as module
from network.aspp import ASPP
from network.pyramid import conv_over_pyramid, mean_over_pyramid

SIZES = [(16, 24), (17, 27), (5, 3)]


def lively(aspp):
    for part in aspp.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return aspp.double()


def pyramid(height, width, channels=(3, 6, 12), batch=2):
    return [
        torch.randn(batch, c, -(-height // 2**level), -(-width // 2**level), dtype=torch.float64, requires_grad=True)
        for level, c in enumerate(channels)
    ]


def test_the_keys_are_the_published_ones_and_the_width_is_five_branches():
    aspp = ASPP(6, 4)
    convs = {key: tuple(value.shape) for key, value in aspp.state_dict().items() if value.dim() == 4}
    assert convs == {
        'features.0.0.weight': (4, 6, 1, 1),
        'features.1.0.weight': (4, 6, 3, 3),
        'features.2.0.weight': (4, 6, 3, 3),
        'features.3.0.weight': (4, 6, 3, 3),
        'img_conv.0.weight': (4, 6, 1, 1),
    }
    assert {key.rpartition('.')[0] for key in aspp.state_dict() if key.endswith('running_var')} == {
        *(f'features.{branch}.1' for branch in range(4)),
        'img_conv.1',
    }
    assert aspp.channels == 20


def test_a_point_spreads_by_12_24_and_36_pixels_in_that_order_after_the_mean_and_the_1x1():
    aspp = ASPP(1, 1).double().eval()
    for part in aspp.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.ones_(part.weight)
    point = torch.zeros(1, 1, 81, 81, dtype=torch.float64)
    point[0, 0, 40, 40] = 1
    mean, one, *dilated = aspp([point])[0] * (1 + 1e-5) ** 0.5
    torch.testing.assert_close(mean, torch.full((81, 81), 1 / 6561, dtype=torch.float64))
    assert one.nonzero().tolist() == [[40, 40]]
    for found, rate in zip(dilated, (12, 24, 36)):
        assert found.nonzero().tolist() == [[40 + rate * i, 40 + rate * j] for i in (-1, 0, 1) for j in (-1, 0, 1)]


@pytest.mark.parametrize('corners', [False, True])
@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('training', [True, False])
def test_a_pyramid_is_pooled_as_if_resized_and_concatenated(size, corners, training):
    torch.manual_seed(0)
    aspp, maps = lively(ASPP(21, 4, corners)).train(training), pyramid(*size)
    found, expected = aspp(maps), plain_aspp(aspp, joined(maps, corners))
    close(found, expected)
    signal, inputs = torch.randn_like(expected), [*maps, *aspp.parameters()]
    for one, other in zip(torch.autograd.grad(found, inputs, signal), torch.autograd.grad(expected, inputs, signal)):
        close(one, other, 1e-8)


@pytest.mark.parametrize('corners', [False, True])
@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('kernel, dilation', [(3, 2), (3, 12), (5, 1), (1, 1)])
def test_a_dilated_convolution_over_a_pyramid_with_the_finest_map_anywhere_in_it(size, kernel, dilation, corners):
    conv = nn.Conv2d(21, 5, kernel, padding=kernel // 2 * dilation, dilation=dilation).double()
    fine, *rest = pyramid(*size)
    order = [*rest, fine]
    expected = conv(
        torch.cat(
            [nn.functional.interpolate(m, size=size, mode='bilinear', align_corners=corners) for m in order], dim=1
        )
    )
    close(conv_over_pyramid(conv, order, corners, size=size), expected)


@pytest.mark.parametrize('corners', [False, True])
@pytest.mark.parametrize('size', SIZES)
def test_the_mean_over_a_pyramid_is_that_of_the_resized_maps(size, corners):
    maps = pyramid(*size)
    close(mean_over_pyramid(maps, corners), joined(maps, corners).mean(dim=(2, 3), keepdim=True))


def test_one_image_can_be_trained_on_and_its_mean_is_normalised_by_the_running_statistics():
    torch.manual_seed(0)
    aspp = lively(ASPP(6, 4))
    norm, maps = aspp.img_conv[1], torch.randn(1, 6, 9, 11, dtype=torch.float64)
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    found = aspp.train()([maps])
    pooled = run(aspp.eval().img_conv, maps.mean(dim=(2, 3), keepdim=True))
    torch.testing.assert_close(found[:, :4], pooled.expand(1, 4, 9, 11))
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())
    found.square().mean().backward()
    assert all(parameter.grad is not None for parameter in aspp.parameters())
    assert aspp.features[0][1].num_batches_tracked == 1, 'the other norms use the image at hand'


def test_two_images_are_normalised_by_their_own_statistics():
    aspp = lively(ASPP(6, 4)).train()
    maps = torch.randn(2, 6, 9, 11, dtype=torch.float64)
    aspp([maps])
    assert aspp.img_conv[1].num_batches_tracked == 1


def test_a_synchronised_norm_counts_the_images_of_all_processes(monkeypatch):
    plain, synced, value = nn.BatchNorm2d(4), nn.SyncBatchNorm(4), torch.zeros(1, 4, 1, 1)
    assert module._normalised_together(synced, value) == 1  # no process group
    monkeypatch.setattr(module.dist, 'is_initialized', lambda: True)
    monkeypatch.setattr(module.dist, 'get_world_size', lambda: 3)
    assert module._normalised_together(plain, value) == 1
    assert module._normalised_together(synced, value) == 3


def test_an_ASPP_stands_before_the_ocr_block():
    net = tiny('ocrnet.HRNet_ASPP', trunk=TinyTrunk(head_strides=(4, 8), skip_strides=()))
    assert net.ocr.conv3x3_ocr[0].in_channels == net.ocr.aux_head[0].in_channels == 20
    images = torch.randn(2, 3, 33, 49, dtype=torch.float64)
    outputs = net.train()(images)
    assert list(outputs) == ['pred', 'aux']
    seen = []
    net.ocr.register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
    net.eval()(images)
    close(seen[0][0], plain_aspp(net.aspp, joined([net.backbone(images)[stride] for stride in (4, 8)])))


def test_an_ASPP_inside_the_ocr_block_stands_between_context_and_features():
    net = tiny('ocrnet.HRNet', cfg={'MODEL__OCR_ASPP': True}).eval()
    head = net.ocr.ocr_distri_head
    assert head.conv_bn_dropout[0].in_channels == 2 * 12 + 5 * 4
    assert 'ocr.ocr_distri_head.aspp.features.3.0.weight' in net.state_dict()
    assert not any('aspp' in key for key in tiny('ocrnet.HRNet').state_dict())
    feats, context = torch.randn(1, 12, 5, 7, dtype=torch.float64), torch.randn(1, 12, 5, 1, dtype=torch.float64)
    parts = [head.object_context_block(feats, context), plain_aspp(head.aspp, feats), feats]
    close(head(feats, context), run(head.conv_bn_dropout, torch.cat(parts, dim=1)))
