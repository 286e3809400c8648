import errno
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import signal
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from utils import checkpoint

FORK = multiprocessing.get_context('fork')


def weights(value=1.0, size=4):
    return {'conv.weight': torch.full((size,), value), 'bn.num_batches_tracked': torch.tensor(7)}


def names(folder):
    return sorted(os.listdir(folder))


# Saving and loading


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / 'a.pth'
    arguments = {'crop_size': (8, 16), 'root': Path('/d'), 'cv': np.int64(1)}
    checkpoint.save(path, {'state_dict': weights(), 'epoch': 3, 'score': np.float64(0.5), 'args': arguments})
    return path


def test_what_is_saved_comes_back_as_tensors_and_plain_python_values(saved):
    state = checkpoint.load(saved)
    assert torch.equal(state['state_dict']['conv.weight'], torch.ones(4))
    assert state['score'] == 0.5
    assert type(state['score']) is float
    assert state['args'] == {'crop_size': (8, 16), 'root': '/d', 'cv': 1}
    assert torch.load(saved, weights_only=True)['epoch'] == 3


def test_a_value_that_a_weights_only_load_would_refuse_is_not_saved(tmp_path):
    with pytest.raises(AssertionError, match=r'a random\.Random cannot be stored'):
        checkpoint.save(tmp_path / 'a.pth', {'state_dict': weights(), 'rng': random.Random(0)})
    assert names(tmp_path) == []


def old_file(path, numpy_one, legacy):
    """A file as earlier programs wrote it: module. prefixes and NumPy scalars, pickled under NumPy 1 or 2."""
    state = {
        'epoch': 174,
        'arch': 'ocrnet.HRNet_Mscale',
        'num_classes': 19,
        'state_dict': OrderedDict({'module.conv.weight': torch.ones(4)}),
        'mean_iu': np.float64(0.8692),
        'command': 'train.py --lr 1',
        '__metric': np.float64(0.8692),
        'count': np.int32(-5),
        'ok': np.bool_(True),
    }
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    new, old = (b'numpy._core.multiarray\n', b'numpy.core.multiarray\n') if numpy_one else (b'', b'')
    if legacy:
        path.write_bytes(path.read_bytes().replace(new, old))
        return
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in parts.items():
            archive.writestr(name, data.replace(new, old))


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize('numpy_one', [False, True])
def test_files_of_earlier_programs_load_with_their_numpy_scores_as_python_numbers(tmp_path, numpy_one, legacy):
    path = tmp_path / 'old.pth'
    old_file(path, numpy_one, legacy)
    data = path.read_bytes()
    assert (b'numpy.core.multiarray' in data) == numpy_one
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    allowed = set(torch.serialization.get_safe_globals())
    state = checkpoint.load(path)
    assert set(torch.serialization.get_safe_globals()) == allowed
    assert (state['mean_iu'], state['__metric'], state['count'], state['ok']) == (0.8692, 0.8692, -5, True)
    assert [type(state[key]) for key in ('mean_iu', 'count', 'ok')] == [float, int, bool]
    assert torch.equal(state['state_dict']['module.conv.weight'], torch.ones(4))


def test_a_bare_state_dict_is_taken_as_one(tmp_path):
    torch.save(weights(), tmp_path / 'w.pth')
    assert list(checkpoint.load(tmp_path / 'w.pth')) == ['state_dict']


