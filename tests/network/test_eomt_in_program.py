"""EoMT under the programs: trained until it knows four images, evaluated, dumped, fused, predicted and exported."""

import json
from argparse import Namespace

import cv2
import numpy as np
import pytest
import tiny_vits
import torch
from small import on_two_processes, stop_after

import ensemble
import predict
import train
from engine.builders import wrap
from engine.distributed import init_from_env
from loss import get_criterion
from network import export, load, loading
from network.engines import with_engine
from utils import checkpoint
from utils.outputs.kinds import MASK_SCORES
from utils.outputs.logits import read_logits

COLORS = [(128, 64, 128), (220, 20, 60), (70, 130, 180), (107, 142, 35)]
# the smallest network that learns them, without the random part of the augmentation
NETWORK = ['--arch', 'eomt.EoMT', '--trunk', tiny_vits.NAMES['registers'], '--eomt_queries', 8, '--eomt_blocks', 2]
NETWORK += ['--eomt_patch', 8, '--eomt_size', 48]
STEPS = ['--bs_trn', 4, '--max_epoch', 60, '--val_freq', 60, '--optimizer', 'adamw', '--lr', 3e-3, '--mask_points', 128]
STEPS += ['--crop_size', 48, '--scale_min', 1, '--scale_max', 1, '--color_aug', 0, '--class_uniform_pct', 0]
STEPS += ['--skip_verify', '--num_workers', 0]


def make_quarters(folder):
    """Four images of 48x48 pixels whose quarters are each of one of four classes, as trainIds and in its colour."""
    classes = np.random.default_rng(0).integers(0, 4, (4, 2, 2)).repeat(24, 1).repeat(24, 2).astype(np.uint8)
    classes[:, 0, :4] = np.arange(4)  # all of them in every image
    for number, labels in enumerate(classes):
        for kind, pixels in (('labels', labels), ('images', np.array(COLORS, np.uint8)[labels][..., ::-1])):
            for split in ('train', 'val'):
                path = folder / kind / split / f'{number}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), pixels)
    names = '\n'.join(f'  - {{name: class{k}, id: {k}, color: {list(color)}}}' for k, color in enumerate(COLORS))
    file = folder / 'quarters.yaml'
    file.write_text(
        f'root: {folder}\nimages: images/{{split}}/*.png\nlabels: labels/{{split}}/{{stem}}.png\nclasses:\n{names}\n'
    )
    return file


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """(folder, its data, the run in it) of a training that ends in a network that knows its four images."""
    folder = tmp_path_factory.mktemp('eomt')
    with pytest.MonkeyPatch.context() as patch:
        tiny_vits.register(patch)
        patch.setattr('utils.outputs.pictures.GRID_SIDE', 32)
        data = [
            '--dataset',
            'custom',
            '--data_yaml',
            make_quarters(folder / 'data'),
            '--assets_path',
            folder / 'assets',
        ]
        argv = [*data, *NETWORK, *STEPS, '--result_dir', folder / 'run']
        assert train.main([str(word) for word in argv]) == 0
        yield folder, data, folder / 'run'


def only(folder, name):
    """The one file of this name below a folder."""
    [path] = folder.rglob(name)
    return path


def read(folder, name):
    return cv2.imread(str(only(folder, name)), -1)


def call(main, *words):
    return main([str(word) for word in words])


def test_training_ends_in_a_network_that_knows_its_images(trained):
    _, _, run = trained
    assert json.loads((run / 'metrics.json').read_text())['mean_iou'] > 0.9
    net = load(run)
    assert net.masked == (False, False)  # both blocks are annealed after five sixths
    assert net.trained_on.classes.names == ('class0', 'class1', 'class2', 'class3')


def test_what_is_dumped_are_mask_scores_and_they_fuse_into_the_labels_and_anomaly_scores(trained, capsys):
    folder, data, run = trained
    out = folder / 'eval'
    assert call(train.main, *data, '--eval', 'val', '--run', run, '--dump_logits', '--result_dir', out) == 0
    manifest = json.loads((out / 'logits/manifest.json').read_text())
    assert manifest['kind'] == json.loads((out / 'dumps.json').read_text())['logits']['kind'] == 'mask scores'
    scores = read_logits(only(out, '0_logits.npz')).values.float()
    assert scores.shape == (4, 48, 48) and scores.min() >= 0 and scores.max() < 8

    fused = folder / 'fused'
    words = [out / 'logits', '--write_scores', 'mask_rba,mask_max', '--out', fused]
    assert call(ensemble.main, 'fuse', *words) == 0
    rba, largest = (np.load(only(fused, f'0_mask_{name}.npz'))['value'] for name in ('rba', 'max'))
    assert np.allclose(rba, -scores.tanh().sum(0), atol=2e-3)
    assert np.allclose(largest, 1 - scores.amax(0), atol=2e-3)
    assert (read(fused, '0_pred.png') == scores.argmax(0).numpy()).all()
    sure = scores.amax(0) / scores.sum(0)
    assert np.allclose(read(fused, '0_conf.png') / 65536, sure, atol=2e-3)
    capsys.readouterr()
    assert call(ensemble.main, 'fuse', out / 'logits', '--score', 'energy', '--out', folder / 'none') == 2
    assert 'needs logits of every member, found' in capsys.readouterr().err

    run_out = folder / 'run_fused'
    assert (
        call(ensemble.main, 'run', run, *data[2:], '--dataset', 'custom', '--score', 'mask_max', '--out', run_out) == 0
    )
    assert (read(run_out, '0_pred.png') == scores.argmax(0).numpy()).mean() > 0.99
    assert call(ensemble.main, 'run', run, *data, '--score', 'rba', '--out', folder / 'none') == 2


