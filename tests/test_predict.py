import json
import os
import re
import shutil
import subprocess
import time
import zipfile
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from browser import Reader, needs_browser, opened, pixels_of
from PIL import Image
from small import SMALL, command

import ensemble
import network
import predict
import train
from aggregation.statistics import calibration
from engine import decoder
from engine import prediction as engine_prediction
from engine.predicting import summary_lines
from engine.prediction import Summary
from network.averaging import EvalOptions, average_logits
from transforms.normalize import Normalize
from utils import checkpoint
from utils.classes import Classes
from utils.cli.wording import listed
from utils.files import video
from utils.outputs.predicted import PredictedFiles


@pytest.fixture(scope='module')
def weights(street, tmp_path_factory):
    """Two checkpoints of the small network, trained for one epoch on the rendered street."""
    found = []
    for seed in (1, 2):
        run = tmp_path_factory.mktemp(f'run{seed}')
        flags = (
            f'--dataset synthetic --override_dataset_root {street} --assets_path {run} --result_dir {run} --seed {seed}'
        )
        flags += ' --num_workers 0 --crop_size 48,64 --bs_trn 4 --max_epoch 1 --class_uniform_tile 64 --skip_verify'
        assert train.main([*flags.split(), *SMALL]) == 0
        found.append(next(run.glob('best_checkpoint_ep*.pth')))
    return found


@pytest.fixture
def call(weights, tmp_path, monkeypatch, capsys):
    """call(*flags) -> (exit code, what it printed): predict.main in the folder `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def run(*flags, weights=weights[:1]):
        device = [] if '--device' in flags else ['--device', 'cpu']
        code = predict.main([*map(str, flags), '--weights', *map(str, weights), *device])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def photo(path, size=(60, 80), seed=0):
    """A smooth picture of few colours, written as the suffix of `path` says; returns its pixels."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), np.uint8)
    image = cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)
    Image.fromarray(image).save(path)
    return image


def labels_of(file, image, scales=None, flip=False):
    """What the network of a checkpoint makes of an image, the plain way: trainIds (h, w)."""
    return logits_of(file, image, scales, flip).argmax(0).numpy()


@torch.inference_mode()
def logits_of(file, image, scales=None, flip=False):
    net = network.load(file, n_scales=scales, device='cpu')
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    return average_logits(
        net, Normalize(net.trained_on.mean, net.trained_on.std, True)(pixels), EvalOptions(flip=flip)
    )[0][0]


def read(path):
    return np.array(Image.open(path))


def write_video(path, frames, rate=Fraction(25)):
    writer = video.VideoWriter(path, frames[0].shape[:2], rate)
    for frame in frames:
        writer.write(frame)
    writer.close()


def test_a_photo_becomes_all_kinds_of_files_at_its_own_size(call, weights, tmp_path):
    image = photo('a.png')
    code, text = call('a.png', '--write', 'labels,color,overlay,confidence,probabilities,logits,page')
    assert code == 0 and '1 image in' in text and 'see predictions/index.html' in text
    logits = logits_of(weights[0], image)
    labels, probabilities = logits.argmax(0).numpy(), torch.softmax(logits, 0)
    classes = network.load(weights[0]).trained_on.classes
    out = tmp_path / 'predictions'
    assert np.array_equal(read(out / 'a_labels.png'), classes.trainid_to_id[labels])
    assert np.array_equal(np.array(Image.open(out / 'a_color.png').convert('RGB')), classes.paint(labels))
    blended = (image.astype(float) + classes.paint(labels)) / 2
    assert np.abs(read(out / 'a_overlay.jpg') - blended).mean() < 6  # what JPEG loses
    confidence = np.rint(probabilities.amax(0).numpy().astype(float) * 65535)
    assert np.abs(read(out / 'a_confidence.png') - confidence).max() <= 1
    with np.load(out / 'a_probabilities.npz') as file:
        assert np.abs(file['probabilities'] - probabilities.numpy()).max() < 1e-3
    with np.load(out / 'a_logits.npz') as file:
        assert np.abs(file['logits'] - logits.numpy()).max() < 1e-3
    [record] = Reader((out / 'index.html').read_text()).data['records']
    assert [layer['file'] for layer in record['layers']] == ['a_input.jpg', 'a_color.png', 'a_confidence.png']
    assert record['classes'] == [[c, None, n, None] for c, n in enumerate(np.bincount(labels.ravel()).tolist()) if n]
    planes = pixels_of(out / 'a_pixels.js')
    assert np.array_equal(planes['prediction'], labels)
    assert np.abs(planes['confidence'] - 100 * probabilities.amax(0).numpy().astype(float)).max() <= 0.51


