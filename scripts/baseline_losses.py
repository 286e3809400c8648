"""Plain forms of the region loss and the confusion matrix: the benchmarks measure and the tests compare with them.

PlainRMILoss writes out the definition, full-resolution one-hot maps and nine shifted float64 copies included;
plain_confusion_matrix is one bincount over the valid pixels. Not used in training.
"""

import torch
import torch.nn.functional as F
from torch import nn


class PlainRMILoss(nn.Module):
    """HMSA's RMI (arXiv 1910.12037) word for word, on any device: criterion(logits (N, K, H, W), labels (N, H, W)) ->
    scalar."""

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.parts = {}

    def forward(self, logits, labels, do_rmi=True):
        if logits.dtype != torch.float64:
            logits = logits.float()
        valid = (labels >= 0) & (labels < self.num_classes)
        mask = valid.to(logits.dtype).unsqueeze(1)
        truth = (
            F.one_hot(torch.where(valid, labels, 0).long(), self.num_classes).permute(0, 3, 1, 2).to(logits.dtype)
            * mask
        )
        bce = (F.binary_cross_entropy_with_logits(logits, truth, reduction='none') * mask).sum() / (mask.sum() + 1)
        self.parts = {'bce': bce.detach()}
        if not do_rmi:
            return bce
        probability = logits.sigmoid() * mask + 1e-6
        y, p = (
            _neighbourhoods(F.avg_pool2d(maps, kernel_size=4, stride=4, padding=2)) for maps in (truth, probability)
        )
        jitter = 5e-4 * torch.eye(9, dtype=torch.float64, device=logits.device)
        yy, yp, pp = y @ y.mT, y @ p.mT, p @ p.mT
        residual = yy - yp @ torch.linalg.inv(pp + jitter) @ yp.mT
        half_log_determinant = (
            (torch.linalg.cholesky(residual + jitter).diagonal(dim1=-2, dim2=-1) + 1e-8).log().sum(-1)
        )
        information = (half_log_determinant.mean(0).to(logits.dtype) / 9).sum()
        self.parts['mi'] = information.detach()
        return 0.5 * bce + 0.5 * information


def _neighbourhoods(maps):
    """(N, K, h, w) -> the nine shifted views as centred vectors (N, K, 9, (h-2)(w-2)) float64."""
    h, w = maps.shape[2] - 2, maps.shape[3] - 2
    views = [maps[:, :, dy : dy + h, dx : dx + w] for dy in range(3) for dx in range(3)]
    vectors = torch.stack(views, dim=2).flatten(3).double()
    return vectors - vectors.mean(-1, keepdim=True)


def plain_confusion_matrix(predictions, labels, num_classes):
    """Counts (truth, prediction) (K, K) int64 of the pixels whose label is in [0, K)."""
    valid = (labels >= 0) & (labels < num_classes)
    index = labels[valid].long() * num_classes + predictions[valid].long()
    return torch.bincount(index, minlength=num_classes**2).view(num_classes, num_classes)
