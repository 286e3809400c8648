"""How coarse images enter the epochs of a training."""

import os
from collections import Counter

import numpy as np
import pytest

from config import scope
from datasets import get_dataset
from datasets.loading.cache import with_cache
from datasets.loading.loader import train_loader
from datasets.sampling.class_uniform import index_path
from datasets.sampling.coarse import BoostedPool, PortionPool, join, training_qualities
from datasets.sampling.sets import TrainSet

ROAD, PERSON, CAR, TRUCK = 7, 24, 26, 27  # ids; trainIds 0, 11, 13, 14
FINE, COARSE = 20, 40


@pytest.fixture
def tree(root, cityscapes_tree, write, stripes):
    """20 fine images of road and car; 40 coarse ones, the even ones of truck, the odd ones of car; automatic labels of
    person."""
    base = cityscapes_tree(root / 'Cityscapes', {('train', 'ulm'): FINE, ('val', 'lindau'): 1}, ids=(ROAD, CAR))
    for number in range(COARSE):
        name = f'graz/graz_{number:06d}_000000'
        write(base / f'leftImg8bit/train_extra/{name}_leftImg8bit.png', np.full((32, 48, 3), 100 + number, np.uint8))
        write(base / f'gtCoarse/train_extra/{name}_gtCoarse_labelIds.png', stripes(((TRUCK, CAR)[number % 2], 0)))
        write(base / f'autolabelled/train_extra/{name}_leftImg8bit.png', stripes((0, PERSON)))
        write(base / f'autolabelled/train_extra/{name}_leftImg8bit_prob.png', stripes((255, number)))
    return base


@pytest.fixture
def train_set(tree, tmp_path):
    """train_set(DATASET__...=...) -> the TrainSet of a program with these settings, class-uniform by half unless they
    say so."""

    def make(seed=0, log=None, wrap=lambda part: part, **settings):
        with scope(DATASET__CLASS_UNIFORM_PCT=settings.pop('pct', 0.95), **settings):
            parts = [wrap(get_dataset('cityscapes', 'train', quality=quality)) for quality in training_qualities()]
            return TrainSet(join(parts), None, seed, tile=64, assets_path=tmp_path / 'assets', log=log)

    return make


def epoch(train_set, number):
    """(draws of fine images, draws of coarse images) of an epoch, each as a Counter of classes."""
    train_set.set_epoch(number)
    fine, coarse = Counter(), Counter()
    for draw in train_set.draws:
        (fine if draw.image < FINE else coarse)[draw.class_id] += 1
    return fine, coarse


BOOST = {'DATASET__COARSE_BOOST_CLASSES': (14,)}


@pytest.mark.parametrize(
    'settings, expected',
    [
        ({}, ('fine',)),
        ({'QUALITY': 'coarse'}, ('coarse',)),
        ({'QUALITY': 'fine_coarse'}, ('fine', 'coarse')),
        ({'ONLY_COARSE': True}, ('fine', 'coarse')),
        ({'COARSE_BOOST_CLASSES': (3,), 'CUSTOM_COARSE_PROB': 0.0}, ('fine', 'customcoarse')),
        ({'QUALITY': 'coarse', 'CUSTOM_COARSE_PROB': 0.5}, ('customcoarse',)),
    ],
)
def test_the_settings_say_which_labels_are_read(settings, expected):
    with scope(**{f'DATASET__{key}': value for key, value in settings.items()}):
        assert training_qualities() == expected


def test_without_coarse_labels_the_epochs_are_what_they_were(train_set):
    plain, boosted = train_set(), train_set(**BOOST, DATASET__MAX_CU_EPOCH=2)
    for number in range(4):
        plain.set_epoch(number)
        boosted.set_epoch(number)
        assert (plain.draws == boosted.draws) is (number >= 2)


def test_boosted_classes_take_coarse_images_and_the_others_do_not(train_set):
    lines = []
    fine, coarse = epoch(train_set(log=lines.append, **BOOST), 0)
    # 20 images, int(20 * 0.95 / 19) = 1 draw of each class that is there: road, car (fine), truck (coarse); 17 random
    # ones
    assert fine == {None: 17, 0: 1, 13: 1} and coarse == {14: 1}
    assert (
        'before epoch 150 the class-uniform part of an epoch is drawn from the 40 images with coarse labels too, '
        'places: truck 20 (0 in fine labels)' in lines
    )
    drawn = Counter()
    for number in range(100):
        drawn += epoch(train_set(**{'DATASET__COARSE_BOOST_CLASSES': (13, 14)}, seed=number), 0)[1]
    assert drawn[14] == 100 and 30 < drawn[13] < 70, 'cars are in 20 fine and in 20 coarse labels'


