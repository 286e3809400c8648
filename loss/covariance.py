"""Covariances of 3x3 neighbourhoods of two stacks of maps, in float64, and the gradient for the second stack.

A pixel's neighbourhood is nine shifted views of a map. Column shifts are copied, row shifts are an offset into the same
memory: the stack keeps, row after row, three column-shifted copies of both maps and a row of ones, (7, w-2) each.
Products of rows at distance 0, 1 and 2, summed over windows of rows, are all 18 x 18 entries; those with the ones are
the sums.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

SIDE = 3  # of a neighbourhood
MAPS = 2 * SIDE  # column-shifted maps in a row of the stack
DEPTH = MAPS + 1  # and the ones
STACK_CPU = 8 << 20  # bytes of a stack, one map or many: it stays in the cache
STACK_GPU = 1 << 28  # few launches, and still small beside the logits


def neighbourhood_covariances(truth: Tensor, probability: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """truth, probability (N, K, h, w) -> yy, yp, pp (N, K, 9, 9) float64, and mean (N, K, 3, 6).

    Entry [a, b] of yp is the sum over the (h-2)(w-2) neighbourhoods of (y_a - mean)(p_b - mean), positions row by row.
    Maps under 3 x 3 have no neighbourhood; all their sums are 0.
    """
    shape, (h, w) = truth.shape[:2], truth.shape[2:]
    covariance = torch.zeros(shape.numel(), SIDE, MAPS, SIDE, MAPS, dtype=torch.float64, device=truth.device)
    mean = torch.zeros(shape.numel(), SIDE, MAPS, dtype=torch.float64, device=truth.device)
    if h >= SIDE and w >= SIDE:
        count = (h - SIDE + 1) * (w - SIDE + 1)
        for group, stack in _stacks(truth, probability):
            products = _window_products(stack, h)
            mean[group] = products[:, :, :MAPS, 0, MAPS] / count
            outer = mean[group, :, :, None, None] * mean[group, None, None] * count
            covariance[group] = products[:, :, :MAPS, :, :MAPS] - outer
    y, p = slice(0, SIDE), slice(SIDE, MAPS)
    yy, yp, pp = (
        covariance[:, :, a, :, b].reshape(*shape, SIDE * SIDE, SIDE * SIDE) for a, b in ((y, y), (y, p), (p, p))
    )
    return yy, yp, pp, mean.view(*shape, SIDE, MAPS)


def covariance_gradient(truth: Tensor, probability: Tensor, mean: Tensor, grad_yp: Tensor, grad_pp: Tensor) -> Tensor:
    """Gradient (N, K, h, w) float64 for probability.

    Args:
        truth, probability: (N, K, h, w), what neighbourhood_covariances was given.
        mean: (N, K, 3, 6), what it returned.
        grad_yp, grad_pp: (N, K, 9, 9), gradients for what it returned.
    """
    shape, (h, w) = truth.shape[:2], truth.shape[2:]
    gradient = torch.zeros(shape.numel(), h, w, dtype=torch.float64, device=truth.device)
    if h < SIDE or w < SIDE:
        return gradient.view(truth.shape)
    weights = gradient.new_zeros(shape.numel(), SIDE * SIDE, SIDE, DEPTH)
    weights[..., :SIDE] = grad_yp.transpose(-1, -2).reshape(-1, SIDE * SIDE, SIDE, SIDE)
    weights[..., SIDE:MAPS] = (grad_pp + grad_pp.transpose(-1, -2)).reshape(-1, SIDE * SIDE, SIDE, SIDE)
    # the ones subtract the means
    weights[..., 0, MAPS] = -(weights[..., :MAPS] * mean.view(-1, 1, SIDE, MAPS)).sum((-1, -2))
    rows, columns = h - SIDE + 1, w - SIDE + 1
    for group, stack in _stacks(truth, probability):
        maps = group.stop - group.start
        # overlapping: three rows each
        windows = stack.as_strided((maps * h, SIDE * DEPTH, columns), (DEPTH * columns, columns, 1))
        spread = weights[group].flatten(2)[:, None].expand(maps, h, SIDE * SIDE, SIDE * DEPTH)
        of_neighbour = torch.bmm(spread.reshape(maps * h, SIDE * SIDE, SIDE * DEPTH), windows).view(
            maps, h, SIDE, SIDE, columns
        )
        for dy in range(SIDE):
            for dx in range(SIDE):
                gradient[group, dy : dy + rows, dx : dx + columns] += of_neighbour[:, :rows, dy, dx]
    return gradient.view(truth.shape)


def _stacks(truth: Tensor, probability: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Maps (a slice of N * K) and their stack (maps * h + 2, 7, w - 2), two spare rows included; all share memory."""
    h, w = truth.shape[2:]
    truth, probability = truth.flatten(0, 1), probability.flatten(0, 1)
    columns = w - SIDE + 1
    limit = STACK_CPU if truth.device.type == 'cpu' else STACK_GPU
    size = min(len(truth), max(1, limit // (8 * h * DEPTH * columns)))
    memory = torch.ones(size * h + SIDE - 1, DEPTH, columns, dtype=torch.float64, device=truth.device)
    for first in range(0, len(truth), size):
        group = slice(first, min(first + size, len(truth)))
        used = (group.stop - group.start) * h
        stack = memory[:used].view(-1, h, DEPTH, columns)
        for dx in range(SIDE):
            stack[:, :, dx] = truth[group, :, dx : dx + columns]
            stack[:, :, SIDE + dx] = probability[group, :, dx : dx + columns]
        yield group, memory[: used + SIDE - 1]


def _window_products(stack: Tensor, h: int) -> Tensor:
    """(G, 3, 7, 3, 7): entry [., a, i, b, j] sums map i, a rows down, times map j, b rows down, over all windows."""
    used, windows = len(stack) - SIDE + 1, h - SIDE + 1
    products = stack.new_empty(used // h, SIDE, DEPTH, SIDE, DEPTH)
    for lag in range(SIDE):
        # Rows of the next class, or spare ones, take part where a row has none below it; no window reaches those.
        of_row = torch.bmm(stack[:used], stack[lag : lag + used].transpose(1, 2)).view(-1, h, DEPTH, DEPTH)
        for dy in range(SIDE - lag):
            block = of_row[:, dy : dy + windows].sum(1)
            products[:, dy, :, dy + lag] = block
            products[:, dy + lag, :, dy] = block.transpose(1, 2)
    return products
