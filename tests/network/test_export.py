"""The export command: what it writes is what the network computes, and what cannot be written is told."""
import json
import sys

import pytest
import standin
import torch
from conftest import NARROW

from network import export
from network.plain import is_plain
from transforms.normalize import Normalize
from utils import checkpoint

HEADS = ['--ocr_mid_channels', str(NARROW['MODEL__OCR__MID_CHANNELS']), '--ocr_key_channels', str(NARROW['MODEL__OCR__KEY_CHANNELS']),
         '--segattn_bot_ch', str(NARROW['MODEL__SEGATTN_BOT_CH'])]
TINY = ['--trunk', standin.PYRAMID, '--num_classes', '5', *HEADS]


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    """Trunks of a few convolutions, so that exporting takes a second."""
    standin.register(monkeypatch)


@pytest.fixture
def export_it(tmp_path, capsys):
    """export_it(*flags, name=...) -> (exit code, what was printed, path of the program)."""
    def call(*flags, name='net.pt2', small=True):
        path = tmp_path / name
        code = export.main([*(TINY if small else []), '--out', str(path), *map(str, flags)])
        printed = capsys.readouterr()
        return code, printed.out + printed.err, path
    return call


@pytest.fixture
def snapshot(tmp_path, small_net):
    """A checkpoint of the default network on the tiny trunk, as train.py writes it, and the network."""
    net = small_net(trunk=standin.PYRAMID, classes=5).eval()
    with torch.no_grad():                                    # so that no class has the largest logit everywhere
        net.ocr.cls_head.bias -= net(torch.randn(1, 3, 64, 64))['pred'].mean((0, 2, 3))
    network = {'arch': net.arch, 'trunk': net.trunk_name, 'ocr_mid_channels': 32, 'ocr_key_channels': 16, 'segattn_bot_ch': 16}
    path = tmp_path / 'best.pth'
    checkpoint.save(path, {'state_dict': net.state_dict(), 'network': network, 'arch': net.arch, 'num_classes': 5, 'class_names': list('abcde')})
    return path, net


def test_a_program_of_a_checkpoint_computes_what_its_network_computes(export_it, snapshot):
    path, net = snapshot
    code, printed, out = export_it('--snapshot', path, '--size', '64,96', small=False)
    assert code == 0, printed
    files = {'about.json': ''}
    program = torch.export.load(out, extra_files=files).module()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(program(images), net(images)['pred'], rtol=1e-5, atol=1e-6)
    about = json.loads(files['about.json'])
    assert about['class_names'] == list('abcde') and about['trunk'] == standin.PYRAMID and about['scales'] == [1.0, 0.5] and about['output'] == 'logits'


def test_bytes_go_in_and_labels_come_out(export_it, snapshot):
    path, net = snapshot
    code, printed, out = export_it('--snapshot', path, '--size', '65,97', '--uint8', '--labels', '--batch', '2', small=False)
    assert code == 0, printed
    images = torch.randint(0, 256, (2, 3, 65, 97), dtype=torch.uint8)
    labels = torch.export.load(out).module()(images)
    assert labels.dtype == torch.uint8 and labels.shape == (2, 65, 97)
    normalize = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        expected = net(normalize(images))['pred'].argmax(1)
    assert (labels == expected).float().mean() > 0.999 and len(expected.unique()) > 1


def test_a_dynamic_program_takes_other_sizes(export_it):
    code, printed, out = export_it('--arch', 'mscale.HRNet', '--size', '128,192', '--dynamic')
    assert code == 0, printed
    assert 'at 128x192, 256x128, 192x192' in printed
    program = torch.export.load(out).module()
    with torch.no_grad():
        assert program(torch.randn(1, 3, 320, 128)).shape == (1, 5, 320, 128)
    assert not is_plain()


def test_onnx_computes_the_same(export_it):
    onnxruntime = pytest.importorskip('onnxruntime')
    code, printed, out = export_it('--arch', 'basic.HRNet', '--size', '128,128', '--dynamic', '--uint8', '--labels', name='net.onnx')
    assert code == 0, printed
    session = onnxruntime.InferenceSession(out, providers=['CPUExecutionProvider'])
    assert [item.name for item in (*session.get_inputs(), *session.get_outputs())] == ['images', 'labels']
    images = torch.randint(0, 256, (1, 3, 96, 64), dtype=torch.uint8)
    assert session.run(None, {'images': images.numpy()})[0].shape == (1, 96, 64)
    assert json.loads(session.get_modelmeta().custom_metadata_map['about'])['multiple'] == 32