def test_coarse_data_end_at_max_cu_epoch_and_the_length_stays(train_set):
    boosted = train_set(**BOOST, DATASET__MAX_CU_EPOCH=3)
    assert [sum(epoch(boosted, number)[1].values()) for number in range(6)] == [1, 1, 1, 0, 0, 0]
    assert [sum(epoch(boosted, number)[1].values()) for number in (5, 0)] == [
        0,
        1,
    ], 'epochs do not depend on the ones before'
    lengths = {len(boosted) for number in range(6) if boosted.set_epoch(number) is None}
    assert lengths == {FINE}


def test_only_coarse_draws_every_class_from_coarse_labels(train_set):
    fine, coarse = epoch(train_set(DATASET__ONLY_COARSE=True), 0)
    assert fine == {None: 18} and coarse == {
        13: 1,
        14: 1,
    }, 'no coarse label holds road, whose share goes to random images'
    assert epoch(train_set(DATASET__ONLY_COARSE=True, DATASET__MAX_CU_EPOCH=1), 1) == (
        {None: 18, 0: 1, 13: 1},
        Counter(),
    )


@pytest.mark.parametrize(
    'settings, complaint',
    [
        (
            {'DATASET__COARSE_BOOST_CLASSES': (3, 4)},
            r'--coarse_boost_classes: none of the 40 images with coarse labels holds wall, fence; unpack',
        ),
        (
            {'DATASET__COARSE_BOOST_CLASSES': (3, 19)},
            '--coarse_boost_classes: 19 is no trainId of dataset .cityscapes., which has 0 to 18',
        ),
        (
            {'DATASET__ONLY_COARSE': True, 'DATASET__CUSTOM_COARSE_PROB': 0.99},
            '--only_coarse: none of the 40 images with customcoarse labels holds road, .*lower --custom_coarse_prob',
        ),
    ],
)
def test_coarse_labels_that_hold_nothing_of_use_are_an_error(train_set, settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        train_set(**settings)


def test_automatic_labels_are_drawn_where_the_network_was_sure(train_set):
    boosted = train_set(DATASET__COARSE_BOOST_CLASSES=(11,), DATASET__CUSTOM_COARSE_PROB=30 / 255)
    assert boosted.pool.boosted[11][:, 0].tolist() == list(range(FINE + 30, FINE + 40)), (
        'image n has the probability n / 255'
    )
    image = next(index for index, draw in enumerate(boosted.draws) if draw.class_id == 11)
    sample = boosted[image]
    assert sample['name'].startswith('train_extra/graz/') and sample['label'][0].unique().tolist() == [11, 255]
    assert int(sample['image'][0, 0, 0]) == 100 + boosted.draws[image].image - FINE, (
        'each image is read below its own root'
    )


def test_a_training_on_coarse_labels_alone_has_their_images(train_set):
    coarse = train_set(DATASET__QUALITY='coarse')
    assert len(coarse) == COARSE and coarse[0]['name'].startswith('train_extra/')
    counts = Counter(draw.class_id for draw in coarse.draws)
    assert counts == {None: 36, 13: 2, 14: 2}


def test_fine_and_a_portion_of_coarse_images_without_class_uniform_draws(train_set):
    mixed = train_set(pct=0, DATASET__QUALITY='fine_coarse', DATASET__COARSE_PORTION=0.26)
    assert len(mixed) == FINE + 10, 'floor(0.26 * 40) = 10'
    chosen = []
    for number in range(2):
        mixed.set_epoch(number)
        images = sorted(draw.image for draw in mixed.draws)
        assert images[:FINE] == list(range(FINE)) and len(set(images)) == FINE + 10
        chosen.append(images[FINE:])
    assert chosen[0] != chosen[1], 'another portion in each epoch'
    again = train_set(pct=0, DATASET__QUALITY='fine_coarse', DATASET__COARSE_PORTION=0.26)
    again.set_epoch(1)
    assert again.draws == mixed.draws, 'the same in every process, and after resuming'
    other = train_set(seed=1, pct=0, DATASET__QUALITY='fine_coarse', DATASET__COARSE_PORTION=0.26)
    other.set_epoch(1)
    assert {draw.image for draw in other.draws} != {draw.image for draw in mixed.draws}


def test_class_uniform_draws_come_from_the_images_that_take_part(train_set):
    mixed = train_set(DATASET__QUALITY='fine_coarse', DATASET__COARSE_PORTION=0.5)
    for number in range(5):
        images, centroids = mixed.pool.at(number)
        assert len(images) == 40 and set(centroids[14][:, 0]) == {
            image for image in images if image >= FINE and image % 2 == 0
        }
        assert {draw.image for draw in mixed.draws} <= set(images) if number == 0 else True
    assert {len(places) for places in train_set(DATASET__QUALITY='fine_coarse').pool.at(0)[1]} == {
        0,
        20,
        40,
    }, 'all of them by default'


@pytest.mark.parametrize('portion, length', [(0.0, FINE), (1.0, FINE + COARSE)])
def test_the_ends_of_the_portion(train_set, portion, length):
    mixed = train_set(pct=0, DATASET__QUALITY='fine_coarse', DATASET__COARSE_PORTION=portion)
    assert sorted(draw.image for draw in mixed.draws) == list(range(length))


def test_two_ranks_share_one_epoch_of_fine_and_coarse_images(train_set):
    seen = []
    for rank in range(2):
        loader = train_loader(
            train_set(pct=0, DATASET__QUALITY='fine_coarse', DATASET__COARSE_PORTION=0.25),
            3,
            num_workers=rank,
            world=2,
            rank=rank,
        )
        loader.set_epoch(4)
        seen += [name for batch in loader for name in batch['name']]
    assert len(seen) == len(set(seen)) == FINE + 10


def test_every_source_of_labels_has_an_index_of_its_own(tree, tmp_path):
    def path(quality='customcoarse', **settings):
        with scope(**settings):
            return index_path(get_dataset('cityscapes', 'train', quality=quality), 64, tmp_path)

    threshold = {'DATASET__CUSTOM_COARSE_PROB': 0.5}
    paths = [
        path('fine'),
        path('coarse'),
        path(),
        path(**threshold),
        path(DATASET__CUSTOM_COARSE_PROB=0.6),
        path(DATASET__MASK_OUT_CITYSCAPES=True),
        path(DATASET__CUSTOM_COARSE_DROPOUT_CLASSES=(14,)),
        path(DATASET__CUSTOM_COARSE_DROPOUT_CLASSES=(14, 15)),
    ]
    assert len(set(paths)) == len(paths)
    assert [p.name.split('_cv0')[0] for p in paths[:3]] == [
        'cityscapes_fine',
        'cityscapes_coarse',
        'cityscapes_customcoarse',
    ]
    before = path(**threshold)
    os.utime(next(tree.rglob('*_prob.png')), ns=(1, 1))
    assert path(**threshold) != before and path() == paths[2], 'probabilities are files of a label when they are read'
    with scope(DATASET__CV=2):
        assert path('coarse') == paths[1], 'coarse images are in no fold'


@pytest.mark.parametrize(
    'settings',
    [
        {'DATASET__QUALITY': 'fine_coarse'},
        {'DATASET__COARSE_BOOST_CLASSES': (11,), 'DATASET__CUSTOM_COARSE_PROB': 0.05},
    ],
)
def test_the_cache_holds_each_source_and_gives_the_same_samples(train_set, tmp_path, settings):
    plain = train_set(**settings)
    cached = train_set(**settings, wrap=lambda part: with_cache(part, tmp_path / 'cache', log=lambda line: None))
    assert len(list((tmp_path / 'cache').glob('*.raw'))) == 2
    assert list(cached.dataset.sizes()) == [(32, 48)] * (FINE + COARSE)
    for index in range(len(plain)):
        left, right = plain[index], cached[index]
        assert left['name'] == right['name'] and all((left[key] == right[key]).all() for key in ('image', 'label'))
    with scope(DATASET__CUSTOM_COARSE_PROB=0.9):
        with_cache(
            get_dataset('cityscapes', 'train', quality='customcoarse'), tmp_path / 'cache', log=lambda line: None
        )
    assert len(list((tmp_path / 'cache').glob('*.raw'))) == 3, 'another threshold is another label'


def test_pools_do_not_change_the_centroids_they_are_given():
    fine, coarse = [np.array([[0, 1, 1]])], [np.array([[5, 2, 2]])]
    pool = BoostedPool(3, fine, coarse, [0], only_coarse=False, end=1)
    assert pool.at(0)[1][0].tolist() == [[0, 1, 1], [5, 2, 2]]
    assert pool.at(1)[1][0].tolist() == [[0, 1, 1]] and fine[0].tolist() == [[0, 1, 1]]
    images, centroids = PortionPool(2, 4, 0, [np.array([[0, 1, 1], [5, 2, 2]])], seed=0).at(0)
    assert images.tolist() == [0, 1] and centroids[0].tolist() == [[0, 1, 1]]
