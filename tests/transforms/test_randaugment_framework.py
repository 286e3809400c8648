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
