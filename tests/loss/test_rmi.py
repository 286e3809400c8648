"""RMILoss against stored numbers, the definition written out in float64, and what must never happen."""

from pathlib import Path

import numpy as np
import pytest
import torch

from loss import covariance, region_statistics
from loss.rmi import BCELoss, RMILoss, mutual_information
from scripts.baseline_losses import PlainRMILoss

FIXTURE = Path(__file__).parent / 'fixtures' / 'rmi.npz'


def value_and_gradient(criterion, logits, labels, **kwargs):
    logits = logits.detach().clone().requires_grad_()
    loss = criterion(logits, labels, **kwargs)
    loss.backward()
    return loss.detach(), logits.grad


def random_case(shape, classes, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape[0], classes, *shape[1:], dtype=dtype, generator=generator)
    labels = torch.randint(0, classes + 1, shape, generator=generator)
    return logits, torch.where(labels == classes, 255, labels)


def assert_close(actual, expected, tolerance):
    assert (actual.double() - expected.double()).abs().max() <= tolerance * expected.double().abs().max()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('case', ['a', 'b'])
def test_values_and_gradients_equal_the_published_loss(case, dtype):
    data = np.load(FIXTURE)
    logits, labels = torch.from_numpy(data[f'{case}/logits']).to(dtype), torch.from_numpy(data[f'{case}/labels'])
    criterion = RMILoss(logits.shape[1])
    loss, gradient = value_and_gradient(criterion, logits, labels)
    assert loss.item() == pytest.approx(float(data[f'{case}/loss']), rel=2e-6)
    assert_close(gradient, torch.from_numpy(data[f'{case}/grad']), 1e-5)
    assert criterion(logits, labels, do_rmi=False).item() == pytest.approx(float(data[f'{case}/bce_only']), rel=2e-6)
    assert criterion.failures == 0


def test_the_parts_of_a_small_case_are_the_published_ones():
    g = np.random.RandomState(0)
    logits = torch.from_numpy(g.randn(2, 4, 32, 32).astype(np.float32))
    labels = torch.from_numpy(g.randint(0, 4, (2, 32, 32)))
    labels[:, :3] = 255
    criterion = RMILoss(4)
    assert criterion(logits, labels).item() == pytest.approx(0.5716251, rel=2e-6)
    assert criterion.parts['bce'].item() == pytest.approx(3.2101793, rel=2e-6)
    assert criterion.parts['mi'].item() == pytest.approx(-2.0669291, rel=2e-6)
    assert not criterion.parts['mi'].requires_grad


def test_the_value_with_rational_logits_is_the_published_one():
    n, c, y, x = np.meshgrid(np.arange(2), np.arange(19), np.arange(24), np.arange(36), indexing='ij')
    k = (7 * n + 31 * c + 17 * y + 11 * x + 5 * x * y + 3 * c * x + 2 * c * y**2 + 13 * n * y) % 97
    n, y, x = n[:, 0], y[:, 0], x[:, 0]
    labels = np.where((x + y) % 11 == 0, 255, (3 * n + y // 4 + 2 * (x // 6)) % 19)
    loss = RMILoss(19)(torch.from_numpy((k - 48) / 12), torch.from_numpy(labels))
    assert loss.item() == pytest.approx(-2.537837, rel=2e-6)


@pytest.mark.parametrize('size', [(8, 8), (9, 11), (30, 33), (31, 29), (35, 39)])
def test_every_remainder_of_the_pooling_equals_the_definition(size):
    logits, labels = random_case((2, *size), 3)
    expected, expected_gradient = value_and_gradient(PlainRMILoss(3), logits, labels)
    loss, gradient = value_and_gradient(RMILoss(3), logits, labels)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    assert_close(gradient, expected_gradient, 1e-11)


def test_cutting_the_image_into_strips_and_classes_does_not_change_the_result(monkeypatch):
    logits, labels = random_case((2, 50, 37), 4)
    expected, expected_gradient = value_and_gradient(RMILoss(4), logits, labels)
    monkeypatch.setattr(region_statistics, 'STRIP_CPU', 1)  # one row of windows at a time
    monkeypatch.setattr(covariance, 'STACK_CPU', 1)  # one class at a time
    loss, gradient = value_and_gradient(RMILoss(4), logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-14)
    assert_close(gradient, expected_gradient, 1e-13)


@pytest.mark.parametrize('do_rmi', [True, False])
@pytest.mark.parametrize('size', [(3, 5), (9, 14)])
def test_the_gradient_is_the_derivative(size, do_rmi):
    logits, labels = random_case((2, *size), 2)
    assert torch.autograd.gradcheck(
        lambda x: RMILoss(2)(x, labels, do_rmi=do_rmi), logits.requires_grad_(), fast_mode=True
    )


def test_binary_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, 2.0], [1.0, -3.0]]).view(1, 2, 1, 2)  # class 0: 0, 2; class 1: 1, -3
    labels = torch.tensor([[[0, 255]]])
    # one valid pixel: class 0 true at logit 0, class 1 false at 1
    softplus = np.log1p(np.exp([-0.0, 1.0]))
    assert RMILoss(2)(logits, labels, do_rmi=False).item() == pytest.approx(softplus.sum() / 2, rel=1e-6)
    assert BCELoss(2)(logits, labels).item() == pytest.approx(softplus.sum() / 2, rel=1e-6)


