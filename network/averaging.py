"""Averaged logits: an image at several scales, with its mirror images, whole or in tiles, through one network.

For every flip and scale the normalised image is resized, run and resized back; the logits are averaged in fp32.
"""

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from network.tiles import assembled, covers, tiled_logits

DTYPES = {'fp16': torch.float16, 'bf16': torch.bfloat16}
SINGLE_SCALE = re.compile(r'pred_(\d)(\d+)x')  # an output of network.mscale.scale_key
# The axes of (N, C, h, w) that each image of a kind of flips is mirrored along: the image itself comes last.
FLIPS: dict[str, tuple[tuple[int, ...], ...]] = {
    'h': ((-1,), ()),
    'v': ((-2,), ()),
    '4way': ((-1,), (-2,), (-2, -1), ()),
}


def autocast(device, precision: str | None):
    """The autocast context of a precision, for fp32 one that turns autocast off; None: as it is around the call."""
    if precision is None:
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES.get(precision), enabled=precision in DTYPES)


@dataclass
class EvalOptions:
    """How an image is evaluated. scales: sizes of the input whose logits are averaged; flip: with its mirror images.

    flip_kind: which these are, a key of FLIPS: left to right, top to bottom, or both and the image turned by 180
    degrees.
    tile (h, w): of a sliding window for larger images, None: as a whole; overlap: what tiles share of their sides.
    """

    scales: tuple = (1.0,)
    flip: bool = False
    align_corners: bool = False
    precision: str | None = 'fp32'
    max_batches: int | None = None
    tile: tuple[int, int] | None = None
    overlap: float = 0.25
    flip_kind: str = 'h'

    @property
    def views(self) -> tuple[tuple[int, ...], ...]:
        """The axes that each image of the mean is mirrored along, () for the image itself, which comes last."""
        return FLIPS[self.flip_kind] if self.flip else ((),)


def average_logits(
    net: Callable, images: Tensor, options: EvalOptions, keep_scales: bool = False, alone: dict | None = None
) -> tuple[Tensor, dict]:
    """Logits (N, C, h, w) fp32 of normalised images (N, 3, h, w), averaged over scales and flips, and the last outputs.

    keep_scales: have attention and single-scale logits among the outputs; they are those of the unflipped image at the
    last scale, and there are none of images that are evaluated in tiles.
    alone: is filled with the logits of each scale alone, likewise (N, C, h, w), the mean over flips: 'averaged_0.5x' of
    the scales of `options`, where there are several, and 'hierarchical_0.5x' of those that the network blends, as it
    sees them of images at the first of these scales.
    """
    height, width = images.shape[-2:]
    if not covers(options.tile, (height, width)):
        return _all_from_tiles(net, images, options, alone), {}
    total: Any = None
    outputs: dict = {}

    def placed(maps, axes):
        maps = maps.float()
        if maps.shape[-2:] != (height, width):
            maps = F.interpolate(maps, size=(height, width), mode='bilinear', align_corners=options.align_corners)
        return maps.flip(axes) if axes else maps

    for axes in options.views:
        for scale in options.scales:
            view = images.flip(axes) if axes else images
            if scale != 1.0:
                view = F.interpolate(
                    view,
                    size=(max(1, round(height * scale)), max(1, round(width * scale))),
                    mode='bilinear',
                    align_corners=options.align_corners,
                )
            with autocast(images.device, options.precision):
                outputs = net(view, keep_scales or alone is not None)
            logits = placed(outputs['pred'], axes)
            if alone is not None:
                for name, maps in _single_scales(outputs, scale, options).items():
                    part = placed(maps, axes) / len(options.views)
                    alone[name] = alone[name].add_(part) if name in alone else part
            total = logits if total is None else total.add_(logits)
    passes = len(options.scales) * len(options.views)
    return (total / passes if passes > 1 else total), outputs


def _single_scales(outputs: dict, scale: float, options: EvalOptions) -> dict[str, Tensor]:
    """The logits of single scales that one pass, of images at `scale`, gives."""
    found = {f'averaged_{scale:g}x': outputs['pred']} if len(options.scales) > 1 else {}
    if scale == options.scales[0]:
        inside = {key: SINGLE_SCALE.fullmatch(key) for key in outputs}
        scales = {float(f'{match[1]}.{match[2]}'): key for key, match in inside.items() if match}
        found |= {f'hierarchical_{number:g}x': outputs[scales[number]] for number in sorted(scales)}
    return found


def _all_from_tiles(net: Callable, images: Tensor, options: EvalOptions, alone: dict | None) -> Tensor:
    """Logits (N, C, h, w) of normalised images by a sliding window; alone: as of average_logits."""
    whole, names = zip(*(_from_tiles(net, image, options, alone is not None) for image in images))
    logits, *parts = torch.stack(whole).chunk(1 + len(names[0]), 1)
    if alone is not None:
        alone.update(zip(names[0], parts))
    return logits


def _from_tiles(net: Callable, image: Tensor, options: EvalOptions, apart: bool) -> tuple[Tensor, list[str]]:
    """Logits (C, h, w) of a normalised image (3, h, w) by a sliding window, and with `apart` behind them those of each
    single scale, whose names come back."""
    assert options.tile is not None
    of_tile = replace(options, tile=None)
    names: list[str] = []

    def forward(tiles):
        alone: dict | None = {} if apart else None
        tiles = tiles.contiguous(memory_format=torch.channels_last)
        logits = average_logits(net, tiles, of_tile, alone=alone)[0]
        names[:] = alone or []
        return torch.cat([logits, *alone.values()], 1) if alone else logits

    height, width = image.shape[-2:]
    return assembled(tiled_logits(forward, image, options.tile, options.overlap), (height, width)), names
