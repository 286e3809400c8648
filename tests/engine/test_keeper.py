"""Keeper of a run's checkpoints: what remains, what is found, and that no moment of being killed loses a run."""

import errno
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from engine.keeper import CheckpointKeeper
from utils import checkpoint

FORK = multiprocessing.get_context('fork')


def weights(value=1.0, size=4):
    return {'conv.weight': torch.full((size,), value), 'bn.num_batches_tracked': torch.tensor(7)}


def names(folder):
    return sorted(os.listdir(folder))


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
