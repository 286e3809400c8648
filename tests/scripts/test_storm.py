import io
import json
import os
import random
import signal
import time
import zipfile
from functools import partial

import pytest
from small import command

from scripts import storm, storm_damage, storm_kills
from scripts.storm_machine import FullDisk
from scripts.storm_trials import Kind, NotPossible, Outcome, Process, Watched
from utils.cli.program import run_program
from utils.files.atomic import remove_temporaries, write_json

DATA = json.dumps({'a': 12, 'b': [1, {'c': 'words'}]}, indent=1).encode() * 3


@pytest.mark.parametrize('name', storm_damage.DAMAGES)
def test_damage_is_the_same_for_the_same_seed_and_mostly_changes_something(name):
    made = [[storm_damage.DAMAGES[name](bytearray(DATA), random.Random(seed)) for seed in range(20)] for _ in (0, 1)]
    assert made[0] == made[1]
    assert sum(data != DATA for data in made[0]) >= 10


def test_an_archive_that_is_packed_anew_has_right_check_sums_and_another_content():
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('a.txt', DATA)
    contents = set()
    for seed in range(20):
        packed = storm_damage.DAMAGES['packed anew'](bytearray(file.getvalue()), random.Random(seed))
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            assert archive.testzip() is None
            contents.add(archive.read('a.txt') if archive.namelist() else None)
    assert len(contents - {DATA}) > 10


def test_one_value_of_a_nested_one_is_replaced_or_left_out():
    content = {'a': 1, 'b': [2, {'c': 3}]}
    others = [storm_damage.with_other_value(content, random.Random(seed)) for seed in range(50)]
    assert content == {'a': 1, 'b': [2, {'c': 3}]}
    assert any(isinstance(other, dict) and other.get('a') == 1 and other.get('b') != content['b'] for other in others)


def test_crashes_and_hangs_are_outcomes_and_the_next_trials_run_in_a_new_process(tmp_path):
    def trial(number):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 4:
            time.sleep(60)
        return 'it did\nnot hold' if number == 5 else None

    outcomes = list(Watched(trial, seconds=1, memory=1 << 30).run(range(1, 7), tmp_path / 'log'))
    assert [outcome.number for outcome in outcomes] == [1, 2, 3, 4, 5, 6]
    assert {outcome.number: outcome.broke for outcome in outcomes if outcome.broke} == {
        2: 'the process was ended by SIGKILL',
        4: 'took more than 1 seconds',
        5: 'it did not hold',
    }


def test_a_trial_may_not_take_more_memory_than_it_is_given(tmp_path):
    def trial(number):
        try:
            return None if bytearray((1 << 20, 1 << 32)[number]) else ''
        except MemoryError:
            return 'too much'

    outcomes = Watched(trial, seconds=10, memory=1 << 28).run(range(2), tmp_path / 'log')
    assert [outcome.broke for outcome in outcomes] == [None, 'too much']


