"""Scores of single images: means, calibration, intervals and the table, against numbers worked out by hand."""

import csv

import numpy as np
import pytest
import torch

from aggregation.statistics.bootstrap import image_weights
from aggregation.statistics.levels import LevelCounts, to_levels
from engine.distributed import Dist
from engine.image_scores import ImageCounts, confidence_bins, ece
from engine.score import ScoreKeeper
from utils.outputs.sink import EvalBatch

# Two classes: 4 pixels labelled 0, of which 2 are predicted so; 4 labelled 1, all right
FIRST = [[2, 4], [4, 4], [2, 6]]  # IoU 2/4 and 4/6, Dice 4/6 and 8/10
SECOND = [[0, 3], [1, 3], [0, 4]]  # IoU 0 and 3/4, Dice 0 and 6/7
NOTHING = [[0, 0], [0, 0], [0, 0]]


def image_counts(*counts, batches=None, **more):
    names = [f'{chr(97 + k)}.png' for k in range(len(counts))]
    losses = np.array([[8.0, 8.0], [2.0, 4.0], [0.0, 0.0]])[: len(counts)]
    batches = np.arange(len(counts)) if batches is None else np.array(batches)
    return ImageCounts(names, batches, np.array(counts), losses, **more)


def test_means_over_images_and_batches_are_worked_out_by_hand():
    numbers = image_counts(FIRST, SECOND, NOTHING, batches=[0, 0, 1]).numbers()
    whole = (2 / 5 + 7 / 10) / 2  # 2 right of 5 labelled or predicted as 0; 7 of 10 as 1
    first, second = (2 / 4 + 4 / 6) / 2, (0 + 3 / 4) / 2
    assert numbers['image_iu'] == pytest.approx((first + second) / 2), 'an image without labels has no score'
    assert numbers['batch_iu'] == pytest.approx(whole), 'the first batch alone has labels'
    assert numbers['image_dice'] == pytest.approx(((4 / 6 + 8 / 10) / 2 + (0 + 6 / 7) / 2) / 2)
    assert numbers['dice'] == numbers['batch_dice'] == pytest.approx((4 / 7 + 14 / 17) / 2)
    assert numbers.keys() == {'dice', 'image_iu', 'image_dice', 'batch_iu', 'batch_dice'}


def test_intervals_are_those_of_the_resamplings_one_by_one():
    boundary = np.array([FIRST, SECOND, FIRST])
    counted = image_counts(FIRST, SECOND, FIRST, boundary=boundary)
    times = np.stack([image_weights(name, 50) for name in counted.names])
    values = []
    for sample in range(50):
        right, labelled, predicted = np.tensordot(times[:, sample], counted.counts, 1)
        union = labelled + predicted - right
        if union.any():
            values.append(np.mean([r / u for r, u in zip(right, union) if u]))
    found = counted.intervals(50)
    assert found['mean_iou'] == pytest.approx(np.quantile(values, [0.025, 0.975]))
    assert found['boundary_iou'] == found['mean_iou'] and found['mean_iou'][0] < found['mean_iou'][1]
    assert found == counted.intervals(50), 'the same in every run'
    assert counted.intervals(0) == {} and image_counts(FIRST).intervals(50) == {}, 'one image has no interval'


def test_calibration_error_is_worked_out_by_hand_and_that_of_the_ensembles():
    confidence = torch.tensor([[[0.9, 0.9, 0.9, 0.9], [0.5, 0.5, 0.2, 0.2]]])
    right = torch.tensor([[[True, True, True, False], [True, False, True, True]]])
    counted = torch.tensor([[[True, True, True, True], [True, True, False, False]]])
    bins = confidence_bins(confidence, right, counted).numpy()
    # 4 pixels: 0.9 claimed, 3/4 right; 2 pixels: 0.5 claimed, 1/2 right
    assert ece(bins)[0] == pytest.approx(4 / 6 * 0.15, abs=2e-5)
    generator = np.random.default_rng(0)
    confidence = generator.random((2, 40, 50)).astype(np.float32)
    right = generator.random((2, 40, 50)) < confidence**2
    bins = confidence_bins(torch.from_numpy(confidence), torch.from_numpy(right), torch.ones(2, 40, 50, dtype=bool))
    counts = LevelCounts.of(to_levels(confidence), right)
    assert ece(bins.numpy().sum(0)) == pytest.approx(counts.ece(), abs=1e-7)
    assert (bins.numpy().sum(0)[0] == counts.bins()[0]).all() and np.isnan(ece(np.zeros((3, 15))))


def test_the_table_has_a_line_per_image_and_nothing_where_there_is_no_score(tmp_path):
    image_counts(FIRST, SECOND, NOTHING).write_table(tmp_path / 'images.csv', ['road', 'car, or so'])
    with open(tmp_path / 'images.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *('name', 'pixels', 'mean_iou', 'mean_dice', 'accuracy', 'loss', 'ece', 'boundary_iou'),
        *('iou/road', 'iou/car, or so'),
    ]
    assert [row['name'] for row in rows] == ['a.png', 'b.png', 'c.png']
    first = rows[0]
    assert (first['pixels'], float(first['accuracy']), float(first['loss'])) == ('8', 6 / 8, 1.0)
    assert float(first['mean_iou']) == (2 / 4 + 4 / 6) / 2 and float(first['iou/car, or so']) == 4 / 6
    assert float(rows[1]['loss']) == 0.5 and first['ece'] == first['boundary_iou'] == ''
    assert rows[2] == {**dict.fromkeys(first, ''), 'name': 'c.png', 'pixels': '0'}


def batch(names, indices, labels, logits):
    labels = torch.tensor(labels, dtype=torch.uint8)
    return EvalBatch(names, indices, torch.zeros(len(names), 3, *labels.shape[1:]), labels, logits)


def test_images_of_all_ranks_stand_in_the_order_of_the_data_set_with_the_score_of_one_process():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 3, 6, 8, generator=generator)
    labels = torch.randint(0, 3, (4, 6, 8), generator=generator).tolist()
    batches = [batch([f'{k}.png'], [k], labels[k : k + 1], logits[k : k + 1]) for k in range(4)]
    measures = ('boundary', 'ece')
    alone, even, odd = (ScoreKeeper(3, None, measures) for _ in range(3))
    for k, one in enumerate(batches):
        alone.process(one)
        (odd if k % 2 else even).process(one)

    class TwoRanks(Dist):
        def gather_objects(self, value):
            sent.append(value)
            return sent

    sent: list = []
    even.gather(TwoRanks())
    together, whole = odd.gather(TwoRanks()), alone.gather(Dist())
    assert together.images.names == whole.images.names == [f'{k}.png' for k in range(4)]
    assert together.all_numbers() == whole.all_numbers() and (together.counts == whole.counts).all()
    assert {'boundary_iu', 'ece'} < whole.all_numbers().keys()
    assert together.images.intervals(20) == whole.images.intervals(20)
