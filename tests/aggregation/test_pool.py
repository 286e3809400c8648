import itertools
import math

import numpy as np
import pytest
import torch

from aggregation.fusion import names
from aggregation.fusion.names import LOGITS, MASK_SCORES, PROBABILITIES, PUBLISHED_LABELS, PUBLISHED_SCORES
from aggregation.fusion.pooling import STATISTICS, Pool, largest, to_probabilities
from aggregation.fusion.scores import FUSIONS, SCORES, confidence, fuse, score
from aggregation.statistics import calibration

SIZE, CLASSES = (9, 7), 5
OF_LOGITS = [name for name in STATISTICS if name != 'mask_score']
LOGIT_SCORES = [name for name, entry in SCORES.items() if 'mask_score' not in entry.needs]


def member(seed, spread=3.0):
    return torch.randn(CLASSES, *SIZE, generator=torch.Generator().manual_seed(seed)) * spread


def pool(*members, needs=OF_LOGITS, kinds=None, weights=None):
    made = Pool(needs, CLASSES, SIZE)
    for number, values in enumerate(members):
        made.add(values, kinds[number] if kinds else LOGITS, weights[number] if weights else 1.0)
    return made


def test_every_name_of_a_flag_is_computed_and_no_other():
    assert list(names.FUSIONS) == list(FUSIONS) and list(names.SCORES) == list(SCORES)
    assert tuple(calibration.METHODS) == names.METHODS
    assert set(PUBLISHED_LABELS.values()) <= set(FUSIONS) and set(PUBLISHED_SCORES.values()) <= set(SCORES)


@pytest.mark.parametrize('fusion', [name for name in FUSIONS if name != 'vote'])
def test_one_member_is_the_identity(fusion):
    logits = member(0)
    assert torch.allclose(fuse(pool(logits), fusion), torch.softmax(logits, 0), atol=1e-6)


def test_one_member_votes_for_its_label():
    assert torch.equal(fuse(pool(member(0)), 'vote').argmax(0), member(0).argmax(0))


@pytest.mark.parametrize('name', [*FUSIONS, *LOGIT_SCORES])
def test_the_order_of_the_members_does_not_matter(name):
    results = [
        fuse(pool(*order), name) if name in FUSIONS else score(pool(*order), name)
        for order in itertools.permutations([member(0), member(1), member(2)])
    ]
    assert all(torch.allclose(results[0], other, atol=1e-6) for other in results)


def test_smallest_mean_and_largest_are_in_order():
    made = pool(member(0), member(1), member(2))
    mean = made['sum'] / 3
    assert (made['min'] <= mean + 1e-7).all() and (mean <= made['max'] + 1e-7).all()


def float64(members):
    """The formulas as they are written, all members at once, in double precision."""
    logits = torch.stack(members).double()
    p = torch.softmax(logits, 1)
    mean, mean_logit = p.mean(0), logits.mean(0)
    entropy = lambda q: -(q * q.log()).sum(0)  # noqa: E731
    votes = torch.nn.functional.one_hot(p.argmax(1), CLASSES).double().mean(0).amax(-1)
    return {
        'msp': 1 - mean.amax(0),
        'msp_min': 1 - p.amin(0).amax(0),
        'msp_logit': 1 - torch.softmax(mean_logit, 0).amax(0),
        'least_sure': 1 - p.amax(1).amin(0),
        'entropy': entropy(mean),
        'expected_entropy': torch.stack([entropy(q) for q in p]).mean(0),
        'mutual_information': entropy(mean) - torch.stack([entropy(q) for q in p]).mean(0),
        'variance': p.var(0, unbiased=False).sum(0),
        'disagreement': 1 - votes,
        'max_logit': -mean_logit.amax(0),
        'energy': -torch.logsumexp(mean_logit, 0),
        'rba': -mean_logit.tanh().sum(0),
    }


@pytest.mark.parametrize('name', LOGIT_SCORES)
def test_every_score_is_its_formula(name):
    members = [member(seed) for seed in range(3)]
    assert torch.allclose(score(pool(*members), name).double(), float64(members)[name], atol=2e-5)