def test_a_process_has_the_code_of_its_function_or_of_its_signal(tmp_path):
    process = Process(lambda: print('words') or 3, tmp_path / 'log')
    assert (process.wait(10), process.last_line) == (3, 'words')
    process = Process(lambda: 1 // 0, tmp_path / 'log')
    assert process.wait(10) == 70 and 'ZeroDivisionError' in process.last_line
    process = Process(lambda: time.sleep(60), tmp_path / 'log')
    assert process.wait(0.1) is None
    process.stop()
    assert process.code == -signal.SIGKILL and process.all_ended(1)


def careful(argv):
    remove_temporaries(argv[0])
    untidy(argv)


def untidy(argv):
    for number in range(20):
        write_json(f'{argv[0]}/{number}.json', list(range(500)), durable=False)


def careless(argv):
    for number in range(20):
        with open(f'{argv[0]}/{number}.json', 'w') as file:
            file.write('[1, ')
            file.flush()
            open(f'{argv[0]}/log', 'w').close()
            file.write('2]')


def loud(argv):
    try:
        careful(argv)
    except OSError as error:
        raise RuntimeError('no words') from error


def forgetful(argv):
    remove_temporaries(argv[0])
    for number in range(20):
        if not os.path.exists(f'{argv[0]}/{number}.json'):
            write_json(f'{argv[0]}/{number}.json', time.time(), durable=False)


@pytest.fixture
def killed(tmp_path, monkeypatch):
    """killed(program, kind of kills) -> what did not hold in eight trials."""
    monkeypatch.setattr(storm_kills.Site, 'make', lambda self: None)

    def kill(program, kind=storm_kills.Killed):
        made = kind('a program', partial(run_program, 'a program', program), lambda site, folder: [folder])
        made.prepare(tmp_path)
        return [outcome.broke for outcome in made.run(0, range(8), tmp_path) if outcome.broke]

    return kill


def test_a_program_that_writes_whole_files_holds(killed):
    assert killed(careful) == []


@pytest.mark.slow
def test_temporaries_that_stay_are_found(killed):
    assert any('left behind: ' in what for what in killed(untidy))


@pytest.mark.slow
def test_half_written_files_are_found(killed):
    assert any('.json: cannot be read after the kill: JSONDecodeError' in what for what in killed(careless))


@pytest.mark.slow
def test_results_that_depend_on_the_kill_are_found(killed):
    found = killed(forgetful)
    assert found and all('.json: is another' in what for what in found)


def test_a_full_disk_has_to_be_told_in_a_sentence(killed):
    full = type('Full', (FullDisk, storm_kills.Killed), {})
    try:
        assert killed(careful, full) == []
    except NotPossible as reason:
        pytest.skip(str(reason))


@pytest.mark.slow
def test_a_full_disk_that_is_told_by_a_stack_trace_is_found(killed):
    full = type('Full', (FullDisk, storm_kills.Killed), {})
    try:
        found = killed(loud, full)
    except NotPossible as reason:
        pytest.skip(str(reason))
    assert found and all('a stack trace: RuntimeError: no words' in what for what in found)


class Planted(Kind):
    name, group, what, burst = 'planted', 'test', 'every third trial breaks', 2

    def run(self, seed, numbers, folder):
        for number in numbers:
            yield Outcome(number, 2, None if number % 3 else f'seed {seed} broke')


class Absent(Kind):
    name, group = 'absent', 'test'

    def prepare(self, folder):
        raise NotPossible('there is no network')


def test_the_table_counts_and_says_how_to_repeat_what_broke(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(storm, 'KINDS', [Planted(), Absent()])
    page = tmp_path / 'page.md'
    page.write_text(f'before\n{storm.BEGIN}\nyesterday\n{storm.END}\nafter\n')
    assert storm.main(['--trials', '5', '--seed', '7', '--tmp', str(tmp_path), '--out', str(page)]) == 1
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in printed.splitlines() if line.startswith('| ')]
    assert rows[1:] == [
        ['test', 'every third trial breaks', '10', '3', '2'],
        ['test', 'absent: not possible here, there is no network', '', '', ''],
        ['all', '', '10', '3', '2'],
    ]
    again = 'python scripts/storm.py --only planted --seed 7 --first 3 --trials 1'
    assert f'* seed 7 broke (`{again}`)' in printed
    kept = page.read_text()
    assert kept.startswith('before\n') and kept.endswith('\nafter\n') and 'yesterday' not in kept and again in kept
    assert storm.main(['--only', 'planted', '--first', '4', '--trials', '1', '--out', str(tmp_path / 'a.json')]) == 0
    assert json.loads((tmp_path / 'a.json').read_text())[0]['trials'] == 1
    assert not list(tmp_path.glob('storm_*'))


@pytest.mark.parametrize(
    'flags, words',
    [
        (['--only', 'filse'], '--only filse: there is none; did you mean files'),
        (['--out', 'a.txt'], '--out a.txt: ends neither in .md nor in .json'),
    ],
)
def test_a_mistake_is_told_before_the_storm(capsys, flags, words):
    assert storm.main(flags) == 2
    assert words in capsys.readouterr().err


def test_damaged_files_of_every_kind_are_read_or_refused_by_name(tmp_path, capsys):
    assert storm.main(['--only', 'files', '--trials', '12', '--tmp', str(tmp_path)]) == 0, capsys.readouterr()
    assert len([line for line in capsys.readouterr().out.splitlines() if line.startswith('| files')]) == 10


@pytest.mark.slow
def test_every_kind_of_trouble_holds_once(tmp_path):
    done = command('scripts/storm.py', '--trials', 1, '--minutes', 60, '--tmp', tmp_path, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
