"""DPT, the dense prediction transformer's decoder (Ranftl et al., ICCV 2021, arXiv 2103.13413, section 3): tokens of
four depths reassembled into maps of four strides, fused from coarse to fine by RefineNet's residual units.

The class token is left out ("ignore" in the paper's table 7). The maps of a hierarchical trunk are read as they are, as
in DPT-Hybrid. The published networks were trained with aligned corners (--align_corners).
"""

from torch import Tensor, nn

from network.decoders.levels import LevelSegmentor
from network.layers import Module, conv, conv_bn_relu
from network.options import Options
from network.plain import Reordered
from network.registry import ARCHS
from network.resize import Size, resize, size_of

DROPOUT = 0.1
SHARES = (8, 4, 2, 1)  # of the width of a ViT that its levels keep, shallowest first
RESIZES = (4, 2, 1, 0.5)  # of these levels


class Reassemble(nn.Sequential):
    """A level of a ViT (N, in_channels, h, w) -> (N, channels, factor h, factor w), rounded up."""

    def __init__(self, in_channels: int, channels: int, factor: float):
        layers: list[nn.Module] = [conv(in_channels, channels, kernel=1, bias=True)]
        if factor > 1:
            layers.append(nn.ConvTranspose2d(channels, channels, kernel_size=int(factor), stride=int(factor)))
        elif factor < 1:
            layers.append(conv(channels, channels, kernel=3, stride=int(1 / factor), bias=True))
        super().__init__(*layers)


class ResidualUnit(nn.Module):
    """maps + two 3x3 convolutions of maps, each after a ReLU and before a norm."""

    def __init__(self, channels: int):
        super().__init__()
        self.convs = nn.Sequential(
            nn.ReLU(),
            conv(channels, channels, kernel=3),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            conv(channels, channels, kernel=3),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.convs(maps)


class Fusion(Reordered, nn.Module):
    """What coarser levels have given plus a level, refined and enlarged; the coarsest level has nothing to add to."""

    def __init__(self, channels: int, align_corners: bool, coarsest: bool):
        super().__init__()
        self.align_corners = align_corners
        self.before = None if coarsest else ResidualUnit(channels)
        self.after = ResidualUnit(channels)
        self.project = conv(channels, channels, kernel=1, bias=True)

    def forward(self, level: Tensor, coarser: Tensor | None, size: Size) -> Tensor:
        """level (N, C, h, w), coarser the same or None -> (N, C, *size)."""
        if self.before is not None and coarser is not None:
            level = coarser + self.before(level)
        level = self.after(level)
        if self.plain:
            return self.project(resize(level, size, self.align_corners))
        # both are linear and the resize keeps constants: on the small map it is the same
        return resize(self.project(level), size, self.align_corners)


class DPT(LevelSegmentor):
    """options.DECODER_CH channels in the fusion; logits at half the stride of the finest level."""

    classifier = 'head'
    class_layers = ('final',)
    decoder_parts = ('reassemble', 'thin', 'fusions', 'head', 'final')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(num_classes, trunk, align_corners, options)
        self.feature_channels = channels = options.DECODER_CH
        widths = [max(1, self.tokens // share) for share in SHARES] if self.tokens else self.level_channels
        self.reassemble = nn.ModuleList(
            [Reassemble(self.tokens, width, factor) for width, factor in zip(widths, RESIZES)]
            if self.tokens
            else [nn.Identity() for _ in widths]
        )
        self.thin = nn.ModuleList(conv(width, channels, kernel=3) for width in widths)
        self.fusions = nn.ModuleList(
            Fusion(channels, align_corners, coarsest=level == len(widths) - 1) for level in range(len(widths))
        )
        self.head = conv_bn_relu(channels, channels, kernel=3)
        self.dropout = nn.Dropout(DROPOUT)
        self.final = conv(channels, num_classes, kernel=1, bias=True)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        levels = [thin(make(maps)) for thin, make, maps in zip(self.thin, self.reassemble, self.level_maps(images))]
        height, width = size_of(levels[0])
        sizes = [(2 * height, 2 * width), *map(size_of, levels[:-1])]
        fused = None
        for fusion, level, size in zip(reversed(self.fusions), reversed(levels), reversed(sizes)):
            fused = fusion(level, fused, size)
        assert fused is not None
        return [fused]

    def classify(self, features: list[Tensor]) -> Tensor:
        return self.final(self.dropout(self.head(*features)))


ARCHS.register('basic.DPT')(DPT)
