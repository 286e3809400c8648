"""Segmentation networks by name.

    net = get_net('ocrnet.HRNet_Mscale', num_classes=19, n_scales=[0.5, 1.0, 2.0])
    outputs = net(images)                # a dict of logits and attention maps

A network never sees labels. It is built from `cfg.MODEL` once and does not read it again.
"""

import inspect

import torch

from config import cfg
from network import attnscale, basic, deeper, deepv3, framework, mscale_nets, ocrnet, pairwise, torchvision_nets, unet
from network.mscale import check_scales
from network.pretrained import load_pretrained
from network.registry import ARCHS, TRUNKS
from network.segmentor import Segmentor, head_keys
from network.trunks import build_trunk, check_trunk
from network.weights import SOURCES, find_weights

__all__ = [
    'ARCHS',
    'TRUNKS',
    'Segmentor',
    'attnscale',
    'basic',
    'check_names',
    'check_pretrained',
    'deeper',
    'deepv3',
    'framework',
    'get_net',
    'head_keys',
    'mscale_nets',
    'ocrnet',
    'pairwise',
    'torchvision_nets',
    'unet',
]


def check_names(arch: str, trunk: str | None = None, n_scales=None) -> str | None:
    """The name of the trunk that `arch` is built on: `trunk`, else its own, None if it has none to choose.

    Raises ValueError for an unknown name, a trunk for a network without one, scales for a network of one scale or
    without 1.0.
    """
    own = ARCHS.fact(arch, 'trunk', 'hrnetv2')
    if trunk and own is None:
        raise ValueError(f'--trunk {trunk}: {arch} has no trunk to choose; leave the flag out')
    name = trunk or own
    if name:
        check_trunk(name)
    if n_scales:
        if 'n_scales' not in inspect.signature(ARCHS[arch]).parameters:
            raise ValueError(
                f'--n_scales: {arch} predicts at one scale only; choose a network with multi-scale attention, such as'
                ' ocrnet.HRNet_Mscale, or leave the flag out: train.py averages scales of any network with'
                ' --multi_scale_inference'
            )
        check_scales(n_scales)
    return name


def check_pretrained(source: str, arch: str, trunk: str | None, assets):
    """Raise ValueError or FileNotFoundError unless there is a file for `--pretrained source` of this network (see
    check_names)."""
    if source != 'none':
        path, _ = find_weights(source, arch, check_names(arch, trunk), assets)
        if not path.exists():
            raise FileNotFoundError(
                f'--pretrained {source}: no such file; give its path, or one of none, {", ".join(SOURCES)}'
            )


def get_net(
    arch: str, num_classes: int, trunk: str | None = None, n_scales=None, align_corners: bool = False, pretrained=None
) -> Segmentor:
    """The network `arch` (see `ARCHS.names()`) on the trunk `trunk` (see `TRUNKS.names()`; default: the network's own).

    n_scales: scales of hierarchical inference in eval mode, 1.0 among them; only for networks that have it.
    align_corners: of every bilinear resize; weights of HRNet-Semantic-Segmentation's OCR branch need True. pretrained:
    weights for the trunk by source (`network.weights.SOURCES`, below cfg.ASSETS_PATH) or path, None or 'none' for
    random ones; what they gave is in `net.pretrained_report`. The weights lie in channels-last order, in which
    convolutions are fastest on a CPU and in half precision on a GPU. Raises ValueError for an unknown name, scales
    without 1.0 or for a network of one scale, or an unfit file.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, expected at least 1; check the dataset's label table")
    trunk_name = check_names(arch, trunk, n_scales)
    trunk_net = (
        build_trunk(trunk_name, align_corners, dilated=ARCHS.fact(arch, 'dilated', False)) if trunk_name else None
    )
    net = ARCHS[arch](num_classes, trunk_net, align_corners, **({'n_scales': n_scales} if n_scales else {}))
    net.arch, net.trunk_name = arch, trunk_name
    net.pretrained_report = (
        load_pretrained(net, str(pretrained), cfg.ASSETS_PATH) if pretrained not in (None, 'none') else None
    )
    return net.to(memory_format=torch.channels_last)
