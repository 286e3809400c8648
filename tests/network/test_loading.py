"""The network of a checkpoint from Python: what a checkpoint says, and what the network then predicts."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from narrow import SMALL_TRUNK, enliven

import datasets
import network
from config import scope
from network.conversion import FORMATS
from network.keys import inverse, rename
from utils import checkpoint
from utils.classes import Classes

NARROW_OPTIONS = {'SEGATTN_BOT_CH': 16, 'OCR': {'MID_CHANNELS': 32, 'KEY_CHANNELS': 16}}


@pytest.fixture(scope='module')
def photo():
    return np.random.default_rng(0).integers(0, 256, (65, 97, 3), dtype=np.uint8)


def make(arch='ocrnet.HRNet_Mscale', classes=5, **kwargs):
    torch.manual_seed(0)
    return enliven(network.get_net(arch, classes, trunk=SMALL_TRUNK, options=NARROW_OPTIONS, **kwargs)).eval()


def save(net, path, **changes):
    described = network.description(
        net,
        Classes(tuple('abcde'), np.arange(15).reshape(5, 3), ids=(7, 8, 11, 12, 13)),
        dataset='street',
        mean=(0.4, 0.5, 0.6),
        std=(0.1, 0.2, 0.3),
        n_scales=changes.pop('n_scales', None),
        data_yaml='classes: ...\n',
    )
    state = {'state_dict': net.state_dict(), **described, **changes}
    checkpoint.save(path, {key: value for key, value in state.items() if value is not ...})
    return path


def same_weights(net, other):
    assert list(net.state_dict()) == list(other.state_dict())
    return all(
        torch.equal(mine, theirs) for mine, theirs in zip(net.state_dict().values(), other.state_dict().values())
    )


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
def test_a_checkpoint_alone_is_enough(tmp_path, photo, ending):
    net = make()
    path = save(net, tmp_path / f'net{ending}')
    with scope(MODEL__SEGATTN_BOT_CH=3, DATASET__MEAN=(0, 0, 0)):
        found = network.load(path)
    assert same_weights(net, found) and not found.training
    assert found.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    about = found.trained_on
    assert (about.classes.names, about.classes.ids, about.dataset) == (tuple('abcde'), (7, 8, 11, 12, 13), 'street')
    assert (about.mean, about.std, about.data_yaml) == ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3), 'classes: ...\n')
    segmentation = found.predict(photo)
    images = torch.from_numpy((photo / 255 - about.mean) / about.std).permute(2, 0, 1).unsqueeze(0).float()
    with torch.no_grad():
        expected = net(images)['pred'][0].softmax(dim=0)
    assert segmentation.labels.dtype == np.uint8 and segmentation.confidence.dtype == np.float32
    np.testing.assert_allclose(segmentation.confidence, expected.amax(0), atol=1e-4)
    assert (segmentation.labels == expected.argmax(0).numpy()).mean() > 0.99
    assert segmentation.classes.paint(segmentation.labels).shape == (65, 97, 3)


def test_a_photo_that_cannot_be_written_to_is_read_without_a_warning(recwarn, photo):
    net = make()
    net.trained_on = network.TrainedOn(Classes(tuple('abcde'), [[0, 0, 0]] * 5))
    locked = photo.copy()
    locked.flags.writeable = False
    assert (net.predict(locked).labels == net.predict(photo).labels).all() and not recwarn.list


def test_a_safetensors_file_does_not_take_tensors_for_a_description(tmp_path):
    net = make()
    with pytest.raises(ValueError, match='found tensors in ema, optimizer too; leave them out'):
        save(net, tmp_path / 'net.safetensors', ema=net.state_dict(), optimizer={'state': [{0: torch.zeros(1)}]})
    assert not (tmp_path / 'net.safetensors').exists()


def test_scales_are_those_given_else_those_of_the_file(tmp_path):
    path = save(make(), tmp_path / 'net.pth', n_scales=(0.5, 1.0, 2.0))
    assert network.load(path).scales() == (2.0, 1.0, 0.5)
    assert network.load(path, n_scales=[1.0, 0.25]).scales() == (1.0, 0.25)
    assert network.load(path, n_scales=()).scales() == (1.0, 0.5), 'as it was trained'
    with pytest.raises(ValueError, match='1.0 is no list of numbers'):
        network.load(path, n_scales=1.0)
    one = save(make('basic.HRNet'), tmp_path / 'one.pth')
    with pytest.raises(ValueError, match='--n_scales: basic.HRNet predicts at one scale only'):
        network.load(one, n_scales=[0.5, 1.0])
    assert network.load(one, n_scales=[0.5, 1.0], strict_scales=False).scales() == (1.0,)


def test_scales_that_shape_a_head_are_part_of_the_network(tmp_path):
    with torch.device('meta'):
        net = network.get_net('attnscale.DeepV3R50', 5, n_scales=[0.5, 1.0])
    described = network.description(
        net, Classes.numbered(5), dataset='street', mean=(0,) * 3, std=(1,) * 3, n_scales=[0.5, 1.0]
    )
    assert described['network']['n_scales'] == [0.5, 1.0]


def test_an_older_file_has_the_names_of_its_classes_and_the_colours_of_numbers(tmp_path):
    older = dict.fromkeys(('classes', 'mean', 'std', 'dataset', 'data_yaml'), ...)
    found = network.load(save(make(), tmp_path / 'net.pth', **older)).trained_on
    assert found.classes.names == tuple('abcde') and (found.classes.colors == Classes.numbered(5).colors).all()
    assert (found.mean, found.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    nameless = network.load(save(make(), tmp_path / 'net.pth', **older, class_names=...)).trained_on
    assert nameless.classes == Classes.numbered(5)


@pytest.mark.parametrize('form', ['hmsa', 'upstream'])
def test_published_files_tell_their_network_by_names_and_shapes(tmp_path, form):
    net = make('ocrnet.HRNet_Mscale' if form == 'hmsa' else 'ocrnet.HRNet')
    rules = inverse(FORMATS[form].rules)
    weights = {FORMATS[form].wrapper + rename(key, rules): value for key, value in net.state_dict().items()}
    torch.save({'state_dict': weights, 'epoch': 174}, tmp_path / 'published.pth')
    found = network.load(tmp_path / 'published.pth')
    assert found.arch == net.arch and same_weights(net, found) and found.align_corners is (form == 'upstream')
    assert found.trained_on.classes == Classes.numbered(5)


def test_averaged_weights_are_taken_as_in_an_evaluation_and_said(tmp_path):
    net = make()
    averaged = {f'module.{key}': value * 2 for key, value in net.state_dict().items()}
    said = []
    found = network.load(save(net, tmp_path / 'net.pth', ema=averaged), log=said.append)
    assert torch.equal(found.state_dict()['ocr.cls_head.weight'], net.state_dict()['ocr.cls_head.weight'] * 2)
    total = len(net.state_dict())
    assert said == [f'{tmp_path / "net.pth"}: {total} of {total} tensors of the network loaded']


@pytest.mark.parametrize(
    'changes, message',
    [
        ({'classes': Classes.numbered(4).as_dict()}, 'describes 4 classes for a network of 5; give the right ones'),
        ({'classes': {'names': 3}}, 'its description of the classes is damaged'),
        ({'std': [0, 1, 1]}, 'its mean and std are not three numbers each'),
        ({'state_dict': {'a': torch.ones(1)}}, 'none of its 1 tensors fits the network'),
        ({'network': ..., 'arch': ..., 'state_dict': {'a.b': torch.ones(1)}}, 'does not tell which network it holds'),
    ],
)
def test_a_file_that_does_not_fit_itself_is_refused_by_name(tmp_path, changes, message):
    path = save(make(), tmp_path / 'net.pth', **changes)
    with pytest.raises(ValueError, match=f'net.pth: {message}'):
        network.load(path)


def test_classes_that_are_given_replace_those_of_the_file(tmp_path):
    path = save(make(), tmp_path / 'net.pth')
    assert network.load(path, classes=Classes.numbered(5)).trained_on.classes == Classes.numbered(5)
    with pytest.raises(ValueError, match='net.pth: has 5 classes, `classes` has 19; give those of the file'):
        network.load(path, classes=Classes.numbered(19))


def test_a_network_that_knows_no_classes_does_not_predict(photo):
    net = make()
    with pytest.raises(ValueError, match='does not know its classes.*network.load'):
        net.predict(photo)
    net.trained_on = network.TrainedOn(Classes.numbered(5))
    net.train()
    assert net.predict(photo).labels.shape == (65, 97) and net.training, 'it is left in its mode'


@pytest.mark.parametrize('wrong', [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8)])
def test_images_of_another_form_are_refused(wrong):
    net = make()
    net.trained_on = network.TrainedOn(Classes.numbered(5))
    with pytest.raises(ValueError, match=r'expected uint8 of shape \(h, w, 3\), RGB; convert it'):
        net.predict(wrong)


@pytest.mark.parametrize('scales', [(), ('--n_scales', '0.5,1.0')])
def test_two_lines_of_python_predict_what_the_program_writes(program, snapshot_of, tmp_path, scales):
    file = snapshot_of(*scales)
    folder = tmp_path / 'photos'
    folder.mkdir()
    for path in sorted((program.street / 'synthetic').rglob('val/**/*leftImg8bit.png'))[:2]:
        shutil.copy(path, folder)
    code, printed = program(
        '--eval',
        'folder',
        '--eval_folder',
        folder,
        '--snapshot',
        file,
        '--dump_for_submission',
        *scales,
        '--result_dir',
        tmp_path / 'eval',
        small=False,
    )
    assert code == 0, printed
    net = network.load(file)
    classes = net.trained_on.classes
    assert classes.names == datasets.get_classes('synthetic').names
    assert len(list(folder.iterdir())) == 2
    for path in folder.iterdir():
        found = net.predict(cv2.imread(str(path))[..., ::-1])
        labels, confidence = (
            cv2.imread(str(tmp_path / 'eval' / 'submit' / f'{path.stem}_{kind}.png'), cv2.IMREAD_UNCHANGED)
            for kind in ('pred', 'conf')
        )
        assert np.array_equal(classes.trainid_to_id[found.labels], labels) and len(np.unique(labels)) > 1
        np.testing.assert_allclose(found.confidence, confidence / 65535, atol=1e-4)
