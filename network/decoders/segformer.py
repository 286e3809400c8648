"""SegFormer's all-MLP decoder (Xie et al., NeurIPS 2021, arXiv 2105.15203, section 3.2): every level by a linear layer
to one width, resized to the finest, concatenated and mixed by another."""

from torch import Tensor, nn

from network.decoders.levels import LevelSegmentor
from network.heads import PyramidHead
from network.layers import Module, conv, conv_bn_relu
from network.options import Options
from network.registry import ARCHS

DROPOUT = 0.1


class SegFormer(LevelSegmentor):
    """options.DECODER_CH channels (256 in the paper's B0 and B1, 768 above). The four depths of a ViT are read as they
    are, at the stride of its patch."""

    classifier = 'final'
    class_layers = ('final',)
    decoder_parts = ('linears', 'mix', 'final')
    coarsens = False

    def __init__(self, num_classes: int, trunk: Module, align_corners: bool, options: Options):
        super().__init__(num_classes, trunk, align_corners, options)
        self.feature_channels = channels = options.DECODER_CH
        self.linears = nn.ModuleList(conv(inputs, channels, kernel=1, bias=True) for inputs in self.level_channels)
        self.mix = PyramidHead(
            *conv_bn_relu(len(self.level_channels) * channels, channels, kernel=1), align_corners=align_corners
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.final = conv(channels, num_classes, kernel=1, bias=True)
        self.initialise()

    def features(self, images: Tensor) -> list[Tensor]:
        return [self.mix([linear(maps) for linear, maps in zip(self.linears, self.level_maps(images))])]

    def classify(self, features: list[Tensor]) -> Tensor:
        return self.final(self.dropout(*features))


ARCHS.register('basic.SegFormer')(SegFormer)
