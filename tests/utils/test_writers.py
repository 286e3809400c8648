import threading
import time

import pytest

from utils.outputs.writers import WriterPool, default_threads


def test_close_waits_until_everything_has_run():
    done = []
    pool = WriterPool(num_threads=2, max_pending=4)
    for k in range(20):
        pool.submit(lambda k=k: (time.sleep(0.002), done.append(k)))
    pool.close()
    assert sorted(done) == list(range(20))


def test_no_more_than_max_pending_functions_exist_at_a_time():
    pool, gate, submitted = WriterPool(num_threads=1, max_pending=3), threading.Event(), []

    def feed():
        for k in range(5):
            pool.submit(gate.wait, 10)
            submitted.append(k)

    feeder = threading.Thread(target=feed)
    feeder.start()
    time.sleep(0.2)
    assert submitted == [0, 1, 2]  # the fourth waits for a free place
    gate.set()
    feeder.join()
    pool.close()
    assert submitted == [0, 1, 2, 3, 4]


def _fail(message):
    raise OSError(message)


def test_the_first_error_is_raised_by_close():
    pool = WriterPool(num_threads=1)
    pool.submit(_fail, 'a.png: the disk is full')
    with pytest.raises(OSError, match='a.png: the disk is full'):
        pool.close()


def test_an_error_is_raised_by_the_next_submit_and_what_waited_is_dropped():
    pool, ran, gate = WriterPool(num_threads=1, max_pending=4), [], threading.Event()
    pool.submit(lambda: (gate.wait(10), _fail('b.png: the disk is full')))
    pool.submit(ran.append, 1)
    gate.set()
    with pytest.raises(OSError, match='b.png'):
        for _ in range(100):
            pool.submit(time.sleep, 0.01)
    with pytest.raises(OSError, match='b.png'):
        pool.close()
    assert ran == []


def test_a_full_pool_with_an_error_does_not_hang():
    pool, gate = WriterPool(num_threads=1, max_pending=1), threading.Event()
    pool.submit(lambda: (gate.wait(10), _fail('c.png')))
    threading.Timer(0.1, gate.set).start()
    with pytest.raises(OSError, match='c.png'):  # this submit was already waiting when the error came
        pool.submit(time.sleep, 0)
    pool.abort()


def test_abort_drops_what_waits_and_raises_nothing():
    pool, ran, gate = WriterPool(num_threads=1, max_pending=4), [], threading.Event()
    pool.submit(gate.wait, 10)
    pool.submit(ran.append, 1)
    threading.Timer(0.1, gate.set).start()
    pool.abort()
    assert ran == []


def test_a_failing_block_aborts_and_keeps_its_own_error():
    with pytest.raises(KeyError):
        with WriterPool(num_threads=1) as pool:
            pool.submit(_fail, 'd.png')
            raise KeyError('the block')


def test_processes_on_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda pid: range(16), raising=False)
    monkeypatch.delenv('LOCAL_WORLD_SIZE', raising=False)
    assert default_threads() == 8
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    assert default_threads() == 2
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '16')
    assert default_threads() == 1
