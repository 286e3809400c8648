import numpy as np
import pytest

from transforms.randaugment import RANGES, SIGNED, RandAugment, apply_operation, parse_rand_augment

IGNORE = 65


def pair(height=40, width=60):
    rng = np.random.default_rng(0)
    return rng.integers(1, 256, (height, width, 3), dtype=np.uint8), rng.integers(
        0, 19, (height, width), dtype=np.uint8
    )


def test_there_are_fourteen_operations():
    assert len(RANGES) == 14


@pytest.mark.parametrize('text, expected', [('2,10', (2, 10)), ('1,0', (1, 0)), (' 3 , 30 ', (3, 30))])
def test_n_and_m_are_read(text, expected):
    assert parse_rand_augment(text) == expected


@pytest.mark.parametrize('text', ['', '2', '2,10,3', 'a,b', '0,10', '-1,3', '2,31', '2,-1', '2,1.5'])
def test_anything_else_names_the_flag_and_an_example(text):
    with pytest.raises(ValueError, match='--rand_augment .*--rand_augment 2,10'):
        parse_rand_augment(text)


@pytest.mark.parametrize('name', RANGES)
@pytest.mark.parametrize('sign', [1, -1])
def test_every_operation_keeps_shapes_and_invents_no_label(name, sign):
    image, label = pair()
    before = image.copy(), label.copy()
    strength = RANGES[name][1] * (sign if name in SIGNED else 1)
    found, found_label = apply_operation(name, image, label, strength, IGNORE)
    assert found.shape == image.shape and found.dtype == np.uint8
    assert found_label.shape == label.shape and found_label.dtype == np.uint8
    assert set(np.unique(found_label)) <= {*range(19), IGNORE}
    assert (found_label == label).all() == (name not in SIGNED)
    assert (image == before[0]).all() and (label == before[1]).all()


def test_translation_moves_both_by_the_same_pixels_and_fills_0_and_the_datasets_ignore_label():
    image, label = pair(40, 60)
    found, found_label = apply_operation('TranslateX', image, label, 0.1, IGNORE)  # 6 of 60 pixels, leftwards
    assert (found[:, :54] == image[:, 6:]).all() and (found_label[:, :54] == label[:, 6:]).all()
    assert (found[:, 54:] == 0).all() and (found_label[:, 54:] == IGNORE).all()
    found, found_label = apply_operation('TranslateY', image, label, -0.1, IGNORE)  # 4 of 40 pixels, downwards
    assert (found[4:] == image[:-4]).all() and (found_label[4:] == label[:-4]).all()
    assert (found[:4] == 0).all() and (found_label[:4] == IGNORE).all()


@pytest.mark.parametrize('name', SIGNED)
def test_geometric_operations_keep_image_and_label_aligned(name):
    label = np.zeros((60, 60), np.uint8)
    label[20:35, 25:40] = 1
    image = (200 * label + 20)[..., None].repeat(3, axis=-1)
    found, found_label = apply_operation(name, image, label, RANGES[name][1] * 0.8, IGNORE)
    inside = found_label != IGNORE
    agree = (found[..., 0] > 120) == (found_label == 1)
    assert agree[inside].mean() > 0.98 and (found_label == 1).sum() > 150


def test_shear_by_hand():
    label = np.tile(np.arange(10, dtype=np.uint8), (10, 1))
    _, sheared = apply_operation('ShearX', np.zeros((10, 10, 3), np.uint8), label, 0.2, IGNORE)
    assert sheared[0].tolist() == list(range(10))
    assert sheared[5].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, IGNORE]  # row 5.5: 1.1 pixels


def test_photometric_operations_by_hand():
    image, label = np.full((4, 4, 3), 200, np.uint8), np.zeros((4, 4), np.uint8)
    value = {
        name: int(apply_operation(name, image, label, strength, IGNORE)[0][0, 0, 0])
        for name, strength in (
            ('Invert', 0),
            ('Solarize', 110),
            ('Posterize', 4.9),
            ('Brightness', 0.5),
            ('Identity', 1),
        )
    }
    assert value == {'Invert': 55, 'Solarize': 55, 'Posterize': 192, 'Brightness': 100, 'Identity': 200}


def test_the_strength_grows_with_m_and_signs_flip_half_of_the_time(monkeypatch):
    seen = []
    monkeypatch.setattr(
        'transforms.randaugment.apply_operation',
        lambda name, i, m, strength, f: (seen.append((name, strength)), (i, m))[1],
    )
    RandAugment(2000, 15, IGNORE)(None, None, np.random.default_rng(0))
    found = {}
    for name, strength in seen:
        found.setdefault(name, []).append(round(float(strength), 6))
    assert len(seen) == 2000 and set(found) == set(RANGES)
    assert set(found['Rotate']) == {15.0, -15.0} and set(found['TranslateX']) == {0.165, -0.165}
    assert set(found['Posterize']) == {6.0} and set(found['Color']) == {1.0} and set(found['Solarize']) == {55.0}
    assert all(90 < len(strengths) < 200 for strengths in found.values())
    assert 0.35 < np.mean(np.array(found['ShearX']) < 0) < 0.65


def test_the_same_generator_gives_the_same_sample():
    first, second = (RandAugment(3, 20, IGNORE)(*pair(), np.random.default_rng(5)) for _ in range(2))
    assert (first[0] == second[0]).all() and (first[1] == second[1]).all()
