"""Corruptions of photographs, and the page of scores on them."""

import sys

import numpy as np
import pytest
from small import ROOT

sys.path.insert(0, str(ROOT / 'tests/datasets'))
from small_trees import make_camvid  # noqa: E402

from scripts import corruptions, robustness  # noqa: E402
from scripts.corruptions import CORRUPTIONS, corrupt  # noqa: E402

BOX = ROOT / 'network/box/street.safetensors'
GREY = np.full((5, 4, 3), 100, np.uint8)


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_a_corruption_is_the_same_every_time_keeps_the_form_and_grows_with_its_strength(name):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    before = image.copy()
    changed = [corrupt(image, name, strength, 'a') for strength in corruptions.STRENGTHS]
    again = corrupt(image, name, 5, 'a')
    assert all(one.shape == image.shape and one.dtype == np.uint8 for one in changed)
    assert (again == changed[-1]).all() and (image == before).all()
    far = [np.abs(one.astype(int) - image).mean() for one in changed]
    assert far[0] > 0 and far == sorted(far)


def test_noise_has_the_spread_that_is_said_and_differs_between_images():
    image = np.full((200, 200, 3), 128, np.uint8)
    one, other = corrupt(image, 'noise', 1, 'a'), corrupt(image, 'noise', 1, 'b')
    assert one.std() / 255 == pytest.approx(0.08, abs=0.002) and (one != other).any()


def test_darkness_and_brightness_of_a_grey_image():
    assert (corrupt(GREY, 'darkness', 2, 'a') == 50).all()
    assert (corrupt(GREY, 'brightness', 1, 'a') == 126).all()  # 100 / 255 + 0.1 = 125.5 / 255


def test_fog_leaves_the_bottom_and_covers_everything_from_the_middle_up_alike():
    found = corrupt(GREY, 'fog', 2, 'a')[:, 0, 0]
    # optical depth 1: exp(-1) of the light gets through, from the quarter row exp(-1/2)
    assert found.tolist() == [174, 174, 174, 146, 100]


def test_as_many_images_as_asked_for_lie_evenly():
    assert robustness.evenly(list('abcdefg'), 3) == ['a', 'd', 'g']
    assert robustness.evenly(list('abc'), None) == robustness.evenly(list('abc'), 5) == ['a', 'b', 'c']


def test_the_table_has_a_row_for_each_corruption_and_the_mean_over_strengths():
    results = {(name, strength): (strength / 10, 0) for name in CORRUPTIONS for strength in (1, 2, 3, 4, 5)}
    lines = robustness.table({(None, 0): (0.75, 0), **results}, 0)
    assert len(lines) == 2 + len(CORRUPTIONS)
    assert lines[2] == '| blur | 75.0 | 10.0 | 20.0 | 30.0 | 40.0 | 50.0 | 30.0 |'


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(robustness, 'CORRUPTIONS', {'fog': CORRUPTIONS['fog']})
    monkeypatch.setattr(robustness, 'STRENGTHS', (5,))


def test_a_network_is_scored_on_images_with_and_without_corruption(few, tmp_path):
    make_camvid(tmp_path / 'camvid', 'val', 2)
    page = tmp_path / 'page.md'
    flags = ['--dataset', 'camvid', '--override_dataset_root', str(tmp_path), '--images', '1', '--out', str(page)]
    assert robustness.main([str(BOX), *flags]) == 0
    text = page.read_text()
    assert 'images: 1 of camvid val' in text and '| fog |' in text and '## street.safetensors' in text


def test_a_network_of_other_classes_is_refused(few, street, tmp_path, capsys):
    flags = ['--dataset', 'synthetic', '--override_dataset_root', str(street), '--out', str(tmp_path / 'page.md')]
    assert robustness.main([str(BOX), *flags]) == 2
    assert 'was trained on the classes Sky, Building' in capsys.readouterr().err
    assert not (tmp_path / 'page.md').exists()
