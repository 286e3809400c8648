"""The evaluator's arithmetic against torch's own, and that it does no more than its sinks want."""

import math

import pytest
import torch
import torch.nn.functional as F

from engine.distributed import Dist
from engine.evaluator import Evaluator, are_finite
from engine.score import ScoreKeeper, cross_entropy_sums
from loss import get_criterion
from network.averaging import EvalOptions, average_logits
from utils.outputs.kinds import MASK_SCORES
from utils.outputs.sink import EvalBatch, Sink


def test_one_pass_gives_prediction_confidence_and_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(2, 4, 6, 7, generator=generator)
    labels = torch.randint(0, 5, (2, 6, 7), generator=generator, dtype=torch.uint8)
    labels[labels == 4] = 255
    batch = EvalBatch(['a.png', 'b.png'], [0, 1], torch.zeros(2, 3, 6, 7), labels, logits)
    assert batch.prediction.dtype == torch.uint8 and torch.equal(batch.prediction.long(), logits.argmax(1))
    torch.testing.assert_close(batch.confidence, logits.softmax(1).amax(1))
    total, valid = cross_entropy_sums(logits, batch.normaliser, labels)
    assert total.dtype == torch.float64 and valid.tolist() == (labels < 4).sum((1, 2)).tolist()
    for k in range(2):
        expected = F.cross_entropy(logits[k : k + 1], labels[k : k + 1].long(), ignore_index=255, reduction='sum')
        assert total[k].item() == pytest.approx(expected.item(), rel=1e-6)


def test_mask_scores_are_divided_by_their_sum_in_confidence_and_cross_entropy():
    scores = torch.tensor([0.6, 0.2, 0.0]).view(1, 3, 1, 1)
    labels = torch.tensor([[[1]]], dtype=torch.uint8)
    batch = EvalBatch(['a.png'], [0], torch.zeros(1, 3, 1, 1), labels, scores, kind=MASK_SCORES)
    assert batch.prediction.item() == 0 and batch.confidence.item() == pytest.approx(0.75)
    scoring = ScoreKeeper(3)
    scoring.process(batch)
    assert scoring.gather(Dist()).loss == pytest.approx(-math.log(0.25), rel=1e-6)
    enlarged, place = EvalBatch(
        ['a.png'], [0], batch.images, labels, scores, sizes=[(2, 2)], kind=MASK_SCORES
    ).in_image_grid(0)
    assert enlarged.kind == MASK_SCORES and enlarged.confidence[place].flatten().tolist() == pytest.approx([0.75] * 4)


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


@pytest.mark.parametrize('kind, mirrored', [('h', [(-1,)]), ('v', [(-2,)]), ('4way', [(-1,), (-2,), (-2, -1)])])
@pytest.mark.parametrize('kernel, is_pixelwise', [(1, True), (3, False)])
def test_flips_leave_a_network_of_single_pixels_as_it_is_and_average_another(kind, mirrored, kernel, is_pixelwise):
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 4, kernel, padding=kernel // 2)
    images = torch.randn(2, 3, 8, 10)
    views = [net(images), *(net(images.flip(axes)).flip(axes) for axes in mirrored)]
    found, _ = average_logits(lambda view, _: {'pred': net(view)}, images, EvalOptions(flip=True, flip_kind=kind))
    torch.testing.assert_close(found, sum(views) / len(views))
    assert torch.allclose(found, net(images), atol=1e-6) is is_pixelwise


@pytest.mark.parametrize(
    'kind, expected',
    [('h', [1.5, 3.0, 1.0, 0.0]), ('v', [1.5, 2.0, 1.5, 0.0]), ('4way', [1.25, 2.5, 1.25, 0.0])],
)
def test_the_mean_over_flips_of_a_network_that_tells_the_sides_apart_is_worked_out_by_hand(kind, expected):
    """The network doubles the upper left pixel of what it sees, here of 1 2 / 1 0."""
    image, corner = torch.tensor([[1.0, 2.0], [1.0, 0.0]]).view(1, 1, 2, 2), torch.tensor([[2.0, 1.0], [1.0, 1.0]])
    found, _ = average_logits(lambda view, _: {'pred': view * corner}, image, EvalOptions(flip=True, flip_kind=kind))
    assert found.flatten().tolist() == expected


