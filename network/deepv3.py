"""DeepLabV3 and DeepLabV3+ (Chen et al., arXiv 1706.05587 and 1802.02611).

ASPP over the trunk's deepest map; DeepLabV3+ adds a finer map of the trunk before the head.
"""

from torch import Tensor

from network.aspp import ASPP
from network.heads import SegmentationHead
from network.layers import Module, conv
from network.options import Options
from network.registry import ARCHS
from network.segmentor import FeatureSegmentor, strides_in_words

FINE_CHANNELS, DEEP_CHANNELS = 48, 256
TRUNKS_OF_NAMES = {'W38': 'wrn38', 'X71': 'xception71', 'R50': 'resnet-50', 'EffB4': 'efficientnet_b4'}


class DeepV3(FeatureSegmentor):
    """The head reads the ASPP."""

    class_layers = ('final.6',)
    kaiming_parts = ('aspp', 'final')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        self.aspp = ASPP(self.head_channels, options.ASPP_BOT_CH, align_corners)
        self.feature_channels = self.aspp.channels
        self.final = SegmentationHead(self.feature_channels, num_classes, options.SEGATTN_BOT_CH, align_corners)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        return [self.aspp(self.trunk_maps(images))]


class DeepV3Plus(FeatureSegmentor):
    """The head reads the finest skip map of the trunk, thinned to 48 channels, and the ASPP, to 256.

    A trunk without skip maps is a ValueError.
    """

    class_layers = ('final.6',)
    kaiming_parts: tuple[str, ...] = ('final',)
    decoder_parts = ('bot_fine', 'bot_aspp', 'final')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        if not trunk.skip_strides:
            raise ValueError(
                '--trunk: DeepLabV3+ adds a finer map to the ones that the ASPP reads, but this trunk has only maps of'
                f' {strides_in_words(trunk.head_strides)}, which the ASPP reads; choose a trunk with stride 8 and a'
                f' skip map at stride 2 or 4, such as {", ".join(TRUNKS_OF_NAMES.values())}'
            )
        self.skip_stride = trunk.skip_strides[0]
        self.feature_channels = FINE_CHANNELS + DEEP_CHANNELS
        self.aspp = ASPP(self.head_channels, options.ASPP_BOT_CH, align_corners)
        self.bot_fine = conv(trunk.channels[self.skip_stride], FINE_CHANNELS, kernel=1)
        self.bot_aspp = conv(self.aspp.channels, DEEP_CHANNELS, kernel=1)
        self.final = SegmentationHead(self.feature_channels, num_classes, options.SEGATTN_BOT_CH, align_corners)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        maps = self.run_trunk(images)
        return [self.bot_fine(maps[self.skip_stride]), self.bot_aspp(self.aspp(self.head_maps(maps)))]


class DeepV3PlusKaiming(DeepV3Plus):
    """All of the decoder starts Kaiming-normal."""

    kaiming_parts = ('aspp', 'bot_aspp', 'bot_fine', 'final')


for _name, _trunk in {**TRUNKS_OF_NAMES, 'SRNX50': 'seresnext-50', 'SRNX101': 'seresnext-101'}.items():
    ARCHS.register(f'deepv3.DeepV3Plus{_name}', trunk=_trunk, dilated=True)(DeepV3Plus)
ARCHS.register('deepv3.DeepV3PlusW38I', trunk='wrn38', dilated=True)(DeepV3PlusKaiming)
ARCHS.register('deepv3.DeepV3Plus', trunk='resnet-50', dilated=True)(DeepV3Plus)
for _name in ('deepv3.DeepV3', 'deepv3.DeepV3R50'):
    ARCHS.register(_name, trunk='resnet-50', dilated=True)(DeepV3)
