"""What every preparation promises: originals are read only, results are whole, a killed run continues, a second run
does nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest
from prepare_trees import TREES, contents, die, png_bytes, prepare, write_png
from small import ROOT

from datasets.prepare import convert, converter, record, runner
from datasets.prepare.__main__ import main

RESULT = 'annotations_150classes/training/ADE_train_00000001.png'


def results(before, root):
    """The files that a preparation added, without its record."""
    return {path: data for path, data in contents(root).items() if path not in before and '.prepared_' not in path}


@pytest.fixture(params=sorted(TREES))
def tree(request, tmp_path):
    """(name, root, contents before) of the download of each data set."""
    TREES[request.param](tmp_path)
    return request.param, tmp_path, contents(tmp_path)


@pytest.fixture
def ade(tmp_path):
    """The folder of a small download of ADE20K, three annotations, and the flags that prepare it."""
    TREES['ade20k'](tmp_path)
    return tmp_path / 'ADEChallengeData2016', ['ade20k', '--root', tmp_path]


def test_originals_keep_their_bytes_and_a_second_run_changes_nothing(tree, capsys):
    name, root, before = tree
    code, printed = prepare(capsys, name, '--root', root)
    after = contents(root)
    assert code == 0, printed
    assert f'{len(results(before, root))} written' in printed
    assert {path: after[path] for path in before} == before
    assert not [path for path in after if path.endswith('.tmp')]
    times = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    code, printed = prepare(capsys, name, '--root', root)
    assert code == 0 and 'nothing to do' in printed
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == times


def test_a_run_continues_where_a_killed_one_stopped(tree, capsys):
    name, root, before = tree
    prepare(capsys, name, '--root', root)
    made = results(before, root)
    first, second, *_ = sorted(made)
    half = root / second
    (root / first).unlink()  # was not reached
    half.write_bytes(made[second][: len(made[second]) // 2])  # damaged afterwards
    # was being written by a process that is gone
    leftover = half.with_name(f'.{half.name[:40]}.99999999.0123abcd.tmp')
    leftover.write_bytes(b'half a file')
    with open(next(root.rglob('.prepared_*')), 'a') as log:
        log.write('{"target": "annotations_150cl')  # the last line of the record is half
    code, printed = prepare(capsys, name, '--root', root)
    assert code == 0 and ' 2 written' in printed, printed
    assert results(before, root) == made
    assert 'nothing to do' in prepare(capsys, name, '--root', root)[1]


def test_a_dry_run_writes_nothing(tree, capsys):
    name, root, before = tree
    code, printed = prepare(capsys, name, '--root', root, '--dry_run')
    assert code == 0 and ' to make' in printed
    assert contents(root) == before


def test_a_missing_root_and_another_data_set_are_told_in_one_line(tree, capsys, tmp_path):
    name, root, _ = tree
    for wrong, part in ((root / 'nowhere', 'does not exist'), (root.parent / f'{root.name}_other', 'only thesis')):
        if part == 'only thesis':
            (wrong / 'thesis').mkdir(parents=True)
        code, printed = prepare(capsys, name, '--root', wrong)
        assert code == 2 and printed.count('\n') == 1 and part in printed and str(wrong) in printed


def test_a_changed_input_is_converted_again_and_nothing_else(ade, capsys):
    base, flags = ade
    prepare(capsys, *flags)
    write_png(base / 'annotations/training/ADE_train_00000001.png', [[5, 5], [5, 0]])
    code, printed = prepare(capsys, *flags)
    assert code == 0 and '3 files: 1 written, 2 up to date' in printed
    assert convert.read_label(base / RESULT).tolist() == [[4, 4], [4, 255]]


def test_another_recipe_converts_everything_again(ade, capsys, monkeypatch):
    base, flags = ade
    prepare(capsys, *flags)
    monkeypatch.setattr(converter, 'VERSION', converter.VERSION + 1)
    assert '3 written' in prepare(capsys, *flags)[1]


def test_unreadable_files_are_refused_by_name_and_the_others_converted(ade, capsys):
    base, flags = ade
    for number in range(3, 15):
        (base / f'annotations/training/ADE_train_{number:08d}.png').write_bytes(b'not a picture')
    code, printed = prepare(capsys, *flags)
    assert code == 1
    assert '15 files: 3 written, 12 refused' in printed
    assert 'training/ADE_train_00000003.png: ' in printed and 'ADE_train_00000012.png' in printed
    assert 'ADE_train_00000013.png' not in printed and '  and 2 more' in printed
    code, printed = prepare(capsys, *flags)
    assert code == 1 and '3 up to date, 12 refused' in printed, 'a refused file is tried again'


def test_a_file_of_somebody_else_is_left_alone_unless_it_is_right(ade, capsys):
    base, flags = ade
    write_png(base / RESULT, [[9, 9], [9, 9]])
    equal = base / 'annotations_150classes/training/ADE_train_00000002.png'
    write_png(equal, [[255, 2]])  # the right ids, packed by another program
    before = contents(base)
    code, printed = prepare(capsys, *flags)
    assert code == 1 and '3 files: 1 written, 1 up to date, 1 refused' in printed
    assert 'was not written by this program' in printed and '--overwrite' in printed
    assert {path: contents(base)[path] for path in before} == before
    code, printed = prepare(capsys, *flags, '--overwrite')
    assert code == 0 and '1 written, 2 up to date' in printed
    assert convert.read_label(base / RESULT).tolist() == [[255, 0], [149, 1]]


def test_results_are_not_written_over_originals_through_a_link(ade, capsys):
    base, flags = ade
    (base / 'annotations_150classes').symlink_to(base / 'annotations', target_is_directory=True)
    before = contents(base)
    code, printed = prepare(capsys, *flags)
    assert code == 2 and 'is an original' in printed and 'ADE_train_00000001.png' in printed
    assert contents(base) == before


def test_two_results_of_one_name_are_refused(tmp_path):
    first, second = (converter.Job(tmp_path / 'out.png', (tmp_path / name,), convert.copy_file) for name in 'ab')
    with pytest.raises(ValueError, match='made twice'):
        runner.run('copies', record.Record(tmp_path, 'copies'), [first, second])


def test_a_source_that_is_gone_is_refused_by_name(tmp_path, capsys):
    job = converter.Job(tmp_path / 'out.png', (tmp_path / 'gone.png',), convert.copy_file)
    assert runner.run('copies', record.Record(tmp_path, 'copies'), [job]) == 1
    assert 'gone.png: the file does not exist' in capsys.readouterr().out
    assert not (tmp_path / 'out.png').exists()


def test_only_leftovers_of_the_own_results_are_removed(ade, capsys):
    base, flags = ade
    folder = base / 'annotations_150classes/training'
    folder.mkdir(parents=True)
    foreign = folder / '.notes.99999999.0123abcd.tmp'
    foreign.write_text('mine')
    living = folder / f'.ADE_train_00000002.png.{os.getpid()}.0123abcd.tmp'  # of a process that still runs
    living.write_text('busy')
    prepare(capsys, *flags)
    assert foreign.exists() and living.exists()


def test_a_full_disk_stops_with_one_line_and_keeps_what_was_done(ade, capsys, monkeypatch):
    base, flags = ade
    replace, calls = os.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, 'No space left on device')
        replace(source, target)

    monkeypatch.setattr('utils.files.atomic.os.replace', full)
    code, printed = prepare(capsys, *flags)
    assert code == 2 and 'the disk is full' in printed
    monkeypatch.setattr('utils.files.atomic.os.replace', replace)
    assert '2 written, 1 up to date' in prepare(capsys, *flags)[1]


def test_two_runs_in_one_folder_are_refused(ade, capsys):
    base, flags = ade
    with record.Record(base, 'ade20k').appending():
        code, printed = prepare(capsys, *flags)
    assert code == 2 and 'another run' in printed


def test_the_program_and_its_processes_start_without_torch():
    """Which would take two seconds and 300 MB in each of them."""
    code = "import sys, datasets.prepare.__main__, datasets.prepare.runner; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True).stderr == ''


@pytest.mark.parametrize(
    'argv, expected',
    [
        (
            [],
            (
                'the name of the data set comes first, as in `python -m datasets.prepare camvid --root ROOT`; choose'
                ' one of ade20k, '
            ),
        ),
        (['--root', 'R', 'ade20k'], 'the name of the data set comes first, as in '),
        (['ad20k', '--root', 'R'], "there is no preparation 'ad20k'; did you mean ade20k?"),
        (
            ['Mapilary', '--root', 'R'],
            "there is no preparation 'Mapilary'; did you mean mapillary or mapillary_citylabel?",
        ),
        (['zzz'], "there is no preparation 'zzz'; choose one of ade20k, "),
        (['kitti', '--root', 'R'], "data set 'kitti' needs no preparation (docs/datasets.md); these do: ade20k, "),
        (['ade20k'], '--root is missing; give the folder of the data sets, '),
        (['ade20k', '--rot', 'R'], 'unknown flag --rot; did you mean --root'),
        (['ade20k', '--root', 'R', '--dry'], 'unknown flag --dry; did you mean --dry_run'),
        (['synthetic', '--root', 'R', '--size', '3'], '\'3\' is not "height,width" in pixels, such as 256,512'),
        (['idd', '--root', 'R', '--id_type', 'x'], 'argument --id_type: invalid choice'),
    ],
)
def test_a_mistake_in_the_call_is_one_sentence_with_the_nearest_name(argv, expected, capsys):
    assert main(argv) == 2
    told = capsys.readouterr()
    assert (
        told.out == ''
        and told.err.count('\n') == 1
        and told.err.startswith('python -m datasets.prepare: error: ')
        and expected in told.err
    )


@pytest.mark.parametrize('argv', [['--help'], ['-h'], ['camvid', '--help'], ['synthetic', '-h']])
def test_help_is_printed_and_is_no_mistake(argv, capsys):
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 0 and capsys.readouterr().out.startswith('usage: python -m datasets.prepare')


def test_no_workers_are_refused(ade, capsys):
    _, flags = ade
    assert main([*map(str, flags), '--workers', '0']) == 2
    assert 'argument --workers: 0 is out of range; give a whole number of at least 1' in capsys.readouterr().err


def test_several_processes_give_the_same_files_as_one(ade, tmp_path, capsys):
    base, flags = ade
    (base / 'annotations/training/broken.png').write_bytes(png_bytes([[1]])[:40])
    prepare(capsys, *flags)
    alone = results({}, base)
    for path in (base / 'annotations_150classes').rglob('*.png'):
        path.unlink()
    assert main([*map(str, flags), '--workers', '2']) == 1
    printed = capsys.readouterr().out
    assert '3 written, 1 refused' in printed and 'training/broken.png: ' in printed
    assert results({}, base) == alone


@pytest.mark.slow
def test_killed_and_interrupted_runs_leave_no_process_and_no_half_file(tmp_path):
    """Takes seconds: two processes convert 400 files of 2048x1024 pixels, are stopped in the middle, and a third run
    completes them."""
    base = tmp_path / 'ADEChallengeData2016'
    data = png_bytes([[number % 150 for number in range(2048)]] * 1024)
    for number in range(400):
        path = base / f'annotations/training/{number:04d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (base / 'annotations/validation').mkdir()
    command = [sys.executable, '-m', 'datasets.prepare', 'ade20k', '--root', str(tmp_path), '--workers', '2']
    for stop, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130)):
        already = len(list(base.glob('annotations_150classes/training/*.png')))
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        while len(list(base.glob('annotations_150classes/training/*.png'))) < already + 20:
            time.sleep(0.02)
        os.kill(process.pid, stop)
        _, errors = process.communicate(timeout=30)  # returns when the workers have closed the pipe too
        assert process.returncode == code
        assert 'Traceback' not in errors, errors
        done = [path.name for path in base.glob('annotations_150classes/training/*.png')]
        assert len(done) < 400
        for path in base.glob('annotations_150classes/training/*.png'):
            assert convert.read_label(path).shape == (1024, 2048)
    finished = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '400 files: ' in finished and ' up to date' in finished
    assert not list(base.rglob('*.tmp'))


@pytest.mark.slow
def test_a_killed_process_is_told_in_one_sentence(tmp_path):
    tasks = [converter.Job(tmp_path / name, (), die) for name in ('a', 'b')]
    with pytest.raises(ValueError, match='--workers 2: a process was killed'):
        runner.run('death', record.Record(tmp_path, 'death'), tasks, workers=2)
