import errno
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import signal
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from utils import checkpoint
from utils.checkpoint import CheckpointKeeper

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
        ({'epoch': 1, 'model': weights()}, r"entries \['epoch', 'model'\]"),
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
        OSError, match=r'a.pth: cannot be written, the disk is full \([\d,]+ bytes free\); free some space'
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


# The keeper


def save_epochs(folder, scores, keeper=None):
    keeper = keeper or CheckpointKeeper(folder)
    for epoch, score in scores.items():
        keeper.save({'state_dict': weights(float(epoch))}, epoch, score)
    return keeper


def test_one_last_and_one_best_checkpoint_remain(tmp_path):
    keeper = save_epochs(tmp_path, {0: 0.1, 1: 0.5, 2: 0.3, 3: 0.5, 4: float('nan'), 5: None})
    assert names(tmp_path) == ['best_checkpoint_ep1.pth', 'last_checkpoint_ep5.pth']
    assert (keeper.best_score, keeper.best_epoch) == (0.5, 1)  # 0.5 again in epoch 3 is not better
    best, last = (checkpoint.load(tmp_path / name) for name in names(tmp_path))
    assert (best['epoch'], best['score'], best['best_score'], best['state_dict']['conv.weight'][0]) == (
        1,
        0.5,
        0.5,
        1.0,
    )
    assert (last['epoch'], last['score'], last['best_score'], last['best_epoch'], last['epoch_done']) == (
        5,
        None,
        0.5,
        1,
        True,
    )


def test_the_old_checkpoint_goes_only_after_the_new_one_stands(tmp_path, monkeypatch):
    keeper = save_epochs(tmp_path, {0: 0.1})
    seen, real = [], os.replace

    def replace(source, target):
        seen.append((Path(target).name, [name for name in names(tmp_path) if not name.startswith('.')]))
        real(source, target)

    monkeypatch.setattr(os, 'replace', replace)
    save_epochs(tmp_path, {1: 0.2}, keeper)
    assert seen == [
        ('last_checkpoint_ep1.pth', ['best_checkpoint_ep0.pth', 'last_checkpoint_ep0.pth']),
        ('best_checkpoint_ep1.pth', ['best_checkpoint_ep0.pth', 'last_checkpoint_ep0.pth', 'last_checkpoint_ep1.pth']),
    ]
    assert names(tmp_path) == ['best_checkpoint_ep1.pth', 'last_checkpoint_ep1.pth']


def test_a_failed_save_keeps_the_old_files(tmp_path, monkeypatch):
    keeper = save_epochs(tmp_path, {0: 0.1})
    monkeypatch.setattr(os, 'fsync', lambda handle: (_ for _ in ()).throw(OSError(errno.ENOSPC, 'full')))
    with pytest.raises(OSError, match='last_checkpoint_ep1.pth: cannot be written'):
        save_epochs(tmp_path, {1: 0.2}, keeper)
    assert names(tmp_path) == ['best_checkpoint_ep0.pth', 'last_checkpoint_ep0.pth']


def test_without_hard_links_the_best_checkpoint_is_a_copy(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'link', lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, 'no links here')))
    save_epochs(tmp_path, {0: 0.1})
    assert (tmp_path / 'best_checkpoint_ep0.pth').read_bytes() == (tmp_path / 'last_checkpoint_ep0.pth').read_bytes()
    assert len(names(tmp_path)) == 2


def test_stale_files_of_restarts_and_killed_writers_are_cleared(tmp_path):
    for name in (
        'last_checkpoint_ep1.pth',
        'last_checkpoint_ep2.pth',
        'best_checkpoint_ep1.pth',
        '.last_checkpoint_ep3.pth.99999999.abcd.tmp',
        'notes.txt',
    ):
        (tmp_path / name).write_text('')
    save_epochs(tmp_path, {3: 0.4})
    assert names(tmp_path) == ['best_checkpoint_ep3.pth', 'last_checkpoint_ep3.pth', 'notes.txt']


def test_checkpoints_of_later_epochs_are_never_removed(tmp_path):
    save_epochs(tmp_path, {9: None})
    save_epochs(tmp_path, {6: None})
    assert names(tmp_path) == ['last_checkpoint_ep6.pth', 'last_checkpoint_ep9.pth']


def test_the_newest_epoch_is_found_by_number_not_by_name_or_time(tmp_path):
    for epoch in (10, 9, 2):
        checkpoint.save(tmp_path / f'last_checkpoint_ep{epoch}.pth', {'state_dict': weights(), 'epoch': epoch})
    path, state = CheckpointKeeper(tmp_path).find_last()
    assert path.name == 'last_checkpoint_ep10.pth'
    assert state['epoch'] == 10


