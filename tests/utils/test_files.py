import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from utils.files import atomic as files

ROOT = Path(__file__).parents[2]


def test_a_written_file_has_its_content_and_leaves_no_temporary_behind(tmp_path):
    files.write_text(tmp_path / 'new' / 'folder' / 'a.txt', 'grüße\n')
    assert (tmp_path / 'new/folder/a.txt').read_bytes() == 'grüße\n'.encode()
    assert os.listdir(tmp_path / 'new/folder') == ['a.txt']


def test_the_old_content_stays_when_the_block_raises(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(KeyError), files.atomic_write(path) as file:
        file.write(b'half of the new')
        raise KeyError('crash')
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['a.txt']


def test_the_old_content_stays_when_the_rename_fails(tmp_path, monkeypatch):
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def crash(source, target):
        raise OSError(errno.EIO, 'Input/output error', source)

    monkeypatch.setattr(os, 'replace', crash)
    with pytest.raises(files.WriteError, match='input/output error') as caught:
        files.write_text(path, 'new')
    assert caught.value.errno == errno.EIO
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['a.txt']


def test_a_full_disk_is_one_sentence_with_the_file_the_space_left_and_the_remedy(tmp_path, monkeypatch):
    def no_space(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'fsync', no_space)
    with pytest.raises(OSError) as caught:
        files.write_text(tmp_path / 'logits.npz', 'x')
    free = files.shutil.disk_usage(tmp_path).free
    assert str(caught.value).startswith(f'{tmp_path}/logits.npz: cannot be written, the disk is full (')
    assert str(caught.value).endswith(' bytes free, 1 needed); free some space or write to another folder')
    told = int(str(caught.value).split('(')[1].split(' ')[0].replace(',', ''))
    assert abs(told - free) < 1 << 30
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(tmp_path) == []


def test_the_kernel_refusing_bytes_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.npy'
    files.write_npy(path, np.arange(3))
    script = (
        'import sys, numpy as np, resource, signal; from utils.files import atomic as files; '
        'signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n'
        'try: files.write_npy(sys.argv[1], np.zeros(100_000))\nexcept OSError as error: print(error)'
    )
    done = subprocess.run([sys.executable, '-c', script, path], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert f'{path}: cannot be written, the disk took only part of it (100000 requested and ' in done.stdout, (
        done.stderr
    )
    assert np.load(path).tolist() == [0, 1, 2]
    assert os.listdir(tmp_path) == ['a.npy']


def test_a_device_without_space_is_told_as_a_full_disk(tmp_path, monkeypatch):
    with pytest.raises(OSError) as full, open('/dev/full', 'wb', buffering=0) as device:
        device.write(b'x')
    assert 'the disk is full' in str(files.write_error(tmp_path / 'a', full.value))


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    with pytest.raises(files.WriteError, match='it is a folder; name a folder that can be written'):
        files.write_text(tmp_path, 'x')


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / 'a').write_text('')
    with pytest.raises(files.WriteError, match='a part of the path is a file'):
        files.write_text(tmp_path / 'a' / 'b', 'x')


def test_an_error_about_another_file_is_not_blamed_on_the_written_one(tmp_path):
    with pytest.raises(FileNotFoundError, match='input.png') as caught, files.atomic_write(tmp_path / 'out.png'):
        (tmp_path / 'input.png').read_bytes()
    assert not isinstance(caught.value, files.WriteError)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def dead():
    """The number of a process that has ended and was waited for."""
    ended = subprocess.Popen([sys.executable, '-c', ''])
    ended.wait(60)
    return ended.pid


def test_leftovers_of_killed_writers_are_removed_by_prefix(tmp_path, dead):
    leftover, other = f'.last_checkpoint_ep3.pth.{dead}.ab.tmp', f'.best_checkpoint_ep3.pth.{dead}.ab.tmp'
    for name in (leftover, other, 'last_checkpoint_ep2.pth', 'notes.tmp'):
        (tmp_path / name).write_text('')
    assert files.remove_temporaries(tmp_path, 'last_checkpoint') == [leftover]
    assert sorted(os.listdir(tmp_path)) == [other, 'last_checkpoint_ep2.pth', 'notes.tmp']


def test_a_name_of_the_longest_allowed_length_can_be_written(tmp_path):
    name = 'x' * 251 + '.npy'
    files.write_npy(tmp_path / name, np.arange(2))
    assert os.listdir(tmp_path) == [name]


def test_json_takes_numpy_and_writes_nan_as_null(tmp_path):
    files.write_json(
        tmp_path / 'm.json',
        {'iou': np.array([0.5, np.nan]), 3: np.int64(7), 'root': Path('/a'), 'size': (1, 2), 'ids': {2, 1}, 'on': True},
    )
    assert json.loads((tmp_path / 'm.json').read_text()) == {
        'iou': [0.5, None],
        '3': 7,
        'root': '/a',
        'size': [1, 2],
        'ids': [1, 2],
        'on': True,
    }


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / 'a').write_bytes(b'abc' * 1_000_000)
    assert files.sha256(tmp_path / 'a') == hashlib.sha256(b'abc' * 1_000_000).hexdigest()


def test_the_temporary_file_of_a_process_that_lives_is_left_alone(tmp_path, dead):
    mine, leftover = tmp_path / f'.a.npz.{os.getpid()}.abcd.tmp', tmp_path / f'.a.npz.{dead}.abcd.tmp'
    for path in (mine, leftover):
        path.write_text('half')
    assert files.remove_temporaries(tmp_path) == [leftover.name]
    assert mine.exists()
