"""Cross-entropy criteria against torch's own and numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from loss.cross_entropy import CrossEntropyLoss, ImageWeightedCrossEntropyLoss


def batch(classes=5, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 6, 7, dtype=dtype, generator=generator)
    labels = torch.randint(0, classes, (2, 6, 7), generator=generator)
    labels[:, 0] = 255
    return logits, labels


def flat_case():
    """Two images of 1 x 4 pixels, equal logits everywhere: the nll of each pixel is log 2; image 0 has classes 0, 0, 0,
    1."""
    return torch.zeros(2, 2, 1, 4), torch.tensor([[[0, 0, 0, 1]], [[1, 1, 255, 255]]])


def test_cross_entropy_is_the_mean_over_valid_pixels():
    logits, labels = batch()
    expected = F.cross_entropy(logits, labels, ignore_index=255)
    assert CrossEntropyLoss(5)(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)


def test_class_weights_divide_by_the_weight_of_the_valid_pixels():
    logits, labels = batch()
    weights = [0.8, 0.9, 1.0, 1.1, 1.2]
    expected = F.cross_entropy(logits, labels, weight=torch.tensor(weights), ignore_index=255)
    criterion = CrossEntropyLoss(5, class_weights=weights)
    assert criterion(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)
    assert not criterion.state_dict()


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]).view(1, 2, 1, 2)
    labels = torch.tensor([[[0, 1]]], dtype=torch.uint8)  # probabilities of the truth: 1/2 and 1/4
    assert CrossEntropyLoss(2)(logits, labels).item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)


@pytest.mark.parametrize('make', [CrossEntropyLoss, ImageWeightedCrossEntropyLoss])
def test_a_batch_without_labels_gives_zero_and_no_gradient(make):
    logits = batch()[0].requires_grad_()
    loss = make(5)(logits, torch.full((2, 6, 7), 255))
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().max() == 0


@pytest.mark.parametrize('make', [CrossEntropyLoss, ImageWeightedCrossEntropyLoss])
def test_labels_outside_the_classes_do_not_count(make):
    logits, labels = batch()
    assert make(5)(logits, labels.where(labels != 255, 77)) == make(5)(logits, labels)
    assert make(5)(logits, labels.where(labels != 255, -3)) == make(5)(logits, labels)


@pytest.mark.parametrize('make', [CrossEntropyLoss, ImageWeightedCrossEntropyLoss])
def test_autocast_does_not_lower_the_precision(make):
    logits, labels = batch()
    with torch.autocast('cpu', torch.bfloat16):
        assert make(5)(logits, labels) == make(5)(logits, labels)
        half = make(5)(logits.bfloat16(), labels)
    assert half.dtype == torch.float32
    assert half == make(5)(logits.bfloat16().float(), labels)


def test_image_weights_come_from_the_image_itself_and_count_valid_pixels_only():
    _, labels = flat_case()
    weights = ImageWeightedCrossEntropyLoss(2).image_weights(labels, labels != 255)
    assert weights.tolist() == [[1.25, 1.75], [1.0, 1.0]]  # shares 3/4, 1/4; absent, all
    weights = ImageWeightedCrossEntropyLoss(2, bound=2.0).image_weights(labels, labels != 255)
    assert weights.tolist() == [[1.5, 2.5], [1.0, 1.0]]


def test_batch_weighting_takes_the_shares_over_the_batch():
    _, labels = flat_case()
    weights = ImageWeightedCrossEntropyLoss(2, batch_weighting=True).image_weights(labels, labels != 255)
    assert weights.tolist() == [[1.5, 1.5], [1.5, 1.5]]  # three pixels of either class
    labels[1, 0, :2] = 0  # five and one
    weights = ImageWeightedCrossEntropyLoss(2, batch_weighting=True).image_weights(labels, labels != 255)
    assert weights.tolist() == [[pytest.approx(1 + 1 / 6), pytest.approx(1 + 5 / 6)]] * 2


def test_a_single_valid_pixel_is_the_whole_of_its_image():
    labels = torch.tensor([[[1, 255]]])
    assert ImageWeightedCrossEntropyLoss(2).image_weights(labels, labels != 255).tolist() == [[1.0, 1.0]]
    logits = torch.tensor([[0.0, 9.0], [math.log(3), 0.0]]).view(1, 2, 1, 2)
    for criterion in (CrossEntropyLoss(2), ImageWeightedCrossEntropyLoss(2)):
        assert criterion(logits, labels).item() == pytest.approx(math.log(4 / 3), rel=1e-6)


def test_the_ignore_label_next_to_the_last_class_is_not_counted_as_it():
    labels = torch.tensor([[[0, 1, 2, 2]]])
    weights = ImageWeightedCrossEntropyLoss(2, ignore_label=2).image_weights(labels, labels < 2)
    assert weights.tolist() == [[1.5, 1.5]]


def test_image_weighted_loss_by_hand():
    logits, labels = flat_case()
    # the lone class-1 pixel: nll log 4 instead of log 2
    logits[0, 0, 0, 3] = math.log(3)
    first = (3 * 1.25 * math.log(2) + 1.75 * math.log(4)) / (3 * 1.25 + 1.75)
    loss = ImageWeightedCrossEntropyLoss(2)(logits, labels)
    assert loss.item() == pytest.approx((first + math.log(2)) / 2, rel=1e-6)  # a mean over images, not a sum


def test_an_image_without_labels_does_not_dilute_the_mean():
    logits, labels = flat_case()
    labels[1] = 255
    assert ImageWeightedCrossEntropyLoss(2)(logits, labels).item() == pytest.approx(math.log(2), rel=1e-6)


@pytest.mark.parametrize('weights', [[1, 2], [1, 1, 1, 1, -1], np.ones((5, 1))])
def test_class_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match='expected 5 numbers, none negative'):
        CrossEntropyLoss(5, class_weights=weights)


@pytest.mark.parametrize('weights', [None, [0.5, 1, 1.5, 2, 0]])
def test_label_smoothing_spreads_a_share_of_the_truth_over_all_classes(weights):
    logits, labels = batch(dtype=torch.float64)
    criterion = CrossEntropyLoss(5, class_weights=weights, smoothing=0.2)
    w = torch.ones(5) if weights is None else torch.tensor(weights)
    valid = labels != 255
    truth = 0.8 * F.one_hot(labels.where(valid, 0), 5) + 0.2 / 5
    per_pixel = -(truth * w * logits.log_softmax(1).movedim(1, -1)).sum(-1)[valid]
    expected = per_pixel.sum() / w[labels[valid]].sum()
    assert criterion(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)
