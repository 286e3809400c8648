"""EfficientNet-B4 at output stride 8 (Tan and Le, arXiv 1905.11946), of torchvision's layers and with their names.

So torchvision's ImageNet file fits. The layer before its classifier (448 to 1792 channels) is left out: dense heads
start with a 1x1 convolution of their own.
"""

from torch import Tensor, nn

from network.registry import TRUNKS
from network.trunks.blocks import DilatedTrunk, dilate


class EfficientNetB4(DilatedTrunk):
    """images (N, 3, h, w) -> {2: the map of features.1, 4: of features.2, 8: of features.7}.

    Where a stride is taken out, all that follows reads every second pixel (then every fourth): the first block of a
    stage as far apart as the stage before, since its convolution was the one that strode.
    """

    channels = {2: 24, 4: 32, 8: 448}

    def __init__(self):
        # here: its import takes a second that other trunks do not need
        from torchvision.models import efficientnet_b4

        super().__init__()
        self.features = efficientnet_b4(weights=None).features[:8]
        dilation = 1
        for stage in self.features[4:]:
            first, *rest = stage
            strides = any(max(layer.stride) > 1 for layer in first.modules() if isinstance(layer, nn.Conv2d))
            dilate(first, dilation)
            dilation *= 1 + strides
            for block in rest:
                dilate(block, dilation)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        maps = [images]
        for stage in self.features:
            maps.append(stage(maps[-1]))
        return {2: maps[2], 4: maps[3], 8: maps[-1]}


@TRUNKS.register('efficientnet_b4')
def efficientnet_b4(align_corners: bool = False) -> EfficientNetB4:
    return EfficientNetB4()
