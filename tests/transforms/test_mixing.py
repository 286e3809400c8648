"""Mosaic, class-mix and copy-paste on crops whose pixels tell where they come from."""

import numpy as np
import pytest

import train
from transforms import build_mixing
from transforms.mixing import Mixing, class_mix, mosaic, paste

SIZE = (8, 12)


def crop(value, classes=None):
    """An image of one grey, its label the same number, or rows of `classes`."""
    label = np.full(SIZE, value, np.uint8) if classes is None else np.resize(classes, SIZE[::-1]).T.copy()
    return np.full((*SIZE, 3), value, np.uint8), label


def test_a_mosaic_has_a_quarter_of_each_crop_at_its_own_place():
    image, label = mosaic([crop(value) for value in range(4)], np.random.default_rng(0))
    assert np.array_equal(image, np.repeat(label[..., None], 3, axis=2))
    assert [int(label[corner]) for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1))] == [0, 1, 2, 3]
    y, x = (label[:, 0] == 0).sum(), (label[0] == 0).sum()
    assert 2 <= y <= 6 and 3 <= x <= 9
    assert np.array_equal(label, np.block([[np.full((y, x), 0), np.full((y, 12 - x), 1)],
                                           [np.full((8 - y, x), 2), np.full((8 - y, 12 - x), 3)]]))  # fmt: skip


def test_class_mix_takes_half_of_the_classes_and_never_ignored_pixels():
    base, other = crop(9), crop(200, classes=[0, 1, 2, 255])
    image, label = class_mix(base, other, np.random.default_rng(0), ignore_label=255)
    taken = set(np.unique(label)) - {9}
    assert len(taken) == 2 and taken < {0, 1, 2}
    assert np.array_equal(image[..., 0] == 200, np.isin(other[1], list(taken)))


def test_class_mix_with_a_crop_without_labels_changes_nothing():
    image, label = class_mix(crop(9), crop(200, classes=[255]), np.random.default_rng(0), ignore_label=255)
    assert (image == 9).all() and (label == 9).all()


def test_paste_takes_the_pixels_of_its_classes_alone():
    image, label = paste(crop(9), crop(200, classes=[0, 3]), (3, 5))
    assert np.array_equal(label, np.resize([9, 3], SIZE[::-1]).T) and np.array_equal(label == 3, image[..., 1] == 200)


def test_one_sample_is_mixed_in_one_way_with_the_shares_that_were_asked_for():
    mixing, kinds = Mixing(mosaic=0.2, class_mix=0.3, copy_paste=0.1, paste_classes=(7,)), []
    partners = []

    def partner(classes):
        partners.append(classes)
        return crop(7)

    for seed in range(2000):
        partners.clear()
        mixing(crop(1), np.random.default_rng(seed), partner)
        kinds.append({(): 'none', ((), (), ()): 'mosaic', ((),): 'class_mix', ((7,),): 'paste'}[tuple(partners)])
    shares = {kind: kinds.count(kind) / 2000 for kind in set(kinds)}
    assert shares == pytest.approx({'mosaic': 0.2, 'class_mix': 0.3, 'paste': 0.1, 'none': 0.4}, abs=0.03)


def test_mixing_ends_at_its_epoch():
    mixing = Mixing(mosaic=1.0, off_epoch=3)
    assert [mixing.is_on(epoch) for epoch in range(5)] == [True, True, True, False, False]
    assert not Mixing().is_on(0) and Mixing(class_mix=0.1).is_on(500)


@pytest.mark.parametrize(
    'given, message',
    [
        (['--mosaic', '0.6', '--class_mix', '0.6'], '--mosaic 0.6, --class_mix 0.6: are shares of the samples'),
        (['--mosaic', '0.5', '--full_crop_training'], '--mosaic mixes crops of one size, --full_crop_training'),
        (
            ['--copy_paste', '0.5', '--paste_classes', '2,11'],
            '--paste_classes 11: there is no such class, only 0 to 10',
        ),
    ],
)
def test_flags_that_cannot_be_met_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        build_mixing(train.parse_args(given), 11, 255)


def test_copy_paste_needs_its_classes():
    with pytest.raises(ValueError, match='--copy_paste needs --paste_classes'):
        train.parse_args(['--copy_paste', '0.5'])
    assert build_mixing(train.parse_args([]), 11, 255) is None
