import numpy as np
import pytest

from transforms.randaugment_framework import KINDS, MOVES, FrameworkRandAugment, move, sharpen


def pair(height=40, width=60):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), rng.integers(
        0, 19, (height, width), dtype=np.uint8
    )


def row(*values):
    label = np.array([values], np.uint8)
    return np.dstack([label] * 3), label


def test_a_translation_reflects_image_and_label_at_the_border():
    image, label = move('translate_x', *row(0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 0.2)
    assert label.tolist() == [[1, 0, 0, 1, 2, 3, 4, 5, 6, 7]] and image[..., 1].tolist() == label.tolist()


def test_a_quarter_turn_moves_rows_to_columns():
    label = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)
    image, turned = move('rotate', np.dstack([label] * 3), label, 90.0)
    assert turned.tolist() == [[3, 6, 9], [2, 5, 8], [1, 4, 7]] and (image[..., 0] == turned).all()


def test_a_shear_of_45_degrees_moves_a_row_by_its_distance_from_the_middle():
    label = np.zeros((3, 7), np.uint8)
    label[:, 3] = 1
    _, found = move('shear_x', np.dstack([label] * 3), label, 45.0)
    assert found.argmax(axis=1).tolist() == [2, 3, 4]


def test_scaling_by_two_doubles_what_is_in_the_middle():
    label = np.zeros((9, 9), np.uint8)
    label[3:6, 3:6] = 1
    _, found = move('scale', np.dstack([label] * 3), label, 1.0)
    assert found.sum() == 36 or found.sum() == 25, 'three pixels become about six'


@pytest.mark.parametrize('name', MOVES)
def test_no_strength_moves_nothing(name):
    image, label = pair()
    found, found_label = move(name, image, label, 0.0)
    assert (found == image).all() and (found_label == label).all()


def test_sharpening_raises_a_strong_edge_and_leaves_a_faint_one():
    strong, _ = row(*[50] * 6, *[150] * 6)
    faint, _ = row(*[50] * 6, *[60] * 6)
    found = sharpen(strong, 1.0, 0.5)[0, :, 0]
    assert found[5] < 50 and found[6] > 150 and found[0] == 50 and found[11] == 150
    assert (sharpen(faint, 1.0, 0.5) == faint).all() and (sharpen(strong, 0.0, 0.5) == strong).all()


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_keeps_shapes_and_labels_and_is_decided_by_the_generator(kind):
    image, label = pair()
    augment, images = FrameworkRandAugment(3, 9, kind), set()
    for seed in range(40):
        found, found_label = augment(image, label, np.random.default_rng(seed))
        again, _ = augment(image, label, np.random.default_rng(seed))
        assert found.shape == image.shape and found.dtype == found_label.dtype == np.uint8 and (found == again).all()
        assert set(np.unique(found_label)) <= set(range(19)), 'reflection invents no label'
        images.add(found.tobytes())
    assert len(images) > 30


def test_the_light_kinds_lack_what_changes_colours_at_random():
    hard = {'solarize', 'posterize', 'equalize', 'invert'}
    full, light, scale = (set(FrameworkRandAugment(1, 3, kind).names) for kind in KINDS)
    assert len(full) == 15 and full - light == hard and scale - light == {'scale'}


def test_a_magnitude_above_nine_names_both_flags():
    with pytest.raises(ValueError, match='--rand_augment 2,10: with --rand_augment_ops framework_light'):
        FrameworkRandAugment(2, 10, 'framework_light')


class Extreme:
    """A generator that chooses one operation and draws the lowest or the highest number of every range."""

    def __init__(self, place, is_high):
        self.place, self.is_high = place, is_high

    def integers(self, low, high, count):
        return [self.place] * count

    def uniform(self, low, high):
        return high if self.is_high else low


def apply(name, magnitude, is_high, pair, kind='framework'):
    augment = FrameworkRandAugment(1, magnitude, kind)
    return augment(*pair, Extreme(augment.names.index(name), is_high))


@pytest.mark.parametrize(
    'name, magnitude, is_high, expected',
    [
        ('identity', 9, True, [100, 200]),
        ('contrast', 9, True, [55, 245]),  # 1.9 times the distance from 150
        ('brightness', 3, True, [130, 255]),
        ('brightness', 3, False, [70, 140]),
        ('solarize', 9, False, [155, 55]),
        ('solarize', 3, False, [100, 55]),  # from 170 on
        ('solarize', 3, True, [100, 200]),
        ('posterize', 9, True, [96, 192]),  # 4 bits
        ('posterize', 0, True, [100, 200]),
        ('invert', 0, True, [155, 55]),
    ],
)
def test_an_operation_is_as_strong_as_its_magnitude_and_draw(name, magnitude, is_high, expected):
    image, label = apply(name, magnitude, is_high, row(100, 200))
    assert image[0, :, 0].tolist() == expected and label.tolist() == [[100, 200]]


def test_blur_is_the_mean_of_three_by_three_pixels():
    label = np.zeros((5, 5), np.uint8)
    label[2, 2] = 90
    image, _ = apply('blur', 9, True, (np.dstack([label] * 3), label))
    assert image[..., 0].tolist() == [[0] * 5, *[[0, 10, 10, 10, 0]] * 3, [0] * 5]


@pytest.mark.parametrize(
    'name, kind, expected',
    [
        ('shear_x', 'framework', 16.7),
        ('shear_y', 'framework_light', 16.7),
        ('translate_x', 'framework', 0.2),
        ('translate_y', 'framework_light', 0.2),
        ('rotate', 'framework', 30),
        ('translate_y', 'framework_light_scale', 0.5),
        ('rotate', 'framework_light_scale', 90),
        ('scale', 'framework_light_scale', 1),
    ],
)
def test_moves_go_as_far_as_the_framework_lets_them(monkeypatch, name, kind, expected):
    strengths = []
    monkeypatch.setattr(
        'transforms.randaugment_framework.move', lambda _, *rest: (strengths.append(rest[-1]), rest[:2])[1]
    )
    for magnitude, is_high in ((9, True), (3, True), (3, False), (0, True)):
        apply(name, magnitude, is_high, pair(), kind)
    assert strengths == pytest.approx([expected, expected / 3, -expected / 3, 0])


def test_sharpening_has_a_sigma_up_to_two_pixels(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        'transforms.randaugment_framework.sharpen', lambda image, *numbers: (drawn.append(numbers), image)[1]
    )
    for magnitude, is_high in ((9, True), (3, True), (9, False)):
        apply('sharpen', magnitude, is_high, pair())
    assert np.allclose(drawn, [(2, 0.5), (2 / 3, 0.5), (0, 0.2)])


def test_so_many_operations_are_applied():
    augment = FrameworkRandAugment(2, 0, 'framework')
    image, _ = augment(*row(100, 200), Extreme(augment.names.index('invert'), True))
    assert image[0, :, 0].tolist() == [100, 200], 'inverted twice'
