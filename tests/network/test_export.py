"""The export command: what it writes is what the network computes, and what cannot be written is told."""

import json
import sys

import numpy as np
import pytest
import standin
import torch
from narrow import NARROW

import network
from network import export
from network.export import Program
from transforms.normalize import Normalize

HEADS = [
    '--ocr_mid_channels',
    str(NARROW['MODEL__OCR__MID_CHANNELS']),
    '--ocr_key_channels',
    str(NARROW['MODEL__OCR__KEY_CHANNELS']),
    '--segattn_bot_ch',
    str(NARROW['MODEL__SEGATTN_BOT_CH']),
]
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


@pytest.mark.parametrize(
    'snapshot', ['basic.Linear', pytest.param('ocrnet.HRNet_Mscale', marks=pytest.mark.slow)], indirect=True
)
def test_bytes_go_in_and_labels_come_out_of_a_program_of_a_checkpoint(export_it, snapshot):
    path, net = snapshot
    code, printed, out = export_it(
        '--snapshot', path, '--size', '65,97', '--uint8', '--labels', '--batch', '2', small=False
    )
    assert code == 0, printed
    files = {'about.json': ''}
    program = torch.export.load(out, extra_files=files).module()
    images = torch.randint(0, 256, (2, 3, 65, 97), dtype=torch.uint8)
    labels = program(images)
    assert labels.dtype == torch.uint8 and labels.shape == (2, 65, 97)
    normalize = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        expected = net(normalize(images))['pred'].argmax(1)
    assert (labels == expected).float().mean() > 0.999 and len(expected.unique()) > 1
    about = json.loads(files['about.json'])
    assert (
        about['size'] == [65, 97]
        and about['class_names'] == list('abcde')
        and about['trunk'] == standin.PYRAMID
        and about['scales'] == list(net.scales())
        and about['outputs'] == ['labels']
    )


@pytest.mark.slow
@pytest.mark.parametrize('snapshot', ['ocrnet.HRNet_Mscale'], indirect=True)
def test_a_program_of_a_checkpoint_computes_the_logits_of_its_network(export_it, snapshot):
    path, net = snapshot
    code, printed, out = export_it('--snapshot', path, '--size', '64,96', small=False)
    assert code == 0, printed
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(torch.export.load(out).module()(images), net(images)['pred'], rtol=1e-5, atol=1e-6)


@pytest.fixture
def built(monkeypatch):
    """The programs that exports build, of the network in memory."""
    programs = []
    monkeypatch.setattr(export, 'Program', lambda *arguments: programs.append(Program(*arguments)) or programs[-1])
    return programs