@pytest.mark.parametrize('name', LOGIT_SCORES)
def test_scores_stay_in_their_range_and_confidences_turn_them_round(name):
    made = pool(*(member(seed, spread=20.0) for seed in range(3)))
    anomaly = score(made, name)
    low, high = SCORES[name].range(CLASSES, 3)
    if low is not None:
        assert low - 1e-5 <= anomaly.min() and anomaly.max() <= high + 1e-5
    sure = confidence(anomaly, name, CLASSES, 3)
    assert sure.min() >= 0 and sure.max() <= 1
    order = anomaly.flatten().argsort()
    assert (sure.flatten()[order].diff() <= 0).all()


def test_mutual_information_of_two_certain_opposites_is_log_two():
    one, other = torch.full((2, 1, 1), -50.0), torch.full((2, 1, 1), -50.0)
    one[0], other[1] = 50.0, 50.0
    made = Pool(OF_LOGITS, 2, (1, 1))
    made.add(one, LOGITS)
    made.add(other, LOGITS)
    assert score(made, 'mutual_information').item() == pytest.approx(math.log(2), abs=1e-6)
    assert score(made, 'disagreement').item() == 0.5 and score(made, 'variance').item() == pytest.approx(0.5)


def test_a_probability_of_zero_has_no_entropy_and_no_nan():
    sharp = torch.tensor([200.0, 0.0, 0.0]).view(3, 1, 1)
    made = Pool(OF_LOGITS, 3, (1, 1))
    made.add(sharp, LOGITS)
    assert all(torch.isfinite(score(made, name)).all() for name in LOGIT_SCORES)
    assert score(made, 'entropy').item() == 0.0


def test_weights_count_members_as_often():
    twice = pool(member(0), member(0), member(1))
    weighted = pool(member(0), member(1), weights=[2.0, 1.0])
    for fusion in ('mean', 'geometric', 'mean_logit', 'vote'):
        assert torch.allclose(fuse(twice, fusion), fuse(weighted, fusion), atol=1e-6)


def test_weights_by_class_let_a_member_decide_one_class_alone():
    first, second = torch.tensor([1.0, 1, 1, 1, 0]), torch.tensor([0.0, 0, 0, 0, 1])
    made = pool(member(0), member(1), weights=[first, second])
    p, q = torch.softmax(member(0), 0), torch.softmax(member(1), 0)
    mixed = torch.cat([p[:4], q[4:]])
    assert torch.allclose(fuse(made, 'mean'), mixed / mixed.sum(0), atol=1e-6)


def test_mask_scores_are_divided_by_their_sum_and_not_softmaxed():
    sure = torch.zeros(19, 1, 1)
    sure[3] = 1.0
    assert to_probabilities(sure.clone(), MASK_SCORES)[3].item() == 1.0
    assert to_probabilities(sure.clone(), LOGITS)[3].item() == pytest.approx(math.e / (math.e + 18))


def test_a_second_model_of_mask_scores_counts_as_much_as_one_of_logits():
    values = torch.softmax(member(1), 0)
    mixed = pool(member(0), values * 1.7, needs=('sum',), kinds=[LOGITS, MASK_SCORES])
    plain = pool(member(0), values.log(), needs=('sum',))
    assert torch.allclose(fuse(mixed, 'mean'), fuse(plain, 'mean'), atol=1e-6)


def test_pixels_without_any_mask_score_belong_to_every_class_alike():
    assert to_probabilities(torch.zeros(4, 1, 2), MASK_SCORES).flatten().tolist() == [0.25] * 8


def test_probabilities_are_taken_as_they_are():
    p = torch.softmax(member(0), 0)
    assert torch.allclose(to_probabilities(p.clone(), PROBABILITIES), p, atol=1e-7)


def test_blocks_of_rows_hardly_show(monkeypatch):
    whole = pool(member(0), member(1))
    monkeypatch.setattr('aggregation.tensors.BLOCK', 2 * CLASSES * SIZE[1])
    parts = pool(member(0), member(1))
    assert all(torch.allclose(whole[name], parts[name], atol=1e-6) for name in OF_LOGITS)


def test_half_precision_members_are_read_in_single():
    half = member(0).half()
    assert torch.equal(pool(half)['sum'], pool(half.float())['sum'])