def test_the_table_has_the_share_of_each_class_that_occurs(call, weights, tmp_path):
    image = photo('a.png')
    _, text = call('a.png')
    labels = labels_of(weights[0], image)
    names, counts = network.load(weights[0]).trained_on.classes.names, np.bincount(labels.ravel(), minlength=19)
    for name, share in zip(names, counts):
        assert (f'{100 * share / labels.size:7.2f} %  {name}' in text) == bool(share)
    unseen = [name for name, count in zip(names, counts) if not count]
    assert f'not seen: {listed(unseen)}\n' in text and len(unseen) > 5


def test_classes_that_hardly_occur_are_named_in_one_line_and_those_that_do_not_in_another():
    classes = Classes('abcde', [(number,) * 3 for number in range(5)])
    summary = Summary(np.array([60_000, 1, 0, 40_000, 0]), images=2, seconds=4.0)
    assert summary_lines(summary, classes, kept=1, where='x') == [
        '   share  class',
        '  60.00 %  a',
        '  40.00 %  d',
        'below 0.01 %: b',
        'not seen: c, e',
        '2 images in 4.0 s, 0.50 images/s; 1 was there already and kept; see x',
    ]


def test_colour_and_overlay_are_what_is_written_unless_told(call, tmp_path):
    photo('in/sub/a.png')
    photo('in/b.jpg')
    assert call('in')[0] == 0
    written = {str(path.relative_to('predictions')) for path in Path('predictions').rglob('*.*')}
    assert written == {
        'b_color.png', 'b_overlay.jpg', 'sub/a_color.png', 'sub/a_overlay.jpg', 'predict.json', 'sources.jsonl',
    }  # fmt: skip


def test_a_batch_of_images_of_several_sizes_gives_what_single_ones_give(call, weights):
    sizes = [(60, 80), (60, 80), (48, 64), (60, 80), (33, 47)]
    images = [photo(f'in/{number}.png', size, number) for number, size in enumerate(sizes)]
    call('in', '--batch', 2, '--write', 'labels', '--out', 'two')
    ids = network.load(weights[0]).trained_on.classes.trainid_to_id
    for number, image in enumerate(images):
        same = read(f'two/{number}_labels.png') == ids[labels_of(weights[0], image)]
        assert same.mean() > 0.999  # another order of sums decides ties


def test_scales_and_flips_are_those_of_an_evaluation(call, weights):
    image = photo('a.png', (64, 128))
    call('a.png', '--n_scales', '0.5,1.0', '--flip', '--write', 'logits')
    with np.load('predictions/a_logits.npz') as file:
        assert np.abs(file['logits'] - logits_of(weights[0], image, [0.5, 1.0], True).numpy()).max() < 1e-3


@pytest.mark.parametrize('fusion', ['mean', 'mean_logit'])
def test_several_weights_are_an_ensemble(call, weights, fusion):
    image = photo('a.png')
    call('a.png', '--write', 'probabilities,labels,logits', '--fusion', fusion, weights=weights)
    logits = [logits_of(file, image) for file in weights]
    if fusion == 'mean':
        expected = sum(torch.softmax(member, 0) for member in logits) / 2
    else:
        expected = torch.softmax(sum(logits) / 2, 0)
    with np.load('predictions/a_probabilities.npz') as file:
        assert np.abs(file['probabilities'] - expected.numpy()).max() < 1e-3
    with np.load('predictions/a_logits.npz') as file:
        assert np.abs(file['logits'] - (sum(logits) / 2).numpy()).max() < 0.02
    ids = network.load(weights[0]).trained_on.classes.trainid_to_id
    assert (read('predictions/a_labels.png') == ids[expected.argmax(0).numpy()]).mean() > 0.999


