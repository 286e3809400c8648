"""The objective of a network: a criterion and a weight for each of its logit outputs.

A network returns {'pred': ..., 'aux': ..., 'pred_05x': ..., ...}; criteria are paired with the logit outputs in that
order (attention maps, 'attn_*', have none). The published objective is, with alpha = --ocr_alpha and w =
--supervised_mscale_loss_wt, C(pred) + alpha C(aux) + w C(pred_05x) + w C(pred_10x), where C on anything but pred is
the cross-entropy part alone. Outputs of deep supervision, 'pred_ds2', 'pred_ds4', ..., weigh half as much from one to
the next, and with pred together 1, as in nnU-Net.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from config import cfg
from loss.checks import unknown
from loss.cross_entropy import CrossEntropyLoss, ImageWeightedCrossEntropyLoss
from loss.rmi import BCELoss, RMILoss

LOSSES = ('ce', 'img_wt', 'rmi', 'bce')


class OutputsCriterion(nn.Module):
    """criterion(outputs, labels) -> {'loss': the weighted sum, '<output>/<part>': detached and unweighted}.

    outputs: dict of logits (N, K, h, w); those smaller than labels (N, H, W) are upsampled to them, bilinear, in
    float32. An output of weight 0 is neither upsampled nor computed.
    """

    def __init__(self, criteria, weights, align_corners=False):
        super().__init__()
        self.criteria = nn.ModuleList(criteria)
        self.weights = [float(weight) for weight in weights]
        self.align_corners = align_corners

    def forward(self, outputs, labels):
        names = logit_outputs(outputs)
        check_count('losses', len(self.criteria), names)
        total, parts = None, {}
        for name, criterion, weight in zip(names, self.criteria, self.weights):
            if weight == 0:
                continue
            value = weight * criterion(self._at_label_size(outputs[name], labels), labels)
            total = value if total is None else total + value
            parts.update({f'{name}/{part}': number for part, number in criterion.parts.items()})
        return {'loss': total, **parts}

    @property
    def failures(self):
        """Factorisations of the region loss that failed so far, over all outputs (reading it waits for the device)."""
        return sum(getattr(criterion, 'failures', 0) for criterion in self.criteria)

    def _at_label_size(self, logits, labels):
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
):
    """An OutputsCriterion from loss names and weights, one of each per logit output of the network in its order.

    names from LOSSES; class_weights (K,) apply to 'ce'; bound and batch_weighting to 'img_wt'. Raises ValueError for an
    unknown name, for counts that differ, and for weights that are negative, not finite or all 0.
    """
    for name in names:
        if name not in LOSSES:
            raise ValueError(unknown('--loss:', name, LOSSES))
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
    build = {
        'ce': lambda: CrossEntropyLoss(num_classes, ignore_label, class_weights),
        'img_wt': lambda: ImageWeightedCrossEntropyLoss(num_classes, ignore_label, bound, batch_weighting),
        'rmi': lambda: RMILoss(num_classes, ignore_label),
        'bce': lambda: BCELoss(num_classes, ignore_label),
    }
    return OutputsCriterion([build[name]() for name in names], weights, align_corners)


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


def logit_outputs(outputs):
    """The names of a network's outputs that are logits, in their order."""
    return [name for name in outputs if not name.startswith('attn')]


def check_count(what, count, output_names):
    """Raise ValueError unless there is one loss, or one weight, for each output."""
    if count != len(output_names):
        raise ValueError(
            f'{what}: {count} given for {len(output_names)} network outputs ({", ".join(output_names)}); '
            'give one for each output, in this order'
        )
