"""Dumps of an evaluation with --pre_size: at the size of the image, unless the flag says otherwise."""

import json

import cv2
import numpy as np
import pytest
import torch
from small import TRAIN

from datasets.sampling.sets import EvalSet
from engine.distributed import Dist
from engine.evaluator import Evaluator
from network.averaging import EvalOptions
from utils.classes import Classes
from utils.outputs.dumper import Dumper
from utils.outputs.dumps import DumpOptions
from utils.outputs.logits import read_logits, read_manifest

KINDS = ('logits', 'submission', 'auto_labels')


class LeftRight(torch.nn.Module):
    """Class 1 with logit 4 in the left half, class 2 in the right half; all others 0."""

    def forward(self, images, keep_scales=False):
        logits = images.new_zeros(len(images), 4, *images.shape[-2:])
        half = images.shape[-1] // 2
        logits[:, 1, :, :half], logits[:, 2, :, half:] = 4, 4
        return {'pred': logits}


def dump(folder, sizes, **options):
    """Two images that the network sees as 4x8, of these sizes."""
    batch = {'image': torch.zeros(2, 3, 4, 8), 'name': ['a.png', 'b.png'], 'index': [0, 1], 'size': sizes}
    dumper = Dumper(KINDS, DumpOptions({'pre_size': 8}, **options), folder, Classes.numbered(4), batch['name'])
    Evaluator([LeftRight()], lambda images: images, Dist(), EvalOptions()).run([batch], [dumper])


def test_labels_confidences_probabilities_and_logits_have_the_size_of_the_image(tmp_path):
    dump(tmp_path, [(12, 24), (4, 8)])
    for name in ('submit/a_pred.png', 'submit/a_conf.png', 'a.png', 'a_prob.png'):
        assert cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED).shape == (12, 24)
    labels = cv2.imread(str(tmp_path / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert labels.tolist() == [[1] * 12 + [2] * 12] * 12
    # one pixel from the border, a third of a pixel of the grid: 4 * 2 / 3 against 4 / 3
    logits = read_logits(tmp_path / 'logits/a_logits.npz').full()
    assert np.allclose(logits[:, 0, 11], [0, 8 / 3, 4 / 3, 0], atol=2e-3)
    sure = np.exp(8 / 3) / (np.exp(8 / 3) + np.exp(4 / 3) + 2)
    found = cv2.imread(str(tmp_path / 'submit/a_conf.png'), cv2.IMREAD_UNCHANGED)
    assert abs(found[0, 11] / 65535 - sure) < 1e-4
    assert cv2.imread(str(tmp_path / 'b.png'), cv2.IMREAD_UNCHANGED).shape == (4, 8)
    manifest = read_manifest(tmp_path / 'logits')
    assert manifest['grid'] == 'image' and manifest['images']['a.png']['size'] == [12, 24]


def test_the_flag_keeps_the_grid_of_the_network_and_the_records_say_so(tmp_path):
    dump(tmp_path, [(12, 24), (4, 8)], grid='network')
    assert cv2.imread(str(tmp_path / 'submit/a_pred.png'), cv2.IMREAD_UNCHANGED).shape == (4, 8)
    assert read_manifest(tmp_path / 'logits')['grid'] == 'network'
    assert {entry['grid'] for entry in json.loads((tmp_path / 'dumps.json').read_text()).values()} == {'network'}
    with pytest.raises(ValueError, match='grid network, now image'):
        dump(tmp_path, [(12, 24), (4, 8)])


@pytest.mark.parametrize('pre_size, refused', [(8, True), (None, False)])
def test_dumps_of_earlier_versions_are_in_the_grid_of_the_network(tmp_path, pre_size, refused):
    record = tmp_path / 'dumps.json'
    options = DumpOptions({'pre_size': pre_size})
    dumper = Dumper(['submission'], options, tmp_path, Classes.numbered(4), ['a.png'])
    dumper.open()
    content = json.loads(record.read_text())
    del content['submission']['grid']
    record.write_text(json.dumps(content))
    if refused:
        with pytest.raises(ValueError, match='grid network, now image'):
            dumper.open()
    else:
        dumper.open()


def test_samples_say_the_size_before_the_transform(street):
    from config import scope
    from datasets import get_dataset

    with scope(DATASET__ROOT=str(street)):
        samples = EvalSet(get_dataset('synthetic', 'val'), lambda image, label: (image[::2, ::2], label[::2, ::2], 0.5))
        assert samples[0]['size'] == (64, 128) and samples[0]['image'].shape == (3, 32, 64)


def test_the_program_writes_for_a_benchmark_at_the_size_of_the_files(program):
    flags = [*TRAIN, '--eval', 'val', '--random_weights', '--pre_size', '96']
    flags += ['--dump_for_submission', '--dump_logits']
    code, printed = program(*flags)
    assert code == 0, printed
    written = list((program.run_dir / 'submit').rglob('*_pred.png'))
    assert len(written) == 5 and {cv2.imread(str(path), -1).shape for path in written} == {(64, 128)}
    assert read_manifest(program.run_dir / 'logits')['grid'] == 'image'
    code, printed = program(*flags, '--crop_val')
    assert code == 2 and '--crop_val shows the network the middle square' in printed and '--dump_grid' in printed
    out = program.run_dir.with_name('square')
    code, printed = program(*flags, '--crop_val', '--dump_grid', 'network', '--result_dir', out)
    assert code == 0, printed
    assert {cv2.imread(str(path), -1).shape for path in (out / 'submit').rglob('*_pred.png')} == {(96, 96)}
