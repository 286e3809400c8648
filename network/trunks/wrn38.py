"""Wide ResNet-38, variant A2, at output stride 8 (Wu et al., "Wider or Deeper", arXiv 1611.10080).

Blocks are pre-activated: norm and ReLU come before the convolutions, and the shortcut's projection reads the activated
input. The classifier's last norm is not part of the trunk.
"""

from collections import OrderedDict

from torch import Tensor, nn

from network.layers import Module, bn_relu, conv
from network.registry import TRUNKS
from network.trunks.blocks import DilatedTrunk, dilate

# module: number of blocks, output channels of each convolution, dropout before the third, dilation
MODULES = {
    'mod2': (3, (128, 128), 0.0, 1),
    'mod3': (3, (256, 256), 0.0, 1),
    'mod4': (6, (512, 512), 0.0, 1),
    'mod5': (3, (512, 1024), 0.0, 2),
    'mod6': (1, (512, 1024, 2048), 0.3, 4),
    'mod7': (1, (1024, 2048, 4096), 0.5, 4),
}


class PreActivated(Module):
    """convs(a) + shortcut, where a = ReLU(bn1(x)); the shortcut is x, or a 1x1 convolution of a where x does not fit.

    channels: outputs of two 3x3 convolutions, or of a 1x1, a 3x3 and a 1x1 with Dropout2d before the last.
    """

    def __init__(self, in_channels: int, channels: tuple[int, ...], stride: int = 1, dropout: float = 0.0):
        super().__init__()
        kernels = (3, 3) if len(channels) == 2 else (1, 3, 1)
        self.bn1 = bn_relu(in_channels)
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=conv(in_channels, channels[0], kernels[0], stride))
        for number, (c_in, c_out, kernel) in enumerate(zip(channels, channels[1:], kernels[1:]), start=2):
            layers[f'bn{number}'] = bn_relu(c_in)
            if number == 3:
                layers['dropout'] = nn.Dropout2d(dropout)
            layers[f'conv{number}'] = conv(c_in, c_out, kernel)
        self.convs = nn.Sequential(layers)
        self.proj_conv = None
        if stride > 1 or in_channels != channels[-1]:
            self.proj_conv = conv(in_channels, channels[-1], kernel=1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.bn1(x)
        out = self.convs(activated)
        out += x if self.proj_conv is None else self.proj_conv(activated)
        return out


class WideResNet38(DilatedTrunk):
    """images (N, 3, h, w) -> {2: the map of mod2, 4: of mod3, 8: of mod7}."""

    channels = {2: 128, 4: 256, 8: 4096}

    def __init__(self):
        super().__init__()
        self.mod1 = nn.Sequential(OrderedDict(conv1=conv(3, 64, kernel=3)))
        self.pool2 = nn.MaxPool2d(3, stride=2, padding=1)
        self.pool3 = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 64
        for name, (count, channels, dropout, dilation) in MODULES.items():
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for number in range(1, count + 1):
                stride = 2 if name == 'mod4' and number == 1 else 1
                blocks[f'block{number}'] = PreActivated(inputs, channels, stride, dropout)
                inputs = channels[-1]
            self.add_module(name, nn.Sequential(blocks))
            if dilation > 1:
                dilate(getattr(self, name), dilation)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        half = self.mod2(self.pool2(self.mod1(images)))
        quarter = self.mod3(self.pool3(half))
        return {2: half, 4: quarter, 8: self.mod7(self.mod6(self.mod5(self.mod4(quarter))))}


@TRUNKS.register('wrn38')
def wrn38(align_corners: bool = False) -> WideResNet38:
    return WideResNet38()
