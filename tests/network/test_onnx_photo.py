"""The example of a photo through an ONNX program: labels as the network has them, mistakes as a sentence."""

import json

import cv2
import numpy as np
import pytest
from small import ROOT, command

import network
from network import export

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
EXAMPLE = ROOT / 'scripts/onnx_photo.py'


@pytest.fixture
def example():
    """The names of the example, as a program has them that copied it."""
    names = {'__name__': 'copied'}
    exec(EXAMPLE.read_text('utf-8'), names)
    return names


def test_a_photo_of_any_size_gets_the_labels_and_colours_of_the_network(example, snapshot, tmp_path):
    path, _ = snapshot
    program, file = tmp_path / 'net.onnx', tmp_path / 'photo.png'
    assert export.main(['--snapshot', str(path), '--dynamic', '--size', '64,96', '--out', str(program)]) == 0
    net = network.load(path)
    opened = example['load'](str(program))
    for height, width in ((360, 480), (101, 67)):
        photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        labels = example['predict'](*opened, photo)
        expected = net.predict(photo)
        assert labels.shape == (height, width) and (labels == expected.labels).mean() > 0.999
    small = photo[:40]
    padded = np.concatenate([small, np.repeat(small[-1:], 24, axis=0)])
    assert (example['predict'](*opened, small) == net.predict(padded).labels[:40]).mean() > 0.999

    cv2.imwrite(str(file), photo[..., ::-1])
    run = command(EXAMPLE, program, file, tmp_path / 'colours.png')
    assert run.returncode == 0, run.stderr
    painted = cv2.imread(str(tmp_path / 'colours.png'))[..., ::-1]
    assert (painted == expected.classes.paint(expected.labels)).all(axis=2).mean() > 0.999
    assert sum(float(line.split('%')[0]) for line in run.stdout.splitlines()) == pytest.approx(100, abs=0.3)


def test_an_image_is_continued_by_its_border_to_the_size_of_a_program(example):
    image = np.array([[[1], [2]]], np.uint8)
    assert example['pad'](image, {'size': [2, 3]})[..., 0].tolist() == [[1, 2, 2], [1, 2, 2]]
    assert example['pad'](image, {'size': None, 'smallest': 2})[..., 0].tolist() == [[1, 2], [1, 2]]
    assert example['pad'](image, {'size': None, 'smallest': 1}).shape == (1, 2, 1)
    with pytest.raises(ValueError, match='the image has 1x2 pixels, the program takes 4x1; resize it before'):
        example['pad'](image, {'size': [4, 1]})


def identity(path, about):
    """An ONNX file that returns its images, with `about` in its metadata."""
    images, same = (onnx.helper.make_tensor_value_info(name, 1, ['n']) for name in ('images', 'same'))
    node = onnx.helper.make_node('Identity', ['images'], ['same'])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], 'g', [images], [same]), opset_imports=[onnx.helper.make_opsetid('', 18)]
    )
    model.ir_version = 10
    for key, value in about.items():
        onnx.helper.set_model_props(model, {key: value})
    onnx.save(model, path)


@pytest.mark.parametrize('about', [{}, {'about': json.dumps({'outputs': ['confidence']})}])
def test_a_program_that_says_nothing_of_labels_is_refused(example, tmp_path, about):
    identity(str(tmp_path / 'net.onnx'), about)
    with pytest.raises(
        ValueError, match='net.onnx: its metadata does not say that it returns labels or logits; export'
    ):
        example['load'](str(tmp_path / 'net.onnx'))


@pytest.mark.parametrize(
    'words, told',
    [
        ([], 'expected three names: PROGRAM.onnx PHOTO COLOURS.png'),
        (['none.onnx', 'a.jpg', 'b.png'], 'none.onnx: onnxruntime cannot read it'),
    ],
)
def test_mistakes_are_sentences(words, told):
    run = command(EXAMPLE, *words)
    assert run.returncode == 2 and run.stderr.startswith(f'onnx_photo.py: error: {told}')
    assert run.stderr.count('\n') == 1
