"""The convolution blocks that trunks and heads are made of.

Batch normalisation is always torch's own class (eps 1e-5, momentum 0.1), so `SyncBatchNorm.convert_sync_batchnorm`
finds it. Positions inside the Sequentials are part of the checkpoint keys.
"""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn


class Module(nn.Module):
    """nn.Module to a type checker whose users know the types of their own parts."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1, bias: bool = False
) -> nn.Conv2d:
    """A square convolution of `kernel` x `kernel` pixels, padded so that stride 1 keeps the size."""
    return nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2 * dilation, dilation=dilation, bias=bias
    )


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    return conv(in_channels, out_channels, kernel, stride, dilation), nn.BatchNorm2d(out_channels)


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Keys 0 (convolution) and 1 (norm)."""
    return nn.Sequential(*conv_bn(in_channels, out_channels, kernel, stride, dilation), nn.ReLU(inplace=True))


def bn_relu(channels: int) -> nn.Sequential:
    """Key 0 (norm)."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each pixel of maps (N, C, h, w)."""

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__(channels, eps=eps)

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
