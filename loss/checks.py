"""Checks that every criterion makes of what it is given."""

import torch

from utils.cli.wording import did_you_mean


def check_shapes(logits, labels, num_classes):
    """Raise ValueError unless logits are (N, num_classes, H, W) and labels (N, H, W)."""
    if logits.dim() != 4 or logits.shape[1] != num_classes or labels.shape != logits.shape[:1] + logits.shape[2:]:
        raise ValueError(
            f'loss: logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit; expected '
            f'(N, {num_classes}, H, W) and (N, H, W)'
        )


def unknown(what, name, choices):
    """The sentence for a name that is not among the choices, with the nearest ones."""
    hint, known = did_you_mean(name, choices, count=2), f'choose from {", ".join(choices)}'
    return f'{what} {name!r} is not known; {f"{hint} ({known})" if hint else known}'


def checked_weights(weights, num_classes):
    """Class weights (K,) float64; None of None. ValueError unless they are K numbers, none negative."""
    if weights is None:
        return None
    weights = torch.as_tensor(weights, dtype=torch.float64)
    if weights.shape != (num_classes,) or not bool((weights >= 0).all()):
        raise ValueError(
            f'class weights have shape {tuple(weights.shape)}; expected {num_classes} numbers, none negative, one for'
            ' each class'
        )
    return weights