@pytest.mark.parametrize('found, told', [(0.5, '5.00e-01'), (float('nan'), 'nan')])
def test_a_program_that_differs_is_not_written(found, told, export_it, monkeypatch):
    monkeypatch.setattr(export, 'difference', lambda *arguments: found)
    code, printed, out = export_it('--arch', 'basic.Linear', '--size', '64')
    assert code == 1 and f'differs from the network by {told} of the largest logit' in printed and 'nothing was written' in printed
    assert list(out.parent.iterdir()) == []


def test_differences_are_shares_of_the_largest_logit():
    logits = torch.tensor([[4.0, 1.0], [3.0, -8.0]]).view(1, 2, 1, 2)                # best: class 0 in both pixels
    assert export.difference(logits + 0.8, logits, labels=False) == pytest.approx(0.1)
    assert export.difference(torch.tensor([[[0, 0]]]), logits, labels=True) == 0
    assert export.difference(torch.tensor([[[1, 0]]]), logits, labels=True) == pytest.approx(1 / 8)
    assert export.difference(torch.tensor([[[1, 1]]]), logits, labels=True) == pytest.approx(9 / 8)


@pytest.mark.parametrize('flags, words', [
    (['--size', '1'], 'vanish at scale 0.5'),
    (['--size', '100,128', '--dynamic'], '--size 100,128: with --dynamic both sides must be multiples of 64 from 128 on'),
    (['--size', '1080,1920', '--dynamic'], 'the nearest size is 1088,1920'),
    (['--n_scales', '0.7,1.0', '--dynamic'], 'sizes at scale 0.7 have no simple formula'),
    (['--arch', 'basic.HRNett'], 'did you mean basic.HRNet'),
    (['--snapshot', 'nowhere.pth'], 'nowhere.pth: no such checkpoint'),
    (['--num_classes', '300', '--labels'], '300 classes do not fit into a byte'),
])
def test_a_mistake_is_one_sentence(flags, words, export_it):
    code, printed, out = export_it(*flags)
    assert code == 2 and words in printed.splitlines()[-1] and not out.exists()


def test_the_ending_says_the_format(export_it):
    code, printed, _ = export_it(name='net.bin')
    assert code == 2 and 'let it end in .pt2 or .onnx, or give --format' in printed


def test_missing_packages_are_named(export_it, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    code, printed, _ = export_it(name='net.onnx')
    assert code == 2 and 'the package onnx is missing; pip install -r requirements-extras.txt' in printed


def test_the_checkpoint_of_another_network_is_refused(export_it, snapshot):
    code, printed, out = export_it('--snapshot', snapshot[0], '--arch', 'UNet', '--size', '64', small=False)
    assert code == 2 and not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['pt2', 'onnx'])
@pytest.mark.parametrize('flags', [['--dynamic', '--n_scales', '0.25,0.5,1.0,1.5,2.0', '--size', '256,384'], ['--size', '97,193', '--n_scales', '0.5,0.7,1.0'],
                                   ['--align_corners', '--dynamic', '--size', '128'], ['--arch', 'UNetDS', '--dynamic', '--size', '128']])
def test_real_networks_export(flags, ending, export_it):
    pytest.importorskip('onnxruntime')
    trunk = [] if '--arch' in flags else ['--trunk', 'hrnetv2_w18_small_v1', *HEADS]
    code, printed, _ = export_it(*trunk, *flags, name=f'net.{ending}', small=False)
    assert code == 0, printed


@pytest.mark.slow
@pytest.mark.parametrize('trunk', ['timm/convnext_atto', 'timm/resnet18', 'timm/vit_tiny_patch16_224', 'resnet-50', 'xception71'])
@pytest.mark.parametrize('ending', ['pt2', 'onnx'])
def test_other_trunks_export(trunk, ending, export_it):
    pytest.importorskip('timm')
    pytest.importorskip('onnxruntime')
    code, printed, _ = export_it('--arch', 'basic.HRNet', '--trunk', trunk, '--size', '96,128', name=f'net.{ending}', small=False)
    assert code == 0, printed
