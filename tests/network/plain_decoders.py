"""The networks without OCR in the order in which their papers draw them, on the layers of a built network; and a trunk
to test with.

Maps are resized and concatenated before they are convolved, and every scale's output is enlarged to its image at once.
"""

import torch
import torch.nn.functional as F
from torch import nn

from config import scope
from network import ARCHS
from network.layers import conv_bn_relu
from network.options import complete

NARROW = {
    'MODEL__SEGATTN_BOT_CH': 8,
    'MODEL__ASPP_BOT_CH': 4,
    'MODEL__OCR__MID_CHANNELS': 12,
    'MODEL__OCR__KEY_CHANNELS': 8,
}


class TinyTrunk(nn.Module):
    """Three convolutions: maps at strides 2, 4 and 8, of which heads read those of head_strides."""

    channels = {2: 4, 4: 6, 8: 10}
    deepest_stride = 8

    def __init__(self, head_strides=(8,), skip_strides=(2, 4)):
        super().__init__()
        self.head_strides, self.skip_strides = head_strides, skip_strides
        self.channels = {stride: self.channels[stride] for stride in sorted({*head_strides, *skip_strides})}
        self.layers = nn.ModuleList(
            conv_bn_relu(c_in, c_out, kernel=3, stride=2) for c_in, c_out in ((3, 4), (4, 6), (6, 10))
        )

    def forward(self, images):
        maps = {}
        for stride, layer in zip((2, 4, 8), self.layers):
            images = maps[stride] = layer(images)
        return {stride: maps[stride] for stride in self.channels}


def tiny(arch, classes=5, *, trunk=None, cfg=None, **kwargs):
    """`arch` in float64 with narrow heads on a TinyTrunk, with lively norms, of which few channels die, and no
    dropout."""
    torch.manual_seed(0)
    with scope(**NARROW | (cfg or {})):
        net = ARCHS[arch](
            classes, trunk or TinyTrunk(), kwargs.pop('align_corners', False), complete(), **kwargs
        ).double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0, 0.5)
        elif isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    return net


def close(found, expected, tolerance=1e-10):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max().clamp_min(1)


def up(maps, size, corners=False):
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=corners)


def run(layers, x):
    """Layers one after the other, without the shortcuts of their container."""
    for layer in layers:
        x = layer(x)
    return x


def joined(maps, corners=False):
    """Maps resized to the first and concatenated."""
    return torch.cat([up(m, maps[0].shape[-2:], corners) for m in maps], dim=1)


def deep_map(net, maps):
    return joined([maps[stride] for stride in net.backbone.head_strides], net.align_corners)


def plain_aspp(aspp, x):
    """Image mean, 1x1, and three dilated convolutions of x, concatenated."""
    pooled = run(aspp.img_conv, x.mean(dim=(2, 3), keepdim=True))
    return torch.cat([up(pooled, x.shape[-2:]), *(run(branch, x) for branch in aspp.features)], dim=1)


def basic(net, x):
    return deep_map(net, net.backbone(x))


def basic_aspp(net, x):
    return net.bot_aspp(plain_aspp(net.aspp, basic(net, x)))


def deepv3(net, x):
    return plain_aspp(net.aspp, basic(net, x))


def deepv3plus(net, x, blend=lambda aspp: aspp):
    """48 fine and 256 deep channels at the size of the finest skip map; `blend` is applied to the ASPP."""
    maps = net.backbone(x)
    fine = maps[min(maps)]
    deep = net.bot_aspp(blend(plain_aspp(net.aspp, deep_map(net, maps))))
    return torch.cat([net.bot_fine(fine), up(deep, fine.shape[-2:], net.align_corners)], dim=1)


def deeper(net, x):
    maps = net.backbone(x)
    x = net.conv_up1(plain_aspp(net.aspp, deep_map(net, maps)))
    for widen, thin, stride in ((net.conv_up2, net.convs4, 4), (net.conv_up3, net.convs2, 2)):
        x = torch.cat([up(x, maps[stride].shape[-2:], net.align_corners), thin(maps[stride])], dim=1)
        x = F.relu(widen.bn(widen.conv(x)))
    return x


FEATURES = {
    'basic.HRNet': basic,
    'basic.HRNet_ASP': basic_aspp,
    'deepv3.DeepV3': deepv3,
    'deepv3.DeepV3Plus': deepv3plus,
    'deeper.DeeperW38': deeper,
    'mscale.HRNet': basic,
    'mscale.HRNet_ASP': basic_aspp,
    'mscale.DeepV3Plus': deepv3plus,
    'mscale.DeeperW38': deeper,
    'mscale2.HRNet': basic,
    'mscale2.DeepV3R50': deepv3plus,
}


def classifier(net):
    head = getattr(net, net.classifier)
    return head if isinstance(head, nn.Sequential) else [head]
