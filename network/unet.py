"""U-Nets: an encoder that halves the size step by step and a decoder that takes every step back beside the encoder's
map.

`UNet` is Ronneberger et al. (arXiv 1505.04597) as the public Pytorch-UNet project builds it, under its layer names;
`UNetDS` follows the plain convolutional U-Net of nnU-Net (Isensee et al., Nature Methods 2021) with deep supervision.
Neither has a trunk to choose. Both predict at the size of the images.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from network.layers import conv, conv_bn_relu
from network.options import Options
from network.registry import ARCHS
from network.resize import Size, resize, single, size_of
from network.segmentor import Prediction, Segmentor


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with norm and ReLU; keys double_conv.0, 1, 3, 4."""

    is_stage = True

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int | None = None):
        super().__init__()
        mid_channels = mid_channels or out_channels
        self.double_conv = nn.Sequential(
            *conv_bn_relu(in_channels, mid_channels, kernel=3), *conv_bn_relu(mid_channels, out_channels, kernel=3)
        )

    def forward(self, maps: Tensor) -> Tensor:
        return self.double_conv(maps)


class Down(nn.Module):
    """Half the size (rounded down), then convolutions."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, maps: Tensor) -> Tensor:
        return self.maxpool_conv(maps)


class Up(nn.Module):
    """Twice the size, padded with zeros to the encoder's map, then convolutions over both."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.up: Callable[[Tensor], Tensor] = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
        self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """maps (N, c, h, w), skip (N, s, H, W) with H in (2 h, 2 h + 1) -> (N, out_channels, H, W)."""
        return self.conv(torch.cat([skip, pad_to(self.up(maps), size_of(skip))], dim=1))


