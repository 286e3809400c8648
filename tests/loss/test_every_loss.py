"""What every registered loss has to stand: odd inputs in every precision, ignored pixels, and a training."""

import inspect

import pytest
import torch
from loss_cases import random_case, value_and_gradient
from small import TRAIN

from loss import get_criterion
from loss.registry import LOSSES
from utils.settings import SETTINGS

CLASSES = 4
PIXEL = [name for name, loss in LOSSES.items() if not loss.of_queries]
WITHOUT_BORDER = [name for name in PIXEL if name != 'border']  # which trains ignored pixels beside a class


def criterion_of(name):
    weights = torch.tensor([0.5, 1.0, 1.5, 1.0]) if name in ('wce', 'wrmi') else None
    criterion = get_criterion([name], [1.0], CLASSES, class_weights=weights)
    return lambda logits, labels: criterion({'pred': logits}, labels)['loss']


def case(kind):
    logits, labels = random_case((2, 16, 20), CLASSES, torch.float32)
    if kind == 'all ignored':
        labels[:] = 255
    elif kind == 'one image ignored':
        labels[0] = 255
    elif kind == 'one class':
        labels[:] = 2
    elif kind == 'one pixel':
        logits, labels = logits[:1, :, :1, :1], torch.zeros(1, 1, 1, dtype=torch.long)
    elif kind == 'saturated':
        logits = 6e4 * logits.sign()
    elif kind == 'perfect':
        labels = labels.where(labels != 255, 0)
        logits = 200 * torch.nn.functional.one_hot(labels, CLASSES).movedim(-1, 1).float() - 100
    elif kind == 'wrong':
        labels = labels.where(labels != 255, 0)
        logits = 100 - 200 * torch.nn.functional.one_hot(labels, CLASSES).movedim(-1, 1).float()
    return logits, labels


@pytest.mark.parametrize('precision', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    'kind', ['all ignored', 'one image ignored', 'one class', 'one pixel', 'saturated', 'perfect', 'wrong']
)
@pytest.mark.parametrize('name', PIXEL)
def test_value_and_gradient_are_finite(name, kind, precision):
    logits, labels = case(kind)
    with torch.autocast('cpu', precision, enabled=precision != torch.float32):
        loss, gradient = value_and_gradient(criterion_of(name), logits.to(precision), labels)
    assert loss.isfinite() and gradient.isfinite().all()
    assert loss.dtype == torch.float32 and gradient.dtype == precision


@pytest.mark.parametrize('name', WITHOUT_BORDER)
def test_ignored_pixels_are_not_trained_and_do_not_count(name):
    logits, labels = random_case((2, 16, 20), CLASSES)
    criterion = criterion_of(name)
    loss, gradient = value_and_gradient(criterion, logits, labels)
    ignored = labels == 255
    assert (gradient * ignored.unsqueeze(1) == 0).all() and (gradient != 0).any()
    other = torch.where(ignored.unsqueeze(1), logits.flip(1) * 3, logits)
    assert criterion(other, labels).item() == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize('name', PIXEL)
def test_labels_are_left_as_they_are_and_may_have_any_integer_type(name):
    logits, labels = random_case((2, 16, 20), CLASSES)
    kept = labels.clone()
    expected = criterion_of(name)(logits, labels)
    assert torch.equal(labels, kept)
    for dtype in (torch.uint8, torch.int32):
        assert criterion_of(name)(logits, labels.to(dtype)) == expected


@pytest.mark.parametrize('name', PIXEL)
def test_labels_outside_the_classes_do_not_count(name):
    logits, labels = random_case((2, 16, 20), CLASSES)
    expected = criterion_of(name)(logits, labels)
    for outside in (-1, CLASSES, 254):
        assert criterion_of(name)(logits, labels.where(labels != 255, outside)) == expected


@pytest.mark.parametrize('name', LOSSES)
def test_defaults_in_python_are_those_of_the_flags(name):
    parameters = inspect.signature(LOSSES[name].build).parameters
    for argument, setting in LOSSES[name].settings.items():
        assert parameters[argument].default == SETTINGS[setting].default, (argument, setting)


def test_the_help_names_every_loss():
    named = SETTINGS['loss'].help.partition(': ')[2].split(', ')
    assert sorted(named) == sorted(LOSSES)


@pytest.mark.parametrize('first', range(0, len(PIXEL), 4))
def test_a_network_is_trained_with_each(first, program, monkeypatch):
    logged = {}
    monkeypatch.setattr('engine.run.Run.metric', lambda self, phase, numbers, step: logged.update(numbers))
    names = PIXEL[first : first + 4]
    code, printed = program(*TRAIN, '--loss', ','.join(names), '--loss_weights', '1', '--max_epoch', '1')
    assert code == 0, printed
    parts = [logged[name] for name in logged if '/' in name]
    assert len(parts) >= 4 and all(part == part and abs(part) < 1e4 for part in parts)
