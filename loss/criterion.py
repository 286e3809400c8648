"""Objective of a network: a criterion and a weight for each of its logit outputs.

A network returns {'pred': ..., 'aux': ..., 'pred_05x': ..., ...}; criteria are paired with the logit outputs in that
order (attention maps, 'attn_*', have none). The published objective is, with alpha = --ocr_alpha and w =
--supervised_mscale_loss_wt, C(pred) + alpha C(aux) + w C(pred_05x) + w C(pred_10x), where C on anything but pred is
the cross-entropy part alone. Outputs of deep supervision, 'pred_ds2', 'pred_ds4', ..., weigh half as much from one to
the next, and with pred together 1, as in nnU-Net.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import cfg
from loss import border, cross_entropy, dice, focal, jaccard, lovasz, mask, multilabel, rmi, topk  # noqa: F401 register
from loss.checks import unknown
from loss.registry import LOSSES
from utils.settings import SETTINGS

WEIGHTED = ('wce', 'wrmi')  # losses that cannot do without class weights


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
            if isinstance(outputs[name], tuple) and not getattr(criterion, 'of_queries', False):
                raise ValueError(
                    f'loss: {name} holds masks and classes of queries, no logits of pixels; take the loss mask'
                )
            values.append(weight * criterion(self._at_label_size(outputs[name], labels), labels))
            parts.update({f'{name}/{part}': number for part, number in criterion.parts.items()})
        return {'loss': sum(values[1:], values[0]), **parts}

    def set_epoch(self, epoch: int):
        """Tell the criteria whose definition changes with the epoch, which is border relaxation, that it has begun."""
        for criterion in self.criteria:
            criterion.epoch = epoch

    @property
    def failures(self) -> int:
        """Factorisations of the region loss that failed so far, over all outputs (reading it waits for the device)."""
        return sum(getattr(criterion, 'failures', 0) for criterion in self.criteria)

    def _at_label_size(self, logits: Any, labels: Tensor) -> Any:
        if isinstance(logits, tuple) or logits.shape[2:] == labels.shape[-2:]:  # masks of queries may have any size
            return logits
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits if logits.dtype == torch.float64 else logits.float()
            return F.interpolate(logits, size=labels.shape[-2:], mode='bilinear', align_corners=self.align_corners)


def get_criterion(
    names,
    weights,
    num_classes,
    ignore_label=255,
    class_weights=None,
    *,
    align_corners=False,
    **settings,
) -> OutputsCriterion:
    """The criterion of a network: a loss and a weight for each of its logit outputs, in their order.

    Args:
        names: from LOSSES.
        weights: of the losses in their sum.
        class_weights: (K,), of 'wce' and 'wrmi'; without these two of 'ce', which then is 'wce'.
        align_corners: of the resizing of outputs to the size of the labels; that of the network.
        settings: what single losses read (see their `register`), by the names of the flags; the others have the flags'
            defaults.

    Raises: ValueError for an unknown name, counts that differ, weights that are negative, not finite or all 0, and
        settings that none of the losses reads.
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
    weighted = [name for name in names if name in WEIGHTED]
    if weighted and class_weights is None:
        raise ValueError(
            f'--loss {weighted[0]}: there are no class weights, and the data set has none of its own; give'
            f' --class_weights, or {weighted[0][1:]} instead'
        )
    values = {'class_weights': class_weights, **settings}
    check_read(names, values)
    criteria = []
    for name in names:
        read = {argument: values.get(key, SETTINGS[key].default) for argument, key in LOSSES[name].settings.items()}
        if name == 'ce' and weighted:
            read['class_weights'] = None
        criteria.append(LOSSES[name].build(num_classes, ignore_label, **read))
    return OutputsCriterion(criteria, weights, align_corners)