def test_tiny_losses_of_confident_logits_keep_their_digits():
    logits = torch.full((1, 2, 16, 16), -12.0)
    logits[:, 0] = 12.0
    labels = torch.zeros(1, 16, 16, dtype=torch.uint8)
    expected = 2 * np.log1p(np.exp(-12.0)) * 256 / 257
    assert RMILoss(2)(logits, labels, do_rmi=False).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_computed_in_float32_under_autocast(dtype, layout):
    logits, labels = random_case((2, 40, 40), 3, torch.float32)
    logits = logits.to(dtype).to(memory_format=layout)
    expected, expected_gradient = value_and_gradient(RMILoss(3), logits.float(), labels)
    with torch.autocast('cpu', torch.bfloat16):
        loss, gradient = value_and_gradient(RMILoss(3), logits, labels)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.equal(gradient, expected_gradient.to(dtype))


def test_autocast_does_not_change_a_bit():
    logits, labels = random_case((1, 32, 32), 3, torch.float32)
    expected, expected_gradient = value_and_gradient(RMILoss(3), logits, labels)
    with torch.autocast('cpu', torch.bfloat16):
        loss, gradient = value_and_gradient(RMILoss(3), logits, labels)
    assert loss == expected
    assert torch.equal(gradient, expected_gradient)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_may_have_any_integer_type(dtype):
    logits, labels = random_case((1, 16, 16), 3)
    assert RMILoss(3)(logits, labels.to(dtype)) == RMILoss(3)(logits, labels)


def test_negative_labels_and_an_ignore_label_within_range_do_not_count():
    logits, labels = random_case((1, 24, 24), 3)
    expected = RMILoss(3)(logits, labels.where(labels != 2, 255))
    assert RMILoss(3)(logits, labels.where(labels != 2, -1)) == expected
    assert RMILoss(3, ignore_label=2)(logits, labels) == expected


@pytest.mark.parametrize('classes', [255, 256, 260])
def test_as_many_classes_as_a_byte_holds_and_more(classes):
    logits, labels = random_case((1, 16, 16), classes)
    labels = labels.where(labels != 255, -1)
    assert RMILoss(classes, ignore_label=-1)(logits, labels).item() == pytest.approx(
        PlainRMILoss(classes)(logits, labels).item(), abs=1e-10
    )
    few = labels.clamp(min=0, max=40)
    assert RMILoss(classes, ignore_label=-1)(logits, few.byte()) == RMILoss(classes, ignore_label=-1)(logits, few)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('case', ['all ignored', 'constant', 'saturated', 'perfect', 'absent class', 'one pixel'])
