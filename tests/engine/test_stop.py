import os
import signal
import threading
import time

import pytest

from engine.stop import StopSignal


@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM', 'SIGUSR1'])
def test_a_signal_becomes_a_flag_that_is_said_once(name):
    said = []
    with StopSignal(said.append) as stop:
        assert not stop.requested
        os.kill(os.getpid(), getattr(signal, name))
        assert stop.requested
        assert stop.requested
    assert stop.name == name
    assert stop.exit_code == (130 if name == 'SIGINT' else 75)
    assert said == [f'{name} received: saving, then ending; a second signal ends at once']


def test_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    with StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == before


def test_a_second_ctrl_c_is_raised_but_not_the_one_that_torchrun_passes_on(monkeypatch):
    with StopSignal():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', '1')
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        monkeypatch.setattr(time, 'monotonic', lambda: float('inf'))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert stop.exit_code == 130


def test_a_second_signal_ends_the_process_at_once():
    process = os.fork()
    if process == 0:
        with StopSignal() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            if stop.requested:
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
            os._exit(0)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGTERM


def test_a_forked_child_ends_by_the_signal_as_usual():
    with StopSignal() as stop:
        process = os.fork()
        if process == 0:
            time.sleep(5)
            os._exit(0)
        time.sleep(0.1)  # a signal within fork itself is lost
        os.kill(process, signal.SIGTERM)
        _, status = os.waitpid(process, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
    assert not stop.requested


def test_outside_the_main_thread_nothing_is_installed():
    before = signal.getsignal(signal.SIGTERM)

    def elsewhere():
        with StopSignal():
            assert signal.getsignal(signal.SIGTERM) == before

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
