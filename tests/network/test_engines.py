"""Engines: every one gives the logits of the network, and says what it lacks."""

import sys

import cv2
import numpy as np
import pytest
import torch
from small import ROOT

import network
import predict
from network.engines import PROGRAMS, with_engine
from network.folding import TOLERANCE
from utils.settings.precision import ENGINES

BOX = ROOT / 'network/box/street.safetensors'


@pytest.fixture(scope='module')
def net():
    return network.load(BOX, device='cpu')


def images(height=64, width=80, seed=0):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('engine', [name for name in ENGINES if name != 'compile'])
@torch.inference_mode()
def test_the_logits_are_those_of_the_network(net, engine):
    said = []
    fast = with_engine(net, engine, said.append)
    for seed in range(3):  # the first of a size is run by torch, the second makes a program, the third finds it
        expected = net(images(seed=seed))['pred']
        found = fast(images(seed=seed))['pred']
        assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()
        torch.testing.assert_close(found.argmax(1), expected.argmax(1))
    assert said == ([] if engine == 'eager' else [f'--engine {engine}: makes a program for images of 64x80'])
    assert fast.trained_on is net.trained_on or fast.trained_on.classes.names == net.trained_on.classes.names


@torch.inference_mode()
def test_the_network_of_the_engine_is_another_one(net):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with_engine(net, 'eager')
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@torch.inference_mode()
def test_programs_of_few_sizes_are_kept(net, monkeypatch):
    fast, made = with_engine(net, 'onnx'), []
    monkeypatch.setattr(fast, 'program', lambda images: made.append(images.shape[3]) or (lambda x: x))
    widths = [64 + 8 * number for number in range(PROGRAMS + 1)]
    for width in [*widths, *widths, widths[-1], widths[0]]:
        fast(images(width=width))
    assert made == [*widths, widths[0]]


@torch.inference_mode()
def test_half_precision_and_single_scales_are_left_to_torch(net):
    said = []
    fast = with_engine(net, 'onnx', said.append)
    for _ in range(2):
        with torch.autocast('cpu', torch.bfloat16):
            fast(images())
        fast(images(), keep_scales=True)
    assert said == []


def test_an_engine_that_there_is_not_and_a_missing_package_are_told(net, monkeypatch):
    with pytest.raises(ValueError, match='--engine onxx: there is no such engine; choose one of eager, compile'):
        with_engine(net, 'onxx')
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(ValueError, match='the package openvino is missing; pip install -r requirements-extras.txt'):
        with_engine(net, 'openvino')


def test_a_network_elsewhere_than_on_the_cpu_is_refused(net):
    with pytest.raises(ValueError, match='runs on the CPU here, found meta'):
        with_engine(network.get_net('ocrnet.OCR', 3, trunk='hrnetv2_w18_small_v1').to('meta'), 'onnx')


@pytest.mark.parametrize(
    'flags, said',
    [
        (('--engine', 'onxx'), "--engine: invalid choice: 'onxx'"),
        (('--engine', 'onnx', '--precision', 'bf16'), '--engine onnx: computes in fp32, found --precision bf16'),
        (('--engine', 'onnx', '--compile'), '--compile and --engine onnx: give one of them'),
    ],
)
def test_flags_that_an_engine_does_not_have_are_told(flags, said, tmp_path, capsys):
    assert predict.main([*flags, '--out', str(tmp_path / 'out')]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_an_engine_gives_the_labels_of_another(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 80, 3), dtype=np.uint8)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f'{number}.png'), frame)
    found = {}
    for engine in ('eager', 'onnx'):
        out = tmp_path / engine
        flags = ['--engine', engine, '--write', 'labels', '--out', str(out), '--test_settings', 'flags']
        assert predict.main([*(str(tmp_path / f'{number}.png') for number in range(3)), *flags]) == 0
        found[engine] = [cv2.imread(str(path), -1) for path in sorted(out.rglob('*_labels.png'))]
    assert len(found['onnx']) == 3
    np.testing.assert_array_equal(found['eager'], found['onnx'])
