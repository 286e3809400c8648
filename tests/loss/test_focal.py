"""Focal loss, worked out by hand."""

import math

import pytest
import torch
from loss_cases import random_case, two_pixels, value_and_gradient

from loss.cross_entropy import CrossEntropyLoss
from loss.focal import FocalLoss


def test_by_hand():
    logits, labels = two_pixels(0.8, 0.4)  # the truth has 0.8 and 0.6
    expected = -(0.2**2 * math.log(0.8) + 0.4**2 * math.log(0.6)) / 2
    assert FocalLoss(2)(logits, labels).item() == pytest.approx(expected)
    assert FocalLoss(2, gamma=0.5)(logits, labels).item() == pytest.approx(
        -(0.2**0.5 * math.log(0.8) + 0.4**0.5 * math.log(0.6)) / 2
    )


def test_with_exponent_0_it_is_cross_entropy():
    logits, labels = random_case((2, 5, 6), 3)
    assert FocalLoss(3, gamma=0)(logits, labels).item() == pytest.approx(CrossEntropyLoss(3)(logits, labels).item())


@pytest.mark.parametrize('gamma', [0.5, 1.0, 2.0])
def test_a_certain_pixel_has_no_loss_and_a_finite_slope(gamma):
    logits = torch.tensor([60.0, -60.0]).view(1, 2, 1, 1)
    loss, gradient = value_and_gradient(FocalLoss(2, gamma=gamma), logits, torch.zeros(1, 1, 1))
    assert loss == 0 and gradient.abs().max() == 0
