"""Assignment of queries to the masks of an image: the pairs, one query for each mask, of the least cost in all
(Carion et al., ECCV 2020, arXiv 2005.12872)."""

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def pair_costs(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(binary cross-entropy, Dice) of every query with every mask, each (Q, M).

    logits (Q, P) and truth (M, P), 0 to 1, at the same points.
    """
    positive, negative = F.softplus(-logits), F.softplus(logits)
    entropy = (positive @ truth.T + negative @ (1 - truth).T) / logits.shape[1]
    shares = logits.sigmoid()
    common = 2 * shares @ truth.T
    return entropy, 1 - (common + 1) / (shares.sum(1, keepdim=True) + truth.sum(1) + 1)


def assign(costs: Tensor) -> tuple[Tensor, Tensor]:
    """(queries, masks): positions of the pairs, in the order of the queries; costs (Q, M).

    Costs that are not finite are the largest there are, so that such pairs come last.
    """
    largest = torch.finfo(costs.dtype).max
    rows, columns = linear_sum_assignment(torch.nan_to_num(costs, largest, largest, largest).cpu().numpy())
    return torch.as_tensor(rows, device=costs.device), torch.as_tensor(columns, device=costs.device)
