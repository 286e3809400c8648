"""A trunk under one plain segmentation head, alone or with atrous spatial pyramid pooling between, under a linear
probe, or under an upscaling block."""

from torch import Tensor, nn

from network.aspp import ASPP
from network.decoders.levels import doubled
from network.heads import SegmentationHead
from network.layers import LayerNorm2d, Module, conv
from network.options import Options
from network.plain import Reordered
from network.pyramid import conv_over_pyramid, stack
from network.registry import ARCHS
from network.segmentor import FeatureSegmentor

ASPP_FEATURES = 256


class Basic(FeatureSegmentor):
    classifier = 'seg_head'
    class_layers: tuple[str, ...] = ('seg_head.6',)
    kaiming_parts: tuple[str, ...] = ('seg_head',)

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        self.feature_channels = self.head_channels
        head = SegmentationHead(self.feature_channels, num_classes, options.SEGATTN_BOT_CH, align_corners)
        setattr(self, self.classifier, head)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        return self.trunk_maps(images)


class BasicASPP(FeatureSegmentor):
    """Trunk, ASPP, a 1x1 convolution, head."""

    class_layers = ('final.6',)
    kaiming_parts: tuple[str, ...] = ('final', 'bot_aspp', 'aspp')

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        self.feature_channels = ASPP_FEATURES
        self.aspp = ASPP(self.head_channels, options.ASPP_BOT_CH, align_corners)
        self.bot_aspp = conv(self.aspp.channels, self.feature_channels, kernel=1)
        self.final = SegmentationHead(self.feature_channels, num_classes, options.SEGATTN_BOT_CH, align_corners)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        return [self.bot_aspp(self.aspp(self.trunk_maps(images)))]


class Linear(Reordered, FeatureSegmentor):
    """The linear probe of DINOv2 (Oquab et al., arXiv 2304.07193): a norm and a 1x1 convolution with bias, nothing
    else. With options.PLAIN_LINEAR no norm either: the linear decoder of the winner of BRAVO 2024 (Kerssies et al.,
    arXiv 2409.17208), who reads the last block of a ViT alone (options.VIT.DEPTHS = 1).

    Maps of several strides are normalised each at its own size and classified as if resized to the finest and
    concatenated.
    """

    classifier = 'linear'
    class_layers = ('linear',)

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        self.feature_channels = self.head_channels
        self.norms = nn.ModuleList(
            nn.Identity() if options.PLAIN_LINEAR else nn.BatchNorm2d(trunk.channels[stride])
            for stride in trunk.head_strides
        )
        self.linear = conv(self.feature_channels, num_classes, kernel=1, bias=True)
        nn.init.normal_(self.linear.weight, std=0.01)
        assert self.linear.bias is not None
        nn.init.zeros_(self.linear.bias)

    def features(self, images: Tensor) -> list[Tensor]:
        return [norm(maps) for norm, maps in zip(self.norms, self.trunk_maps(images))]

    def classify(self, features: list[Tensor]) -> Tensor:
        return conv_over_pyramid(self.linear, features, self.align_corners, plain=self.plain)


class Upscale(FeatureSegmentor):
    """The upscaling decoder of the same (arXiv 2409.17208): two transposed convolutions to four times the size, which
    halve the channels each, a 3x3 convolution and a classifier without bias."""

    classifier = 'out'
    class_layers = ('out',)
    decoder_parts = ('upscale',)

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(trunk, align_corners, options)
        whole, half = self.head_channels, max(1, self.head_channels // 2)
        self.feature_channels = quarter = max(1, self.head_channels // 4)
        self.upscale = nn.Sequential(
            doubled(whole, half, bias=False),
            LayerNorm2d(half),
            nn.GELU(),
            doubled(half, quarter, bias=False),
            LayerNorm2d(quarter),
            conv(quarter, quarter, kernel=3),
            LayerNorm2d(quarter),
        )
        self.out = conv(quarter, num_classes, kernel=1)
        nn.init.normal_(self.out.weight, std=0.1)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        return [self.upscale(stack(self.trunk_maps(images), self.align_corners))]

    def classify(self, features: list[Tensor]) -> Tensor:
        return self.out(*features)


for _name in ('basic.Basic', 'basic.HRNet'):
    ARCHS.register(_name)(Basic)
ARCHS.register('basic.Linear')(Linear)
ARCHS.register('basic.Upscale', trunk='timm/vit_base_patch14_dinov2', dilated=True)(Upscale)
ARCHS.register('basic.HRNet_ASP')(BasicASPP)
ARCHS.register('basic.ASPP', trunk='resnet-50', dilated=True)(BasicASPP)
