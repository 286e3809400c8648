"""Overfitting a few images: which they are, what is left out, and what is said at the end."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from small import EPOCH, TRAIN

import train
from engine import overfit
from engine.overfit import CropAlone, same_images
from transforms import build_train_transform
from utils.files.metrics_csv import MetricsTable


def flags(*words):
    return train.parse_args(list(words))


def test_the_same_images_are_trained_and_scored():
    items = [SimpleNamespace(name=f'{number}.png') for number in range(5)]

    class Data(SimpleNamespace):
        def __len__(self):
            return len(self.items)

    found, said = Data(items=items, name='streets', split='train'), []
    first, second = same_images([found, 'val'], 2, said.append)
    assert first.items == second.items == items[:2] and len(found) == 5
    assert said[0].startswith('--overfit 2: trained and scored on 2 images, 0.png to 1.png; no scaling')
    with pytest.raises(ValueError, match="--overfit 6: split 'train' of streets has 5 images"):
        same_images([found, 'val'], 6, said.append)


def test_nothing_but_the_place_of_the_crop_is_random():
    args = flags('--overfit', '2', '--crop_size', '4,6', '--gblur', '--rand_augment', '2,9', '--mosaic', '1')
    assert (args.scale_min, args.scale_max, args.color_aug, args.mosaic, args.class_uniform_pct) == (1, 1, 0, 0, 0)
    assert args.val_freq == 10 and flags('--overfit', '2', '--val_freq', '1').val_freq == 1
    transform = CropAlone(build_train_transform(args, 255))
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    label = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for seed in range(8):  # a flip would show in one of them
        found = transform(image, label, np.random.default_rng(seed))
        assert np.array_equal(found[0], image) and np.array_equal(found[1], label) and found[2] == 1


@pytest.mark.parametrize(
    'bar, sentence',
    [(0.0001, '--overfit 2: learned by heart, mean IoU 0.'), (0.99, '--overfit 2: not learned by heart')],
)
def test_it_ends_with_a_sentence_and_early_where_it_can(program, monkeypatch, bar, sentence):
    monkeypatch.setattr(overfit, 'REACHED', bar)
    code, printed = program(*TRAIN, '--overfit', '2', '--max_epoch', '3', '--val_freq', '1', '--arch', 'basic.HRNet')
    assert code == 0 and sentence in printed, printed
    scores = MetricsTable.read(program.run_dir / 'metrics.csv').of('val')
    assert len(scores) == (1 if bar < 0.5 else 3) and ('ended before epoch 1: mean IoU 0.0001' in printed) == (
        bar < 0.5
    )


@pytest.mark.slow
@pytest.mark.parametrize('fault', [False, True])
def test_two_halves_are_learned_by_heart_but_not_where_the_same_image_has_two_labels(program, tmp_path, fault):
    halves = np.repeat(np.repeat(np.array([[0, 1]], np.uint8), 64, 0), 32, 1)
    for number in range(2):
        labels = 1 - halves if fault and number else halves
        for split in ('train', 'val'):
            for kind, pixels in (('images', 255 * halves), ('labels', labels)):
                file = tmp_path / kind / split / f'{number}.png'
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), pixels)
    file = tmp_path / 'halves.yaml'
    file.write_text(
        'images: images/{split}/*.png\nlabels: labels/{split}/{stem}.png\n'
        'classes: [{name: left, id: 0}, {name: right, id: 1}]\n'
    )
    code, printed = program(
        *(
            *TRAIN,
            '--data_yaml',
            file,
            '--overfit',
            '2',
            '--crop_size',
            '64,64',
            '--skip_verify',
            '--arch',
            'basic.HRNet',
        ),
        *('--max_epoch', '40', '--optimizer', 'adam', '--lr', '3e-3', '--lr_schedule', 'cosine'),
        dataset='custom',
    )
    assert code == 0 and f'--overfit 2: {"not " * fault}learned by heart' in printed, printed[-2000:]


@pytest.mark.parametrize(
    'words, sentence',
    [
        (['--minutes', '3'], '--overfit and --minutes both say when a training ends'),
        (['--only_coarse'], '--overfit takes its images from the first data alone; leave --only_coarse out'),
        (['--gblur', '--dry_run'], '--gblur has no effect beside --overfit'),
    ],
)
def test_what_contradicts_it_is_said(program, words, sentence):
    code, printed = program(*EPOCH, '--overfit', '2', *words)
    assert sentence in printed and code == (0 if '--dry_run' in words else 2)
