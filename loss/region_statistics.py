"""Binary cross-entropy and neighbourhood covariances of logits against labels, with a closed-form gradient.

This is the heavy half of the region mutual information loss (loss/rmi.py): everything that looks at pixels. The obvious
form keeps one-hot labels, probabilities and nine shifted float64 copies of both at full size; here an image passes
through in strips of rows that stay in the cache, labels are pooled by counting, and covariances come from products of
row-shifted views. Nothing waits for the device. The gradient can be taken once.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from loss.covariance import covariance_gradient, neighbourhood_covariances

POOL = 4  # side and stride of the average pooling
PAD = 2  # zero rows and columns around the image before pooling; they count in the average
EPSILON = 1e-6  # added to every probability before pooling
STRIP_CPU = 1 << 20  # elements of a strip: 4 MiB in float32, so that its passes hit the cache
STRIP_GPU = 1 << 24  # few launches, and still small beside the logits


class PixelStatistics(torch.autograd.Function):
    """(logits (N, K, H, W) float, labels (N, H, W) integer) -> bce, yy, yp, pp.

    bce: scalar, the sum over classes and valid pixels of BCE-with-logits / (valid pixels + 1). yy, yp, pp (N, K, 9, 9):
    centred sums of products of the pooled 3x3 neighbourhoods of labels (y) and probabilities (p), label index first.
    All float64. Labels outside [0, K), and ignore_label, are invalid. With regions=False the three are None.
    """

    @staticmethod
    def forward(ctx, logits, labels, ignore_label, regions):
        work = torch.float64 if logits.dtype == torch.float64 else torch.float32
        classes = logits.shape[1]
        grid = _Grid(logits.shape, logits.device)
        labels = grid.pad_labels(labels, ignore_label)
        bce = torch.zeros((), dtype=torch.float64, device=logits.device)
        probability = logits.new_empty((len(logits), classes, *(grid.pooled if regions else (0, 0))), dtype=work)
        for strip in grid.strips():
            x = strip.read(logits, work)
            mask, target = strip.targets(labels, classes, work)
            if regions:
                pooled = F.avg_pool2d(torch.sigmoid(x).mul_(mask), POOL)
                strip.write_pooled(pooled, probability)
            flat = x.view(-1)
            # -x at the true class: softplus is then the BCE of both cases
            flat.scatter_(0, target, flat.gather(0, target).neg_())
            bce += F.softplus(x).mul_(mask).sum()
        pixels = (labels < classes).sum() + 1
        ctx.grid, ctx.regions = grid, regions
        if not regions:
            ctx.save_for_backward(logits, labels, pixels)
            return bce / pixels, None, None, None
        probability += grid.pooled_ones(work) * EPSILON
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
            pooled = covariance_gradient(truth, probability, mean, grad_yp, grad_pp).div_(POOL * POOL).to(work)
        grad = torch.empty_like(logits)
        for strip in grid.strips():
            s = strip.read(logits, work).sigmoid_()
            mask, target = strip.targets(labels, classes, work)
            # s * (c + u * (1 - s)), u the pooled gradient spread over its window
            if ctx.regions:
                u = strip.spread(pooled)
                rows = s.view(classes, -1, POOL, s.shape[-1])
                rows.mul_(torch.addcmul(u + per_pixel, u, rows, value=-1))
            else:
                s.mul_(per_pixel)
            s.mul_(mask)
            s.view(-1).scatter_add_(0, target, mask.view(-1) * -per_pixel)
            strip.write(s, grad)
        return grad, None, None, None


class _Grid:
    """Pooling windows of an image with its padding, cut into strips of whole windows."""

    def __init__(self, shape: torch.Size, device: torch.device):
        self.images, self.classes, self.height, self.width = shape
        self.device = device
        self.pooled = self.height // POOL + 1, self.width // POOL + 1
        # One window more than pooling returns where the last row or column falls outside its last window.
        self.windows = -(-(self.height + PAD) // POOL), -(-(self.width + PAD) // POOL)
        self.padded_width = self.windows[1] * POOL
        strip = STRIP_CPU if device.type == 'cpu' else STRIP_GPU
        self.windows_per_strip = min(self.windows[0], max(1, strip // (self.classes * POOL * self.padded_width)))

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
        """(N, windows * 4, windows * 4) uint8, or int16 for many classes; K where invalid or outside the image."""
        if labels.element_size() == 1:
            labels = labels.short()  # comparisons with numbers a byte does not hold would wrap
        invalid = (labels < 0) | (labels >= self.classes) | (labels == ignore_label)
        padded = torch.full(
            (self.images, self.windows[0] * POOL, self.padded_width),
            self.classes,
            device=self.device,
            dtype=torch.uint8 if self.classes < 256 else torch.int16,
        )
        padded[:, PAD : PAD + self.height, PAD : PAD + self.width] = labels.to(padded.dtype).masked_fill_(
            invalid, self.classes
        )
        return padded

    def pool_labels(self, labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
        """Average-pooled one-hot labels (N, K, h, w), by counting the labels of each window."""
        rows = torch.arange(self.windows[0] * POOL, device=self.device) // POOL * self.windows[1]
        window = rows[:, None] + torch.arange(self.padded_width, device=self.device) // POOL
        ones = torch.ones(window.numel(), dtype=dtype, device=self.device)
        counts = torch.zeros(
            self.images, (classes + 1) * self.windows[0] * self.windows[1], dtype=dtype, device=self.device
        )
        for image in range(self.images):
            counts[image].scatter_add_(
                0, (labels[image].long().mul_(self.windows[0] * self.windows[1]) + window).view(-1), ones
            )
        counts = counts.view(self.images, classes + 1, *self.windows)
        return counts[:, :classes, : self.pooled[0], : self.pooled[1]] / (POOL * POOL)

    def pooled_ones(self, dtype: torch.dtype) -> Tensor:
        """The pooled image of ones (h, w): below 1 in windows that reach over the border."""
        inside = []
        for size, count in zip((self.height, self.width), self.pooled):
            start = torch.arange(count, device=self.device) * POOL - PAD
            inside.append(((start + POOL).clamp(max=size) - start.clamp(min=0)).to(dtype) / POOL)
        return inside[0][:, None] * inside[1]


class _Strip:
    """Rows of one image that fill whole pooling windows: (K, rows, padded width), contiguous."""

    def __init__(self, grid: _Grid, image: int, first: int, last: int):
        self.grid, self.image, self.first, self.last = grid, image, first, last
        self.rows = (last - first) * POOL
        top = first * POOL - PAD
        self.low, self.high = max(top, 0), min(top + self.rows, grid.height)
        self.inside = (slice(None), slice(self.low - top, self.high - top), slice(PAD, PAD + grid.width))
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
        labels = labels[self.image, self.first * POOL : self.last * POOL]
        mask = (labels < classes).to(dtype)
        target = labels.long().clamp_(max=classes - 1).mul_(labels.numel()).view(-1)
        return mask, target.add_(torch.arange(labels.numel(), device=labels.device))

    def write_pooled(self, strip: Tensor, maps: Tensor):
        height, width = self.grid.pooled
        rows = min(self.last, height) - self.first
        maps[self.image, :, self.first : self.first + rows] = strip[:, :rows, :width]

    def spread(self, maps: Tensor) -> Tensor:
        """The strip of pooled maps, each value repeated along its window's width: (K, windows, 1, padded width)."""
        height, width = self.grid.pooled
        maps = maps[self.image, :, self.first : min(self.last, height)]
        maps = F.pad(maps, (0, self.grid.windows[1] - width, 0, self.last - self.first - maps.shape[1]))
        return maps[..., None].expand(*maps.shape, POOL).reshape(maps.shape[0], maps.shape[1], 1, -1)

    def write(self, strip: Tensor, full: Tensor):
        full[self.image, :, self.low : self.high] = strip[self.inside]
