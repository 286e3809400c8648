"""Trunks by name (`--trunk`).

A trunk is a module with `channels`, a dict from stride to channels, and `head_strides`, the strides whose maps its
heads read, finest first. `skip_strides` are the strides of the finer maps that a decoder may add, finest first, or ().
`trunk(images)` returns a dict from stride to map (N, channels[stride], h / stride, w / stride), rounded up.
`deepest_stride` is the largest stride inside it; it limits how small an image may be. A trunk with `aux_channels`
returns one more map, under 'aux', for an auxiliary head. A ViT has `token_width`: its one map is the tokens of several
depths side by side, that many channels each. A module whose class says `is_stage` is computed again in one piece by
--grad_ckpt; elsewhere it finds runs of residual blocks (network.checkpointing).
"""

from torch import nn

from network.options import Options
from network.registry import TRUNKS
from network.trunks import efficientnet, hrnet, resnet, seresnext, timm_trunk, torchvision_resnet, wrn38, xception

# they register what they define
MODULES = (efficientnet, hrnet, resnet, seresnext, torchvision_resnet, wrn38, xception)


def check_trunk(name: str):
    """Raise ValueError for an unknown name, or timm/<name> without timm."""
    if name.startswith(timm_trunk.PREFIX):
        timm_trunk.check_name(name)
    elif name not in TRUNKS:
        try:
            _ = TRUNKS[name]
        except ValueError as error:
            raise ValueError(f'{error}{timm_trunk.hint(name)}') from None


def build_trunk(
    name: str, align_corners: bool = False, dilated: bool = False, options: Options | None = None
) -> nn.Module:
    """The trunk called `name`, randomly initialised; an unknown name is a ValueError.

    dilated: the head wants one deep map at stride 8. Backbones of timm, which have a map of every stride, are dilated
    for it if they can be; the trunks of this package are what they are.
    options: settings of the network, of which backbones of timm read some; None: their defaults.
    """
    check_trunk(name)
    if name.startswith(timm_trunk.PREFIX):
        return timm_trunk.TimmTrunk(name, dilated, options)
    return TRUNKS[name](align_corners=align_corners)