def test_a_sliding_window_is_the_whole_image_to_a_network_that_sees_single_pixels():
    torch.manual_seed(0)
    net, seen = torch.nn.Conv2d(3, 4, 1), []

    def noted(view, keep_scales):
        seen.append(tuple(view.shape[-2:]))
        return {'pred': net(view)}

    images = torch.randn(2, 3, 40, 90)
    found, assets = average_logits(noted, images, EvalOptions(flip=True, tile=(32, 48), overlap=0.25))
    torch.testing.assert_close(found, net(images))
    assert set(seen) == {(32, 48)} and assets == {}


def test_images_that_a_tile_covers_are_evaluated_as_a_whole():
    images = torch.randn(1, 3, 40, 90)
    outputs = {'pred': torch.zeros(1, 4, 40, 90), 'attn_05x': 1}
    assert average_logits(lambda *_: outputs, images, EvalOptions(tile=(40, 96)))[1] is outputs


class Constant(torch.nn.Module):
    """Predicts class 1 everywhere, with confidence 1 / (1 + e^-2); notes whether scales were to be kept."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def forward(self, images, keep_scales=None):
        self.kept.append(self.keep_scales if keep_scales is None else keep_scales)
        zero = images.new_zeros(images.shape[0], 1, *images.shape[-2:])
        return {'pred': torch.cat([zero, zero + 2], 1), 'attn_05x': zero}


def evaluator(*nets):
    return Evaluator(nets or [Constant()], lambda images: images.float(), Dist(), EvalOptions(), lambda line: None)


def score(batches):
    images, [found] = evaluator().run(batches, [ScoreKeeper(2)])
    return images, found


def batch(*labels):
    return {
        'image': torch.zeros(len(labels), 3, 2, 2, dtype=torch.uint8),
        'label': torch.tensor(labels, dtype=torch.uint8).view(-1, 2, 2),
        'name': [f'{label}.png' for label in labels],
        'index': list(range(len(labels))),
    }


def test_the_loss_of_a_criterion_is_its_mean_over_images_whatever_the_batches():
    first, second, third = (0, 1, 1, 255), (1, 1, 1, 1), (255, 255, 255, 0)
    criterion = get_criterion(['dc'], [1.0], 2)
    logits = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    images = torch.tensor([first, second, third]).view(3, 1, 2, 2)
    expected = sum(criterion({'pred': logits}, image)['loss'].item() for image in images) / 3
    for batches in ([batch(first, second, third)], [batch(first), batch(second, third)]):
        _, [found] = evaluator().run(batches, [ScoreKeeper(2, criterion)])
        assert found.loss == pytest.approx(expected, rel=1e-6)


def test_counts_and_loss_are_those_of_all_valid_pixels_whatever_the_batches():
    first, second, third = (0, 1, 1, 255), (1, 1, 1, 1), (255, 255, 255, 0)
    for batches in ([batch(first, second, third)], [batch(first), batch(second), batch(third)]):
        images, result = score(batches)
        assert result.counts.tolist() == [[0, 2], [0, 6]] and images == 3
        right, wrong = torch.tensor(2.0).neg().exp().log1p().item(), torch.tensor(2.0).exp().log1p().item()
        assert result.loss == pytest.approx((6 * right + 2 * wrong) / 8, rel=1e-6), (
            'a mean over pixels, not over batches'
        )


def test_an_evaluation_without_labels_counts_nothing_and_has_no_loss():
    unlabelled = {key: value for key, value in batch((0, 0, 0, 0)).items() if key != 'label'}
    images, result = score([unlabelled])
    assert result.counts.sum() == 0 and result.loss != result.loss and images == 1


class Recorder(Sink):
    """Notes every call; wants the images `wanted`, and the scales of the images `scaled`."""

    def __init__(self, wanted=(0, 1, 2), scaled=(), fails=False):
        self.wanted, self.scaled, self.fails, self.calls = wanted, scaled, fails, []

    def open(self):
        self.calls.append('open')

    def wants(self, names, indices, labelled):
        return indices[0] in self.wanted

    def wants_scales(self, indices):
        return indices[0] in self.scaled

    def process(self, batch):
        if self.fails:
            raise OSError('the disk is full')
        self.calls.append((batch.indices[0], batch.member, list(batch.assets)))

    def close(self):
        self.calls.append('close')

    def abort(self):
        self.calls.append('abort')

    def gather(self, dist):
        return len(self.calls)


THREE = [{**batch((0, 0, 0, 0)), 'index': [index]} for index in range(3)]


def test_scales_are_kept_for_the_images_of_which_a_sink_wants_them_and_the_network_is_left_in_its_mode():
    net = Constant().train()
    evaluator(net).run(THREE, [Recorder(), Recorder(scaled=(1,))])
    assert net.kept == [False, True, False] and net.training


def test_a_batch_goes_to_the_sinks_that_want_it_and_is_not_run_for_none():
    net, first, second = Constant(), Recorder(wanted=(0, 2)), Recorder(wanted=(2,))
    images, results = evaluator(net).run(THREE, [first, second])
    assert images == 3 and len(net.kept) == 2 and results == [4, 3]
    assert first.calls == ['open', (0, 0, ['attn_05x']), (2, 0, ['attn_05x']), 'close']
    assert second.calls == ['open', (2, 0, ['attn_05x']), 'close']


def test_all_batches_of_a_loader_are_evaluated_or_as_many_as_there_may_be():
    class Mixed(list):
        """A loader that makes more batches than it has said, as one of images of two sizes does."""

        def __len__(self):
            return 2

    for most, images in ((None, 3), (2, 2), (9, 3)):
        runner = Evaluator([Constant()], lambda images: images.float(), Dist(), EvalOptions(max_batches=most))
        assert runner.run(Mixed(THREE), [Recorder()])[0] == images


def test_several_networks_run_on_a_batch_one_after_the_other():
    sink = Recorder(wanted=(1, 2))
    evaluator(Constant(), Constant()).run(THREE, [sink])
    assert [call[:2] for call in sink.calls[1:-1]] == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_an_error_of_one_sink_aborts_all_and_reaches_the_caller():
    other, failing = Recorder(), Recorder(fails=True)
    with pytest.raises(OSError, match='the disk is full'):
        evaluator().run(THREE, [other, failing])
    assert other.calls[-1] == failing.calls[-1] == 'abort' and 'close' not in other.calls + failing.calls


class NotFiniteOn(Constant):
    """The same, but one logit of every image that begins with a value of 9 is `value`."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, images, keep_scales=None):
        outputs = super().forward(images, keep_scales)
        outputs['pred'][images[:, 0, 0, 0] == 9, 1, 1, 1] = self.value
        return outputs


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_an_image_that_is_not_finite_reaches_no_sink_and_is_named(value):
    both = batch((0, 1, 1, 255), (1, 1, 1, 0))
    both['image'][0, 0, 0, 0] = 9
    runner = evaluator(NotFiniteOn(value))
    images, [result] = runner.run([both], [ScoreKeeper(2)])
    assert runner.not_finite == [(both['name'][0], 0)] and images == 2
    assert result.counts.tolist() == [[0, 1], [0, 3]], 'the second image alone'
    alone = Recorder(wanted=(0,))
    runner.run([{**both, 'image': both['image'][:1], 'name': both['name'][:1], 'index': [0]}], [alone])
    assert alone.calls == ['open', 'close']


def test_large_logits_whose_sum_overflows_are_finite():
    logits = torch.full((2, 2, 2, 2), 3e38)
    logits[1, 0, 0, 0] = float('nan')
    assert are_finite(logits) == [True, False]
