"""A decoder that climbs from the ASPP back to stride 2 in steps of two, as Panoptic-DeepLab does (Cheng et al., arXiv
1911.10194)."""

from torch import Tensor, nn

from network.aspp import ASPP
from network.layers import Module, conv, conv_bn
from network.options import Options
from network.plain import Reordered
from network.pyramid import conv_over_pyramid
from network.registry import ARCHS
from network.resize import size_of
from network.segmentor import FeatureSegmentor, strides_in_words

CHANNELS = 256
SKIPS = {2: 32, 4: 64}  # stride of the trunk: channels it is thinned to
TRUNKS_OF_NAMES = {'W38': 'wrn38', 'X71': 'xception71', 'EffB4': 'efficientnet_b4'}


class Widen(Reordered, nn.Module):
    """Resizes a map to the size of a finer one, concatenates both, coarse first, and mixes them by a 5x5 convolution,
    norm, ReLU."""

    def __init__(self, in_channels: int, align_corners: bool):
        super().__init__()
        self.align_corners = align_corners
        self.conv, self.bn = conv_bn(in_channels, CHANNELS, kernel=5)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """coarse (N, c, h, w), fine (N, d, H, W) -> (N, 256, H, W)."""
        mixed = conv_over_pyramid(self.conv, [coarse, fine], self.align_corners, plain=self.plain, size=size_of(fine))
        return self.relu(self.bn(mixed))


class Deeper(FeatureSegmentor):
    """ASPP, joined by the trunk's maps of stride 4 and then 2.

    A trunk without these is a ValueError.
    """

    classifier = 'conv_up5'
    class_layers = ('conv_up5',)
    decoder_parts = ('convs2', 'convs4', 'conv_up1', 'conv_up2', 'conv_up3', 'conv_up5')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        if not set(SKIPS) <= set(trunk.channels):
            raise ValueError(
                f'--trunk: this decoder adds the maps of {strides_in_words(SKIPS)}, but the trunk has maps of'
                f' {strides_in_words(trunk.channels)}; choose one with both, such as'
                f' {", ".join(TRUNKS_OF_NAMES.values())}'
            )
        self.feature_channels = CHANNELS
        self.aspp = ASPP(self.head_channels, options.ASPP_BOT_CH, align_corners)
        self.convs2, self.convs4 = (
            conv(trunk.channels[stride], channels, kernel=1) for stride, channels in SKIPS.items()
        )
        self.conv_up1 = conv(self.aspp.channels, CHANNELS, kernel=1)
        self.conv_up2 = Widen(CHANNELS + SKIPS[4], align_corners)
        self.conv_up3 = Widen(CHANNELS + SKIPS[2], align_corners)
        self.conv_up5 = conv(CHANNELS, num_classes, kernel=1)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        maps = self.run_trunk(images)
        x = self.conv_up1(self.aspp(self.head_maps(maps)))
        x = self.conv_up2(x, self.convs4(maps[4]))
        return [self.conv_up3(x, self.convs2(maps[2]))]

    def classify(self, features: list[Tensor]) -> Tensor:
        return self.conv_up5(*features)


class DeeperAlone(Deeper):
    """The form of one scale, whose checkpoints call the trunk `trunk`."""

    trunk_key = 'trunk'

    @property
    def backbone(self) -> nn.Module:
        return self.trunk


for _name, _trunk in TRUNKS_OF_NAMES.items():
    ARCHS.register(f'deeper.Deeper{_name}', trunk=_trunk, dilated=True)(DeeperAlone)
