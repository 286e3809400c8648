"""UPerNet: pyramid pooling on the coarsest map and a feature pyramid, all levels joined at the finest (Xiao et al.,
"Unified Perceptual Parsing for Scene Understanding", ECCV 2018, arXiv 1807.10221)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from network.aspp import norm_of_means
from network.decoders.levels import DepthPyramid, LevelSegmentor
from network.heads import PyramidHead
from network.layers import Module, conv, conv_bn_relu
from network.options import Options
from network.registry import ARCHS
from network.resize import resize, size_of, without_autocast

POOLS = (1, 2, 3, 6)  # rows and columns of means


class PyramidPooling(nn.Module):
    """Means of the 1, 2 x 2, 3 x 3 and 6 x 6 parts of a map beside the map, mixed (PSPNet, Zhao et al., CVPR 2017,
    arXiv 1612.01105)."""

    def __init__(self, in_channels: int, channels: int, align_corners: bool):
        super().__init__()
        self.align_corners = align_corners
        self.pooled = nn.ModuleList(conv_bn_relu(in_channels, channels, kernel=1) for _ in POOLS)
        self.mix = conv_bn_relu(in_channels + len(POOLS) * channels, channels, kernel=3)

    def forward(self, maps: Tensor) -> Tensor:
        """maps (N, in_channels, h, w) -> (N, channels, h, w)."""
        found = [maps]
        layers: Any
        for layers, parts in zip(self.pooled, POOLS):
            convolve, norm, activate = layers
            means = convolve(means_of_parts(maps, parts))
            means = activate(norm_of_means(norm, means) if parts == 1 else norm(means))
            # not `resize`, which asks whether the size is another one: an exporter would keep the answer
            with without_autocast(maps):
                found.append(
                    F.interpolate(means, size=size_of(maps), mode='bilinear', align_corners=self.align_corners)
                )
        return self.mix(torch.cat(found, dim=1))


def means_of_parts(maps: Tensor, parts: int) -> Tensor:
    """maps (N, C, h, w) -> the means of parts x parts rectangles that cover them, (N, C, parts, parts).

    Part i reaches from floor(i h / parts) to ceil((i + 1) h / parts): adaptive average pooling, as two products with a
    matrix, which an exporter keeps for any size.
    """
    rows, columns = (_averages(length, parts, maps) for length in maps.shape[-2:])
    return rows @ maps @ columns.T


def _averages(length: int, parts: int, like: Tensor) -> Tensor:
    """The matrix (parts, length) of the means of the parts of a line."""
    part = torch.arange(parts, device=like.device)[:, None]
    place = torch.arange(length, device=like.device)
    inside = (place >= part * length // parts) & (place < ((part + 1) * length + parts - 1) // parts)
    weights = inside.to(torch.promote_types(like.dtype, torch.float32))
    return (weights / weights.sum(dim=1, keepdim=True)).to(like.dtype)


class UPerNet(LevelSegmentor):
    """options.DECODER_CH channels on every level; on a ViT the pyramid of BEiT. There is no auxiliary head."""

    classifier = 'final'
    class_layers = ('final',)
    decoder_parts = ('pooling', 'laterals', 'outputs', 'mix', 'final')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(num_classes, trunk, align_corners, options)
        self.feature_channels = channels = options.DECODER_CH
        self.pyramid = DepthPyramid(self.tokens) if self.tokens else nn.Identity()
        *finer, coarsest = self.level_channels
        self.pooling = PyramidPooling(coarsest, channels, align_corners)
        self.laterals = nn.ModuleList(conv_bn_relu(inputs, channels, kernel=1) for inputs in finer)
        self.outputs = nn.ModuleList(conv_bn_relu(channels, channels, kernel=3) for _ in finer)
        self.mix = PyramidHead(
            *conv_bn_relu(len(self.level_channels) * channels, channels, kernel=3), align_corners=align_corners
        )
        self.final = conv(channels, num_classes, kernel=1, bias=True)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        *finer, coarsest = self.pyramid(self.level_maps(images))
        merged = [self.pooling(coarsest)]
        for lateral, maps in zip(reversed(self.laterals), reversed(finer)):
            maps = lateral(maps)
            merged.insert(0, maps + resize(merged[0], size_of(maps), self.align_corners))
        *inner, last = merged
        return [self.mix([*(output(maps) for output, maps in zip(self.outputs, inner)), last])]

    def classify(self, features: list[Tensor]) -> Tensor:
        return self.final(*features)


ARCHS.register('basic.UPerNet')(UPerNet)
