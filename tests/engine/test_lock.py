import json
import os
import threading
import time

import pytest

from engine import lock
from engine.lock import RunLock

ELSEWHERE = {'process': 7, 'host': 'another', 'since': '2026-01-02 03:04:05 +0000', 'command': 'train.py', 'beat': 1}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, 'BEAT', 0.1)


def test_the_lock_is_a_record_while_it_is_held_and_nothing_afterwards(tmp_path, quick):
    held = RunLock(tmp_path)
    held.acquire()
    first = json.loads((tmp_path / '.lock').read_bytes())
    assert first.keys() == {'process', 'host', 'since', 'command', 'beat'}
    held.release()
    assert list(tmp_path.iterdir()) == []
    held.release()


def test_what_a_crashed_run_on_another_machine_left_is_taken_over_after_three_beats(tmp_path, quick):
    (tmp_path / '.lock').write_text(json.dumps(ELSEWHERE))
    said = []
    held = RunLock(tmp_path, said.append)
    held.acquire()
    held.release()
    assert said == [
        f'{tmp_path}/.lock: is of process 7 on another, which has not given it back; looking for 0.3 seconds whether it'
        ' lives'
    ]


def test_a_run_on_another_machine_that_still_beats_is_told_even_where_locks_are_not_shared(tmp_path, quick):
    path, ended = tmp_path / '.lock', threading.Event()
    path.write_text(json.dumps(ELSEWHERE))

    def beat():
        for number in range(2, 1000):
            (tmp_path / 'next').write_text(json.dumps({**ELSEWHERE, 'beat': number}))
            os.replace(tmp_path / 'next', path)  # a reader never sees half of it
            if ended.wait(0.02):
                return

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        time.sleep(0.05)
        with pytest.raises(
            ValueError, match=r'written by process 7 on another since 2026-01-02 03:04:05 \+0000 \(train'
        ):
            RunLock(tmp_path, lambda line: None).acquire()
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize('process, lives', [(2**22 + 1, False), (1, True)])
def test_where_the_file_system_has_no_locks_the_process_number_decides(tmp_path, monkeypatch, process, lives):
    def refuse(*_):
        raise OSError(37, 'No locks available')

    monkeypatch.setattr(lock.fcntl, 'lockf', refuse)
    record = {**ELSEWHERE, 'process': process, 'host': lock.platform.node()}
    (tmp_path / '.lock').write_text(json.dumps(record))
    held = RunLock(tmp_path)
    if lives:
        with pytest.raises(ValueError, match='is being written by process 1 on'):
            held.acquire()
    else:
        held.acquire()
        held.release()
