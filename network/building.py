"""Networks built by name: `get_net`, and the checks of its arguments that a program makes before it starts."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from config import cfg
from network.input_channels import take_channels
from network.mscale import check_scales
from network.options import Watched, complete
from network.pretrained import load_pretrained
from network.registry import ARCHS
from network.segmentor import Segmentor
from network.trunks import build_trunk, check_trunk
from network.weights import SOURCES, find_weights


def takes_scales(arch: str) -> bool:
    """Whether `arch` predicts at several scales (n_scales). Raises ValueError for an unknown name."""
    return 'n_scales' in inspect.signature(ARCHS[arch]).parameters


def check_names(arch: str, trunk: str | None = None, n_scales: Iterable[float] | None = None) -> str | None:
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
        if not takes_scales(arch):
            raise ValueError(
                f'--n_scales: {arch} predicts at one scale only; choose a network with multi-scale attention, such as'
                ' ocrnet.HRNet_Mscale, or leave the flag out: train.py averages scales of any network with'
                ' --multi_scale_inference'
            )
        check_scales(n_scales)
    return name


def check_pretrained(source: str, arch: str, trunk: str | None, assets):
    """Raise ValueError or FileNotFoundError unless there is a file for `--pretrained source` of this network.

    Args:
        source: one of `network.weights.SOURCES`, the path of a file, or 'none'.
        arch, trunk: as in `check_names`.
        assets: the folder that holds seg_weights/.
    """
    if source != 'none':
        path, _ = find_weights(source, arch, check_names(arch, trunk), assets)
        if not path.exists():
            raise FileNotFoundError(
                f'--pretrained {source}: no such file; give its path, or one of none, {", ".join(SOURCES)}'
            )


def options_read(
    arch: str, trunk: str | None, n_scales: Iterable[float] | None = None, options: Mapping[str, Any] | None = None
) -> tuple[set[str], tuple[str, ...]]:
    """(paths below cfg.MODEL that building the network reads, the names of its outputs); it takes no memory.

    The arguments are those of `get_net`.
    """
    read: set[str] = set()
    with torch.random.fork_rng(devices=()), torch.device('meta'):
        net = _assemble(arch, 2, trunk, n_scales, False, Watched(complete(options), read))
    return read | {'IN_CHANNELS'}, net.output_names


def _assemble(arch, num_classes, trunk_name, n_scales, align_corners, options) -> Segmentor:
    trunk = trunk_name  # networks that work inside their trunk, on its tokens, build it themselves
    if trunk_name and not ARCHS.fact(arch, 'tokens', False):
        trunk = build_trunk(trunk_name, align_corners, ARCHS.fact(arch, 'dilated', False), options)
    scales = {'n_scales': n_scales} if n_scales else {}
    return ARCHS[arch](num_classes, trunk, align_corners, options, **scales)


def get_net(
    arch: str,
    num_classes: int,
    trunk: str | None = None,
    n_scales: Iterable[float] | None = None,
    align_corners: bool = False,
    pretrained: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Segmentor:
    """The network `arch` on the trunk `trunk`, with weights in channels-last order, in which convolutions are fastest
    on a CPU and in half precision on a GPU.

    Args:
        arch: a name of `ARCHS.names()`.
        num_classes: K, the channels of its logits.
        trunk: a name of `TRUNKS.names()` or timm/<model>; default: the network's own.
        n_scales: scales of hierarchical inference in eval mode, 1.0 among them; only for networks that have it.
        align_corners: of every bilinear resize; weights of HRNet-Semantic-Segmentation's OCR branch need True.
        pretrained: weights for the trunk by source (`network.weights.SOURCES`, below cfg.ASSETS_PATH) or path; None or
            'none' for random ones. What they gave is in `net.pretrained_report`.
        options: settings of cfg.MODEL, nested as they are there; those left out have their declared defaults. Default:
            cfg.MODEL as it stands. All of them are in `net.options`, with which the same call builds the same network.

    Raises:
        ValueError: for an unknown name or option, scales without 1.0 or for a network of one scale, or an unfit file.
        OSError: for a file of `pretrained` that is not there.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}, expected at least 1; check the dataset's label table")
    trunk_name = check_names(arch, trunk, n_scales)
    net = _assemble(arch, num_classes, trunk_name, n_scales, align_corners, complete(options))
    net.arch, net.trunk_name, net.num_classes = arch, trunk_name, num_classes
    if pretrained not in (None, 'none'):
        net.pretrained_report = load_pretrained(net, str(pretrained), cfg.ASSETS_PATH)
    take_channels(net, net.options.IN_CHANNELS, keep=net.pretrained_report is not None)
    return net.to(memory_format=torch.channels_last)
