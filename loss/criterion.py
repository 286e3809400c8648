"""Objective of a network: a criterion and a weight for each of its logit outputs.

A network returns {'pred': ..., 'aux': ..., 'pred_05x': ..., ...}; criteria are paired with the logit outputs in that
order (attention maps, 'attn_*', have none). The published objective is, with alpha = --ocr_alpha and w =
--supervised_mscale_loss_wt, C(pred) + alpha C(aux) + w C(pred_05x) + w C(pred_10x), where C on anything but pred is
the cross-entropy part alone. Outputs of deep supervision, 'pred_ds2', 'pred_ds4', ..., weigh half as much from one to
the next, and with pred together 1, as in nnU-Net.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import cfg
from loss.checks import unknown
from loss.cross_entropy import CrossEntropyLoss, ImageWeightedCrossEntropyLoss
from loss.rmi import BCELoss, RMILoss


@dataclass(frozen=True)
class LossOptions:
    """Settings of single losses, beside the classes: see `get_criterion`."""

    class_weights: Tensor | None = None
    bound: float = 1.0
    batch_weighting: bool = False


LOSSES: dict[str, Callable[[int, int, LossOptions], nn.Module]] = {}


def register(name: str) -> Callable:
    """Decorator that makes a builder, (num_classes, ignore_label, options) -> criterion, the loss `name` of --loss.

    A criterion is called with logits (N, K, H, W) and labels (N, H, W), returns a scalar, and keeps the last values of
    its parts, detached, in `.parts`, under the names by which they are logged.
    """

    def file_under(build):
        assert name not in LOSSES, f'loss {name} is registered twice'
        LOSSES[name] = build
        return build

    return file_under


@register('ce')
def cross_entropy(num_classes: int, ignore_label: int, options: LossOptions) -> nn.Module:
    return CrossEntropyLoss(num_classes, ignore_label, options.class_weights)


@register('img_wt')
def image_weighted(num_classes: int, ignore_label: int, options: LossOptions) -> nn.Module:
    return ImageWeightedCrossEntropyLoss(num_classes, ignore_label, options.bound, options.batch_weighting)


@register('rmi')
def region_mutual_information(num_classes: int, ignore_label: int, options: LossOptions) -> nn.Module:
    return RMILoss(num_classes, ignore_label)


@register('bce')
def binary_cross_entropy(num_classes: int, ignore_label: int, options: LossOptions) -> nn.Module:
    return BCELoss(num_classes, ignore_label)


class OutputsCriterion(nn.Module):
    """criterion(outputs, labels) -> {'loss': the weighted sum, '<output>/<part>': detached and unweighted}.

    outputs: dict of logits (N, K, h, w); those smaller than labels (N, H, W) are upsampled to them, bilinear, in
    float32. An output of weight 0 is neither upsampled nor computed.
    """

    def __init__(self, criteria, weights, align_corners: bool = False):
        super().__init__()
        self.criteria: Any = nn.ModuleList(criteria)  # each with .parts
        self.weights = [float(weight) for weight in weights]
        self.align_corners = align_corners

    def forward(self, outputs: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        names = logit_outputs(outputs)
        check_count('losses', len(self.criteria), names)
        values, parts = [], {}
        for name, criterion, weight in zip(names, self.criteria, self.weights):
            if weight == 0:
                continue
            values.append(weight * criterion(self._at_label_size(outputs[name], labels), labels))
            parts.update({f'{name}/{part}': number for part, number in criterion.parts.items()})
        return {'loss': sum(values[1:], values[0]), **parts}

    @property
    def failures(self) -> int:
        """Factorisations of the region loss that failed so far, over all outputs (reading it waits for the device)."""
        return sum(getattr(criterion, 'failures', 0) for criterion in self.criteria)

    def _at_label_size(self, logits: Tensor, labels: Tensor) -> Tensor:
        if logits.shape[2:] == labels.shape[1:]:
            return logits
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            return F.interpolate(logits, size=labels.shape[1:], mode='bilinear', align_corners=self.align_corners)


def get_criterion(
    names,
    weights,
    num_classes,
    ignore_label=255,
    class_weights=None,
    *,
    align_corners=False,
    bound=1.0,
    batch_weighting=False,
) -> OutputsCriterion:
    """The criterion of a network: a loss and a weight for each of its logit outputs, in their order.

    Args:
        names: from LOSSES.
        weights: of the losses in their sum.
        class_weights: (K,), of 'ce'.
        align_corners: of the resizing of outputs to the size of the labels; that of the network.
        bound, batch_weighting: of 'img_wt' (see ImageWeightedCrossEntropyLoss).

    Raises: ValueError for an unknown name, counts that differ, and weights that are negative, not finite or all 0.
    """
    for name in names:
        if name not in LOSSES:
            raise ValueError(unknown('--loss:', name, list(LOSSES)))
    if len(weights) != len(names):
        raise ValueError(
            f'--loss_weights: {len(weights)} weights for {len(names)} losses ({", ".join(names)}); give one weight for'
            ' each loss'
        )
    if any(not math.isfinite(weight) or weight < 0 for weight in weights) or not any(weights):
        raise ValueError(
            f'--loss_weights: {list(weights)} cannot be used; give finite weights, none negative and at least one'
            ' above 0'
        )
    if class_weights is not None and 'ce' not in names:
        raise ValueError(
            f'--class_weights: class weights apply to ce alone, which is not among the losses ({", ".join(names)});'
            ' drop them or name ce'
        )
    options = LossOptions(class_weights, bound, batch_weighting)
    return OutputsCriterion(
        [LOSSES[name](num_classes, ignore_label, options) for name in names], weights, align_corners
    )


def build_criterion(args, output_names, num_classes, ignore_label, class_weights=None):
    """The training criterion that the flags describe, for a network with these logit outputs.

    args.rmi_loss goes before args.img_wt_loss, and without either it is cross-entropy; args.loss names the losses one
    by one instead, and args.loss_weights replaces the published weights (1, alpha, w, w).

    Args:
        args: the flags of the groups loss and network.
        output_names: of the network's logits, in their order.
        class_weights: (K,) of cross-entropy.

    Raises: ValueError for losses that contradict each other, or do not fit the outputs.
    """
    main = 'rmi' if args.rmi_loss else 'img_wt' if args.img_wt_loss else 'ce'
    names, weights = published_objective(
        output_names, main, args.ocr_alpha, args.ocr_aux_loss_rmi, args.supervised_mscale_loss_wt
    )
    if args.loss:
        if args.rmi_loss or args.img_wt_loss:
            flag = '--rmi_loss' if args.rmi_loss else '--img_wt_loss'
            raise ValueError(f'--loss and {flag} both choose the loss; give one of them')
        names = list(args.loss)
        check_count('--loss: losses', len(names), output_names)
    if args.loss_weights:
        weights = list(args.loss_weights)
        check_count('--loss_weights: weights', len(weights), output_names)
    return get_criterion(
        names,
        weights,
        num_classes,
        ignore_label,
        class_weights,
        align_corners=args.align_corners,
        bound=args.wt_bound,
        batch_weighting=args.batch_weighting,
    )


def published_objective(output_names, main='ce', alpha=None, full_aux=None, scale_weight=None):
    """Loss names and weights for each output, as HMSA and nnU-Net trained (see the head of this file).

    Args:
        output_names: of the network's logits, in their order.
        main: the loss of the main output, from LOSSES; the other outputs have its cross-entropy part alone.
        alpha: weight of the auxiliary output (default: cfg.LOSS.OCR_ALPHA).
        full_aux: give the auxiliary output the whole loss too (default: cfg.LOSS.OCR_AUX_RMI).
        scale_weight: of each single-scale output (default: cfg.LOSS.SUPERVISED_MSCALE_WT).

    Returns: (names, weights), as get_criterion takes them.
    """
    alpha = cfg.LOSS.OCR_ALPHA if alpha is None else alpha
    full_aux = cfg.LOSS.OCR_AUX_RMI if full_aux is None else full_aux
    scale_weight = cfg.LOSS.SUPERVISED_MSCALE_WT if scale_weight is None else scale_weight
    part = 'bce' if main == 'rmi' else main
    deep = [output for output in output_names if output.startswith('pred_ds')]
    share = 1 / sum(0.5**level for level in range(len(deep) + 1))
    names, weights = [], []
    for output in output_names:
        if output == 'pred':
            names.append(main)
            weights.append(share)
        elif output == 'aux':
            names.append(main if full_aux else part)
            weights.append(alpha)
        elif output in deep:
            names.append(part)
            weights.append(share * 0.5 ** (deep.index(output) + 1))
        else:
            names.append(part)
            weights.append(scale_weight)
    return names, weights


def logit_outputs(outputs) -> list[str]:
    """The names of a network's outputs that are logits, in their order."""
    return [name for name in outputs if not name.startswith('attn')]


def check_count(what, count, output_names):
    """Raise ValueError unless there is one loss, or one weight, for each output."""
    if count != len(output_names):
        raise ValueError(
            f'{what}: {count} given for {len(output_names)} network outputs ({", ".join(output_names)}); '
            'give one for each output, in this order'
        )
