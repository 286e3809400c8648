"""HRNetV2: parallel branches at strides 4, 8, 16 and 32 that keep exchanging features.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition" (arXiv 1908.07919). Widths and
depths are those of the public HRNet-Semantic-Segmentation project, so its ImageNet files and the checkpoints of
everything built on it fit by name. The branches are returned apart; the heads that want them resized and
concatenated read them through `network.pyramid`.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from network.layers import Module, conv_bn, conv_bn_relu
from network.registry import TRUNKS
from network.resize import resize, size_of
from network.trunks.blocks import BasicBlock, Bottleneck, make_blocks

STRIDES = (4, 8, 16, 32)


class Exchange(nn.Module):
    """One HRNet module: a run of blocks in every branch, then every branch receives the sum of all of them."""

    is_stage = True

    def __init__(self, channels: list[int], blocks: int, align_corners: bool):
        super().__init__()
        self.align_corners = align_corners
        self.branches = nn.ModuleList(make_blocks(BasicBlock, c, c, blocks) for c in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )
        self.relu = nn.ReLU(inplace=True)

    @staticmethod
    def _path(channels: list[int], source: int, target: int) -> nn.Module:
        """What a map goes through on its way from branch `source` to branch `target`, but for the upsampling."""
        c_in, c_out = channels[source], channels[target]
        if source == target:
            return nn.Identity()
        if source > target:
            return nn.Sequential(*conv_bn(c_in, c_out, kernel=1))
        halvings = [conv_bn_relu(c_in, c_in, kernel=3, stride=2) for _ in range(target - source - 1)]
        return nn.Sequential(*halvings, nn.Sequential(*conv_bn(c_in, c_out, kernel=3, stride=2)))

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        xs = [branch(x) for branch, x in zip(self.branches, xs)]
        return [self._gather(xs, target) for target in range(len(xs))]

    def _gather(self, xs: list[Tensor], target: int) -> Tensor:
        """The sum over branches at the size of branch `target`, from the finest to the coarsest.

        It accumulates in place, which autograd allows on the output of a batch norm or a resize but not on a branch's
        own map; hence the first two terms may swap places.
        """
        size = size_of(xs[target])
        paths: Any = self.fuse_layers[target]
        terms = (resize(path(x), size, self.align_corners) for path, x in zip(paths, xs))
        total = next(terms)
        second = next(terms)
        total, second = (second, total) if target == 0 else (total, second)
        total += second
        for term in terms:
            total += term
        return self.relu(total)


@dataclass(frozen=True)
class Layout:
    """Widths and depths of one HRNetV2: `width` of the finest branch, which doubles with every stride."""

    width: int
    planes: int = 64  # of the bottlenecks of layer1, which give 4 x planes channels
    bottlenecks: int = 4
    modules: tuple[int, int, int] = (1, 4, 3)
    blocks: int = 4


class HRNet(Module):
    """The trunk: images (N, 3, h, w) -> {4: ..., 8: ..., 16: ..., 32: ...}."""

    head_strides = STRIDES
    skip_strides = ()
    deepest_stride = STRIDES[-1]

    def __init__(self, layout: Layout, align_corners: bool = False):
        super().__init__()
        widths = [layout.width * 2**level for level in range(len(STRIDES))]
        self.channels = dict(zip(STRIDES, widths))
        self.conv1, self.bn1 = conv_bn(3, 64, kernel=3, stride=2)
        self.conv2, self.bn2 = conv_bn(64, 64, kernel=3, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = make_blocks(Bottleneck, 64, layout.planes, layout.bottlenecks)
        stem = layout.planes * Bottleneck.expansion
        self.transition1 = nn.ModuleList(
            [conv_bn_relu(stem, widths[0], kernel=3), nn.Sequential(conv_bn_relu(stem, widths[1], kernel=3, stride=2))]
        )
        self.transition2 = self._add_branch(widths[:3])
        self.transition3 = self._add_branch(widths)
        for stage, count in zip((2, 3, 4), layout.modules):
            exchanges = (Exchange(widths[:stage], layout.blocks, align_corners) for _ in range(count))
            self.add_module(f'stage{stage}', nn.Sequential(*exchanges))
        self._initialise()

    @staticmethod
    def _add_branch(widths: list[int]) -> nn.ModuleList:
        """Keeps the branches there are and halves the coarsest once more to make the last of `widths`."""
        kept = [nn.Identity() for _ in widths[:-1]]
        return nn.ModuleList([*kept, nn.Sequential(conv_bn_relu(widths[-2], widths[-1], kernel=3, stride=2))])

    def _initialise(self):
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.layer1(x)
        xs = self.stage2([path(x) for path in self.transition1])
        xs = self.stage3([path(x) for path, x in zip(self.transition2, [*xs, xs[-1]])])
        xs = self.stage4([path(x) for path, x in zip(self.transition3, [*xs, xs[-1]])])
        return dict(zip(STRIDES, xs))


@TRUNKS.register('hrnetv2')
def hrnetv2(align_corners: bool = False) -> HRNet:
    """W48, the trunk of the published checkpoints."""
    return HRNet(Layout(width=48), align_corners)


@TRUNKS.register('hrnetv2_w32')
def hrnetv2_w32(align_corners: bool = False) -> HRNet:
    return HRNet(Layout(width=32), align_corners)


@TRUNKS.register('hrnetv2_w18')
def hrnetv2_w18(align_corners: bool = False) -> HRNet:
    return HRNet(Layout(width=18), align_corners)


@TRUNKS.register('hrnetv2_w18_small_v1')
def hrnetv2_w18_small_v1(align_corners: bool = False) -> HRNet:
    """HRNet-W18-Small-v1; despite its name 16 channels wide."""
    return HRNet(Layout(width=16, planes=32, bottlenecks=1, modules=(1, 1, 1), blocks=2), align_corners)


@TRUNKS.register('hrnetv2_w18_small_v2')
def hrnetv2_w18_small_v2(align_corners: bool = False) -> HRNet:
    return HRNet(Layout(width=18, bottlenecks=2, modules=(1, 3, 2), blocks=2), align_corners)
