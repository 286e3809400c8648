"""Object-contextual representations (Yuan et al., ECCV 2020, arXiv 1909.11065, eq. 4-8).

Auxiliary logits say softly which pixels belong to which class; their weighted mean is one feature per class; every
pixel then attends to the class features and is classified from its own features and that context. Names of the
submodules are those of the published checkpoints.
"""

import torch
from torch import Tensor, nn

from network.aspp import ASPP
from network.heads import PyramidHead
from network.layers import bn_relu, conv
from network.options import Options
from network.plain import Reordered
from network.resize import single, without_autocast


def tokens(maps: Tensor) -> Tensor:
    """maps (N, C, h, w) -> (N, h w, C), a view for either memory format."""
    return maps.flatten(2).transpose(1, 2)


def gather_objects(feats: Tensor, aux: Tensor) -> Tensor:
    """The mean feature of each class, weighted by a softmax of its logits over the pixels (eq. 4).

    feats (N, C, h, w), aux (N, K, h, w) logits. Returns (N, C, K, 1) in the dtype of feats.
    """
    # fp32: a softmax over all pixels gives weights near 1 / (h w), which half precision loses. bfloat16 has the range
    # of float32, so the sum over pixels (which accumulates in float32) may read its weights in bfloat16.
    with without_autocast(feats):
        weights = torch.softmax(single(aux).flatten(2), dim=2)
        if feats.dtype == torch.bfloat16:
            context = weights.bfloat16() @ tokens(feats)
        else:
            context = weights @ tokens(feats).to(weights.dtype)
        return context.to(feats.dtype).transpose(1, 2).unsqueeze(3)


class ObjectAttention(Reordered, nn.Module):
    """Pixels attend to class features (eq. 5-7): query from the pixel, key and value from the class."""

    def __init__(self, channels: int, key_channels: int):
        super().__init__()
        self.key_channels = key_channels
        self.f_pixel = self._two_layers(channels, key_channels)
        self.f_object = self._two_layers(channels, key_channels)
        self.f_down = nn.Sequential(conv(channels, key_channels, kernel=1), bn_relu(key_channels))
        self.f_up = nn.Sequential(conv(key_channels, channels, kernel=1), bn_relu(channels))

    @staticmethod
    def _two_layers(channels: int, key_channels: int) -> nn.Sequential:
        return nn.Sequential(
            conv(channels, key_channels, kernel=1),
            bn_relu(key_channels),
            conv(key_channels, key_channels, kernel=1),
            bn_relu(key_channels),
        )

    def forward(self, feats: Tensor, context: Tensor) -> Tensor:
        """feats (N, C, h, w), context (N, C, K, 1). Returns (N, C, h, w)."""
        query = tokens(self.f_pixel(feats))  # (N, h w, key)
        key = self.f_object(context).flatten(2)  # (N, key, K)
        value = self.f_down(context)  # (N, key, K, 1)
        with without_autocast(feats):  # fp32: scores and their softmax
            scores = single(query) @ single(key) * self.key_channels**-0.5
            attention = torch.softmax(scores, dim=2).to(value.dtype)  # (N, h w, K)
        if self.plain:
            return self.f_up((attention @ tokens(value)).transpose(1, 2).unflatten(2, feats.shape[-2:]))
        # f_up's convolution is linear and K is small: projecting the K values rather than their h w mixtures is the
        # same.
        project, activate = self.f_up
        mixed = attention @ tokens(project(value))  # (N, h w, C)
        return activate(mixed.transpose(1, 2).unflatten(2, feats.shape[-2:]))


class DistributeHead(nn.Module):
    """Concatenates the object context with the pixel's own features, and an ASPP of these if asked for, and mixes them
    (eq. 8)."""

    def __init__(self, channels: int, key_channels: int, aspp: ASPP | None = None, dropout: float = 0.05):
        super().__init__()
        self.object_context_block = ObjectAttention(channels, key_channels)
        self.aspp = aspp
        together = 2 * channels + (0 if aspp is None else aspp.channels)
        self.conv_bn_dropout = nn.Sequential(
            conv(together, channels, kernel=1), bn_relu(channels), nn.Dropout2d(dropout)
        )

    def forward(self, feats: Tensor, context: Tensor) -> Tensor:
        parts = [self.object_context_block(feats, context), feats]
        if self.aspp is not None:
            parts.insert(1, self.aspp([feats]))
        return self.conv_bn_dropout(torch.cat(parts, dim=1))


class OCRBlock(nn.Module):
    """Trunk maps -> (logits, auxiliary logits, features), all at the size of the finest map.

    inner_aspp: the pixel's features are pooled by an ASPP of their own too (always, if options.OCR_ASPP is set).
    """

    def __init__(
        self, in_channels: int, num_classes: int, align_corners: bool, options: Options, inner_aspp: bool = False
    ):
        super().__init__()
        channels, key_channels = options.OCR.MID_CHANNELS, options.OCR.KEY_CHANNELS
        self.channels = channels
        self.conv3x3_ocr = PyramidHead(
            conv(in_channels, channels, kernel=3, bias=True), bn_relu(channels), align_corners=align_corners
        )
        aspp = ASPP(channels, options.ASPP_BOT_CH, align_corners) if inner_aspp or options.OCR_ASPP else None
        self.ocr_distri_head = DistributeHead(channels, key_channels, aspp)
        self.cls_head = conv(channels, num_classes, kernel=1, bias=True)
        self.aux_head = PyramidHead(
            conv(in_channels, in_channels, kernel=1, bias=True),
            bn_relu(in_channels),
            conv(in_channels, num_classes, kernel=1, bias=True),
            align_corners=align_corners,
        )

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """maps (N, c_i, h_i, w_i), finest first -> logits (N, K, h_0, w_0), aux likewise, features (N, channels, h_0,
        w_0)."""
        feats, aux = self.conv3x3_ocr(maps), self.aux_head(maps)
        feats = self.ocr_distri_head(feats, gather_objects(feats, aux))
        return self.cls_head(feats), aux, feats
