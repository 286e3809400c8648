"""The loss of masks and classes of queries, by hand; against transformers it is in tests/network."""

import math

import pytest
import torch
from small import on_two_processes

from loss import get_criterion
from loss.mask import MaskLoss, mean_over_processes
from loss.mask_matching import assign, pair_costs
from loss.mask_points import uncertain_points, values_at
from network.queries import Queries

SURE = 1e3  # a logit of probability 1


def quarters():
    """Labels of one 4x4 image: class 0 on the left, on the right 1 above and the ignore label below."""
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, :2, 2:], labels[0, 2:, 2:] = 1, 255
    return labels


def test_a_value_between_four_pixels_is_their_mean_and_beyond_the_last_centre_it_falls_off():
    masks = torch.tensor([[[0.0, 1.0], [2.0, 5.0]]])
    points = torch.tensor([[[0.5, 0.5], [0.75, 0.25], [1.0, 0.75]]])
    assert values_at(masks, points).tolist() == [[2.0, 1.0, 2.5]]


def test_three_quarters_of_the_points_lie_where_a_mask_is_least_certain():
    columns = torch.linspace(-8, 8, 33).expand(1, 3, 33)  # 0 in the middle column
    torch.manual_seed(0)
    points = uncertain_points(columns, 400)
    assert points.shape == (1, 400, 2)
    # the 300 of 1200 random ones that are nearest to the middle, a quarter of the width; beyond the outermost centres
    # of pixels, above and below, a mask falls off too
    assert (points[0, :300, 0] - 0.5).abs().quantile(0.9) < 0.125
    assert 60 < ((points[0, 300:, 0] - 0.5).abs() > 0.15).sum() < 80  # of 100 anywhere


def test_costs_of_pairs_are_the_mean_cross_entropy_and_the_dice_loss():
    logits, truth = torch.tensor([[SURE, -SURE], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    entropy, dice = pair_costs(logits, truth)
    assert entropy.tolist() == [[0.0, SURE / 2], pytest.approx([math.log(2)] * 2)]
    # 1 - (2 |common| + 1) / (|mask| + |truth| + 1)
    assert dice.tolist() == [pytest.approx([0.0, 1 - 3 / 4]), pytest.approx([1 - 2 / 3, 1 - 3 / 4])]


def test_the_pairs_are_those_of_the_least_cost_in_all_and_never_what_is_not_finite():
    queries, masks = assign(torch.tensor([[1.0, 2.0], [1.5, 9.0], [float('nan'), float('inf')]]))
    assert (queries.tolist(), masks.tolist()) == ([0, 1], [1, 0])  # 3.5; the nearest first would cost 10


def test_an_image_has_a_mask_for_each_class_that_it_shows():
    [shown], [masks] = MaskLoss(19).truth(quarters(), torch.float32)
    assert shown.tolist() == [0, 1] and masks.sum((1, 2)).tolist() == [8.0, 4.0]


def test_queries_that_are_right_cost_no_class_and_those_left_over_should_say_no_object():
    masks = torch.zeros(1, 3, 4, 4)  # half sure of every pixel: log 2 each, whatever the truth
    classes = torch.zeros(1, 3, 3)
    classes[0, 2, 0], classes[0, 0, 1] = SURE, SURE
    criterion = MaskLoss(2, points=200)
    loss = criterion(Queries(masks, classes), quarters())
    # only the query that is left over is unsure: log 3, of weight 0.1 among 2.1
    assert criterion.parts['class'].item() == pytest.approx(0.1 * math.log(3) / 2.1)
    assert criterion.parts['mask'].item() == pytest.approx(math.log(2))
    weighted = {'class': 2, 'mask': 5, 'dice': 5}
    assert loss.item() == pytest.approx(sum(weight * criterion.parts[name].item() for name, weight in weighted.items()))


@pytest.mark.parametrize('labels', [torch.full((2, 4, 4), 255), torch.zeros(2, 4, 4, dtype=torch.uint8)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_value_and_gradient_are_finite_in_every_precision_and_without_any_mask(labels, dtype):
    queries = [torch.randn(2, 3, *size).to(dtype).requires_grad_() for size in ((2, 2), (3,))]
    with torch.autocast('cpu', torch.bfloat16):
        loss = MaskLoss(2, points=16)(Queries(*queries), labels)
    loss.backward()
    assert loss.isfinite() and loss.dtype == torch.float32
    assert all(part.grad.dtype == dtype and part.grad.isfinite().all() for part in queries)


def test_half_precision_costs_what_the_same_numbers_cost_in_single():
    masks, classes = torch.randn(1, 3, 4, 4).bfloat16(), torch.randn(1, 3, 3).bfloat16()
    costs = []
    for queries in (Queries(masks, classes), Queries(masks.float(), classes.float())):
        torch.manual_seed(0)
        costs.append(MaskLoss(2, points=50)(queries, quarters()).item())
    assert costs[0] == costs[1]


def test_one_kind_of_output_under_the_loss_of_the_other_is_refused_with_the_remedy():
    criterion = get_criterion(['mask'], [1.0], 3)
    with pytest.raises(ValueError, match=r'found logits of pixels \(1, 3, 4, 4\); choose another loss'):
        criterion({'pred': torch.zeros(1, 3, 4, 4)}, quarters())
    with pytest.raises(ValueError, match='pred holds masks and classes of queries, .* take the loss mask'):
        get_criterion(['ce'], [1.0], 3)({'pred': Queries(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4))}, quarters())


def counts(folder):
    from engine.distributed import init_from_env

    dist = init_from_env(False)
    number = mean_over_processes((1, 4)[dist.rank], 'cpu')
    (folder / str(dist.rank)).write_text(str(number.item()))
    dist.shutdown()


def test_the_number_of_masks_is_the_mean_over_processes(tmp_path):
    assert mean_over_processes(3, 'cpu') == 3
    on_two_processes(counts, tmp_path)
    assert [(tmp_path / rank).read_text() for rank in '01'] == ['2.5', '2.5']
