"""Levels: the maps that a decoder of a pyramid reads, of hierarchical trunks and of ViTs.

A hierarchical trunk has them: its maps of stride 4 and more. A ViT has maps of one stride, the patch p, from four
depths; decoders that want strides p / 4, p / 2, p and 2 p make them, each in the way of its paper.
"""

from torch import Tensor, nn

from network.layers import LayerNorm2d, Module, conv
from network.options import Options
from network.segmentor import FeatureSegmentor

LEVELS = 4  # of a ViT


class LevelSegmentor(FeatureSegmentor):
    """A segmentor whose decoder reads `level_maps`, finest first, of level_channels each.

    tokens: the channels of a level of a ViT (all are of the stride of its patch), 0 on a hierarchical trunk. coarsens:
    whether the decoder halves the map of a ViT once.
    """

    coarsens = True

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        self.tokens: int = getattr(trunk, 'token_width', 0)
        strides = [stride for stride in sorted(trunk.channels) if stride >= 4] or sorted(trunk.channels)
        self.level_strides = strides[-1:] if self.tokens else strides
        if self.tokens:
            self.level_channels = LEVELS * [self.tokens]
            self.deepest_stride *= 2 if self.coarsens else 1
        else:
            self.level_channels = [trunk.channels[stride] for stride in strides]

    def level_maps(self, images: Tensor) -> list[Tensor]:
        """images (N, 3, h, w) -> the trunk's maps, finest first; of a ViT the tokens of LEVELS depths, shallowest
        first, all (N, tokens, h / p, w / p)."""
        maps = self.run_trunk(images)
        if not self.tokens:
            return [maps[stride] for stride in self.level_strides]
        depths = maps[self.level_strides[0]].split(self.tokens, dim=1)
        return [depths[-(-(level + 1) * len(depths) // LEVELS) - 1] for level in range(LEVELS)]


class DepthPyramid(nn.ModuleList):
    """Four depths of a ViT -> maps of strides p / 4, p / 2, p and 2 p, as UPerNet reads them in BEiT (Bao et al., ICLR
    2022, arXiv 2106.08254, section A): transposed convolutions, nothing, max pooling."""

    def __init__(self, channels: int):
        super().__init__(
            [
                nn.Sequential(
                    doubled(channels, channels), nn.BatchNorm2d(channels), nn.GELU(), doubled(channels, channels)
                ),
                doubled(channels, channels),
                nn.Identity(),
                halved(),
            ]
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [layer(depth) for layer, depth in zip(self, maps)]


class SimplePyramid(nn.Module):
    """The last map of a ViT -> maps of strides p / 4, p / 2, p and 2 p, of out_channels each (ViTDet, Li et al., ECCV
    2022, arXiv 2203.16527, section 3): no path from coarse to fine, since all come from one map."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.scales = nn.ModuleList(
            [
                nn.Sequential(doubled(channels, half), LayerNorm2d(half), nn.GELU(), doubled(half, quarter)),
                doubled(channels, half),
                nn.Identity(),
                halved(),
            ]
        )
        self.outputs = nn.ModuleList(
            nn.Sequential(
                conv(inputs, out_channels, kernel=1),
                LayerNorm2d(out_channels),
                conv(out_channels, out_channels, kernel=3),
                LayerNorm2d(out_channels),
            )
            for inputs in (quarter, half, channels, channels)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return [output(scale(maps[-1])) for scale, output in zip(self.scales, self.outputs)]


def doubled(in_channels: int, out_channels: int, bias: bool = True) -> nn.ConvTranspose2d:
    """A transposed convolution to twice the size."""
    return nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2, bias=bias)


def halved() -> nn.MaxPool2d:
    """The largest of 2 x 2 values; an odd last row or column counts."""
    return nn.MaxPool2d(2, ceil_mode=True)
