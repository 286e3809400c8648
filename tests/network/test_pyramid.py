"""Convolving small maps before resizing them against resizing, concatenating and convolving."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from network.pyramid import conv_over_pyramid

CHANNELS = (3, 6, 12, 24)


def pyramid(height, width, dtype=torch.float64):
    sizes = [(-(-height // 2**level), -(-width // 2**level)) for level in range(4)]
    return [torch.randn(2, c, *size, dtype=dtype, requires_grad=True) for c, size in zip(CHANNELS, sizes)]


def concatenated(conv, maps, corners):
    size = maps[0].shape[-2:]
    return conv(torch.cat([F.interpolate(m, size=size, mode='bilinear', align_corners=corners) for m in maps], dim=1))


@pytest.mark.parametrize('corners', [False, True])
@pytest.mark.parametrize('kernel', [1, 3])
@pytest.mark.parametrize('size', [(16, 24), (17, 27), (1, 1), (2, 5)])
@pytest.mark.parametrize('order', [torch.contiguous_format, torch.channels_last])
def test_it_is_the_convolution_of_the_concatenated_maps(size, kernel, corners, order):
    torch.manual_seed(0)
    conv = nn.Conv2d(sum(CHANNELS), 7, kernel, padding=kernel // 2).double().to(memory_format=order)
    maps = pyramid(*size)
    found = conv_over_pyramid(conv, [m.contiguous(memory_format=order) for m in maps], corners)
    expected = concatenated(conv, maps, corners)
    assert found.shape == expected.shape == (2, 7, *size)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    inputs = [*maps, *conv.parameters()]
    signal = torch.randn_like(expected)
    for one, other in zip(torch.autograd.grad(found, inputs, signal), torch.autograd.grad(expected, inputs, signal)):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_a_single_map_is_simply_convolved():
    conv = nn.Conv2d(3, 4, 3, padding=1)
    maps = torch.randn(1, 3, 6, 8)
    assert torch.equal(conv_over_pyramid(conv, [maps], False), conv(maps))


def test_the_small_maps_are_not_enlarged_to_full_channels(monkeypatch):
    import network.pyramid as module

    enlarged = []
    monkeypatch.setattr(
        module,
        'resize',
        lambda maps, size, corners: enlarged.append(maps.shape[1]) or F.interpolate(maps, size=tuple(size)),
    )
    conv = nn.Conv2d(720, 8, 3, padding=1)
    maps = [torch.zeros(1, c, 32 >> level, 64 >> level) for level, c in enumerate((48, 96, 192, 384))]
    conv_over_pyramid(conv, maps, False)
    assert sum(enlarged) <= 48 + 96
