"""Soft Dice and Jaccard losses, worked out by hand."""

import math

import pytest
import torch
from loss_cases import random_case, two_pixels

from loss.dice import DiceCrossEntropyLoss, DiceLoss, DiceTopKLoss
from loss.jaccard import JaccardLoss

# left: p = 0.8 for class 0, its truth; right: 0.4 for class 0, 0.6 for class 1, its truth
DICE = 1.6 / 2.2, 1.2 / 1.8


def test_dice_by_hand():
    loss = DiceLoss(2)(*two_pixels(0.8, 0.4))
    assert loss.item() == pytest.approx(1 - sum(DICE) / 2)


def test_jaccard_by_hand():
    loss = JaccardLoss(2)(*two_pixels(0.8, 0.4))  # unions: 0.8 + 0.4 + 0.2, and 0.2 + 0.6 + 0.4
    assert loss.item() == pytest.approx(1 - (0.8 / 1.4 + 0.6 / 1.2) / 2)


def test_a_class_that_is_not_there_counts_nothing_but_divides():
    logits, labels = two_pixels(0.8, 0.4, classes=4)
    assert DiceLoss(4)(logits, labels).item() == pytest.approx((2 - sum(DICE)) / 4)
    assert JaccardLoss(4)(logits, labels).item() == pytest.approx((2 - 0.8 / 1.4 - 0.6 / 1.2) / 4)


def test_with_cross_entropy_the_first_class_has_no_dice_and_an_absent_one_has_none():
    logits, labels = two_pixels(0.8, 0.4, classes=3)
    criterion = DiceCrossEntropyLoss(3)
    loss = criterion(logits, labels)
    assert criterion.parts['dice'].item() == pytest.approx(-DICE[1] / 2)
    assert criterion.parts['ce'].item() == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert loss.item() == pytest.approx(sum(part.item() for part in criterion.parts.values()))


def test_with_the_hardest_pixels():
    criterion = DiceTopKLoss(2, share=0.5)
    loss = criterion(*two_pixels(0.8, 0.4))
    assert loss.item() == pytest.approx(-math.log(0.6) - DICE[1])


def test_ignored_pixels_are_left_out_of_every_sum():
    logits, labels = random_case((2, 5, 6), 3)
    kept = labels[0] != 255
    flat, classes = logits[:1].flatten(2)[:, :, kept.flatten()].unsqueeze(2), labels[:1][:, kept].unsqueeze(1)
    for criterion in (DiceLoss(3), JaccardLoss(3), DiceCrossEntropyLoss(3)):
        assert criterion(logits[:1], labels[:1]).item() == pytest.approx(criterion(flat, classes).item(), rel=1e-12)


def test_sums_over_many_pixels_keep_their_digits():
    """In float32 one by one, sums of 2^24 numbers stop growing."""
    logits = torch.zeros(1, 2, 4096, 4104)
    labels = torch.zeros(1, 4096, 4104, dtype=torch.uint8)
    assert DiceLoss(2)(logits, labels).item() == pytest.approx((1 - 1 / 1.5) / 2, rel=1e-6)


def test_a_single_class_has_its_own_dice():
    logits = torch.zeros(1, 1, 2, 2)
    assert DiceCrossEntropyLoss(1)(logits, torch.zeros(1, 2, 2)).item() == pytest.approx(-1)