def test_a_calibration_changes_confidences_and_no_label(call, weights):
    image = photo('a.png')
    calibration.save('t.json', calibration.Temperature(2.0), {'fusion': 'mean', 'score': 'msp'})
    call('a.png', '--write', 'labels,confidence', '--calibration', 't.json')
    logits = logits_of(weights[0], image)
    expected = torch.softmax(logits / 2, 0).amax(0).numpy() * 65535
    assert np.abs(read('predictions/a_confidence.png') - expected).max() <= 2
    ids = network.load(weights[0]).trained_on.classes.trainid_to_id
    assert np.array_equal(read('predictions/a_labels.png'), ids[logits.argmax(0).numpy()])


def test_a_side_limit_reduces_what_the_network_sees_and_not_the_result(call, weights):
    image = photo('a.png', (120, 160))
    call('a.png', '--max_side', 80, '--write', 'logits,labels')
    small = cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA)
    logits = logits_of(weights[0], small)[None]
    expected = torch.nn.functional.interpolate(logits, (120, 160), mode='bilinear', align_corners=False)[0]
    with np.load('predictions/a_logits.npz') as file:
        assert np.abs(file['logits'] - expected.numpy()).max() < 0.02
    assert read('predictions/a_labels.png').shape == (120, 160)


def test_a_result_enlarged_in_bands_is_the_one_enlarged_at_once(call, weights, monkeypatch):
    photo('a.png', (120, 160))
    call('a.png', '--max_side', 80, '--write', 'logits', '--out', 'once')
    monkeypatch.setattr('engine.predictor.BAND_VALUES', 19 * 160 * 7)
    monkeypatch.setattr('engine.predictor.MAPPED_BYTES', 1000)
    call('a.png', '--max_side', 80, '--write', 'logits', '--out', 'bands')
    with np.load('once/a_logits.npz') as once, np.load('bands/a_logits.npz') as bands:
        assert np.array_equal(once['logits'], bands['logits'])


def test_a_tile_over_the_whole_image_changes_nothing(call):
    photo('a.png', (64, 96))
    call('a.png', '--write', 'logits', '--out', 'whole')
    call('a.png', '--write', 'logits', '--out', 'tile', '--tile', '64,128')
    assert Path('whole/a_logits.npz').read_bytes() == Path('tile/a_logits.npz').read_bytes()


def test_tiles_give_labels_near_those_of_the_whole_image(call):
    photo('a.png', (160, 224))
    call('a.png', '--write', 'labels,confidence', '--out', 'whole')
    call('a.png', '--write', 'labels,confidence', '--out', 'tile', '--tile', '96', '--batch', '3', '--overlap', '0.5')
    assert read('tile/a_labels.png').shape == (160, 224)
    assert (read('tile/a_labels.png') == read('whole/a_labels.png')).mean() > 0.5


def test_tiles_of_an_ensemble_and_of_a_reduced_image(call, weights):
    photo('a.png', (160, 224))
    code, _ = call('a.png', '--write', 'probabilities', '--tile', '64', '--max_side', '112', weights=weights)
    with np.load('predictions/a_probabilities.npz') as file:
        assert code == 0 and file['probabilities'].shape[1:] == (160, 224)
        assert np.abs(file['probabilities'].astype(float).sum(0) - 1).max() < 0.01


