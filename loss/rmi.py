"""Region mutual information loss (Zhao et al., NeurIPS 2019, arXiv 1910.12037, eq. 11-16).

Every class is a binary segmentation. A pixel is described by its 3x3 neighbourhood after pooling, averages of 4x4 as
HMSA trained with or maxima of 3x3 as the framework did. The loss is half the binary cross-entropy plus half a bound on
the mutual information between predicted and true neighbourhoods, summed over classes. It can be negative: the second
half is a log-determinant.
"""

import torch
from torch import Tensor, nn

from loss.checks import check_shapes, checked_weights, unknown
from loss.region_statistics import POOLS, PixelStatistics
from loss.registry import register

BCE_WEIGHT = 0.5  # lambda of the paper; the information term has the rest
POS_ALPHA = 5e-4  # added to the diagonals of covariances
LOG_EPSILON = 1e-8  # added to the diagonal of the Cholesky factor before its logarithm


@register('wrmi', pool='rmi_pool', class_weights='class_weights')
@register('rmi', pool='rmi_pool')
class RMILoss(nn.Module):
    """criterion(logits, labels) -> 0.5 * BCE + 0.5 * MI, a scalar; criterion(logits, labels, do_rmi=False) -> BCE.

    logits (N, K, H, W) of any float type and memory layout, labels (N, H, W) of any integer type; labels outside [0, K)
    and ignore_label do not count. Pixels are computed in float32 and covariances in float64 whatever autocast says, all
    of it in float64 for float64 logits. `.parts` holds the last values 'bce' and 'mi', detached. A covariance that
    cannot be factorised adds 0 to the loss and to the gradient and is counted in `.failures`; non-finite logits give a
    non-finite loss.

    Args:
        pool: 'avg4', windows of 4x4 with a frame of 2 zeros, or 'max3', of 3x3 with 1; the two losses differ widely.
        class_weights: (K,), with a mean of about 1; they multiply the binary cross-entropy at the pixels of a class,
            and its part of MI.
    """

    class_weights: Tensor | None

    def __init__(self, num_classes: int, ignore_label: int = 255, pool: str = 'avg4', class_weights=None):
        super().__init__()
        if pool not in POOLS:
            raise ValueError(unknown('RMILoss: pool', pool, POOLS))
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.pool = pool
        self.register_buffer('class_weights', checked_weights(class_weights, num_classes), persistent=False)
        self.parts: dict[str, Tensor] = {}
        self._failures: Tensor | int = 0

    @property
    def failures(self) -> int:
        """How many factorisations failed so far (reading it waits for the device)."""
        return int(self._failures)

    def forward(self, logits: Tensor, labels: Tensor, do_rmi: bool = True) -> Tensor:
        check_shapes(logits, labels, self.num_classes)
        with torch.autocast(logits.device.type, enabled=False):
            pool = self.pool if do_rmi else None
            bce, yy, yp, pp = PixelStatistics.apply(logits, labels, self.ignore_label, pool, self.class_weights)
            dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
            self.parts = {'bce': bce.detach().to(dtype)}
            if not do_rmi:
                return bce.to(dtype)
            information, failed = mutual_information(yy, yp, pp, self.class_weights)
            self._failures = self._failures + failed
            self.parts['mi'] = information.detach().to(dtype)
            return (BCE_WEIGHT * bce + (1 - BCE_WEIGHT) * information).to(dtype)


def mutual_information(yy: Tensor, yp: Tensor, pp: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Half the log-determinant of what the prediction leaves unexplained, / 9, mean over images, summed over classes.

    yy, yp, pp (N, K, 9, 9) float64; weights (K,) multiply the part of each class. Returns the scalar and the number of
    failed factorisations, a tensor. With A = pp + alpha I = L L^T the residual covariance yy - yp A^-1 yp^T is
    yy - W^T W, W = L^-1 yp^T: the triangular form keeps it positive where the explicit inverse loses it to rounding
    (condition up to 1e9).
    """
    size = yy.shape[-1]
    jitter = POS_ALPHA * torch.eye(size, dtype=yy.dtype, device=yy.device)
    factor, inner = _cholesky(pp + jitter)
    explained = torch.linalg.solve_triangular(factor, yp.transpose(-1, -2), upper=False)
    factor, outer = _cholesky(yy - explained.transpose(-1, -2) @ explained + jitter)
    ok = inner & outer
    information = torch.where(ok, (factor.diagonal(dim1=-2, dim2=-1) + LOG_EPSILON).log().sum(-1), 0)
    information = information.mean(0) if weights is None else information.mean(0) * weights
    return information.sum() / size, (~ok).sum()


def _cholesky(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Factors (..., n, n) and whether each exists; the identity stands in for one that does not: no gradient is nan."""
    _, info = torch.linalg.cholesky_ex(matrix.detach())
    ok = (info == 0) & matrix.detach().isfinite().all(-1).all(-1)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.cholesky_ex(torch.where(ok[..., None, None], matrix, identity))[0], ok


@register('bce')
class BCELoss(RMILoss):
    """The binary cross-entropy of RMILoss alone, at full weight."""

    def forward(self, logits: Tensor, labels: Tensor, do_rmi: bool = False) -> Tensor:
        return super().forward(logits, labels, do_rmi=False)
