"""Multilabel losses, worked out by hand: several classes at a pixel, and labels known in part."""

import math

import pytest
import torch
import torch.nn.functional as F
from loss_cases import random_case, value_and_gradient

from loss import multilabel as forms

EVERY = [
    forms.MultilabelBCELoss,
    forms.SparseBCELoss,
    forms.PartialBCELoss,
    forms.MultilabelDiceLoss,
    forms.MultilabelJaccardLoss,
    forms.MultilabelBCEJaccardLoss,
    forms.PartialDiceLoss,
    forms.PartialJaccardLoss,
]


def case():
    """Two images of two pixels, two classes. Probabilities and labels, by image and class:

    (0.8, 0.4) of (1, 0); (0.6, 0.5) of (1, 1); (0.2, 0.9) of (0, unknown); the last class of image 1 is not labelled.
    """
    p = torch.tensor([[[0.8, 0.4], [0.6, 0.5]], [[0.2, 0.9], [0.3, 0.7]]], dtype=torch.float64).unsqueeze(2)
    labels = torch.tensor([[[1, 0], [1, 1]], [[0, 255], [255, 255]]]).unsqueeze(2)
    return p.logit(), labels


def bce(*right):
    return [-math.log(p) for p in right]


def test_binary_cross_entropy():
    logits, labels = case()
    first, second, third = bce(0.8, 0.6), bce(0.6, 0.5), bce(0.8)
    assert forms.MultilabelBCELoss(2)(logits, labels).item() == pytest.approx(sum(first + second + third) / 5)
    means = sum(first) / 2 + sum(second) / 2 + sum(third)
    assert forms.PartialBCELoss(2)(logits, labels).item() == pytest.approx(means)
    # pairs with a pixel of the class, or one predicted as it: the third has neither among its known pixels
    assert forms.SparseBCELoss(2)(logits, labels).item() == pytest.approx(means / 2)


def test_dice_and_jaccard_over_the_batch():
    logits, labels = case()  # class 0: p y = 0.8, p = 0.8 + 0.4 + 0.2, y = 1; class 1: 1.1, 1.1, 2
    dice = (2 - 1.6 / 2.4 - 2.2 / 3.1) / 2
    jaccard = (2 - 0.8 / 1.6 - 1.1 / 2) / 2
    assert forms.MultilabelDiceLoss(2)(logits, labels).item() == pytest.approx(dice)
    assert forms.MultilabelJaccardLoss(2)(logits, labels).item() == pytest.approx(jaccard)
    assert forms.MultilabelDiceLoss(2, smooth=0.1)(logits, labels).item() == pytest.approx(
        (2 - 1.7 / 2.5 - 2.3 / 3.2) / 2
    )
    assert forms.MultilabelJaccardLoss(2, smooth=0.1)(logits, labels).item() == pytest.approx(
        (2 - 0.9 / 1.7 - 1.2 / 2.1) / 2
    )
    both = forms.MultilabelBCEJaccardLoss(2)
    value = both(logits, labels).item()
    assert value == pytest.approx((jaccard + forms.MultilabelBCELoss(2)(logits, labels).item()) / 2)
    assert list(both.parts) == ['mlbce', 'mljl']


def test_dice_and_jaccard_of_each_image_over_the_pairs_that_are_labelled():
    logits, labels = case()
    # image 0: p = 1.2 and 1.1; image 1 has no pixel of the class that is labelled there
    dice = (1 - 1.6 / 2.2) + (1 - 2.2 / 3.1)
    jaccard = (1 - 0.8 / 1.4) + (1 - 1.1 / 2)
    assert forms.PartialDiceLoss(2)(logits, labels).item() == pytest.approx(dice / 3)
    assert forms.PartialJaccardLoss(2)(logits, labels).item() == pytest.approx(jaccard / 3 * (3 / 4))


@pytest.mark.parametrize('form', EVERY)
def test_unknown_entries_have_no_gradient_and_known_ones_do(form):
    logits, labels = case()
    _, gradient = value_and_gradient(form(2), logits, labels)
    assert (gradient[labels == 255] == 0).all() and (gradient[0] != 0).any()


@pytest.mark.parametrize('form', EVERY)
def test_a_class_map_is_the_same_as_its_one_hot_maps(form):
    logits, labels = random_case((2, 4, 5), 3)
    maps = (labels.unsqueeze(1) == torch.arange(3).view(-1, 1, 1)).long()
    maps = torch.where((labels == 255).unsqueeze(1), 255, maps)
    assert form(3)(logits, labels) == form(3)(logits, maps)


def test_labels_of_another_shape_are_named():
    with pytest.raises(ValueError, match=r'expected \(N, 3, H, W\) and \(N, H, W\)'):
        forms.MultilabelBCELoss(3)(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4))


def test_the_sparse_form_counts_pairs_that_have_or_predict_a_pixel():
    logits, labels = random_case((2, 4, 5), 6)
    logits[0, 1:4], logits[1, 0] = -0.5, -0.5
    labels[0], labels[1] = 4, 5
    means = [(F.softplus(x) - x * (labels[n] == c)).mean() for n in range(2) for c, x in enumerate(logits[n])]
    expected = sum(means) / (3 + 5)  # classes 0, 4 and 5 of the first image, and 1 to 5 of the second
    assert (logits[0, [0, 5]] > 0).flatten(1).any(1).all() and (logits[1, 1:5] > 0).flatten(1).any(1).all()
    assert forms.SparseBCELoss(6)(logits, labels).item() == pytest.approx(expected.item())
