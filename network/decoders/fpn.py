"""Semantic FPN: the feature pyramid network (Lin et al., CVPR 2017, arXiv 1612.03144) with the semantic branch of
Panoptic FPN (Kirillov et al., CVPR 2019, arXiv 1901.02446, section 3.2)."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from network.decoders.levels import LevelSegmentor, SimplePyramid
from network.layers import Module, conv
from network.options import Options
from network.registry import ARCHS
from network.resize import resize, size_of

MOST_GROUPS = 32


class FeaturePyramid(nn.Module):
    """Maps of several strides, finest first -> as many of out_channels, each with what the coarser ones know."""

    def __init__(self, in_channels: list[int], out_channels: int):
        super().__init__()
        self.laterals = nn.ModuleList(conv(channels, out_channels, kernel=1, bias=True) for channels in in_channels)
        self.outputs = nn.ModuleList(conv(out_channels, out_channels, kernel=3, bias=True) for _ in in_channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        merged: list[Tensor] = []
        for lateral, level in zip(reversed(self.laterals), reversed(maps)):
            level = lateral(level)
            merged.append(level + F.interpolate(merged[-1], size=size_of(level)) if merged else level)
        return [output(level) for output, level in zip(self.outputs, reversed(merged))]


class Climb(nn.ModuleList):
    """From one level to the finest: a 3x3 convolution, group norm, ReLU and a resize for every level between, one
    without the resize at the finest."""

    def __init__(self, steps: int, in_channels: int, out_channels: int, align_corners: bool):
        super().__init__(
            nn.Sequential(
                conv(in_channels if step == 0 else out_channels, out_channels, kernel=3),
                nn.GroupNorm(math.gcd(MOST_GROUPS, out_channels), out_channels),
                nn.ReLU(inplace=True),
            )
            for step in range(max(1, steps))
        )
        self.align_corners = align_corners

    def forward(self, maps: Tensor, finer: list[Tensor]) -> Tensor:
        """maps (N, c, h, w); finer: the maps of the levels above it, finest first -> (N, out_channels, H, W)."""
        for layers, size in zip(self, [*map(size_of, reversed(finer))] or [size_of(maps)]):
            maps = resize(layers(maps), size, self.align_corners)
        return maps


class FPN(LevelSegmentor):
    """Pyramid of options.DECODER_CH channels, half as many in the semantic branch; on a ViT that of ViTDet."""

    classifier = 'final'
    class_layers = ('final',)
    decoder_parts = ('pyramid', 'climbs', 'final')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(num_classes, trunk, align_corners, options)
        channels = options.DECODER_CH
        self.feature_channels = max(1, channels // 2)
        self.pyramid = (
            SimplePyramid(self.tokens, channels) if self.tokens else FeaturePyramid(self.level_channels, channels)
        )
        self.climbs = nn.ModuleList(
            Climb(level, channels, self.feature_channels, align_corners) for level in range(len(self.level_channels))
        )
        self.final = conv(self.feature_channels, num_classes, kernel=1, bias=True)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        maps = self.pyramid(self.level_maps(images))
        total, *rest = (climb(level, maps[:index]) for index, (climb, level) in enumerate(zip(self.climbs, maps)))
        for climbed in rest:
            total = total + climbed
        return [total]

    def classify(self, features: list[Tensor]) -> Tensor:
        return self.final(*features)


ARCHS.register('basic.FPN')(FPN)