def test_the_loss_and_gradient_are_always_finite(case, dtype):
    logits, labels = random_case((1, 32, 32), 3, dtype)
    if case == 'all ignored':
        labels[:] = 255
    elif case == 'constant':
        logits[:] = 0.5
    elif case == 'saturated':
        logits *= 1e4
    elif case == 'perfect':
        labels = labels.where(labels != 255, 0)
        logits = 100 * torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).to(dtype) - 50
    elif case == 'absent class':
        labels = labels.where(labels != 1, 0)
    else:
        logits, labels = logits[:, :, :1, :1], labels[:, :1, :1]
    criterion = RMILoss(3)
    loss, gradient = value_and_gradient(criterion, logits, labels)
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()
    assert criterion.failures == 0


def test_nothing_labelled_leaves_only_the_constant():
    logits, labels = random_case((1, 32, 32), 3)
    loss, gradient = value_and_gradient(RMILoss(3), logits, torch.full_like(labels, 255))
    nothing_shared = 3 * np.log(np.sqrt(5e-4) + 1e-8)  # each class: 9 diagonal entries / 9
    assert loss.item() == pytest.approx(0.5 * nothing_shared, rel=1e-9)
    assert gradient.abs().max() == 0


def test_logits_that_are_not_numbers_give_a_loss_that_is_not_one():
    logits, labels = random_case((1, 32, 32), 3)
    logits[0, 1, 4, 4] = float('nan')
    assert not torch.isfinite(RMILoss(3)(logits, labels.clamp(max=2)))


def test_a_covariance_that_cannot_be_factorised_is_left_out_and_counted():
    good = torch.eye(9, dtype=torch.float64).expand(1, 2, 9, 9)
    yy = torch.stack([good[:, 0], -good[:, 1]], 1).requires_grad_()
    value, failed = mutual_information(yy, torch.zeros_like(yy), good)
    assert failed == 1
    assert value.item() == pytest.approx(0.5 * np.log(1 + 5e-4), rel=1e-4)
    value.backward()
    assert torch.isfinite(yy.grad).all() and (yy.grad[:, 1] == 0).all()


def test_failures_are_summed_over_calls(monkeypatch):
    monkeypatch.setattr('loss.rmi.mutual_information', lambda yy, yp, pp, weights: (yp.sum(), torch.tensor(2)))
    logits, labels = random_case((1, 16, 16), 3)
    criterion = RMILoss(3)
    criterion(logits, labels)
    criterion(logits, labels)
    assert criterion.failures == 4


def test_an_unknown_pool_names_the_choices():
    with pytest.raises(ValueError, match=r"pool 'avg' is not known; did you mean avg4\? \(choose from avg4, max3\)"):
        RMILoss(3, pool='avg')


@pytest.mark.parametrize('logits, labels', [((1, 4, 8, 8), (1, 8, 8)), ((1, 3, 8, 8), (1, 8, 9)), ((3, 8, 8), (8, 8))])
def test_shapes_that_do_not_fit_are_named(logits, labels):
    with pytest.raises(ValueError, match=r'expected \(N, 3, H, W\) and \(N, H, W\)'):
        RMILoss(3)(torch.zeros(logits), torch.zeros(labels, dtype=torch.long))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_on_a_gpu_it_agrees_with_the_cpu_and_never_waits_for_the_device():
    logits, labels = random_case((2, 65, 70), 5)
    expected, expected_gradient = value_and_gradient(RMILoss(5), logits, labels)
    logits, labels = logits.cuda(), labels.cuda()
    criterion = RMILoss(5)
    value_and_gradient(criterion, logits, labels)  # libraries initialise on the first call
    torch.cuda.set_sync_debug_mode('error')
    try:
        loss, gradient = value_and_gradient(criterion, logits, labels)
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert loss.item() == pytest.approx(expected.item(), rel=1e-9)
    assert_close(gradient.cpu(), expected_gradient, 1e-9)
