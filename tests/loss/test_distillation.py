"""The divergence between student and teacher, by hand."""

import math

import pytest
import torch

from loss.distillation import distillation_loss, pooled

LOG3 = math.log(3)


def maps(*pixels):
    """Logits (1, K, 1, n) float64 of n pixels."""
    return torch.tensor(pixels, dtype=torch.float64).T[None, :, None]


def labels(*pixels):
    """(1, 4, 4 n): a label for each of n places of maps of a quarter of the size."""
    return torch.tensor(pixels)[None, None].repeat_interleave(4, 1).repeat_interleave(4, 2)


def test_two_classes_at_two_pixels_by_hand():
    teacher = maps((LOG3, 0), (0, 0))  # 3/4 and 1/4; 1/2 and 1/2
    student = maps((0, 0), (0, LOG3)).requires_grad_()  # 1/2 and 1/2; 1/4 and 3/4
    loss = distillation_loss(student, [teacher], labels(0, 1))
    first = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    second = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-12)
    loss.backward()
    # (q - p) / 2 at each pixel
    assert student.grad.flatten().tolist() == pytest.approx([-1 / 8, -1 / 8, 1 / 8, 1 / 8], abs=1e-12)


def test_the_square_of_the_temperature_keeps_the_size_of_the_gradient():
    teacher, student = maps((2 * LOG3, 0)), maps((0, 0)).requires_grad_()
    loss = distillation_loss(student, [teacher], labels(0), temperature=2.0)
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    loss.backward()
    assert student.grad.flatten().tolist() == pytest.approx([-0.5, 0.5], abs=1e-12)  # T (q - p)


def test_several_teachers_are_the_mean_of_their_probabilities():
    student = maps((0, 0))
    both = distillation_loss(student, [maps((LOG3, 0)), maps((0, 0))], labels(0))
    mean = distillation_loss(student, [maps((math.log(5 / 3), 0))], labels(0))  # (3/4 + 1/2) / 2 = 5/8
    assert both.item() == pytest.approx(mean.item(), abs=1e-12) and both.item() > 0


@pytest.mark.parametrize('ignored', [255, -1, 7])
def test_a_pixel_without_a_label_does_not_count(ignored):
    teacher = maps((LOG3, 0), (9, 0))
    student = maps((0, 0), (0, 9)).requires_grad_()
    loss = distillation_loss(student, [teacher], labels(0, ignored))
    assert loss.item() == distillation_loss(maps((0, 0)), [maps((LOG3, 0))], labels(0)).item()
    loss.backward()
    assert student.grad[0, :, 0, 1].tolist() == [0, 0]


def test_without_any_label_the_loss_is_zero_and_so_is_its_gradient():
    student = maps((0, 9)).requires_grad_()
    loss = distillation_loss(student, [maps((9, 0))], labels(255))
    loss.backward()
    assert loss.item() == 0 and student.grad.abs().sum() == 0


def test_maps_are_compared_at_a_quarter_of_the_size_of_the_labels():
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 8, 12), torch.randn(2, 3, 8, 12)
    whole = torch.zeros(2, 8, 12, dtype=torch.long)
    coarse = [torch.nn.functional.avg_pool2d(maps, 4) for maps in (student, teacher)]
    assert coarse[0].shape == (2, 3, 2, 3) and torch.equal(pooled(teacher, (8, 12)), coarse[1])
    found = [distillation_loss(student, [teacher], whole), distillation_loss(coarse[0], [coarse[1]], whole)]
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-6) and found[0] > 0


def test_a_place_counts_by_its_share_of_labelled_pixels():
    truth = labels(0, 0)
    truth[..., 6:] = 255  # half of the second place
    found = distillation_loss(maps((0, 0), (0, 0)), [maps((LOG3, 0), (0, 0))], truth)
    assert found.item() == pytest.approx(distillation_loss(maps((0, 0)), [maps((LOG3, 0))], labels(0)).item() / 1.5)


@pytest.mark.parametrize('size', [(3, 5), (6, 10), (12, 20), (7, 9)])
def test_a_teacher_may_have_any_resolution(size):
    alike = torch.tensor([2.0, -1.0, 0.5]).view(1, 3, 1, 1)
    loss = distillation_loss(alike.expand(1, 3, 24, 40), [alike.expand(1, 3, *size)], torch.zeros(1, 24, 40).long())
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_saturated_logits_of_any_precision_are_finite():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        student = maps((6e4, -6e4), (0, 0)).to(dtype).requires_grad_()
        loss = distillation_loss(student, [maps((-6e4, 6e4), (0, 6e4)).to(dtype)], labels(0, 1))
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(student.grad).all() and loss.dtype == torch.float32