def test_the_published_names_are_known():
    assert set(PUBLISHED_LABELS.values()) <= set(FUSIONS) and set(PUBLISHED_SCORES.values()) <= set(SCORES)
    rba = score(pool(torch.full((CLASSES, *SIZE), 30.0)), 'rba')
    assert np.allclose(confidence(rba, 'rba', CLASSES, 1), 1.0)


def test_the_largest_value_and_its_class_are_those_of_max_and_the_first_of_equals():
    # most pixels have ties
    values = torch.randint(0, 4, (19, 30, 40), generator=torch.Generator().manual_seed(0)).float()
    best, label = largest(values)
    assert torch.equal(best, values.amax(0))
    assert torch.equal(label.long(), torch.from_numpy(values.numpy().argmax(0)))


def test_more_classes_than_a_byte_can_count_are_told_apart():
    values = torch.zeros(300, 1, 2)
    values[299, 0, 1] = 1
    assert largest(values)[1].tolist() == [[0, 299]]


def test_a_pool_that_is_used_again_has_forgotten_the_image_before():
    before, now = (member(seed) for seed in (1, 2))
    used = Pool(OF_LOGITS, CLASSES, SIZE)
    used.add(before, 'logits', 3.0)
    used.largest('sum')
    fresh = Pool(OF_LOGITS, CLASSES, SIZE)
    for made in (used.clear(), fresh):
        made.add(now, 'logits')
        made.add(before, 'logits')
    assert (used.members, used.weights) == (2, 2.0)
    for name in OF_LOGITS:
        assert torch.equal(used[name], fresh[name]), name
    assert torch.equal(used.largest('sum')[1], fresh.largest('sum')[1])


def test_means_of_members_that_weigh_differently_by_class_are_probabilities_in_every_score():
    sure, other = torch.tensor([[20.0], [-20.0]])[:, :, None], torch.tensor([[-20.0], [20.0]])[:, :, None]
    made = Pool(OF_LOGITS, 2, (1, 1))
    made.add(sure, LOGITS, torch.tensor([1.0, 0.0]))
    made.add(other, LOGITS, torch.tensor([0.0, 1.0]))
    # each class is sure of itself: nobody knows
    assert fuse(made, 'mean').flatten().tolist() == pytest.approx([0.5, 0.5])
    assert score(made, 'msp').item() == pytest.approx(0.5)
    assert score(made, 'entropy').item() == pytest.approx(math.log(2))
    assert score(made, 'mutual_information').item() == pytest.approx(math.log(2), abs=1e-4)


def test_anomaly_scores_of_masks_are_those_of_their_papers():
    # two members, one pixel: sums over queries of class probability times mask probability
    members = [torch.tensor([0.9, 0.3, 0.0]).view(3, 1, 1), torch.tensor([0.7, 0.1, 0.0]).view(3, 1, 1)]
    made = Pool(('mask_score',), 3, (1, 1))
    for values in members:
        made.add(values, MASK_SCORES)
    assert score(made, 'mask_rba').item() == pytest.approx(-(math.tanh(0.8) + math.tanh(0.2)))
    assert score(made, 'mask_max').item() == pytest.approx(1 - 0.8)
    assert confidence(score(made, 'mask_max'), 'mask_max', 3, 2).item() == pytest.approx(0.8)
    assert confidence(score(made, 'mask_rba'), 'mask_rba', 3, 2).item() == pytest.approx(0.86140 / 3, abs=1e-4)


def test_a_pixel_in_no_mask_is_the_most_anomalous_there_is():
    made = Pool(('mask_score',), 3, (1, 1))
    made.add(torch.zeros(3, 1, 1), MASK_SCORES)
    for name, worst in (('mask_rba', 0.0), ('mask_max', 1.0)):
        assert score(made, name).item() == worst == SCORES[name].range(3, 1)[1]
        assert confidence(score(made, name), name, 3, 1).item() == 0.0


@pytest.mark.parametrize('needs, kind', [('mask_score', LOGITS), ('mask_score', PROBABILITIES), ('logit', MASK_SCORES)])
def test_statistics_of_one_kind_refuse_members_of_another(needs, kind):
    with pytest.raises(ValueError, match=f'needs {needs.replace("_", " ")}s of every member, found {kind}'):
        Pool((needs,), CLASSES, SIZE).add(member(0), kind)
