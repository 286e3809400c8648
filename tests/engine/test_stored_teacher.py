"""Stored logits as a teacher: cut like the labels, and refused where they do not fit."""

import json

import numpy as np
import pytest
import torch
from small import EPOCH

from engine.run import Run
from engine.stored_teacher import StoredTeacher, at_places
from transforms.geometry import RandomSizeAndCrop
from transforms.pipeline import TrainTransform
from utils.outputs.logits import Logits

SIZE = (32, 48)


def coordinates(stride=1):
    """Logits that say where they are: the row and the column of the middle of each pixel."""
    rows, columns = torch.meshgrid(*(torch.arange(side) + 0.5 for side in SIZE), indexing='ij')
    return Logits(torch.nn.functional.avg_pool2d(torch.stack([rows, columns])[None], stride)[0], SIZE)


def transform(scale, crop):
    return TrainTransform(RandomSizeAndCrop(crop, scale, scale, 255))


@pytest.mark.parametrize('scale, crop', [(1.0, (16, 20)), (2.0, (32, 40)), (0.5, (12, 16)), (1.0, (40, 40))])
def test_places_are_where_the_pixels_of_a_crop_come_from(scale, crop):
    image = np.arange(SIZE[0] * SIZE[1], dtype=np.int64).reshape(SIZE)
    for seed in range(4):
        move = transform(scale, crop)
        pair = np.zeros((*SIZE, 3), np.uint8), image.astype(np.uint16) + 300
        label = move(*pair, np.random.default_rng(seed))[1].astype(int)
        found = move.places(SIZE, np.random.default_rng(seed))
        assert found.shape == crop and np.array_equal(found, np.where(label == 255, -1, label - 300))


@pytest.mark.parametrize('stride', [1, 2, 4])
@pytest.mark.parametrize('scale, crop', [(1.0, (16, 20)), (2.0, (32, 40))])
def test_logits_are_cut_scaled_and_mirrored_like_the_label(stride, scale, crop):
    mirrored = set()
    for seed in range(6):
        places = transform(scale, crop).places(SIZE, np.random.default_rng(seed))
        found = at_places(coordinates(stride), places).float()
        rows, columns = np.divmod(places, SIZE[1])
        # the middle of four by four pixels of the crop, in pixels of the image; the border of a map of every fourth
        # pixel is drawn from its last value
        wanted = [values.reshape(crop[0] // 4, 4, -1, 4).mean((1, 3)) + 0.5 for values in (rows, columns)]
        wanted = [np.clip(values, 2, side - 2) for values, side in zip(wanted, SIZE)]
        assert np.abs(found.numpy() - np.stack(wanted)).max() < 0.06
        mirrored.add(bool(columns[0, 0] > columns[0, -1]))
    assert mirrored == {True, False}


@pytest.fixture(scope='module')
def dump(street, snapshot_of, tmp_path_factory):
    """The logits of all training images, at a quarter of their size."""
    from small import run

    folder = tmp_path_factory.mktemp('dump')
    flags = ['--eval', 'trn', '--dump_logits', '--logits_stride', '4', '--snapshot', snapshot_of(), '--no_metrics']
    assert run(street, folder, flags, small=False) == 0
    return folder / 'run' / 'logits'


def test_a_training_learns_from_stored_logits_beside_a_network(program, snapshot, dump, monkeypatch):
    logged = []
    monkeypatch.setattr(Run, 'metric', lambda self, phase, numbers, step: logged.append(dict(numbers)))
    code, printed = program(*EPOCH, '--arch', 'basic.HRNet', '--teacher', f'{dump},{snapshot}')
    assert code == 0 and f'--teacher {dump}: stored logits of 12 images' in printed, printed
    assert all(0 < numbers['pred/distill'] < 10 for numbers in logged[:6])


def altered(dump, folder, change):
    """A copy of the manifest alone, changed."""
    content = json.loads((dump / 'manifest.json').read_text())
    change(content)
    (folder / 'logits').mkdir()
    (folder / 'logits' / 'manifest.json').write_text(json.dumps(content))
    return folder / 'logits'


@pytest.mark.parametrize(
    'change, flags, words',
    [
        (lambda content: content['images'].popitem(), [], 'lacks 1 training image of 12, the first '),
        (lambda content: content.update(grid='network'), [], 'holds logits on the pixels of the network, expected'),
        (lambda content: content.update(classes=None, num_classes=3), [], 'has 3 classes, the data set has 19'),
        (
            lambda content: None,
            ['--mosaic', '0.5'],
            'stored logits follow scaling, crops and flips, not --mosaic; leave',
        ),
    ],
)
def test_what_does_not_fit_is_said_before_a_step(program, dump, tmp_path, change, flags, words):
    code, printed = program(*EPOCH, '--teacher', altered(dump, tmp_path, change), *flags)
    assert code == 2 and words in printed and not program.run_dir.exists(), printed


def test_logits_of_another_size_name_the_image(dump):
    name = next(iter(StoredTeacher(dump).entries))
    with pytest.raises(ValueError, match=r'is of an image of 64 x 128 pixels, .* has 10 x 10; dump the logits again'):
        StoredTeacher(dump)(name, np.zeros((8, 8), np.int32), (10, 10))
