"""Binary cross-entropy and neighbourhood covariances of logits against labels, with a closed-form gradient.

This is the heavy half of the region mutual information loss (loss/rmi.py): everything that looks at pixels. The obvious
form keeps one-hot labels, probabilities and nine shifted float64 copies of both at full size; here an image passes
through in strips of rows that stay in the cache, labels are pooled by counting, and covariances come from products of
row-shifted views. Nothing waits for the device. The gradient can be taken once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from loss.covariance import covariance_gradient, neighbourhood_covariances

EPSILON = 1e-6  # added to every probability before pooling
STRIP_CPU = 1 << 20  # elements of a strip: 4 MiB in float32, so that its passes hit the cache
STRIP_GPU = 1 << 24  # few launches, and still small beside the logits


class Pool(NamedTuple):
    """Pooling before neighbourhoods are compared.

    side: of its window, and the stride; pad: rows and columns of zeros around the image; average: the mean of a window
    (over the zeros too), not its largest value.
    """

    side: int
    pad: int
    average: bool


POOLS = {'avg4': Pool(4, 2, average=True), 'max3': Pool(3, 1, average=False)}  # HMSA's; the loss's authors'


class PixelStatistics(torch.autograd.Function):
    """(logits (N, K, H, W) float, labels (N, H, W) integer) -> bce, yy, yp, pp.

    bce: scalar, the sum over classes and valid pixels of BCE-with-logits / (valid pixels + 1). yy, yp, pp (N, K, 9, 9):
    centred sums of products of the pooled 3x3 neighbourhoods of labels (y) and probabilities (p), label index first.
    All float64. Labels outside [0, K) are invalid.

    Args:
        ignore_label: a further label that is invalid.
        pool: a key of POOLS; None leaves out the three, which are then None.
        weights: (K,), each multiplies the part of bce of the true class; None for 1.
    """

    @staticmethod
    def forward(ctx, logits, labels, ignore_label, pool, weights):
        work = torch.float64 if logits.dtype == torch.float64 else torch.float32
        classes = logits.shape[1]
        regions = pool is not None
        grid = _Grid(logits.shape, logits.device, POOLS[pool or 'avg4'])
        labels = grid.pad_labels(labels, ignore_label)
        bce = torch.zeros((), dtype=torch.float64, device=logits.device)
        probability = logits.new_empty((len(logits), classes, *(grid.pooled if regions else (0, 0))), dtype=work)
        extra = None if weights is None else F.pad(weights.to(work) - 1, (0, 1))  # 0 for invalid pixels
        for strip in grid.strips():
            x = strip.read(logits, work)
            mask, target = strip.targets(labels, classes, work)
            if regions:
                strip.write_pooled(torch.sigmoid(x).mul_(mask), probability)
            flat = x.view(-1)
            # -x at the true class: softplus is then the BCE of both cases
            flat.scatter_(0, target, flat.gather(0, target).neg_())
            entropy = F.softplus(x).mul_(mask)
            bce += entropy.sum()
            if extra is not None:
                bce += (entropy.view(-1)[target] * extra[strip.classes_of(labels)]).sum()
        pixels = (labels < classes).sum() + 1
        ctx.grid, ctx.regions, ctx.extra = grid, regions, extra
        if not regions:
            ctx.save_for_backward(logits, labels, pixels)
            return bce / pixels, None, None, None
        probability += grid.pooled_ones(work) * EPSILON if grid.pool.average else EPSILON
        truth = grid.pool_labels(labels, classes, work)
        yy, yp, pp, mean = neighbourhood_covariances(truth, probability)
        ctx.save_for_backward(logits, labels, pixels, truth, probability, mean)
        ctx.mark_non_differentiable(yy)
        return bce / pixels, yy, yp, pp

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_bce, _, grad_yp, grad_pp):
        logits, labels, pixels, *maps = ctx.saved_tensors
        grid, classes = ctx.grid, logits.shape[1]
        work = torch.float64 if logits.dtype == torch.float64 else torch.float32
        per_pixel = (grad_bce / pixels).to(work)
        pooled = None
        if ctx.regions:
            truth, probability, mean = maps
            pooled = covariance_gradient(truth, probability, mean, grad_yp, grad_pp)
            pooled = (pooled.div_(grid.pool.side**2) if grid.pool.average else pooled).to(work)
        grad = torch.empty_like(logits)
        for strip in grid.strips():
            s = strip.read(logits, work).sigmoid_()
            mask, target = strip.targets(labels, classes, work)
            of_truth = mask.view(-1) * -per_pixel
            if ctx.extra is not None:
                of_truth *= 1 + ctx.extra[strip.classes_of(labels)] * (1 - s.view(-1)[target])
            # s * (c + u * (1 - s)), u the gradient of what was pooled
            if ctx.regions:
                u = strip.spread(pooled) if grid.pool.average else strip.unpool(pooled, s * mask)
                rows = s.view(classes, -1, grid.pool.side, s.shape[-1])
                rows.mul_(torch.addcmul(u + per_pixel, u, rows, value=-1))
            else:
                s.mul_(per_pixel)
            s.mul_(mask)
            s.view(-1).scatter_add_(0, target, of_truth)
            strip.write(s, grad)
        return grad, None, None, None, None


class _Grid:
    """Pooling windows of an image with its padding, cut into strips of whole windows."""

    def __init__(self, shape: torch.Size, device: torch.device, pool: Pool):
        self.images, self.classes, self.height, self.width = shape
        self.device, self.pool = device, pool
        self.pooled = tuple((size + 2 * pool.pad) // pool.side for size in shape[2:])
        # One window more than pooling returns where the last row or column falls outside its last window.
        self.windows = tuple(-(-(size + pool.pad) // pool.side) for size in shape[2:])
        self.padded_width = self.windows[1] * pool.side
        strip = STRIP_CPU if device.type == 'cpu' else STRIP_GPU
        self.windows_per_strip = min(self.windows[0], max(1, strip // (self.classes * pool.side * self.padded_width)))

    def strips(self) -> Iterator['_Strip']:
        """Every strip of every image. All share one buffer: be done with one before asking for the next."""
        buffer = None
        for image in range(self.images):
            for first in range(0, self.windows[0], self.windows_per_strip):
                strip = _Strip(self, image, first, min(first + self.windows_per_strip, self.windows[0]))
                strip.buffer = buffer
                yield strip
                buffer = strip.buffer

    def pad_labels(self, labels: Tensor, ignore_label: int) -> Tensor:
        """(N, windows * side, windows * side) uint8, or int16 for many classes; K where invalid or outside."""
        if labels.element_size() == 1:
            labels = labels.short()  # comparisons with numbers a byte does not hold would wrap
        invalid = (labels < 0) | (labels >= self.classes) | (labels == ignore_label)
        padded = torch.full(
            (self.images, self.windows[0] * self.pool.side, self.padded_width),
            self.classes,
            device=self.device,
            dtype=torch.uint8 if self.classes < 256 else torch.int16,
        )
        pad = self.pool.pad
        padded[:, pad : pad + self.height, pad : pad + self.width] = labels.to(padded.dtype).masked_fill_(
            invalid, self.classes
        )
        return padded

    def pool_labels(self, labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
        """Pooled one-hot labels (N, K, h, w), by counting the labels of each window."""
        side = self.pool.side
        rows = torch.arange(self.windows[0] * side, device=self.device) // side * self.windows[1]
        window = rows[:, None] + torch.arange(self.padded_width, device=self.device) // side
        ones = torch.ones(window.numel(), dtype=dtype, device=self.device)
        counts = torch.zeros(
            self.images, (classes + 1) * self.windows[0] * self.windows[1], dtype=dtype, device=self.device
        )
        for image in range(self.images):
            counts[image].scatter_add_(
                0, (labels[image].long().mul_(self.windows[0] * self.windows[1]) + window).view(-1), ones
            )
        counts = counts.view(self.images, classes + 1, *self.windows)
        counts = counts[:, :classes, : self.pooled[0], : self.pooled[1]]
        return counts / side**2 if self.pool.average else (counts > 0).to(dtype)

    def pooled_ones(self, dtype: torch.dtype) -> Tensor:
        """The pooled image of ones (h, w): below 1 in windows that reach over the border."""
        inside = []
        for size, count in zip((self.height, self.width), self.pooled):
            start = torch.arange(count, device=self.device) * self.pool.side - self.pool.pad
            end = (start + self.pool.side).clamp(max=size)
            inside.append((end - start.clamp(min=0)).to(dtype) / self.pool.side)
        return inside[0][:, None] * inside[1]


class _Strip:
    """Rows of one image that fill whole pooling windows: (K, rows, padded width), contiguous."""

    def __init__(self, grid: _Grid, image: int, first: int, last: int):
        self.grid, self.image, self.first, self.last = grid, image, first, last
        self.rows = (last - first) * grid.pool.side
        pad = grid.pool.pad
        top = first * grid.pool.side - pad
        self.low, self.high = max(top, 0), min(top + self.rows, grid.height)
        self.inside = (slice(None), slice(self.low - top, self.high - top), slice(pad, pad + grid.width))
        self.buffer: Tensor | None = None

    def read(self, logits: Tensor, dtype: torch.dtype) -> Tensor:
        """The strip's logits; what lies outside the image is finite and meaningless."""
        grid = self.grid
        size = grid.classes * self.rows * grid.padded_width
        if self.buffer is None:
            self.buffer = torch.zeros(size, dtype=dtype, device=grid.device)
        x = self.buffer[:size].view(grid.classes, self.rows, grid.padded_width)
        x[self.inside] = logits[self.image, :, self.low : self.high]
        return x

    def targets(self, labels: Tensor, classes: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """mask (rows, width): 1 where valid; target: where each pixel's true class is in the flattened strip."""
        labels = labels[self.image, self.first * self.grid.pool.side : self.last * self.grid.pool.side]
        mask = (labels < classes).to(dtype)
        target = labels.long().clamp_(max=classes - 1).mul_(labels.numel()).view(-1)
        return mask, target.add_(torch.arange(labels.numel(), device=labels.device))

    def classes_of(self, labels: Tensor) -> Tensor:
        """The class of each pixel of the flattened strip, K where invalid."""
        side = self.grid.pool.side
        return labels[self.image, self.first * side : self.last * side].flatten().long()

    def write_pooled(self, strip: Tensor, maps: Tensor):
        height, width = self.grid.pooled
        rows = min(self.last, height) - self.first
        pool = F.avg_pool2d if self.grid.pool.average else F.max_pool2d
        maps[self.image, :, self.first : self.first + rows] = pool(strip, self.grid.pool.side)[:, :rows, :width]

    def spread(self, maps: Tensor) -> Tensor:
        """The strip of pooled maps, each value repeated along its window's width: (K, windows, 1, padded width)."""
        maps = self._windows(maps)
        return maps[..., None].expand(*maps.shape, self.grid.pool.side).reshape(*maps.shape[:2], 1, -1)

    def unpool(self, maps: Tensor, strip: Tensor) -> Tensor:
        """The strip of pooled maps, each value where its window of `strip` is largest: (K, windows, side, width)."""
        _, index = F.max_pool2d(strip, self.grid.pool.side, return_indices=True)
        spread = torch.zeros_like(strip).flatten(1).scatter_(1, index.flatten(1), self._windows(maps).flatten(1))
        return spread.view(len(strip), -1, self.grid.pool.side, strip.shape[-1])

    def _windows(self, maps: Tensor) -> Tensor:
        """The strip of pooled maps (K, windows, windows), 0 in windows that pooling does not return."""
        height, width = self.grid.pooled
        maps = maps[self.image, :, self.first : min(self.last, height)]
        return F.pad(maps, (0, self.grid.windows[1] - width, 0, self.last - self.first - maps.shape[1]))

    def write(self, strip: Tensor, full: Tensor):
        full[self.image, :, self.low : self.high] = strip[self.inside]