def build_criterion(
    args, output_names, num_classes, ignore_label, class_weights=None, own_weights=None, of_queries=False
) -> OutputsCriterion:
    """The training criterion that the flags describe, for a network with these logit outputs.

    args.rmi_loss goes before args.img_wt_loss and that before args.jointwtborder, and without any it is cross-entropy;
    args.loss names the losses one by one instead, and args.loss_weights replaces the published weights (1, alpha, w,
    w). Of both lists the last is repeated for the outputs that are left.

    Args:
        args: the flags of the groups loss and network.
        output_names: of the network's logits, in their order.
        class_weights: (K,) of --class_weights.
        own_weights: (K,) of the data set, for losses that need some.
        of_queries: whether the outputs are masks and classes of queries, not logits of pixels.

    Raises: ValueError for losses that contradict each other, or do not fit the outputs.
    """
    names, weights = published_objective(
        output_names, main_loss(args), args.ocr_alpha, args.ocr_aux_loss_rmi, args.supervised_mscale_loss_wt
    )
    if of_queries:
        names, weights = ['mask'] * len(output_names), [1.0] * len(output_names)
    check_kind(args, of_queries)
    if args.loss:
        names = repeated('--loss: losses', args.loss, output_names)
    if args.loss_weights:
        weights = repeated('--loss_weights: weights', args.loss_weights, output_names)
    if class_weights is None and set(names) & set(WEIGHTED):
        class_weights = own_weights
    settings = {
        setting: getattr(args, setting)
        for name, loss in LOSSES.items()
        for setting in loss.settings.values()
        # where switches chose the losses, a note says which settings have no effect
        if setting != 'class_weights' and (args.loss or name in names or not SETTINGS[setting].idle_without)
    }
    return get_criterion(
        names, weights, num_classes, ignore_label, class_weights, align_corners=args.align_corners, **settings
    )


def check_kind(args, of_queries: bool):
    """Raise ValueError for a loss of the flags that takes another kind of output than the network has."""
    switches = {'rmi_loss': 'rmi', 'img_wt_loss': 'img_wt', 'jointwtborder': 'border'}
    given = [('--loss', name) for name in args.loss or () if name in LOSSES]
    given += [(f'--{switch}', name) for switch, name in switches.items() if not args.loss and getattr(args, switch)]
    for flag, name in given:
        if LOSSES[name].of_queries != of_queries:
            found, fit = ('masks and classes of queries', 'mask') if of_queries else ('logits of pixels', 'ce')
            word = f'{flag} {name}' if flag == '--loss' else flag
            raise ValueError(f'{word}: does not fit {args.arch}, whose outputs are {found}; take --loss {fit}')


def main_loss(args) -> str:
    """The name of the loss that the flags give the main output."""
    published = 'rmi' if args.rmi_loss else 'img_wt' if args.img_wt_loss else 'border' if args.jointwtborder else 'ce'
    return args.loss[0] if args.loss else published


def build_validation_criterion(args, num_classes, ignore_label, class_weights=None, own_weights=None):
    """The criterion of --val_loss, for the output 'pred'; None for cross-entropy without weights, the default.

    Args:
        class_weights, own_weights: as of build_criterion.
    """
    if args.val_loss in ('ce', None):
        return None
    name = main_loss(args) if args.val_loss == 'same' else args.val_loss
    if name not in LOSSES:
        raise ValueError(unknown('--val_loss:', name, ['same', *LOSSES]))
    if LOSSES[name].of_queries:
        raise ValueError(
            f'--val_loss {args.val_loss}: a validation scores pixels, {name} takes masks and classes of queries; leave'
            ' it out, for cross-entropy'
        )
    read = set(LOSSES[name].settings.values())
    if class_weights is None and name in WEIGHTED:
        class_weights = own_weights
    settings = {setting: getattr(args, setting) for setting in read - {'class_weights'}}
    weights = class_weights if 'class_weights' in read else None
    return get_criterion([name], [1.0], num_classes, ignore_label, weights, **settings)


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


def check_read(names, values):
    """Raise ValueError for a setting of the group loss, not at its default, that none of the losses reads."""
    for setting, value in values.items():
        readers = [name for name, loss in LOSSES.items() if setting in loss.settings.values()]
        given = value is not None and value != SETTINGS[setting].default
        if given and SETTINGS[setting].group == 'loss' and not set(readers) & set(names):
            raise ValueError(
                f'--{setting}: none of the losses ({", ".join(names)}) reads it; drop it or name {" or ".join(readers)}'
            )


def repeated(what, values, output_names) -> list:
    """A value for each output: `values`, and the last of them for the outputs that are left."""
    if len(values) > len(output_names):
        check_count(what, len(values), output_names)
    return [*values, *[values[-1]] * (len(output_names) - len(values))]


def check_count(what, count, output_names):
    """Raise ValueError unless there is one loss, or one weight, for each output."""
    if count != len(output_names):
        raise ValueError(
            f'{what}: {count} given for {len(output_names)} network outputs ({", ".join(output_names)}); '
            'give one for each output, in this order'
        )