def test_evaluations_and_ensembles_slide_the_same_window(call, weights, street, tmp_path):
    photo('in/a.png', (160, 224))
    call('in', '--tile', '96,128', '--overlap', '0.5', '--write', 'logits,labels')
    window = ['--crop_eval', '96,128', '--crop_overlap', '0.5', '--eval_folder', 'in', '--num_workers', '0']
    flags = ['--eval', 'folder', '--dump_logits', '--result_dir', 'run', '--snapshot', str(weights[0])]
    assert train.main([*window, *flags, '--dataset', 'synthetic', '--override_dataset_root', str(street)]) == 0
    with np.load('predictions/a_logits.npz') as here, np.load('run/logits/a_logits.npz') as there:
        assert np.abs(here['logits'].astype(float) - there['logits']).max() < 0.02
    flags = ['run', str(weights[0]), *window, '--dataset', 'synthetic', '--override_dataset_root', str(street)]
    assert ensemble.main([*flags, '--out', 'fused']) == 0
    ids = network.load(weights[0]).trained_on.classes.trainid_to_id
    assert (ids[read('fused/a_pred.png')] == read('predictions/a_labels.png')).mean() > 0.999
    assert json.loads(Path('fused/fusion.json').read_text())['settings']['crop_eval'] == [96, 128]


IMAGES = {
    'grey.png': lambda image: Image.fromarray(image).convert('L'),
    'rgba.png': lambda image: Image.fromarray(image).convert('RGBA'),
    'palette.png': lambda image: Image.fromarray(image).quantize(16),
    'cmyk.jpg': lambda image: Image.fromarray(image).convert('CMYK'),
    'cmyk.tif': lambda image: Image.fromarray(image).convert('CMYK'),
    '16bit.png': lambda image: Image.fromarray((image[..., 0].astype(np.uint16) << 8) + 7),
    'a b #1 50%?.png': Image.fromarray,
    'Straße 写真.webp': Image.fromarray,
}


@pytest.mark.parametrize('name', IMAGES)
def test_an_image_of_any_kind_is_read_as_colours(call, weights, name):
    picture = IMAGES[name](photo('in.png'))
    picture.save(name)
    code, text = call(name, '--write', 'labels')
    assert code == 0, text
    as_rgb = picture.convert('RGB') if picture.mode[:2] != 'I;' else np.array(picture) >> 8
    as_rgb = np.array(as_rgb, np.uint8)
    as_rgb = as_rgb if as_rgb.ndim == 3 else np.repeat(as_rgb[..., None], 3, axis=2)
    ids = network.load(weights[0]).trained_on.classes.trainid_to_id
    found = read(f'predictions/{Path(name).stem}_labels.png')
    limit = 0.9 if name.endswith(('.jpg', '.webp')) else 0.999  # lossy
    assert (found == ids[labels_of(weights[0], as_rgb)]).mean() > limit


def test_a_photo_is_turned_upright(call, weights):
    image = photo('plain.png', (60, 80))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera stood on its side: the image has to be turned clockwise
    Image.fromarray(image).save('turned.jpg', exif=exif, quality=100, subsampling=0)
    call('turned.jpg', '--write', 'labels')
    found = read('predictions/turned_labels.png')
    assert found.shape == (80, 60)
    ids = network.load(weights[0]).trained_on.classes.trainid_to_id
    assert (found == ids[labels_of(weights[0], np.rot90(image, -1))]).mean() > 0.9


def test_an_archive_is_read_in_place_and_what_has_one_name_is_told_apart(call):
    photo('x/a.png')
    photo('y/a.png')
    with zipfile.ZipFile('set.zip', 'w') as archive:
        archive.write('x/a.png', 'day/a.png')
    assert call('x/a.png', 'y/a.png', 'set.zip', '--write', 'color')[0] == 0
    assert sorted(str(path) for path in Path('predictions').rglob('*.png')) == [
        'predictions/day/a_color.png', 'predictions/x/a_color.png', 'predictions/y/a_color.png',
    ]  # fmt: skip


def test_bad_files_do_not_end_it(call):
    photo('in/a.png')
    photo('in/c.png')
    Path('in/b.png').write_text('this is text')
    Path('in/empty.jpg').write_bytes(b'')
    Path('in/cut.png').write_bytes(Path('in/a.png').read_bytes()[:100])
    code, text = call('in', 'gone.png', '--write', 'color')
    assert code == 1 and '2 images in' in text and '4 sources failed:' in text
    assert 'in/b.png: is damaged or no image' in text and 'in/empty.jpg: is empty' in text
    assert 'in/cut.png: is a PNG cut off' in text and 'gone.png: no such file or folder' in text
    assert sorted(path.name for path in Path('predictions').glob('*.png')) == ['a_color.png', 'c_color.png']


