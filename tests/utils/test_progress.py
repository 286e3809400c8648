import io
import sys

import pytest

from utils.cli import progress as module
from utils.cli.progress import format_seconds, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns."""
    now = [100.0]
    monkeypatch.setattr(module.time, 'monotonic', lambda: now[0])
    return now


def run(clock, seconds, lines, note=None, stop_at=None, **options):
    bar = progress(range(10), log=lines.append, desc='index', unit='files', **options)
    for value in bar:
        clock[0] += seconds
        if note:
            bar.note(note)
        if value == stop_at:
            break
    return bar


def test_slow_work_says_a_line_at_each_tenth_with_rate_and_time_left(clock):
    lines = []
    run(clock, 10, lines)
    assert len(lines) == 10
    assert lines[0] == 'index: 1/10 files (10 %), 10 s/file, 1:30 left'
    assert lines[4] == 'index: 5/10 files (50 %), 10 s/file, 0:50 left'
    assert lines[9] == 'index: 10/10 files (100 %), 10 s/file, done in 1:40'


def test_fast_work_says_only_that_it_is_done(clock):
    lines = []
    run(clock, 0.01, lines)
    assert lines == ['index: 10/10 files (100 %), 100 files/s, done in 0.1 s']


def test_very_slow_work_speaks_every_thirty_seconds_within_a_tenth(clock):
    lines = []
    for _ in progress(range(1000), log=lines.append):
        clock[0] += 15
        if len(lines) == 2:
            break
    assert lines[:2] == [
        'progress: 2/1000 images (0 %), 15 s/image, 4:09:30 left',
        'progress: 4/1000 images (0 %), 15 s/image, 4:09:00 left',
    ]


def test_a_resumed_epoch_starts_where_it_was_and_its_rate_counts_only_the_new_part(clock):
    lines = []
    run(clock, 1, lines, total=20, initial=10)
    assert lines[-1] == 'index: 20/20 files (100 %), 1 files/s, done in 0:10'
    assert len(progress(range(10), initial=10)) == 20


def test_breaking_out_says_how_far_it_came(clock):
    lines = []
    run(clock, 0.1, lines, stop_at=3)
    assert lines == ['index: 4/10 files (40 %), 10 files/s, stopped after 0.4 s']


def test_breaking_out_of_the_last_step_counts_as_done(clock):
    lines = []
    run(clock, 0.1, lines, stop_at=9)
    assert lines == ['index: 10/10 files (100 %), 10 files/s, done in 1.0 s']


def test_a_note_stands_at_the_end_of_the_line(clock):
    lines = []
    run(clock, 0.1, lines, note='loss 0.5')
    assert lines[-1].endswith('done in 1.0 s, loss 0.5')


def test_an_unknown_total_is_counted(clock):
    lines = []
    for _ in progress(iter(range(3)), log=lines.append):
        clock[0] += 1
    assert lines == ['progress: 3 images, 1 images/s, done in 3.0 s']


def test_breaking_out_of_an_unknown_total_is_not_done(clock):
    lines = []
    for value in progress(iter(range(3)), log=lines.append):
        clock[0] += 1
        if value == 1:
            break
    assert lines == ['progress: 2 images, 1 images/s, stopped after 2.0 s']


def test_work_that_says_itself_that_it_is_done_says_nothing_here(clock):
    lines = []
    run(clock, 40, lines, note='loss 1', is_shown=False)
    assert lines == []


def test_nothing_to_do_says_nothing():
    lines = []
    assert list(progress([], log=lines.append)) == []
    assert lines == []


def test_other_ranks_are_silent(monkeypatch, capsys):
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    lines = []
    assert list(progress(range(3), log=lines.append)) == [0, 1, 2]
    assert lines == []
    assert capsys.readouterr() == ('', '')


def test_without_a_log_lines_go_to_stderr(capsys):
    list(progress(range(3), desc='x'))
    assert capsys.readouterr().err.startswith('x: 3/3 images (100 %)')


def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal, lines = Terminal(), []
    monkeypatch.setattr(sys, 'stderr', terminal)
    bar = progress(range(3), desc='epoch 4', log=lines.append)
    for _ in bar:
        bar.note('loss 0.5')
    assert lines == []
    assert 'epoch 4: 100%' in terminal.getvalue()
    assert '3/3' in terminal.getvalue()
    assert 'loss 0.5' in terminal.getvalue()


@pytest.mark.parametrize('seconds, text', [(0.4, '0.4 s'), (65, '1:05'), (3725, '1:02:05'), (59.6, '1:00')])
def test_durations_are_written_as_people_write_them(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    'count, seconds, unit, rate',
    [(4490, 1, 'pairs', '4,490 pairs/s'), (99.5, 1, 'files', '99.5 files/s'), (1, 4, 'batches', '4 s/batch')],
)
def test_rates_are_plain_numbers(count, seconds, unit, rate):
    assert module._rate(count, seconds, unit) == rate
