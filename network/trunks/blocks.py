"""Residual blocks (He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385), and dilation of what
strides."""

from torch import Tensor, nn

from network.layers import Module, conv, conv_bn


class Block(Module):
    """A residual block: ReLU(convolutions(x) + shortcut(x)); subclasses make conv1, bn1, conv2, bn2, ..."""

    expansion = 1
    depth: int

    def __init__(self, in_channels: int, planes: int, stride: int = 1):
        super().__init__()
        out_channels = planes * self.expansion
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if in_channels != out_channels or stride > 1:
            self.downsample = nn.Sequential(*conv_bn(in_channels, out_channels, kernel=1, stride=stride))

    def _add_convs(self, *convs: nn.Conv2d):
        """convs: the convolutions in order; each gets a norm."""
        self.depth = len(convs)
        for number, layer in enumerate(convs, start=1):
            self.add_module(f'conv{number}', layer)
            self.add_module(f'bn{number}', nn.BatchNorm2d(layer.out_channels))

    def residual(self, x: Tensor) -> Tensor:
        """The branch beside the shortcut; its output may be overwritten."""
        for number in range(1, self.depth + 1):
            x = getattr(self, f'bn{number}')(getattr(self, f'conv{number}')(x))
            if number < self.depth:
                x = self.relu(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        out = self.residual(x)
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class BasicBlock(Block):
    def __init__(self, in_channels: int, planes: int, stride: int = 1):
        super().__init__(in_channels, planes, stride)
        self._add_convs(conv(in_channels, planes, kernel=3, stride=stride), conv(planes, planes, kernel=3))


class Bottleneck(Block):
    """1x1, 3x3, 1x1; the stride is that of the 3x3 convolution, which may be grouped."""

    expansion = 4
    groups = 1
    widening = 1  # inner channels per plane

    def __init__(self, in_channels: int, planes: int, stride: int = 1):
        super().__init__(in_channels, planes, stride)
        width = planes * self.widening
        self._add_convs(
            conv(in_channels, width, kernel=1),
            nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=self.groups, bias=False),
            conv(width, planes * self.expansion, kernel=1),
        )


class DilatedTrunk(Module):
    """A trunk at output stride 8: heads read its deepest map alone, decoders may add finer ones."""

    head_strides = (8,)
    skip_strides: tuple[int, ...] = (2, 4)
    deepest_stride = 8


def make_blocks(block: type[Block], in_channels: int, planes: int, count: int, stride: int = 1) -> nn.Sequential:
    first = block(in_channels, planes, stride)
    return nn.Sequential(first, *(block(planes * block.expansion, planes) for _ in range(count - 1)))


def dilate(module: nn.Module, dilation: int):
    """Take the strides out of all convolutions of `module` and spread the taps of their kernels `dilation` pixels
    apart."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            layer.dilation = (dilation, dilation)
            layer.padding = tuple(dilation * (side // 2) for side in layer.kernel_size)
