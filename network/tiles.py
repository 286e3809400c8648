"""Sliding window: logits of an image that is too large for one pass, from overlapping tiles.

The tiles of a row are blended from left to right and the rows from top to bottom, with weights that fall towards the
edges of a tile. What no later tile covers is handed out at once, so memory holds one tile and the rows that two rows of
tiles share, whatever the height of the image. Where the image is split it is continued by its mirror image, so that its
border is seen with surroundings too. An image that one tile covers is run as it is.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from utils.settings.evaluation import TILE_WEIGHTS

ALIGN = 32  # tiles start at multiples of it where they can: the grid of the trunk then lies as in the whole image


class Block(NamedTuple):
    """Finished logits (C, h, w) float32 of the pixels at `rows` and `columns` of the image."""

    rows: slice
    columns: slice
    logits: Tensor


def tiled_logits(
    forward: Callable[[Tensor], Tensor],
    image: Tensor,
    tile: tuple[int, int],
    overlap: float = 0.25,
    weights: str = 'gaussian',
    batch: int = 1,
) -> Iterator[Block]:
    """The logits of an image as blocks that fill it without gaps, row of tiles by row of tiles.

    Args:
        forward: tiles (n, 3, h, w) -> logits (n, C, h, w); it moves and normalises them itself.
        image: (3, H, W) of any type, on any device.
        tile: height and width of a tile in pixels; a side that the image does not fill is cut to the image.
        overlap: share of a tile's side that it has in common with its neighbour at least, from 0 to 0.9.
        weights: of a pixel in its tile, 'gaussian' (sigma: an eighth of the side) or 'linear' (a pyramid).
        batch: tiles in one pass.
    """
    height, width = image.shape[-2:]
    down, across = _Axis(height, tile[0], overlap, weights), _Axis(width, tile[1], overlap, weights)
    carried: Any = None  # sums of the rows that the next row of tiles continues, (C, rows, W)
    for row in range(len(down)):
        top, final, bottom = down.begin[row], down.final[row], down.end[row]
        window = None  # sums of the columns that the next tile continues, (C, rows of this row of tiles, columns)
        for column, logits in enumerate(_row_of_logits(forward, image, down, across, row, batch)):
            left, done, right = across.begin[column], across.final[column], across.end[column]
            share = down.share[row][:, None] * across.share[column][None, :]
            inside = logits[:, down.inside(row), across.inside(column)].float() * share.to(logits.device)
            if window is not None:
                inside[:, :, : window.shape[2]] += window
            entered = 0 if window is None else window.shape[2]
            if row > 0:
                shared = down.end[row - 1] - top
                inside[:, :shared, entered:] += carried[:, :shared, left + entered : right]
            if final > top and done > left:
                yield Block(slice(top, final), slice(left, done), inside[:, : final - top, : done - left])
            if final < bottom:
                if carried is None:
                    rows = max(map(int.__sub__, down.end[:-1], down.begin[1:]))
                    carried = inside.new_zeros(len(inside), rows, width)
                carried[:, : bottom - final, left:done] = inside[:, final - top :, : done - left]
            window = inside[:, :, done - left :].clone()


def assembled(blocks: Iterable[Block], size: tuple[int, int]) -> Tensor:
    """The whole logits (C, H, W) of the blocks of an image of `size`."""
    whole: Any = None
    for block in blocks:
        if whole is None:
            whole = block.logits.new_empty(len(block.logits), *size)
        whole[:, block.rows, block.columns] = block.logits
    return whole


def covers(tile: tuple[int, int] | None, size: tuple[int, int]) -> bool:
    """Whether one tile covers an image of `size` (H, W); no tile at all does."""
    return tile is None or (size[0] <= tile[0] and size[1] <= tile[1])


def _row_of_logits(forward, image, down, across, row, batch):
    """The logits (C, h, w) of each tile of a row.

    Args:
        forward: images (N, 3, h, w) -> their logits, one after the other.
        image: (3, H, W).
        down, across: the _Axis of each side.
        row: which one.
        batch: tiles that are computed at a time.
    """
    rows = _taken(image, 1, down.starts[row], down.tile)
    for first in range(0, len(across), batch):
        starts = across.starts[first : first + batch]
        yield from forward(torch.stack([_taken(rows, 2, start, across.tile) for start in starts]))


def _taken(image: Tensor, dim: int, start: int, count: int) -> Tensor:
    """`count` rows or columns from `start`, which may lie outside: the image continues as its mirror image."""
    length = image.shape[dim]
    if start >= 0 and start + count <= length:
        return image.narrow(dim, start, count)
    period = max(1, 2 * length - 2)
    place = torch.arange(start, start + count, device=image.device).remainder(period)
    place = torch.minimum(place, period - place).clamp_(max=length - 1)
    first, last = int(place.min()), int(place.max())  # index_select would make a copy of all of a permuted image
    return image.narrow(dim, first, last - first + 1).index_select(dim, place - first)


class _Axis:
    """The tiles along one side of an image.

    starts: where each begins, possibly outside. begin, end: its pixels inside the image. final: up to where no later
    tile contributes. share: float32, the share of each of these pixels that is this tile's; over the tiles they sum to
    1.
    """

    def __init__(self, length: int, tile: int, overlap: float, weights: str):
        self.tile = min(tile, length)
        self.starts = _starts(length, self.tile, round(overlap * self.tile))
        self.begin = [max(0, start) for start in self.starts]
        self.end = [min(length, start + self.tile) for start in self.starts]
        self.final = [*self.begin[1:], length]
        profile = _profile(self.tile, weights)
        total = torch.zeros(length, dtype=torch.float64)
        for index in range(len(self)):
            total[self.begin[index] : self.end[index]] += profile[self.inside(index)]
        self.share = [
            (profile[self.inside(index)] / total[self.begin[index] : self.end[index]]).float()
            for index in range(len(self))
        ]

    def __len__(self):
        return len(self.starts)

    def inside(self, index: int) -> slice:
        """The part of a tile that lies in the image."""
        return slice(self.begin[index] - self.starts[index], self.end[index] - self.starts[index])


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin: evenly over the image and a border of half an overlap on both sides."""
    if length <= tile:
        return [0]
    border = overlap // 2
    way = length + 2 * border - tile
    count = math.ceil(way / max(1, tile - overlap))
    align = ALIGN if min(overlap, tile - overlap) >= 2 * ALIGN else 1
    starts = [(index * way // count - border) // align * align for index in range(count + 1)]
    return [*starts[:-1], max(starts[-1], length - tile)]


def _profile(size: int, weights: str) -> Tensor:
    """The weight of each pixel across a tile, float64 (size,), symmetric and above 0."""
    distance = (torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5
    if weights == 'gaussian':
        return torch.exp(-0.5 * (distance * 8) ** 2)
    if weights == 'linear':
        return 1 - 2 * distance.abs()
    raise ValueError(
        f'weights {weights!r} of a sliding window: there are none, choose one of {", ".join(TILE_WEIGHTS)}'
    )
