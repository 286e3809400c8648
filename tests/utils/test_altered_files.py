"""Readable files with values of a wrong type, or with markup in them: one sentence, or read anew."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from engine.distributed import Dist
from engine.seeding import capture_rng
from engine.state import resume_learner, resume_random_state
from network import load
from network.building import get_net
from network.loading import description, trained_on
from utils import checkpoint
from utils.classes import Classes
from utils.files.archives import locate
from utils.pages.page import write_page
from utils.pages.records import Layer, PageRecord, load_record

WRONG = [7, -1, 'x', [1], {'a': 1}, True, 1.5, [None]]


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('key', sorted(checkpoint.ENTRIES))
def test_an_entry_of_a_wrong_type_is_named(tmp_path, key, suffix):
    if suffix == '.safetensors':
        pytest.importorskip('safetensors')
    is_right, form = checkpoint.ENTRIES[key]
    for value in WRONG:
        checkpoint.save(tmp_path / f'a{suffix}', {'state_dict': {'a': torch.zeros(1)}, key: value})
        if is_right(value):
            assert checkpoint.load(tmp_path / f'a{suffix}')[key] == value
        else:
            with pytest.raises(ValueError, match=f"its entry '{key}' is .*, expected {form}"):
                checkpoint.load(tmp_path / f'a{suffix}')


def test_a_description_with_values_of_a_wrong_type_is_a_value_error(monkeypatch):
    with torch.device('meta'):
        net = get_net('UNet', 3)
        about = description(net, Classes.numbered(3), dataset='toy', mean=[0] * 3, std=[1] * 3)
        for key in about['network']:
            for value in WRONG:
                state = {**about, 'network': {**about['network'], key: value}, 'state_dict': {}}
                monkeypatch.setattr(checkpoint, 'load', lambda file, state=state: state)
                with pytest.raises(ValueError, match='a.pth|--'):  # without weights at the latest there
                    load('a.pth')


@pytest.mark.parametrize('key', ['classes', 'mean', 'std'])
def test_classes_and_colours_of_a_wrong_type_are_a_value_error(key):
    about = {'classes': Classes.numbered(3).as_dict(), 'mean': [0] * 3, 'std': [1] * 3}
    for value in WRONG:
        with pytest.raises(ValueError, match='a.pth'):
            trained_on({**about, key: value}, 3, 'a.pth')


class Learner:
    def __init__(self):
        self.net = nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.net.parameters(), 0.1, momentum=0.9)
        self.scaler = torch.amp.GradScaler('cpu')
        self.ema, self.swa = AveragedModel(self.net), AveragedModel(self.net)


@pytest.mark.parametrize('part', ['optimizer', 'scaler', 'ema', 'swa', 'rng'])
def test_a_state_with_values_of_a_wrong_type_is_a_value_error(part):
    learner, refused = Learner(), 0
    parts = {
        'optimizer': learner.optimizer.state_dict(),
        'scaler': learner.scaler.state_dict(),
        'ema': learner.ema.state_dict(),
        'swa': learner.swa.state_dict(),
    }
    for key in capture_rng() if part == 'rng' else parts[part]:
        for value in [*WRONG, None]:
            try:
                if part == 'rng':
                    resume_random_state({'rng': [{**capture_rng(), key: value}]}, 'a.pth', Dist())
                else:
                    resume_learner({**parts, part: {**parts[part], key: value}}, 'a.pth', Learner(), lambda line: None)
            except ValueError as error:
                assert 'a.pth: ' in str(error)
                refused += 1
    assert refused > 0


def test_a_member_without_a_name_is_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('x', b'1')
    data = file.getvalue()
    head, entry = data.index(b'PK\3\4'), data.index(b'PK\1\2')
    data = bytearray(data)
    data[entry + 28 : entry + 30] = b'\0\0'  # the length of its name in the directory
    del data[entry + 46], head
    end = data.index(b'PK\5\6')
    data[end + 12 : end + 16] = (int.from_bytes(data[end + 12 : end + 16], 'little') - 1).to_bytes(4, 'little')
    (tmp_path / 'd.zip').write_bytes(data)
    with pytest.raises(ValueError, match='d.zip: holds a member without a name; pack it anew'):
        locate(tmp_path / 'd')


SCRIPT = '"><script>alert(1)</script>'


def record(tmp_path, **values):
    (tmp_path / 'a_input.png').write_bytes(b'x')
    made = PageRecord('a.png', 0, 4, 3, [Layer('input', 'Input', 'a_input.png', 'photo')], run='r')
    for key, value in values.items():
        setattr(made.layers[0] if key in ('kind', 'title', 'key', 'file', 'top', 'unit') else made, key, value)
    return made


@pytest.mark.parametrize(
    'key',
    'width height wrong index kind file top classes miou accuracy mark thumbnails pixels'.split(),
)
def test_an_altered_page_record_is_drawn_again(tmp_path, key):
    path = tmp_path / 'a.json'
    record(tmp_path).save(path)
    assert load_record(path, 'r', tmp_path) == record(tmp_path)
    record(tmp_path, **{key: SCRIPT}).save(path)
    assert load_record(path, 'r', tmp_path) is None
    path.write_text(json.dumps([1]))
    assert load_record(path, 'r', tmp_path) is None


@pytest.mark.parametrize('key', 'width height kind title key name file unit about mark thumbnails pixels wrong'.split())
def test_no_value_of_a_record_is_markup_on_the_page(tmp_path, key):
    classes = Classes(('a',), np.zeros((1, 3), np.uint8))
    write_page(tmp_path / 'index.html', [record(tmp_path, **{key: SCRIPT})], classes, 'toy')
    assert '<script>alert' not in (tmp_path / 'index.html').read_text()


@pytest.mark.parametrize('file', ['../a.js', '/etc/passwd', '//host/a.js', 'v/../../a.js'])
def test_a_stored_record_names_files_beside_the_page_alone(tmp_path, file):
    (tmp_path / 'a.js').write_text('')
    (tmp_path / 'page/v').mkdir(parents=True)
    record(tmp_path / 'page', pixels=file).save(tmp_path / 'page/a.json')
    assert load_record(tmp_path / 'page/a.json', 'r', tmp_path / 'page') is None
