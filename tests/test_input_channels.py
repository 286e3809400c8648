"""Trainings, predictions and exports of images with other channels than RGB."""

import json

import cv2
import numpy as np
import pytest
import torch
import yaml
from small import EPOCH, SMALL

import predict
import train
from network import export, load
from utils import checkpoint

CLASSES = [{'name': 'far', 'id': 0}, {'name': 'near', 'id': 1}]


@pytest.fixture(scope='module')
def depths(tmp_path_factory):
    """A file for --data_yaml of six RGBD images of 64x96 in 12 bits, whose label says where the depth is below 2048."""
    folder, rng = tmp_path_factory.mktemp('depths'), np.random.default_rng(0)
    for split, count in (('train', 4), ('val', 2)):
        for kind in ('images', 'labels'):
            (folder / kind / split).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(0, 4096, (64, 96, 4)).astype(np.uint16)
            image[..., 3] = np.where(np.arange(96) < 16 * (number + 1), 500, 3000)
            assert cv2.imwrite(str(folder / f'images/{split}/{number}.png'), image)
            assert cv2.imwrite(str(folder / f'labels/{split}/{number}.png'), (image[..., 3] < 2048).astype(np.uint8))
    places = {'images': 'images/{split}/*.png', 'labels': 'labels/{split}/{stem}.png', 'classes': CLASSES}
    file = folder / 'depths.yaml'
    file.write_text(yaml.safe_dump({**places, 'channels': 4, 'range': [0, 4095]}))
    return file


def run(folder, *flags):
    places = ['--assets_path', folder / 'assets', '--result_dir', folder / 'run', '--num_workers', '0']
    return train.main([str(word) for word in (*places, *flags)])


@pytest.fixture(scope='module')
def trained(depths, tmp_path_factory):
    """The last checkpoint of an epoch on them."""
    folder = tmp_path_factory.mktemp('trained')
    assert run(folder, '--dataset', 'custom', '--data_yaml', depths, *SMALL, *EPOCH) == 0
    return next((folder / 'run').glob('last*.pth'))


def test_a_training_on_four_channels_is_described_by_its_checkpoint(trained, capsys):
    state = checkpoint.load(trained)
    assert state['network']['in_channels'] == 4 and state['value_range'] == [0, 4095]
    assert state['mean'] == [0.485, 0.456, 0.406, 0.485] and len(state['std']) == 4
    assert state['state_dict']['backbone.conv1.weight'].shape[1] == 4


def test_a_network_of_four_channels_predicts_arrays_and_refuses_others(trained):
    net = load(trained)
    assert net.in_channels == 4 and net.predict(np.zeros((64, 96, 4), np.uint8)).labels.shape == (64, 96)
    with pytest.raises(ValueError, match=r'expected uint8 of shape \(h, w, 4\)'):
        net.predict(np.zeros((64, 96, 3), np.uint8))


def test_predict_reads_the_channels_and_range_of_the_training(trained, depths, tmp_path, capsys):
    source = depths.parent / 'images' / 'val'
    flags = [
        '--weights',
        str(trained),
        '--write',
        'confidence,overlay',
        '--out',
        str(tmp_path),
        '--test_settings',
        'flags',
    ]
    assert predict.main([str(source), *flags]) == 0, capsys.readouterr()
    image = np.clip(np.rint(cv2.imread(str(source / '0.png'), -1)[..., [2, 1, 0, 3]] * (255 / 4095)), 0, 255)
    expected = load(trained).predict(image.astype(np.uint8)).confidence
    found = cv2.imread(str(tmp_path / '0_confidence.png'), -1)
    assert np.abs(found / np.iinfo(found.dtype).max - expected).max() < 1e-4 and np.ptp(expected) > 1e-3
    assert cv2.imread(str(tmp_path / '0_overlay.jpg')).shape == (64, 96, 3)