def test_a_photo_is_predicted_as_it_was_evaluated_and_with_a_confidence_of_its_share(trained):
    folder, _, run = trained
    photo = folder / 'data/images/val/0.png'
    assert call(predict.main, photo, '--weights', run, '--out', folder / 'seen', '--write', 'labels,confidence') == 0
    net = load(run)
    image = cv2.imread(str(photo))[..., ::-1]
    found = net.predict(image)
    written = read(folder / 'seen', '0_confidence.png')
    assert np.abs(written / np.iinfo(written.dtype).max - found.confidence).max() < 0.01
    with torch.no_grad():
        pixels = (torch.from_numpy(image / 255.0).float() - torch.tensor(net.trained_on.mean)) / torch.tensor(
            net.trained_on.std
        )
        scores = net(pixels.permute(2, 0, 1)[None])['pred'][0]
    assert np.allclose(found.confidence, scores.amax(0) / scores.sum(0), atol=1e-4)


@pytest.mark.slow
def test_an_engine_gives_scores_as_the_network_does(trained):
    pytest.importorskip('onnxruntime')
    net, images = load(trained[2]), torch.randn(1, 3, 48, 48)
    engine = with_engine(net, 'onnx', log=lambda line: None)
    with torch.inference_mode():
        expected, *found = (each(images)['pred'] for each in (net, engine, engine))
    assert engine.kind == net.kind == MASK_SCORES
    for scores in found:  # of the network, then of the program
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_an_exported_program_returns_logarithms_of_the_scores(trained):
    folder, _, run = trained
    out = folder / 'net.pt2'
    assert call(export.main, '--snapshot', next(run.glob('best*.pth')), '--size', '48,48', '--out', out) == 0
    images = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        expected = load(run)(images)['pred']
        found = torch.export.load(out).module()(images)
    torch.testing.assert_close(found.exp(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    'flags, words',
    [
        (['--loss', 'ce'], '--loss ce: does not fit eomt.EoMT, whose outputs are masks and classes of queries'),
        (['--rmi_loss'], '--rmi_loss: does not fit eomt.EoMT'),
        (['--teacher', 'RUN'], '--teacher: eomt.EoMT is trained on masks and classes of queries'),
        (['--val_loss', 'mask'], '--val_loss mask: a validation scores pixels'),
        (['--eomt_queries', 3], '--eomt_queries 3: an image may show all of the 4 classes'),
    ],
)
def test_flags_that_do_not_fit_are_refused(trained, flags, words, capsys):
    folder, data, run = trained
    capsys.readouterr()
    flags = [run if flag == 'RUN' else flag for flag in flags]
    assert call(train.main, *data, *NETWORK, *STEPS, '--result_dir', folder / 'refused', *flags) == 2
    assert words in capsys.readouterr().err
    assert call(train.main, *data, *STEPS, '--loss', 'mask', '--trunk', 'hrnetv2_w18_small_v1', '--dry_run') == 2
    assert (
        '--loss mask: does not fit ocrnet.HRNet_Mscale, whose outputs are logits of pixels' in capsys.readouterr().err
    )


def step_of(folder):
    """Two steps of this rank on an image of its own; the sums of the gradients that it ends with."""
    dist = init_from_env(True, 'cpu')
    args = train.parse_args([str(word) for word in NETWORK])
    torch.manual_seed(0)
    net = loading.build(vars(args), 4).train()
    wrapped = wrap(args, Namespace(dist=dist, device=dist.device), net, [1.0] * 3)
    criterion, labels = get_criterion(['mask'] * 3, [1.0] * 3, 4, mask_points=64), torch.zeros(1, 32, 32).long()
    labels[:, :16] = dist.rank  # one mask, and two
    for _ in range(2):
        net.zero_grad()
        criterion(wrapped(torch.randn(1, 3, 32, 32)), labels)['loss'].backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    total = sum(parameter.grad.double().abs().sum() for parameter in net.parameters())
    (folder / f'rank{dist.rank}').write_text(repr(total.item()))
    dist.shutdown()


def test_two_processes_end_in_the_same_gradients(tmp_path, monkeypatch):
    tiny_vits.register(monkeypatch)
    on_two_processes(step_of, tmp_path)
    first, second = ((tmp_path / f'rank{rank}').read_text() for rank in range(2))
    assert first == second


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_in_the_same_weights(trained, tmp_path):
    folder, data, _ = trained
    words = [*data, *NETWORK, *STEPS, '--max_epoch', 4, '--val_freq', 4, '--result_dir']
    assert call(train.main, *words, tmp_path / 'whole') == 0
    stop_after(2)
    assert call(train.main, *words, tmp_path / 'parts') == 75
    assert call(train.main, *words, tmp_path / 'parts', '--resume', 'auto') == 0
    whole, parts = (
        checkpoint.load(next((tmp_path / name).glob('last*.pth')))['state_dict'] for name in ('whole', 'parts')
    )
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    assert parts['attn_mask_probs'].tolist() == pytest.approx([0.0, ((5 / 6 - 3 / 4) * 3) ** 0.9])
