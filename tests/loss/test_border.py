"""Border relaxation: the worked example, the definition with all its maps, and what ends at --rlx_off_epoch."""

import math

import pytest
import torch
import torch.nn.functional as F
from loss_cases import random_case, value_and_gradient

from loss.border import BorderLoss, differs_from_neighbour, window_classes

EXAMPLE = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 3], [0, 2, 2, 2]], dtype=torch.int16)  # 3: ignored


def relaxed_maps(labels, classes, window=1, strict=()):
    """The relaxed one-hot maps (N, K + 1, H, W) of the definition, one shift after another."""
    truth = F.one_hot(labels.where(labels != 255, classes), classes + 1).movedim(-1, 1)
    height, width = labels.shape[1:]
    outside = F.pad(truth, (window,) * 4)
    inside = F.pad(torch.ones_like(labels), (window,) * 4)
    maps = torch.zeros_like(truth)
    for y in range(2 * window + 1):
        for x in range(2 * window + 1):
            maps |= outside[..., y : y + height, x : x + width]
            maps[:, classes] |= 1 - inside[..., y : y + height, x : x + width]
    for c in strict:
        maps = torch.where((labels == c).unsqueeze(1), truth, maps)
    return maps


def definition(logits, maps, bound=1.0, batch_weighting=False):
    """The loss word for word from the maps (N, K + 1, H, W)."""
    maps = maps.to(logits.dtype)
    of_class = maps[:, :-1]
    number = of_class.sum(1)
    ignored = number == 0
    shares = maps.sum((2, 3), keepdim=True)
    if batch_weighting:
        shares = shares.sum(0, keepdim=True)
    shares = shares / shares.sum(1, keepdim=True)
    weights = ((shares != 0) * bound * (1 - shares) + 1)[:, :-1]
    p = logits.softmax(1)
    q = torch.maximum(p, of_class * (p * of_class).sum(1, keepdim=True)).log()
    per_pixel = -(of_class * weights * q).sum(1) / number.where(~ignored, 1) * ~ignored
    return (per_pixel.sum((1, 2)) / ((~ignored).sum((1, 2)) + 1)).sum()


def test_the_worked_example():
    found = window_classes(EXAMPLE.unsqueeze(0), 1, torch.zeros(4, dtype=torch.bool))[:, 0]
    assert (found >= 0).sum(0).tolist() == [[2, 3, 3, 2], [3, 3, 4, 3], [3, 3, 4, 3], [3, 3, 2, 2]]
    of_class = ((found >= 0) & (found < 3)).sum(0)
    assert of_class.tolist() == [[1, 2, 2, 1], [2, 3, 3, 2], [2, 3, 3, 2], [2, 2, 1, 1]]


def test_pixels_of_a_strict_class_keep_their_own():
    found = window_classes(EXAMPLE.unsqueeze(0), 1, torch.tensor([False, True, False, False]))[:, 0]
    assert (found >= 0).sum(0).tolist() == [[2, 3, 1, 1], [3, 3, 1, 1], [3, 3, 4, 3], [3, 3, 2, 2]]


@pytest.mark.parametrize(
    'options', [{}, {'window': 2}, {'strict': (1, 3)}, {'bound': 2.5}, {'batch_weighting': True}, {'window': 0}]
)
def test_value_and_gradient_equal_the_definition_with_all_its_maps(options):
    logits, labels = random_case((2, 7, 9), 4)
    labels[0, 2:6, 3:8] = 255  # wide enough that some windows hold no class
    labels[1, :4] = 2
    weighting = {name: value for name, value in options.items() if name in ('bound', 'batch_weighting')}
    maps = relaxed_maps(labels, 4, options.get('window', 1), options.get('strict', ()))
    loss, gradient = value_and_gradient(BorderLoss(4, **options), logits, labels)
    expected, slope = value_and_gradient(lambda x, _: definition(x, maps, **weighting), logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert (gradient - slope).abs().max() <= 1e-12 * slope.abs().max()


def test_without_neighbours_of_another_class_it_is_cross_entropy_by_hand():
    logits = torch.zeros(1, 3, 2, 2)
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    # every window holds class 0 and the outside: the class has half of the active maps, so it weighs 1.5
    assert BorderLoss(3)(logits, labels).item() == pytest.approx(1.5 * math.log(3) * 4 / 5)


def test_after_the_last_relaxed_epoch_pixels_at_a_border_count_twice():
    logits = torch.zeros(1, 3, 1, 4, dtype=torch.float64)
    labels = torch.tensor([[[0, 0, 1, 255]]])
    criterion = BorderLoss(3, off_epoch=4)
    relaxed = criterion(logits, labels)
    criterion.epoch = 4
    assert criterion(logits, labels) == relaxed
    criterion.epoch = 5
    # times (1, 2, 2, 2); shares of the maps 3/7, 2/7, 0, and 2/7 of the ignored channel
    expected = (3 * (1 + 4 / 7) + 2 * (1 + 5 / 7)) * math.log(3) / (3 + 1)
    assert criterion(logits, labels).item() == pytest.approx(expected)
    criterion = BorderLoss(3)
    criterion.epoch = 500
    assert criterion(logits, labels) == relaxed


def test_a_border_is_where_one_of_four_neighbours_differs():
    expected = [[0, 1, 1, 0], [0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 0, 1]]
    assert differs_from_neighbour(EXAMPLE.unsqueeze(0))[0].int().tolist() == expected


def test_a_pixel_whose_window_holds_no_class_is_not_trained_and_an_ignored_one_beside_a_class_is():
    logits, labels = random_case((1, 5, 6), 3)
    labels[:] = 255
    labels[0, 0, 0] = 1
    _, gradient = value_and_gradient(BorderLoss(3), logits, labels)
    trained = gradient.abs().sum((0, 1)) > 0
    assert trained.int().tolist() == [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], *[[0] * 6] * 3]


def test_the_gradient_is_the_derivative():
    logits, labels = random_case((2, 4, 5), 3)
    assert torch.autograd.gradcheck(lambda x: BorderLoss(3)(x, labels), logits.requires_grad_())


def test_a_strict_class_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match='--strict_bdr_cls: 7 is not a class .* from 0 to 4'):
        BorderLoss(5, strict=(0, 7))