class Evil:
    def __init__(self, function, *arguments):
        self.what = function, arguments

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize('protocol', [2, 4, 5])
@pytest.mark.parametrize('legacy', [False, True])
def test_code_is_named_in_pickles_of_every_protocol(tmp_path, protocol, legacy):
    torch.save(
        {'state_dict': weights(), 'first': Evil(os.system, 'true'), 'second': Evil(os.system, 'true')},
        tmp_path / 'evil.pth',
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(ValueError, match=rf'evil.pth: holds code \({os.system.__module__}.system\) beside weights'):
        checkpoint.load(tmp_path / 'evil.pth')


@pytest.mark.parametrize('legacy', [False, True])
@pytest.mark.parametrize(
    'function, name', [(os.system, 'posix.system'), (eval, 'eval'), (shutil.copyfile, 'shutil.copyfile')]
)
def test_a_file_that_holds_code_is_refused_by_name_and_nothing_is_run(tmp_path, function, name, legacy):
    path, trace = tmp_path / 'evil.pth', tmp_path / 'ran'
    arguments = {
        os.system: [f'touch {trace}'],
        eval: [f'open({str(trace)!r}, "w")'],
        shutil.copyfile: [os.devnull, str(trace)],
    }
    torch.save(
        {'state_dict': weights(), 'extra': Evil(function, *arguments[function])},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    with pytest.raises(
        ValueError, match=rf'evil.pth: holds code \({name}\) .*nothing of it was run; .*re-save its weights alone'
    ):
        checkpoint.load(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # the file was dangerous indeed


def test_a_numpy_array_of_objects_does_not_pass_as_a_score(tmp_path):
    torch.save({'state_dict': weights(), 'mean_iu': Evil(np.dtype, 'O')}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a.pth: is damaged, or holds more than weights'):
        checkpoint.load(tmp_path / 'a.pth')


def test_a_missing_file_names_its_neighbours(saved):
    with pytest.raises(
        FileNotFoundError, match='b.pth: no such checkpoint, found a.pth in that folder; give the path of one'
    ):
        checkpoint.load(saved.parent / 'b.pth')
    with pytest.raises(FileNotFoundError, match='that folder holds no .pth file'):
        checkpoint.load(saved.parent / 'x' / 'b.pth')


@pytest.mark.parametrize(
    'content, told',
    [
        (b'', 'is empty'),
        (b'<!DOCTYPE html><html>', 'is a web page'),
        (b'\n <html>', 'is a web page'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'is a Git LFS pointer'),
        (b'\x89PNG\r\n', 'is not a PyTorch checkpoint'),
        (b'{"a": 1}', 'is not a PyTorch checkpoint'),
        (b'PK\x03\x04 and no more', 'is cut off after 16 bytes'),
        (b'\x80\x02garbage', 'is damaged'),
        (b'\x80\x02}q\x00.', 'is damaged'),
    ],
)
def test_a_file_that_is_no_checkpoint_says_what_it_is(tmp_path, content, told):
    path = tmp_path / 'a.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'a.pth: {told}.*; [a-z]') as caught:
        checkpoint.load(path)
    assert '\n' not in str(caught.value)


def test_a_folder_is_not_a_checkpoint(tmp_path):
    with pytest.raises(ValueError, match='is a folder, expected a checkpoint file'):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    'content, found',
    [
        ({'epoch': 1, 'net': weights()}, r"entries \['epoch', 'net'\]"),
        ([torch.ones(2)], 'a list'),
        (torch.ones(2), 'a Tensor'),
        ({}, r'entries \[\]'),
    ],
)
def test_a_torch_file_without_weights_says_what_it_holds(tmp_path, content, found):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=f"a.pth: holds {found}, expected an entry 'state_dict'"):
        checkpoint.load(tmp_path / 'a.pth')


@pytest.mark.filterwarnings('ignore')
def test_an_exported_program_is_told_from_a_checkpoint(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='is an exported TorchScript program'):
        checkpoint.load(tmp_path / 'a.pth')


@pytest.mark.parametrize('legacy', [False, True])
def test_a_file_cut_off_or_altered_anywhere_is_an_error_or_intact_never_wrong_weights(tmp_path, legacy):
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': {'w': torch.arange(256.0)}, 'epoch': 1}, path, _use_new_zipfile_serialization=not legacy)
    data = path.read_bytes()
    for length in range(0, len(data), 37):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError):
            checkpoint.load(path)
    if legacy:
        return  # the format before torch 1.6 has no checksums
    for position in range(0, len(data), 37):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        try:
            state = checkpoint.load(path)
        except ValueError:
            continue
        assert torch.equal(state['state_dict']['w'], torch.arange(256.0))


# Writing whole or not at all


def test_a_crash_before_the_rename_leaves_the_old_checkpoint(saved, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(saved, {'state_dict': weights(2.0)})
    assert checkpoint.load(saved)['epoch'] == 3
    assert names(saved.parent) == ['a.pth']


def test_a_full_disk_names_the_file_and_leaves_the_old_checkpoint(saved, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(
        OSError,
        match=r'a.pth: cannot be written, the disk is full \([\d,]+ bytes free, [\d,]+ needed\); free some space',
    ):
        checkpoint.save(saved, {'state_dict': weights(2.0)})
    assert checkpoint.load(saved)['epoch'] == 3
    assert names(saved.parent) == ['a.pth']


def _save_on_a_small_disk(path, answers):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    try:
        checkpoint.save(path, {'state_dict': {str(index): torch.zeros(1000) for index in range(100)}})
    except OSError as error:
        answers.send(str(error))


def test_bytes_that_the_kernel_refuses_half_way_are_told_as_such(saved):
    answers, ours = multiprocessing.Pipe(duplex=False)
    process = FORK.Process(target=_save_on_a_small_disk, args=(saved, ours))
    process.start()
    assert answers.poll(30)
    assert answers.recv().startswith(
        f'{saved}: cannot be written, the file is larger than this process or file system may write ('
    )
    process.join()
    assert checkpoint.load(saved)['epoch'] == 3
    assert names(saved.parent) == ['a.pth']
