"""The evaluator's arithmetic against torch's own, and that it does no more than it is asked."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from engine.distributed import Dist
from engine.evaluator import EvalOptions, Evaluator, average_logits, classify, cross_entropy_sum


def test_one_pass_gives_prediction_confidence_and_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(2, 4, 6, 7, generator=generator)
    labels = torch.randint(0, 5, (2, 6, 7), generator=generator, dtype=torch.uint8)
    labels[labels == 4] = 255
    prediction, best, normaliser = classify(logits)
    probabilities = logits.softmax(1)
    assert prediction.dtype == torch.uint8 and torch.equal(prediction.long(), logits.argmax(1))
    torch.testing.assert_close(torch.exp(best - normaliser), probabilities.amax(1))
    total, valid = cross_entropy_sum(logits, normaliser, labels)
    assert total.dtype == torch.float64 and valid.item() == (labels < 4).sum().item()
    assert total.item() == pytest.approx(
        F.cross_entropy(logits, labels.long(), ignore_index=255, reduction='sum').item(), rel=1e-6
    )


def test_flips_and_averaged_scales_are_the_mean_of_single_passes():
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 4, 3, padding=1)
    images = torch.randn(1, 3, 8, 10)
    small = F.interpolate(net(F.interpolate(images, size=(4, 5), mode='bilinear')), size=(8, 10), mode='bilinear')
    mirrored = F.interpolate(
        net(F.interpolate(images.flip(-1), size=(4, 5), mode='bilinear')), size=(8, 10), mode='bilinear'
    ).flip(-1)
    expected = (net(images) + net(images.flip(-1)).flip(-1) + small + mirrored) / 4
    found, _ = average_logits(
        lambda view, keep_scales: {'pred': net(view)}, images, EvalOptions(scales=(1.0, 0.5), flip=True)
    )
    torch.testing.assert_close(found, expected)


class Constant(torch.nn.Module):
    """Predicts class 1 everywhere, with confidence 1 / (1 + e^-2)."""

    def forward(self, images, keep_scales=False):
        zero = images.new_zeros(images.shape[0], 1, *images.shape[-2:])
        return {'pred': torch.cat([zero, zero + 2], 1)}


def evaluate(batches, **options):
    lines = []
    evaluator = Evaluator(Constant(), lambda images: images.float(), Dist(), EvalOptions(**options), 2, lines.append)
    return evaluator.run(batches)


def batch(*labels):
    return {
        'image': torch.zeros(len(labels), 3, 2, 2, dtype=torch.uint8),
        'label': torch.tensor(labels, dtype=torch.uint8).view(-1, 2, 2),
        'name': [f'{label}.png' for label in labels],
        'index': list(range(len(labels))),
    }


def test_counts_and_loss_are_those_of_all_valid_pixels_whatever_the_batches():
    first, second, third = (0, 1, 1, 255), (1, 1, 1, 1), (255, 255, 255, 0)
    for batches in ([batch(first, second, third)], [batch(first), batch(second), batch(third)]):
        result = evaluate(batches)
        assert result.counts.tolist() == [[0, 2], [0, 6]] and result.images == 3
        right, wrong = torch.tensor(2.0).neg().exp().log1p().item(), torch.tensor(2.0).exp().log1p().item()
        assert result.loss == pytest.approx((6 * right + 2 * wrong) / 8, rel=1e-6), (
            'a mean over pixels, not over batches'
        )


def test_an_evaluation_without_labels_counts_nothing_and_has_no_loss():
    unlabelled = {key: value for key, value in batch((0, 0, 0, 0)).items() if key != 'label'}
    result = evaluate([unlabelled])
    assert result.counts.sum() == 0 and result.loss != result.loss and result.images == 1


def test_the_network_is_told_to_keep_its_scales_only_for_pictured_images_and_is_left_in_its_mode():
    kept = []

    class Watched(Constant):
        def forward(self, images, keep_scales=False):
            kept.append(keep_scales)
            return super().forward(images)

    class Dumper(SimpleNamespace):
        def process(self, result):
            assert result.confidence is None

    dumper = Dumper(
        wants_assets=lambda indices: 1 in indices,
        needs_confidence=False,
        done=lambda name, index: False,
        close=lambda: None,
        records=[],
        logit_entries={},
    )
    net = Watched().train()
    batches = [{**batch((0, 0, 0, 0)), 'index': [index]} for index in range(3)]
    Evaluator(net, lambda images: images.float(), Dist(), EvalOptions(), 2, print).run(batches, dumper)
    assert kept == [False, True, False] and net.training


def test_an_error_aborts_the_dumper_and_reaches_the_caller():
    aborted = []
    dumper = SimpleNamespace(
        wants_assets=lambda indices: False,
        needs_confidence=False,
        done=lambda name, index: False,
        abort=lambda: aborted.append(1),
    )
    with pytest.raises(AttributeError):
        Evaluator(Constant(), lambda images: images.float(), Dist(), EvalOptions(), 2, print).run(
            [batch((0, 0, 0, 0))], dumper
        )
    assert aborted == [1]