def test_a_result_that_cannot_be_written_is_a_fault_of_its_image(call):
    photo('in/a.png')
    photo('in/b.png')
    Path('predictions/a_color.png').mkdir(parents=True)
    code, text = call('in', '--write', 'color')
    assert code == 1 and 'predictions/a_color.png: cannot be written, it is a folder' in text
    assert Path('predictions/b_color.png').is_file()


@pytest.mark.parametrize('bad', ['in/b.png', 'gone.png'])
def test_strict_ends_at_the_first_bad_file(call, bad):
    photo('in/a.png')
    Path('in/b.png').write_text('this is text')
    code, text = call('in/a.png', bad, '--strict')
    assert code == 2 and f'error: {bad}' in text


@pytest.mark.parametrize(
    'flags, message',
    [
        (['gone.png'], 'gone.png: no such file or folder'),
        (['empty'], 'empty: holds no images or videos'),
        (['a.png', '--write', 'colour'], '--write colour: there is none, choose of labels, color'),
        (['a.png', '--show'], '--show: this OpenCV opens no window'),
        (['a.png', '--device', 'toaster'], '--device toaster'),
        (['a.png', '--calibration', 'gone.json'], 'gone.json: no such calibration file'),
        (['a.png', '--overlap', '1'], '--overlap'),
        (['.', '--out', '.'], 'is or holds the folder of images'),
    ],
)
def test_a_mistake_is_one_sentence(call, monkeypatch, flags, message):
    monkeypatch.delenv('DISPLAY', raising=False)
    photo('a.png')
    Path('empty').mkdir()
    code, text = call(*flags)
    assert code == 2 and message in text and 'Traceback' not in text


