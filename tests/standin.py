"""Trunks of one convolution per stride, so that every architecture can be tested in a fraction of a second."""

from torch import nn

from network.layers import conv_bn_relu
from network.registry import ARCHS, TRUNKS

PYRAMID, DILATED = 'test/pyramid', 'test/dilated'
TOKENS = 'timm/test_vit'  # the smallest vision transformer of timm


class StandIn(nn.Module):
    """Maps of the strides 2 to `deepest`, 4 channels at stride 2, 6 at stride 4, 8 at stride 8, ..."""

    def __init__(self, head_strides: tuple[int, ...], skip_strides: tuple[int, ...]):
        super().__init__()
        self.head_strides, self.skip_strides, self.deepest_stride = head_strides, skip_strides, head_strides[-1]
        self.channels, inputs = {}, 3
        stride = 2
        while stride <= self.deepest_stride:
            self.channels[stride] = inputs + 1 + (inputs > 3)
            self.add_module(f'stage{stride}', conv_bn_relu(inputs, self.channels[stride], kernel=3, stride=2))
            inputs, stride = self.channels[stride], 2 * stride

    def forward(self, images):
        maps = {}
        for stride in self.channels:
            images = maps[stride] = getattr(self, f'stage{stride}')(images)
        return maps


def register(monkeypatch):
    """Put the stand-ins among the trunks for one test."""
    for name, strides in ((PYRAMID, ((4, 8, 16, 32), (2,))), (DILATED, ((8,), (2, 4)))):
        monkeypatch.setitem(TRUNKS._builders, name, lambda align_corners=False, strides=strides: StandIn(*strides))
        monkeypatch.setitem(TRUNKS._facts, name, {})


def fitting(arch: str) -> str | None:
    """The stand-in for the trunk that `arch` has of its own; None if it has none."""
    if ARCHS.fact(arch, 'tokens', False):
        return TOKENS
    own = ARCHS.fact(arch, 'trunk', 'hrnetv2')
    return own and (DILATED if ARCHS.fact(arch, 'dilated', False) else PYRAMID)