def test_predict_names_an_image_of_other_channels(trained, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / 'photo.png'), np.zeros((64, 96, 3), np.uint8))
    assert predict.main([str(tmp_path / 'photo.png'), '--weights', str(trained), '--out', str(tmp_path / 'out')]) == 1
    assert 'photo.png: has 3 channels, expected the 4 of' in capsys.readouterr().out


def test_an_evaluation_takes_channels_and_range_from_the_run(trained, depths, tmp_path, capsys):
    flags = ['--dataset', 'custom', '--data_yaml', depths, '--snapshot', trained, '--eval', 'val']
    assert run(tmp_path, *flags) == 0
    assert json.loads((tmp_path / 'run' / 'metrics.json').read_text())['images'] == 2


@pytest.mark.slow
def test_an_export_takes_four_channels(trained, tmp_path, capsys):
    out = tmp_path / 'net.pt2'
    assert export.main(['--snapshot', str(trained), '--size', '64,96', '--out', str(out)]) == 0, capsys.readouterr()
    assert torch.export.load(out).module()(torch.zeros(1, 4, 64, 96)).shape == (1, 2, 64, 96)


def test_a_training_goes_on_from_weights_of_rgb(snapshot, depths, tmp_path, capsys):
    flags = [
        '--dataset',
        'custom',
        '--data_yaml',
        depths,
        '--snapshot',
        snapshot,
        '--allow_class_mismatch',
        '--lr',
        '0',
    ]
    assert run(tmp_path, *SMALL, *EPOCH, *flags) == 0
    printed = capsys.readouterr().out
    assert 'is of RGB images; the first weights for red, green and blue are repeated in turn, times 3/4' in printed
    before = checkpoint.load(snapshot)['state_dict']['backbone.conv1.weight']
    after = checkpoint.load(next((tmp_path / 'run').glob('last*.pth')))['state_dict']['backbone.conv1.weight']
    assert torch.equal(after, 0.75 * torch.cat([before, before[:, :1]], dim=1))


def test_a_colour_data_set_trains_in_grey(program):
    code, printed = program(*EPOCH, '--in_channels', '1', '--gblur', '--saturation', '0.4')
    assert '--saturation: no effect on images of 1 channels' in printed
    assert code == 0 and 'images of 1 channels it changes brightness and contrast alone' in printed
    state = checkpoint.load(next(program.run_dir.glob('last*.pth')))
    assert state['mean'] == [pytest.approx((0.485 + 0.456 + 0.406) / 3)]


@pytest.mark.parametrize(
    'flags, words',
    [
        (['--in_channels', '5'], '--in_channels 5: {yaml} has channels: 4; give one of the two, or the same'),
        (['--value_range', '0,255'], '--value_range (0.0, 255.0): {yaml} has range: (0.0, 4095.0)'),
        (['--rand_augment', '2,9'], '--rand_augment: is for RGB images, these have 4 channels'),
        (['--bblur'], '--bblur: is for RGB images'),
        (['--augment', 'scale_crop_VOC2010'], '--rgb_shift (of --augment scale_crop_VOC2010): is for RGB images'),
        (['--augment_on', 'device'], '--augment_on device: is for RGB images'),
        (['--mean', '0.5,0.5,0.5'], '--mean: has 3 values, images have 4 channels; give one for each'),
        (['--value_range', '9,9'], 'has no values in between'),
    ],
)
def test_what_does_not_fit_four_channels_is_refused(depths, tmp_path, capsys, flags, words):
    assert run(tmp_path, '--dataset', 'custom', '--data_yaml', depths, *SMALL, *EPOCH, *flags) == 2
    assert words.format(yaml=depths) in capsys.readouterr().err


def test_an_evaluation_of_other_channels_than_the_checkpoint_is_refused(program, snapshot):
    code, printed = program('--eval', 'val', '--snapshot', snapshot, '--in_channels', '1', small=False)
    assert code == 2 and 'is of images of 3 channels, these have 1' in printed
