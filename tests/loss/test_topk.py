"""Cross-entropy of the hardest pixels, worked out by hand."""

import math

import pytest
import torch
from loss_cases import value_and_gradient

from loss.topk import OhemLoss, TopKLoss


def line(*probabilities, ignored=0):
    """Logits (1, 2, 1, W) and labels: class 0 is the truth with these probabilities; the last pixels are ignored."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    labels = torch.zeros(1, 1, len(p), dtype=torch.long)
    labels[..., len(p) - ignored :] = 255
    return torch.stack([p, 1 - p]).log().view(1, 2, 1, -1), labels


def mean_nll(*probabilities):
    return -sum(map(math.log, probabilities)) / len(probabilities)


def test_the_hardest_share_is_taken_of_all_pixels_ignored_ones_included():
    logits, labels = line(0.9, 0.2, 0.5, 0.7, 0.1, 0.1, ignored=2)
    loss, gradient = value_and_gradient(TopKLoss(2, share=0.5), logits, labels)  # 3 of 6 pixels
    assert loss.item() == pytest.approx(mean_nll(0.2, 0.5, 0.7))
    assert (gradient[0, 0, 0] != 0).tolist() == [False, True, True, True, False, False]


def test_the_share_is_rounded_down_but_one_pixel_remains():
    logits, labels = line(0.9, 0.2, 0.5, 0.7)
    assert TopKLoss(2, share=0.7)(logits, labels).item() == pytest.approx(mean_nll(0.2, 0.5))
    assert TopKLoss(2)(logits, labels).item() == pytest.approx(mean_nll(0.2))


def test_more_room_than_valid_pixels_is_filled_with_zeros():
    logits, labels = line(0.9, 0.2, 0.5, 0.7, ignored=3)
    assert TopKLoss(2, share=0.5)(logits, labels).item() == pytest.approx(mean_nll(0.9) / 2)


def test_pixels_below_the_threshold_are_mined():
    logits, labels = line(0.9, 0.2, 0.5, 0.75, 0.1, ignored=1)
    loss, gradient = value_and_gradient(OhemLoss(2, min_kept=1), logits, labels)
    assert loss.item() == pytest.approx(mean_nll(0.2, 0.5))
    assert (gradient[0, 0, 0] != 0).tolist() == [False, True, True, False, False]


def test_at_least_so_many_are_mined_whatever_their_probability():
    logits, labels = line(0.9, 0.2, 0.5, 0.75, 0.1, ignored=1)
    assert OhemLoss(2, min_kept=3)(logits, labels).item() == pytest.approx(mean_nll(0.2, 0.5, 0.75))
    assert OhemLoss(2, threshold=0.1, min_kept=1)(logits, labels).item() == pytest.approx(mean_nll(0.2))


def test_where_fewer_are_valid_than_are_to_be_kept_all_of_them_are():
    logits, labels = line(0.9, 0.8, 0.1, 0.1, ignored=2)
    assert OhemLoss(2, min_kept=3)(logits, labels).item() == pytest.approx(mean_nll(0.9, 0.8))
    assert OhemLoss(2)(logits, labels).item() == pytest.approx(mean_nll(0.9, 0.8))
