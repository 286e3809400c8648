"""Checkpoints of other programs, which hold objects beside their weights: read, and nothing of the objects runs."""

import argparse
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from utils import checkpoint

NET = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
WEIGHTS = NET.state_dict()


def same(path):
    found = checkpoint.load(path)['state_dict']
    return list(found) == list(WEIGHTS) and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


@pytest.fixture
def foreign(monkeypatch):
    """A module that is gone when the file is read, with a class that would tell if it ran."""
    module = types.ModuleType('foreign_program')
    exec('class Buffer:\n    def __init__(self, value):\n        self.value = value', module.__dict__)
    module.Buffer.__module__ = 'foreign_program'
    monkeypatch.setitem(sys.modules, 'foreign_program', module)
    return module.Buffer


def save(path, content):
    torch.save(content, path)
    sys.modules.pop('foreign_program', None)


@pytest.mark.parametrize(
    'content',
    [
        lambda buffer: {'model': WEIGHTS, 'epoch': 3, 'args': argparse.Namespace(lr=0.1)},  # torchvision's scripts
        lambda buffer: {'state_dict': WEIGHTS, 'message_hub': {'log': buffer([1])}, 'meta': {}},  # mmengine
        lambda buffer: {'state_dict': WEIGHTS, 'epoch': 3, 'callbacks': {'best': buffer(1)}},  # Lightning
        lambda buffer: NET,  # the whole module
    ],
    ids=['torchvision', 'mmengine', 'lightning', 'module'],
)
def test_the_weights_are_read_without_the_program_that_wrote_them(tmp_path, foreign, content):
    save(tmp_path / 'a.pth', content(foreign))
    assert same(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'beside, protocol',
    [*((beside, 2) for beside in ('none', 'flags', 'array', 'score', 'buffer')), ('flags', 3), ('buffer', 3)],
)
def test_files_from_before_torch_1_6_are_read_with_stand_ins_too(tmp_path, foreign, beside, protocol):
    extra = {
        'none': {},
        'flags': {'args': argparse.Namespace(lr=0.1)},
        'array': {'values': np.arange(4)},
        'score': {'score': np.float64(0.5)},
        'buffer': {'callbacks': foreign([1])},
    }[beside]
    content = {'model': WEIGHTS, 'epoch': 3, **extra}
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    sys.modules.pop('foreign_program', None)
    assert same(tmp_path / 'a.pth') and checkpoint.load(tmp_path / 'a.pth')['epoch'] == 3


def test_code_in_a_file_from_before_torch_1_6_is_refused_and_not_run(tmp_path):
    content = {'state_dict': WEIGHTS, 'extra': Evil()}
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match='holds code .*eval.* was refused, nothing of it was run'):
        checkpoint.load(tmp_path / 'a.pth')


class Evil:
    def __reduce__(self):
        return eval, ('1 / 0',)


def test_a_file_that_calls_built_in_functions_is_still_refused(tmp_path):
    torch.save({'state_dict': WEIGHTS, 'extra': Evil()}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='holds code .*eval.* was refused, nothing of it was run'):
        checkpoint.load(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'content',
    [{'state_dict': WEIGHTS, 'net': NET}, {'model': WEIGHTS, 'net': NET}, NET],
    ids=['entry', 'model', 'module'],
)
def test_the_remedy_that_a_refusal_prints_makes_a_file_that_is_read(tmp_path, content):
    old, new = tmp_path / 'old.pth', tmp_path / 'new.pth'
    torch.save(content, old, _use_new_zipfile_serialization=False)  # whose objects are not known before it is read
    with pytest.raises(ValueError, match='was refused') as refused:
        checkpoint.load(old)
    remedy = str(refused.value).partition('re-save its weights alone: ')[2]
    exec(remedy, {'torch': torch, 'FILE': old, 'NEW': new})
    assert same(new)


@pytest.mark.parametrize('protocol', [3, 4, 5])
def test_the_remedy_for_a_newer_pickle_makes_a_file_that_is_read(tmp_path, protocol):
    old, new, content = tmp_path / 'old.pth', tmp_path / 'new.pth', {'state_dict': WEIGHTS, 'raw': b'bytes'}
    torch.save(content, old, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    with pytest.raises(ValueError, match=f'is a pickle of protocol {protocol}, of which weights alone') as refused:
        checkpoint.load(old)
    remedy = str(refused.value).partition('save it again with protocol 2: ')[2].partition(', if you trust')[0]
    exec(remedy, {'torch': torch, 'FILE': old, 'NEW': new})
    assert same(new)


def test_a_module_under_a_name_is_read_too(tmp_path):
    torch.save({'model': NET, 'epoch': 1}, tmp_path / 'a.pth')
    assert same(tmp_path / 'a.pth')
