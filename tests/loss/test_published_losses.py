"""Losses against the numbers of the framework that published them: stored values and gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from loss_cases import CITYSCAPES_WEIGHTS, rational_case, value_and_gradient

from loss.cross_entropy import CrossEntropyLoss
from loss.dice import DiceCrossEntropyLoss, DiceLoss, DiceTopKLoss
from loss.rmi import RMILoss
from loss.topk import TopKLoss

STORED = np.load(Path(__file__).parent / 'fixtures' / 'framework.npz')
STEP = (slice(None), slice(None), slice(None, None, 3), slice(None, None, 5))  # the pixels whose gradients are stored

LOSSES = {
    'ce': lambda classes, weights: CrossEntropyLoss(classes),
    'wce': lambda classes, weights: CrossEntropyLoss(classes, class_weights=weights),
    'rmi': lambda classes, weights: RMILoss(classes, pool='max3'),
    'wrmi': lambda classes, weights: RMILoss(classes, pool='max3', class_weights=weights),
    'dc': lambda classes, weights: DiceLoss(classes),
    'dc_ce': lambda classes, weights: DiceCrossEntropyLoss(classes),
    'topk': lambda classes, weights: TopKLoss(classes),
    'dc_topk': lambda classes, weights: DiceTopKLoss(classes),
}


@pytest.mark.parametrize('name', [name for name in LOSSES if name != 'dc_topk'])
def test_values_and_gradients_equal_the_stored_ones(name):
    criterion = LOSSES[name](5, torch.from_numpy(STORED['class_weights']))
    logits, labels = torch.from_numpy(STORED['logits']), torch.from_numpy(STORED['labels'])
    loss, gradient = value_and_gradient(criterion, logits, labels)
    assert loss.item() == pytest.approx(float(STORED[f'{name}/loss']), rel=2e-6)
    expected = torch.from_numpy(STORED[f'{name}/grad']).double()
    assert (gradient[STEP] - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(
    'name, value, norm',
    [
        ('ce', 4.731541, 2.63205e-2),
        ('wce', 4.727359, 2.63886e-2),
        ('rmi', 6.216258, 6.55197e-2),
        ('wrmi', 6.124818, 6.58798e-2),
        ('dc', 0.951145, 1.95952e-3),
        ('dc_ce', 4.680712, 2.73701e-2),
        ('topk', 8.410381, 8.36762e-2),
        ('dc_topk', 8.359552, None),
    ],
)
def test_values_and_gradient_norms_with_rational_logits(name, value, norm):
    logits, labels = rational_case()
    loss, gradient = value_and_gradient(LOSSES[name](19, torch.tensor(CITYSCAPES_WEIGHTS)), logits, labels)
    assert loss.item() == pytest.approx(value, abs=2e-6)
    assert norm is None or gradient.norm().item() == pytest.approx(norm, rel=1e-4)
    assert (gradient * (labels == 255)[:, None]).abs().max() == 0


@pytest.mark.parametrize('name, bce, mi', [('rmi', 23.147987, -10.715472), ('wrmi', 23.142132, -10.892497)])
def test_the_parts_of_the_region_losses(name, bce, mi):
    criterion = LOSSES[name](19, torch.tensor(CITYSCAPES_WEIGHTS))
    criterion(*rational_case())
    assert criterion.parts['bce'].item() == pytest.approx(bce, abs=5e-6)
    assert criterion.parts['mi'].item() == pytest.approx(mi, abs=5e-6)
