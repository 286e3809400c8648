"""What shows rare classes more often: repeat factors, partners of mixed samples, and the epochs that end both."""

import numpy as np
import pytest

from config import scope
from datasets import get_dataset
from datasets.sampling.epoch import draw_epoch, repeat_factors
from datasets.sampling.sets import TrainSet
from transforms.mixing import Mixing


def centroids_of(*images_of_classes):
    return [np.array([[image, 0, 0] for image in images], np.int32).reshape(-1, 3) for images in images_of_classes]


def test_an_image_is_repeated_as_its_rarest_class_asks_for():
    # shares of ten images: 1, 0.4 and 0.1; sqrt(0.4 / 0.1) = 2
    centroids = centroids_of(range(10), [0, 0, 1, 2, 3], [3], [])
    assert repeat_factors(np.arange(10), centroids, threshold=0.4).tolist() == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1]


def test_repeated_images_are_drawn_more_often_and_an_epoch_keeps_its_length():
    counts = np.zeros(10)
    for epoch in range(400):
        draws = draw_epoch(10, centroids_of([]), [0], 0, epoch, np.arange(10), np.array([3.5, *[1.0] * 9]))
        assert len(draws) == 10
        counts += np.bincount([draw.image for draw in draws], minlength=10)
    assert counts[0] / counts[1:].mean() == pytest.approx(3.5, rel=0.1)


def test_without_repeats_an_epoch_is_what_it_was():
    centroids = centroids_of([1, 2], [3])
    assert draw_epoch(5, centroids, [1, 1], 7, 2) == draw_epoch(5, centroids, [1, 1], 7, 2, np.arange(5), None)


@pytest.fixture
def build(root, camvid_tree, tmp_path):
    """build(**cfg) -> TrainSet of 22 images, half of it class-uniform."""
    camvid_tree(root / 'camvid', count=22, ids=(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11))

    def call(transform=None, mixing=None, **values):
        with scope(**values):
            return TrainSet(get_dataset('camvid', 'train'), transform, 3, 0.5, 1024, tmp_path / 'assets', mixing=mixing)

    return call


def test_class_uniform_draws_end_at_their_epoch(build):
    train_set = build(DATASET__CLASS_UNIFORM_OFF_EPOCH=2, DATASET__REPEAT_FACTOR=0.5)
    uniform = []
    for epoch in range(4):
        train_set.set_epoch(epoch)
        uniform.append(sum(draw.class_id is not None for draw in train_set.draws))
    assert uniform == [11, 11, 0, 0]
    assert sorted(draw.image for draw in train_set.draws) == list(range(22))


def whole(image, label, rng, centroid=None):
    return image, label, 1.0


def test_a_mixed_sample_is_the_same_whenever_it_is_loaded_and_ends_at_its_epoch(build):
    train_set, plain = build(whole, Mixing(mosaic=1.0, off_epoch=1)), build(whole)
    first, again = train_set[(0, 4)], train_set[(0, 4)]
    assert first['image'].equal(again['image']) and not first['image'].equal(plain[(0, 4)]['image'])
    assert len(first['image'][0].unique()) > 1, 'red is the number of the image: more than one image is in it'
    assert train_set[(1, 4)]['image'].equal(plain[(1, 4)]['image'])


def test_the_partner_of_copy_paste_is_drawn_for_one_of_its_classes(build):
    centroids = []

    def transform(image, label, rng, centroid=None):
        centroids.append(centroid)
        return image, label, 1.0

    train_set = build(transform, Mixing(copy_paste=1.0, paste_classes=(3,)))
    for index in range(22):
        train_set[(0, index)]
    partners = centroids[1::2]  # each sample is followed by the one that it is mixed with
    wanted = {draw.centroid for draw in train_set.draws if draw.class_id == 3}
    assert len(partners) == 22 and wanted and set(partners) <= wanted