class BilinearUp(Up):
    """The same with a bilinear resize in place of the transposed convolution; in_channels are those of maps and skip
    together."""

    def __init__(self, in_channels: int, out_channels: int, align_corners: bool):
        nn.Module.__init__(self)
        self.align_corners = align_corners
        self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)

    def up(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[-2:]
        return resize(maps, (2 * height, 2 * width), self.align_corners)


def pad_to(maps: Tensor, size: Size) -> Tensor:
    """maps (N, C, h, w) in the middle of zeros (N, C, H, W); an odd row or column goes below or right of it."""
    rows, columns = size[0] - maps.shape[-2], size[1] - maps.shape[-1]
    return F.pad(maps, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


class OutConv(nn.Module):
    def __init__(self, in_channels: int, num_classes: int):
        super().__init__()
        self.conv = conv(in_channels, num_classes, kernel=1, bias=True)

    def forward(self, maps: Tensor) -> Tensor:
        return self.conv(maps)


class UNet(Segmentor):
    """Five levels of 64 to 1024 channels, batch norm. bilinear: no transposed convolutions, and 512 channels at the
    bottom."""

    class_layers = ('outc.conv',)
    deepest_stride = 16
    bilinear = False

    def __init__(self, num_classes: int, trunk: None, align_corners: bool, options: Options):
        super().__init__(None, align_corners, options)
        bottom = 512 if self.bilinear else 1024
        self.inc = DoubleConv(3, 64)
        self.down1, self.down2, self.down3, self.down4 = (
            Down(64, 128),
            Down(128, 256),
            Down(256, 512),
            Down(512, bottom),
        )
        self.up1: Up
        self.up2: Up
        self.up3: Up
        self.up4: Up
        if self.bilinear:
            self.up1, self.up2 = BilinearUp(1024, 256, align_corners), BilinearUp(512, 128, align_corners)
            self.up3, self.up4 = BilinearUp(256, 64, align_corners), BilinearUp(128, 64, align_corners)
        else:
            self.up1, self.up2, self.up3, self.up4 = Up(1024, 512), Up(512, 256), Up(256, 128), Up(128, 64)
        self.outc = OutConv(64, num_classes)

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        maps = self.inc(images)
        skips = []
        for down in (self.down1, self.down2, self.down3, self.down4):
            skips.append(maps)
            maps = down(maps)
        for up in (self.up1, self.up2, self.up3, self.up4):
            maps = up(maps, skips.pop())
        return Prediction(self.outc(maps))

    def check_size(self, images: Tensor, size: Size, scale: float = 1.0):
        """Raise ValueError if images (N, 3, h, w) vanish on the way down, or leave one value that a batch norm cannot
        train on."""
        height, width = size
        if min(height, width) < self.deepest_stride:
            raise ValueError(
                f'{self.arch}: images of {height}x{width} pixels vanish on the way down to stride'
                f' {self.deepest_stride}; both sides must be at least {self.deepest_stride} pixels'
            )
        if self.training and images.shape[0] * (height // self.deepest_stride) * (width // self.deepest_stride) == 1:
            raise ValueError(
                f'{self.arch}: a batch of one image of {height}x{width} pixels cannot be trained on: at stride'
                f' {self.deepest_stride} it is a single value, which has no variance to normalise by; use a crop with a'
                f' side of at least {2 * self.deepest_stride} pixels, or a larger batch'
            )


# Instance norm, as in nnU-Net: at full resolution a U-Net of this depth leaves room for one or two crops on a device,
# whose batch statistics would be noise; and a night image is not normalised by the daylight beside it.
def conv_norm_act(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution without bias, which the norm would take out again, instance norm and leaky ReLU."""
    return nn.Sequential(
        conv(in_channels, out_channels, kernel=3, stride=stride),
        nn.InstanceNorm2d(out_channels, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )


class Step(nn.Module):
    """One step of UNetDS' decoder: a transposed convolution, cut to the encoder's map, then convolutions over both."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.up = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        self.convs = nn.Sequential(
            conv_norm_act(2 * out_channels, out_channels), conv_norm_act(out_channels, out_channels)
        )

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """maps (N, c, h, w), skip (N, out_channels, H, W) with H in (2 h - 1, 2 h) -> (N, out_channels, H, W)."""
        maps = self.up(maps)
        rows, columns = (have - wanted for have, wanted in zip(maps.shape[-2:], skip.shape[-2:]))
        # not a slice: an exporter keeps the size as a formula
        cut = F.pad(maps, (0, -columns, 0, -rows))
        return self.convs(torch.cat([cut, skip], dim=1))


class UNetDS(Segmentor):
    """Seven levels of 32 to 512 channels, strided convolutions, instance norm, leaky ReLU, deep supervision.

    In training the maps of the decoder at strides 2, 4, 8 and 16 have logits too, 'pred_ds2' to 'pred_ds16', each at
    the size of its map. Stride 32 has none: nnU-Net gives the coarsest step of the decoder weight 0.
    """

    widths = (32, 64, 128, 256, 512, 512, 512)
    output_names = ('pred', 'pred_ds2', 'pred_ds4', 'pred_ds8', 'pred_ds16')
    class_layers = tuple(f'heads.{level}' for level in range(len(output_names)))
    deepest_stride = 2 ** (len(widths) - 1)

    def __init__(self, num_classes: int, trunk: None, align_corners: bool, options: Options):
        super().__init__(None, align_corners, options)
        pairs = list(zip(self.widths, self.widths[1:]))
        self.encoder = nn.ModuleList(
            [nn.Sequential(conv_norm_act(3, self.widths[0]), conv_norm_act(self.widths[0], self.widths[0]))]
        )
        self.encoder.extend(
            nn.Sequential(conv_norm_act(fine, coarse, stride=2), conv_norm_act(coarse, coarse))
            for fine, coarse in pairs
        )
        self.decoder = nn.ModuleList(Step(coarse, fine) for fine, coarse in reversed(pairs))
        self.heads = nn.ModuleList(
            conv(width, num_classes, kernel=1, bias=True) for width, _ in zip(self.widths, self.output_names)
        )
        self._initialise()

    def _initialise(self):
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, a=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def decode(self, images: Tensor) -> list[Tensor]:
        """The decoder's maps at strides 1, 2, 4, ..., 32."""
        maps = [images]
        for level in self.encoder:
            maps.append(level(maps[-1]))
        found = maps.pop()
        decoded = []
        for step in self.decoder:
            found = step(found, maps.pop())
            decoded.append(found)
        return decoded[::-1]

    def run_heads(self, images: Tensor, attention: bool = False) -> Prediction:
        return Prediction(self.heads[0](self.decode(images)[0]))

    def forward(self, images: Tensor, keep_scales: bool = False) -> dict[str, Tensor]:
        """images (N, 3, h, w) -> {'pred': (N, K, h, w)}, in training also 'pred_ds2': (N, K, h / 2, w / 2), ...,
        rounded up."""
        if not self.training:
            return super().forward(images)
        self.check_size(images, size_of(images))
        return {
            name: single(head(maps)).contiguous()
            for name, head, maps in zip(self.output_names, self.heads, self.decode(images))
        }

    def check_size(self, images: Tensor, size: Size, scale: float = 1.0):
        """Raise ValueError if an image becomes a single value: instance norm needs two, in evaluation too, whatever the
        batch."""
        if max(size) <= self.deepest_stride:
            raise ValueError(
                f'{self.arch}: images of {size[0]}x{size[1]} pixels are a single value at stride {self.deepest_stride},'
                f' which has no variance to normalise by; one side must be at least {self.deepest_stride + 1} pixels'
            )


class BilinearUNet(UNet):
    """Pytorch-UNet's bilinear variant; its weights need align_corners=True."""

    bilinear = True


for _name, _network in (('UNet', UNet), ('UNet_bilinear', BilinearUNet), ('UNetDS', UNetDS)):
    ARCHS.register(_name, trunk=None)(_network)