def test_the_first_command_of_a_newcomer_shows_an_example(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert predict.main([]) == 0
    printed = capsys.readouterr().out
    assert 'no SOURCE: an example, a rendered street' in printed
    assert Image.open('predictions/street_overlay.jpg').size == Image.open(predict.EXAMPLE).size
    shares = {name: float(share) for share, name in re.findall(r'([\d.]+) %  (\w+)', printed)}
    assert shares['Road'] > 25 and shares['Building'] > 25 and min(shares.values()) > 0
    rest = re.findall('(?:not seen|below 0.01 %): (.*)', printed)
    assert len(shares) + len(', '.join(rest).split(', ')) == 11


def test_flags_go_with_the_example_too(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert predict.main(['--flip', '--max_side', '96', '--write', 'labels', '--out', 'ids']) == 0
    printed = capsys.readouterr().out
    assert 'no SOURCE: an example, a rendered street' in printed and 'see ids' in printed
    assert sorted(path.name for path in Path('ids').iterdir()) == ['predict.json', 'sources.jsonl', 'street_labels.png']


def test_a_source_behind_the_weights_is_told_where_it_stands(capsys):
    assert predict.main(['--flip', '--weights', 'best.pth', 'a.png']) == 2
    assert '--weights a.png: is an image or video; SOURCE stands before the flags' in capsys.readouterr().err


def test_label_maps_below_a_folder_are_not_predicted_and_are_counted(call):
    photo('photos/a.png')
    photo('photos/prepared_labelme/labels/a.png')
    code, text = call('photos', '--out', 'photos/out')
    assert code == 0 and '1 image in' in text
    assert 'photos: 1 image or video left out in prepared_labelme, which datasets.prepare' in text
    assert '1 was there already' in call('photos', '--out', 'photos/out')[1]


def test_the_network_in_the_box_is_small_and_knows_its_classes():
    assert predict.DEFAULT_WEIGHTS.stat().st_size < 12e6
    net = network.load(predict.DEFAULT_WEIGHTS)
    assert net.trained_on.classes.names[3] == 'Road' and net.trained_on.dataset == 'camvid'
    assert not {'args', 'command', 'data'} & checkpoint.load(predict.DEFAULT_WEIGHTS).keys(), 'paths of a machine'


@pytest.mark.parametrize(
    'sources, flags, place',
    [
        (['a.png'], [], 'predictions/a_overlay.jpg'),
        (['a.png'], ['--write', 'labels,color'], 'predictions/a_labels.png'),
        (['a.png', 'b.png'], [], 'predictions'),
    ],
)
def test_the_last_line_names_the_result_of_a_single_photo_or_the_folder(call, sources, flags, place):
    for source in sources:
        photo(source, (32, 48))
    assert f'; see {place}\n' in call(*sources, *flags)[1]


def test_flags_without_effect_are_said(call):
    photo('a.png', (32, 48))
    _, text = call('a.png', '--every', '2', '--smooth', '0.5', '--window', 'linear', '--fusion', 'mean')
    assert '--every, --smooth: no effect, no SOURCE is a video\n--window: no effect, there is no --tile\n' in text
    assert '--fusion: no effect, there is one of --weights\n' in text
    assert 'no effect' not in call('a.png', '--tile', '32', '--window', 'linear', '--out', 'tiles')[1]


def test_a_result_never_replaces_a_source(call):
    photo('a.png')
    photo('a_color.png')
    code, text = call('a.png', 'a_color.png', '--out', '.')
    assert code == 2 and 'a_color.png of a.png would replace an image that is to be read' in text


def test_a_second_call_keeps_what_is_done_and_makes_what_has_changed(call):
    photo('in/a.png')
    photo('in/b.png')
    call('in')
    before = os.stat('predictions/a_color.png').st_mtime_ns
    code, text = call('in')
    assert code == 0 and '0 images in' in text and '2 were there already' in text
    photo('in/b.png', seed=5)
    Path('predictions/a_overlay.jpg').unlink()
    _, text = call('in')
    assert '2 images in' in text and os.stat('predictions/a_color.png').st_mtime_ns > before
    assert '2 images in' in call('in', '--write', 'labels')[1]
    assert '2 images in' in call('in', '--overwrite')[1]


def test_other_settings_are_refused_in_one_folder(call, weights):
    photo('a.png')
    call('a.png')
    code, text = call('a.png', '--flip', '--max_side', '40')
    assert code == 2 and text.endswith(
        '--out predictions: the results there were made with --flip off, now on; --max_side none, now 40: give the same'
        ' flags to go on there, another --out, or --overwrite to make them anew\n'
    )
    assert 'made with other --weights: give' in call('a.png', weights=weights[1:])[1]
    assert call('a.png', '--flip', '--overwrite')[0] == 0
    code, text = call('a.png', '--flip', '--flip_kind', 'v')
    assert code == 2 and 'made with --flip_kind none, now v' in text
    assert '--flip_kind: no effect, there is no --flip' in call('a.png', '--flip_kind', 'v', '--overwrite')[1]


def test_the_result_of_another_image_of_this_name_is_not_replaced(call):
    photo('x/a.png')
    photo('y/a.png', seed=1)
    call('x/a.png')
    code, text = call('y/a.png')
    assert code == 2 and 'a there is the result of x/a.png, now it would be that of y/a.png' in text


def test_an_interrupted_call_leaves_whole_files_and_goes_on(call, monkeypatch):
    for number in range(4):
        photo(f'in/{number}.png', seed=number)
    whole, calls = engine_prediction.Predictor.__call__, []

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(self, *args)

    monkeypatch.setattr(engine_prediction.Predictor, '__call__', interrupted)
    code, text = call('in')
    assert code == 130 and 'the same command goes on where it stopped' in text
    assert not list(Path('predictions').rglob('.*'))
    _, text = call('in')
    assert '0 failed' not in text and len(list(Path('predictions').glob('*_color.png'))) == 4
    for entry in map(json.loads, Path('predictions/sources.jsonl').read_text().splitlines()):
        assert Path(f'predictions/{entry["name"]}_overlay.jpg').is_file()


def test_an_interrupted_video_leaves_no_video_and_says_so(call, monkeypatch, tmp_path):
    write_video(tmp_path / f'v{video.suffix()}', [photo('f.png', (64, 96), seed) for seed in range(4)])
    photo('a.png')
    whole, calls = engine_prediction.Predictor.__call__, []

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(self, *args)

    monkeypatch.setattr(engine_prediction.Predictor, '__call__', interrupted)
    code, text = call('a.png', f'v{video.suffix()}', '--write', 'overlay,labels')
    assert code == 130 and text.endswith(
        f'interrupted in v{video.suffix()}: no video of it is left, the files of single frames in predictions/v_frames'
        ' are; the same command begins it anew\n'
    )
    assert not list(Path('predictions').rglob(f'*{video.suffix()}'))
    _, text = call('a.png', f'v{video.suffix()}', '--write', 'overlay,labels')
    assert '4 frames in' in text and '1 was there already' in text
    assert video.VideoReader(f'predictions/v_overlay{video.suffix()}').frames == 4


def test_what_a_killed_call_left_is_removed(call, tmp_path):
    photo('a.png')
    gone = subprocess.Popen(['true'])
    gone.wait()
    left = [Path(f'predictions/sub/.a.{gone.pid}.0a1b2c3d.tmp{ending}') for ending in ('', video.suffix())]
    kept = Path(f'predictions/sub/.a.{os.getpid()}.0a1b2c3d.tmp')
    kept.parent.mkdir(parents=True)
    for path in (*left, kept):
        path.write_text('half')
    call('a.png')
    assert [path.exists() for path in (*left, kept)] == [False, False, True]


def test_a_video_becomes_videos_of_its_rate_and_number_of_frames(call, weights, tmp_path):
    frames = [photo('f.png', (64, 96), seed=3)]
    for _ in range(11):
        frames.append(np.roll(frames[-1], 4, axis=1))
    write_video(tmp_path / f'drive{video.suffix()}', frames, Fraction(25, 2))
    code, text = call(f'drive{video.suffix()}', '--write', 'color,overlay,labels', '--batch', '5')
    assert code == 0 and '12 frames in' in text and 'from one frame of a video to the next' in text
    classes = network.load(weights[0]).trained_on.classes
    seen = [image for _, image in video.VideoReader(f'drive{video.suffix()}').read()]
    overlays = video.VideoReader(f'predictions/drive_overlay{video.suffix()}')
    assert (overlays.rate, overlays.frames, overlays.size) == (Fraction(25, 2), 12, (64, 96))
    played = [image for _, image in overlays.read()]
    assert len(played) == 12
    for number, (source, shown) in enumerate(zip(seen, played)):
        ids = read(f'predictions/drive_frames/{number:06d}_labels.png')
        labels = labels_of(weights[0], source)
        assert (ids == classes.trainid_to_id[labels]).mean() > 0.999
        assert np.abs(shown - (source.astype(float) + classes.paint(labels)) / 2).mean() < 8  # what the codec loses
    assert len(list(Path('predictions/drive_frames').iterdir())) == 12
    assert '1 was there already' in call(f'drive{video.suffix()}', '--write', 'color,labels')[1]
    shutil.rmtree('predictions/drive_frames')
    assert '12 frames in' in call(f'drive{video.suffix()}', '--write', 'color,labels')[1]


def test_every_third_frame_of_a_video_lasts_as_long(call, tmp_path):
    write_video(tmp_path / f'v{video.suffix()}', [photo('f.png', (64, 96))] * 10, Fraction(30))
    call(f'v{video.suffix()}', '--every', 3, '--write', 'overlay', '--frames')
    reader = video.VideoReader(f'predictions/v_overlay{video.suffix()}')
    assert (reader.frames, reader.rate) == (4, Fraction(10))
    names = sorted(path.name for path in Path('predictions/v_frames').iterdir())
    assert names == [f'{number:06d}_overlay.jpg' for number in (0, 3, 6, 9)]


def test_smoothing_mixes_in_the_frame_before(call, weights, tmp_path):
    frames = [photo('f.png', (64, 96), seed) for seed in (1, 2, 3)]
    write_video(tmp_path / f'v{video.suffix()}', frames)
    call(f'v{video.suffix()}', '--write', 'probabilities', '--smooth', 0.75, '--batch', 2)
    expected = None
    for number, image in video.VideoReader(f'v{video.suffix()}').read():
        probabilities = torch.softmax(logits_of(weights[0], image), 0).numpy()
        expected = probabilities if expected is None else 0.75 * expected + 0.25 * probabilities
        with np.load(f'predictions/v_frames/{number:06d}_probabilities.npz') as file:
            assert np.abs(file['probabilities'] - expected).max() < 2e-3


def test_smoothing_does_not_go_with_an_isotonic_calibration(call):
    photo('a.png')
    calibration.save('i.json', calibration.Isotonic([0.0, 1.0], [0.0, 0.5]), {})
    code, text = call('a.png', '--calibration', 'i.json', '--smooth', 0.5)
    assert code == 2 and 'an isotonic calibration is of single frames, found --smooth 0.5' in text


def test_two_videos_and_an_image_between_do_not_mix(call, tmp_path):
    for name, seed in (('a', 1), ('c', 2)):
        write_video(tmp_path / f'in/{name}{video.suffix()}', [photo('f.png', (64, 96), seed)] * 3)
    photo('in/b.png', (64, 96))
    code, text = call('in', '--smooth', 0.5, '--batch', 4, '--write', 'overlay')
    assert code == 0 and '1 image and 6 frames in' in text
    assert [video.VideoReader(f'predictions/{name}_overlay{video.suffix()}').frames for name in 'ac'] == [3, 3]


def test_a_video_that_is_cut_off_is_kept_as_far_as_it_goes_and_said(call, tmp_path):
    writer = cv2.VideoWriter('v.avi', cv2.VideoWriter_fourcc(*'MJPG'), 25, (96, 64))
    for seed in range(20):
        writer.write(photo('f.png', (64, 96), seed))
    writer.release()
    data = Path('v.avi').read_bytes()
    Path('v.avi').write_bytes(data[: len(data) // 2])
    Path('w.mp4').write_text('no video')
    code, text = call('v.avi', 'w.mp4', '--write', 'overlay')
    assert code == 1 and 'v.avi: ends after' in text and 'w.mp4: is damaged or no video' in text
    assert 5 < video.VideoReader(f'predictions/v_overlay{video.suffix()}').frames < 15
    assert '1 was there already' not in call('v.avi', '--write', 'overlay')[1]


def test_an_image_larger_than_the_budget_goes_through_alone(call, monkeypatch):
    for number in range(6):
        photo(f'in/{number}.png', (60, 80) if number != 3 else (120, 160), number)
    monkeypatch.setattr(engine_prediction, 'BUDGET', 60 * 80 * 8 * 2)
    code, text = call('in', '--batch', 4)
    assert code == 0 and '6 images in' in text


def test_decoding_the_network_and_writing_run_side_by_side(call, monkeypatch):
    """Each takes 0.2 s more of an image: 8 images take 1.6 s and a little, one after another it would be 4.8 s."""

    def slowly(function):
        def later(*args, **kwargs):
            time.sleep(0.2)
            return function(*args, **kwargs)

        return later

    for number in range(8):
        photo(f'in/{number}.png', (32, 48), number)
    monkeypatch.setattr(decoder, 'read_channels', slowly(decoder.read_channels))
    for owner, name in ((engine_prediction.Predictor, '__call__'), (PredictedFiles, 'write_image')):
        monkeypatch.setattr(owner, name, slowly(getattr(owner, name)))
    _, text = call('in')
    seconds = float(re.search(r'8 images in ([\d.]+) s', text)[1])
    assert 1.6 <= seconds < 4.5


def test_as_a_person_types_it(weights, tmp_path):
    photo(tmp_path / 'a b.png')
    done = command('predict.py', '-', '--weights', weights[0], '--out', tmp_path / 'out', input=f'{tmp_path}/a b.png\n')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out/a b_overlay.jpg').is_file() and '1 image in' in done.stdout


@needs_browser
def test_the_page_opens_in_a_browser(call, tmp_path):
    photo('in/a #1.png')
    call('in', '--write', 'page')
    page = opened(tmp_path / 'predictions/index.html')
    assert 'a #1' in page.text and page.all('img', 'alt') == ['Prediction over input of a #1', '']