def test_a_damaged_newest_file_is_passed_over_aloud(tmp_path):
    save_epochs(tmp_path, {4: None})
    (tmp_path / 'last_checkpoint_ep5.pth').write_bytes(b'PK\x03\x04')
    said = []
    path, _ = CheckpointKeeper(tmp_path).find_last(said.append)
    assert path.name == 'last_checkpoint_ep4.pth'
    assert len(said) == 1
    assert 'last_checkpoint_ep5.pth: is cut off after 4 bytes' in said[0]
    assert said[0].endswith('passing it over for last_checkpoint_ep4.pth')


def test_a_damaged_file_without_another_is_an_error(tmp_path):
    (tmp_path / 'last_checkpoint_ep5.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='last_checkpoint_ep5.pth: is empty'):
        CheckpointKeeper(tmp_path).find_last()


def test_an_empty_or_missing_directory_has_no_last_checkpoint(tmp_path):
    assert CheckpointKeeper(tmp_path).find_last() is None
    assert CheckpointKeeper(tmp_path / 'none').find_last() is None


def test_a_file_within_an_epoch_resumes_there_and_one_after_it_at_the_next(tmp_path):
    keeper = CheckpointKeeper(tmp_path)
    keeper.save({'state_dict': weights(), 'batch_in_epoch': 17}, 4, is_epoch_end=False)
    assert checkpoint.resume_point(keeper.find_last()[1]) == (4, 17)
    keeper.save({'state_dict': weights()}, 4, 0.5)
    assert checkpoint.resume_point(keeper.find_last()[1]) == (5, 0)
    assert checkpoint.resume_point({'epoch': 174}) == (175, 0)  # a file of an earlier program
    with pytest.raises(ValueError, match='nothing to resume; start a new run from it with --snapshot'):
        checkpoint.resume_point({'state_dict': {}})


def test_a_resumed_run_knows_the_best_score_and_replaces_it_only_by_a_better_one(tmp_path):
    save_epochs(tmp_path, {0: 0.5, 1: 0.4})
    keeper = CheckpointKeeper(tmp_path)
    keeper.continue_from(keeper.find_last()[1])
    assert (keeper.best_score, keeper.best_epoch) == (0.5, 0)
    save_epochs(tmp_path, {2: 0.45}, keeper)
    assert names(tmp_path) == ['best_checkpoint_ep0.pth', 'last_checkpoint_ep2.pth']
    save_epochs(tmp_path, {3: 0.6}, keeper)
    assert names(tmp_path) == ['best_checkpoint_ep3.pth', 'last_checkpoint_ep3.pth']


def test_a_run_killed_between_its_two_files_gets_its_best_checkpoint_on_resuming(tmp_path):
    save_epochs(tmp_path, {0: 0.5, 1: 0.6})
    (tmp_path / 'best_checkpoint_ep1.pth').unlink()
    keeper = CheckpointKeeper(tmp_path)
    keeper.continue_from(keeper.find_last()[1])
    assert names(tmp_path) == ['best_checkpoint_ep1.pth', 'last_checkpoint_ep1.pth']
    assert keeper.best_score == 0.6


def test_a_run_that_branches_off_into_a_new_directory_has_no_best_score_yet(tmp_path):
    state = checkpoint.load(save_epochs(tmp_path, {0: 0.5, 1: 0.4}).last_files()[0])
    keeper = CheckpointKeeper(tmp_path / 'branch')
    keeper.continue_from(state)
    assert keeper.best_score is None
    save_epochs(None, {2: 0.3}, keeper)
    assert names(tmp_path / 'branch') == ['best_checkpoint_ep2.pth', 'last_checkpoint_ep2.pth']


def _train_for_ever(folder):
    keeper = CheckpointKeeper(folder)
    found = keeper.find_last()
    epoch = 0
    if found:
        keeper.continue_from(found[1])
        epoch = checkpoint.resume_point(found[1])[0]
    while True:
        keeper.save({'state_dict': weights(float(epoch), 1_000_000)}, epoch, float(epoch))
        epoch += 1


def test_killed_at_any_moment_a_run_can_be_continued_from_a_whole_checkpoint(tmp_path):
    chance = random.Random(0)
    newest = -1
    for _ in range(20):
        process = FORK.Process(target=_train_for_ever, args=(tmp_path,))
        process.start()
        time.sleep(chance.uniform(0.01, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        found = CheckpointKeeper(tmp_path).find_last()
        if found is None:
            continue
        epoch = found[1]['epoch']
        assert epoch >= newest
        assert torch.equal(found[1]['state_dict']['conv.weight'], torch.full((1_000_000,), float(epoch)))
        newest = epoch
        for path in tmp_path.glob('best_*.pth'):
            checkpoint.load(path)
    assert newest > 0
    keeper = CheckpointKeeper(tmp_path)
    keeper.continue_from(keeper.find_last()[1])
    save_epochs(None, {newest + 1: newest + 1.0}, keeper)
    assert names(tmp_path) == [f'best_checkpoint_ep{newest + 1}.pth', f'last_checkpoint_ep{newest + 1}.pth']
