"""Lovasz-softmax against the definition: the Jaccard loss of growing sets of errors."""

import pytest
import torch
from loss_cases import random_case, two_pixels, value_and_gradient

from loss.lovasz import LovaszLoss, jaccard_growth


def definition(logits, labels, classes):
    """Sorted errors times the differences of Jaccard losses, each set of wrong pixels counted anew."""
    probabilities = logits.softmax(1).movedim(1, 0).flatten(1)
    valid = (labels != 255).flatten()
    losses = []
    for c in range(classes):
        truth = (labels.flatten() == c)[valid]
        if not truth.any():
            continue
        errors, order = (truth.to(logits.dtype) - probabilities[c][valid]).abs().sort(descending=True)
        truth, before, total = truth[order], 0.0, 0.0
        for place in range(len(errors)):
            wrong = torch.arange(len(errors)) <= place
            intersection, union = (truth & ~wrong).sum(), (truth | wrong).sum()
            jaccard = 1 - intersection / union
            total = total + errors[place] * (jaccard - before)
            before = jaccard
        losses.append(total)
    return sum(losses) / len(losses)


def test_by_hand():
    # class 0: errors 0.4 (not its pixel, Jaccard loss 1/2) and 0.2 (its pixel, 1); class 1 likewise with 0.4 and 0.2
    loss = LovaszLoss(2)(*two_pixels(0.8, 0.4))
    first = 0.4 * 0.5 + 0.2 * 0.5  # class 0
    second = 0.4 * 1.0 + 0.2 * 0.0  # class 1: its own pixel is the worst, then nothing is left of it
    assert loss.item() == pytest.approx((first + second) / 2)


@pytest.mark.parametrize('seed', [0, 1])
def test_value_and_gradient_equal_the_definition(seed):
    logits, labels = random_case((2, 4, 5), 4, seed=seed)
    labels = labels.where(labels != 2, 0)  # a class that is absent
    loss, gradient = value_and_gradient(LovaszLoss(4), logits, labels)
    expected, slope = value_and_gradient(lambda x, y: definition(x, y, 4), logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert (gradient - slope).abs().max() <= 1e-6 * slope.abs().max()


def test_weights_of_many_pixels_do_not_vanish_in_rounding():
    """Differences of Jaccard losses near 1 lose most of their digits in float32."""
    true = torch.zeros(1, 1000, 1000, dtype=torch.bool)
    true[:, 0, :10] = True
    weights = jaccard_growth(torch.where(true, 1.0, 0.5), true, torch.ones_like(true))
    assert weights[true].sum().item() == pytest.approx(1)
    one = jaccard_growth(torch.where(true, 0.25, 0.5), true, torch.ones_like(true))
    assert one[true].tolist() == pytest.approx([1e-6] * 10)  # the union is the image when they come last
