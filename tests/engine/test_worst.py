from types import SimpleNamespace

import pytest
import torch

from engine.worst import WorstImages, false_counts
from utils.outputs.sink import EvalBatch


def test_a_wrong_pixel_is_missed_by_its_class_and_invented_for_the_predicted_one():
    labels = torch.tensor([[0, 0, 1, 255], [2, 2, 2, 255]])
    prediction = torch.tensor([[0, 1, 1, 0], [1, 2, 0, 1]])
    false_positives, false_negatives = false_counts(prediction, labels, num_classes=3, ignore_label=255)
    assert false_positives.tolist() == [1, 2, 0]  # 0 for a 2; 1 for a 0 and for a 2; ignored pixels do not count
    assert false_negatives.tolist() == [1, 0, 2]


def test_predictions_may_be_bytes_and_the_ignore_label_a_class_number():
    labels, prediction = torch.tensor([[2, 1]]), torch.tensor([[0, 0]], dtype=torch.uint8)
    assert false_counts(prediction, labels, num_classes=3, ignore_label=2)[1].tolist() == [0, 1, 0]


def collect(order, n=2):
    images = {0: ('a', [5, 0], [0, 1]), 1: ('b', [9, 0], [0, 0]), 2: ('c', [5, 0], [0, 7]), 3: ('d', [1, 0], [0, 3])}
    collector = WorstImages(n, num_classes=2)
    for index in order:
        collector.add(images[index][0], index, *images[index][1:])
    return collector


@pytest.mark.parametrize('order', [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_the_worst_n_images_are_kept_in_order_and_ties_go_to_the_first(order):
    first, second = collect(order).tables()
    assert [(f.name, f.index, f.pixels) for f in first.false_positives] == [('b', 1, 9), ('a', 0, 5)]
    assert first.false_negatives == [] and second.false_positives == []
    assert [(f.name, f.pixels) for f in second.false_negatives] == [('c', 7), ('d', 3)]
    assert collect(order).indices() == [0, 1, 2, 3]


def test_ranks_that_saw_different_images_agree_after_gathering():
    sent = []
    collect((1, 3)).gather(SimpleNamespace(rank=0, gather_objects=lambda heaps: sent.append(heaps) or [heaps]))
    both = collect((0, 2)).gather(SimpleNamespace(rank=0, gather_objects=lambda heaps: [heaps, *sent]))
    assert both.tables() == collect((0, 1, 2, 3)).tables()


def test_classes_without_an_error_have_no_table():
    collector = WorstImages(3, num_classes=5)
    collector.add('a', 0, [0, 0, 4, 0, 0], [0, 0, 0, 4, 0])
    assert [table.label for table in collector.tables()] == [2, 3]


def test_every_image_of_a_batch_is_counted():
    labels, prediction = torch.tensor([[[0, 0]], [[1, 1]]]), torch.tensor([[[0, 1]], [[0, 0]]])
    logits = torch.nn.functional.one_hot(prediction).permute(0, 3, 1, 2).float()
    batch = EvalBatch(['a.png', 'b.png'], [4, 7], torch.zeros(2, 3, 1, 2), labels, logits)
    collector = WorstImages(1, num_classes=2)
    collector.process(batch)
    assert [(t.false_positives[0].name, t.false_negatives[0].name) for t in collector.tables()] == [
        ('b.png', 'a.png'),
        ('a.png', 'b.png'),
    ]
    assert collector.indices() == [4, 7]
