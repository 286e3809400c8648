"""A new kind of dump is one class: a worked example, from its declaration to its files and their resumption."""

import json

import cv2
import numpy as np
import pytest
import torch
from small import TRAIN

from engine.distributed import Dist
from engine.evaluator import Evaluator
from network.averaging import EvalOptions
from utils.classes import Classes
from utils.files.images import write_png
from utils.outputs.dumper import Dumper
from utils.outputs.dumps import DUMPS, Dump, DumpOptions


@pytest.fixture
def doubts():
    before = dict(DUMPS)

    class Doubts(Dump):
        """Where the network is less than half sure: 255, elsewhere 0."""

        name, flag, folder = 'doubts', 'dump_for_submission', 'doubts'
        suffixes, needs = ('_doubt.png',), ('confidence',)
        content = {'kind': '255 where the confidence is below 0.5, uint8'}

        def write(self, name, size, confidence):
            assert confidence.shape == size
            [path] = self.files(name)
            write_png(path, np.where(confidence < 0.5, 255, 0).astype(np.uint8))

    yield Doubts
    DUMPS.clear()
    DUMPS.update(before)


class HalfSure(torch.nn.Module):
    """Sure in the left half of an image, undecided between four classes in the right half."""

    def forward(self, images, keep_scales=False):
        logits = images.new_zeros(len(images), 4, *images.shape[-2:])
        logits[:, 1, :, : images.shape[-1] // 2] = 9
        return {'pred': logits}


def run(folder, **options):
    batch = {'image': torch.zeros(2, 3, 2, 4), 'name': ['a/x.png', 'b/x.png'], 'index': [0, 1]}
    made_by = {'checkpoint': 'a.pth', **options}
    dumper = Dumper(['doubts'], DumpOptions(made_by), folder, Classes.numbered(4), batch['name'])
    net, evaluated = HalfSure(), []
    net.register_forward_hook(lambda *_: evaluated.append(1))
    Evaluator([net], lambda images: images, Dist(), EvalOptions()).run([batch], [dumper])
    return len(evaluated)


def test_its_files_its_entry_in_the_record_and_its_resumption_follow_from_the_class(doubts, tmp_path):
    assert run(tmp_path) == 1
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png'))
    assert found == ['doubts/a/x_doubt.png', 'doubts/b/x_doubt.png']
    assert cv2.imread(str(tmp_path / found[0]), cv2.IMREAD_UNCHANGED).tolist() == [[0, 0, 255, 255]] * 2
    entry = json.loads((tmp_path / 'dumps.json').read_text())['doubts']
    assert entry['files'] == 'doubts/<name>_doubt.png' and entry['kind'] == doubts.content['kind']
    assert entry['made_by'] == {'checkpoint': 'a.pth'} and len(entry['classes']) == 4
    assert run(tmp_path) == 0, 'everything stands, so the network does not run'
    (tmp_path / found[1]).unlink()
    assert run(tmp_path) == 1 and (tmp_path / found[1]).exists()
    with pytest.raises(ValueError, match='the doubts dump there was made with flip none, now on'):
        run(tmp_path, flip=True)


def test_the_program_writes_it_when_its_flag_is_given(doubts, program):
    code, printed = program(*TRAIN, '--eval', 'val', '--random_weights', '--dump_for_submission')
    assert code == 0, printed
    assert len(list((program.run_dir / 'doubts').rglob('*_doubt.png'))) == 5
    assert {'doubts', 'submission'} <= json.loads((program.run_dir / 'dumps.json').read_text()).keys()