@pytest.mark.parametrize(
    'flags, smallest, sizes',
    [
        (['--arch', 'basic.Linear', '--size', '90,122'], 64, '90x122, 64x129, 99x67'),
        pytest.param(
            ['--arch', 'mscale.HRNet', '--size', '128,192'], 128, '128x192, 128x257, 163x131', marks=pytest.mark.slow
        ),
    ],
)
def test_a_dynamic_program_is_the_network_at_any_size_and_refuses_too_small_ones(
    flags, smallest, sizes, export_it, built
):
    code, printed, out = export_it(*flags, '--dynamic')
    assert code == 0, printed
    assert f'at {sizes}' in printed
    program = torch.export.load(out).module()
    for size in ((smallest, smallest), (360, 480), (smallest + 1, 201), (133, 2 * smallest)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(program(images), built[0].logits(images), rtol=1e-4, atol=1e-5)
    with pytest.raises((AssertionError, RuntimeError), match=str(smallest)):
        program(torch.randn(1, 3, smallest, smallest - 1))


def test_a_program_that_fails_at_one_of_its_sizes_is_not_written(export_it, monkeypatch):
    def run(images):
        raise AssertionError('Guard failed: images.size()[2] == 64\nin 40 lines')

    monkeypatch.setattr(export, 'traced', lambda *arguments: None)
    monkeypatch.setattr(export, 'write', lambda kind, traced, file, about: file.touch())
    monkeypatch.setattr(export, 'load', lambda kind, file: run)
    code, printed, out = export_it('--arch', 'basic.Linear', '--size', '64', '--dynamic')
    assert (
        code == 2
        and 'the program fails at 64x64 (Guard failed: images.size()[2] == 64), so nothing was written'
        in printed.splitlines()[-1]
    )
    assert not out.exists()


@pytest.mark.parametrize('scales, smallest', [('0.5,1.0,2.0', 128), ('0.25,1.0', 256), ('0.75,1.0', 86), ('1.0', 64)])
def test_the_sizes_that_are_promised_are_those_of_the_scales_of_evaluation(scales, smallest, export_it):
    """Two pixels of stride 32 at the smallest scale: 2 * 32 / 0.75 = 85.3."""
    code, printed, _ = export_it('--arch', 'mscale.HRNet', '--n_scales', scales, '--size', '8', '--dynamic')
    assert code == 2 and f'both sides of images must be at least {smallest} pixels; give larger ones' in printed


@pytest.mark.parametrize(
    'snapshot', ['basic.Linear', pytest.param('ocrnet.HRNet_Mscale', marks=pytest.mark.slow)], indirect=True
)
def test_onnx_labels_and_confidences_are_those_of_the_network_at_any_size(export_it, snapshot):
    onnxruntime = pytest.importorskip('onnxruntime')
    path, _ = snapshot
    code, printed, out = export_it(
        *('--snapshot', path, '--dynamic', '--size', '128,160', '--uint8', '--outputs', 'labels,logits,confidence'),
        name='net.onnx',
        small=False,
    )
    assert code == 0, printed
    session = onnxruntime.InferenceSession(out, providers=['CPUExecutionProvider'])
    names = ['images', 'labels', 'logits', 'confidence']
    assert [item.name for item in (*session.get_inputs(), *session.get_outputs())] == names
    about = json.loads(session.get_modelmeta().custom_metadata_map['about'])
    assert about['outputs'] == names[1:] and about['classes']['names'] == list('abcde') and about['size'] is None
    net = network.load(path)
    assert about['smallest'] == 64 / min(net.scales())
    for height, width in ((360, 480), (133, 251), (256, 192)):
        photo = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        found = net.predict(photo)
        labels, logits, confidence = session.run(None, {'images': photo.transpose(2, 0, 1)[None]})
        assert labels.dtype == np.uint8 and logits.shape == (1, 5, height, width)
        assert (labels[0] == found.labels).mean() > 0.999 and len(np.unique(labels)) > 1
        assert (labels == logits.argmax(1)).all()
        np.testing.assert_allclose(confidence[0], found.confidence, atol=1e-4)


@pytest.mark.parametrize(
    'errors, told', [([0.5, 0, 0], '5.00e-01'), ([0, 0.25, 0], '2.50e-01'), ([0, float('nan'), 0], 'nan')]
)
def test_a_program_that_differs_at_one_of_its_sizes_is_not_written(errors, told, export_it, monkeypatch):
    """errors: by how much the program is off at each of the sizes, as a share of the largest logit."""
    left = list(errors)
    monkeypatch.setattr(export, 'reference', lambda program, images: torch.ones(1, 5, *images.shape[-2:]))
    monkeypatch.setattr(export, 'traced', lambda *arguments: None)
    monkeypatch.setattr(export, 'write', lambda kind, traced, file, about: file.touch())
    monkeypatch.setattr(
        export, 'load', lambda kind, file: lambda images: [torch.ones(1, 5, *images.shape[-2:]) + left.pop(0)]
    )
    code, printed, out = export_it('--arch', 'basic.Linear', '--size', '64', '--dynamic')
    assert (
        code == 1
        and f'differs from the network by {told} of the largest logit' in printed
        and 'nothing was written' in printed
    )
    assert left == [] and list(out.parent.iterdir()) == []


def test_differences_are_shares_of_the_largest_logit():
    logits = torch.tensor([[4.0, 1.0], [3.0, -8.0]]).view(1, 2, 1, 2)  # best: class 0 in both pixels
    assert export.difference('logits', logits + 0.8, logits) == pytest.approx(0.1)
    assert export.difference('labels', torch.tensor([[[0, 0]]]), logits) == 0
    assert export.difference('labels', torch.tensor([[[1, 0]]]), logits) == pytest.approx(1 / 8)
    assert export.difference('labels', torch.tensor([[[1, 1]]]), logits) == pytest.approx(9 / 8)


def test_differences_of_confidences_are_differences_of_probabilities():
    logits = torch.tensor([3.0, 1.0]).log().view(1, 2, 1, 1)  # probabilities 3/4 and 1/4
    assert export.confidence(logits).item() == pytest.approx(0.75) and export.labels(logits).tolist() == [[[0]]]
    assert export.difference('confidence', torch.tensor([[[0.5]]]), logits) == pytest.approx(0.25)


@pytest.mark.parametrize(
    'flags, words',
    [
        (['--size', '1'], 'vanish at scale 0.5'),
        (
            ['--size', '100,128', '--dynamic'],
            '--size 100,128: with --dynamic both sides of images must be at least 128 pixels; give larger ones',
        ),
        (['--outputs', 'labels,confidense'], "no output 'confidense'; did you mean confidence?"),
        (['--outputs', 'xyz'], "--outputs xyz: there is no output 'xyz'; give any of logits, labels, confidence"),
        (
            ['--outputs', 'labels,labels'],
            '--outputs labels,labels: give each of logits, labels, confidence once at most',
        ),
        (['--outputs', ','], "--outputs: ',' names nothing"),
        (['--labels', '--outputs', 'logits'], '--labels and --outputs logits contradict each other; give one'),
        (['--n_scales', '0.7,1.0', '--dynamic'], 'sizes at scale 0.7 have no simple formula'),
        (['--arch', 'basic.HRNett'], 'did you mean basic.HRNet'),
        (['--snapshot', 'nowhere.pth'], 'nowhere.pth: no such checkpoint'),
        (['--num_classes', '300', '--labels'], '300 classes do not fit into a byte'),
    ],
)
def test_a_mistake_is_one_sentence(flags, words, export_it):
    code, printed, out = export_it(*flags)
    assert code == 2 and words in printed.splitlines()[-1] and not out.exists()


def test_the_ending_says_the_format(export_it):
    code, printed, _ = export_it(name='net.bin')
    assert code == 2 and 'let it end in .pt2 or .onnx, or give --format' in printed


def test_a_file_that_is_there_is_kept_without_overwrite(export_it, tmp_path):
    (tmp_path / 'net.pt2').write_bytes(b'mine')
    code, printed, out = export_it()
    assert code == 2 and '--overwrite to replace it' in printed and out.read_bytes() == b'mine'
    assert export_it('--overwrite')[0] == 0 and out.read_bytes() != b'mine'


def test_an_ending_that_contradicts_the_format_is_refused(export_it):
    code, printed, _ = export_it('--format', 'torch_export', name='net.onnx')
    assert (
        code == 2
        and 'the name says onnx, --format torch_export; leave --format out, or let the name end in .pt2' in printed
    )


@pytest.mark.parametrize(
    'name, owner, words',
    [
        (
            'net.pt2',
            torch.export,
            'torch.export cannot follow this network (no such operation); choose another network',
        ),
        (
            'net.onnx',
            torch.onnx,
            (
                'torch.onnx cannot write basic.Linear (no such operation); choose another network, or --format'
                ' torch_export'
            ),
        ),
    ],
)
def test_what_exporters_cannot_follow_is_one_sentence(name, owner, words, export_it, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError('no such operation\nin 40 lines')

    pytest.importorskip('onnxruntime')
    monkeypatch.setattr(owner, 'export', fail)
    if name.endswith('onnx'):
        monkeypatch.setattr(export, 'traced', lambda *arguments: None)
    code, printed, out = export_it('--arch', 'basic.Linear', '--size', '64', name=name)
    assert code == 2 and words in printed.splitlines()[-1] and not out.exists()


def test_missing_packages_are_named(export_it, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    code, printed, _ = export_it(name='net.onnx')
    assert code == 2 and 'the package onnx is missing; pip install -r requirements-extras.txt' in printed


def test_the_checkpoint_of_another_network_is_refused(export_it, snapshot):
    code, printed, out = export_it('--snapshot', snapshot[0], '--arch', 'UNet', '--size', '64', small=False)
    assert code == 2 and not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['pt2', 'onnx'])
@pytest.mark.parametrize(
    'flags',
    [
        ['--dynamic', '--n_scales', '0.25,0.5,1.0,1.5,2.0', '--size', '256,384'],
        ['--size', '97,193', '--n_scales', '0.5,0.7,1.0'],
        ['--align_corners', '--dynamic', '--size', '128'],
        ['--arch', 'UNetDS', '--dynamic', '--size', '128'],
    ],
)
def test_real_networks_export(flags, ending, export_it):
    pytest.importorskip('onnxruntime')
    trunk = [] if '--arch' in flags else ['--trunk', 'hrnetv2_w18_small_v1', *HEADS]
    code, printed, _ = export_it(*trunk, *flags, name=f'net.{ending}', small=False)
    assert code == 0, printed


@pytest.mark.slow
@pytest.mark.parametrize(
    'trunk', ['timm/convnext_atto', 'timm/resnet18', 'timm/vit_tiny_patch16_224', 'resnet-50', 'xception71']
)
@pytest.mark.parametrize('ending', ['pt2', 'onnx'])
def test_other_trunks_export(trunk, ending, export_it):
    pytest.importorskip('timm')
    pytest.importorskip('onnxruntime')
    code, printed, _ = export_it(
        '--arch', 'basic.HRNet', '--trunk', trunk, '--size', '96,128', name=f'net.{ending}', small=False
    )
    assert code == 0, printed


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['pt2', 'onnx'])
def test_a_trunk_of_timm_that_fills_images_up_exports_for_any_size(ending, export_it):
    """The export itself compares at 64x129 and 99x67, which its largest stride, 32, divides in part and not at all."""
    pytest.importorskip('timm')
    pytest.importorskip('onnxruntime')
    flags = ['--arch', 'basic.HRNet', '--trunk', 'timm/test_efficientnet', '--size', '96,128', '--dynamic']
    code, printed, _ = export_it(*flags, name=f'net.{ending}', small=False)
    assert code == 0 and 'at 96x128, 64x129, 99x67' in printed, printed
