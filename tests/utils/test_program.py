"""Programs: exit codes and the one line that a mistake is told in; near names."""

import pytest

from datasets.verify.__main__ import main as verify
from utils.cli.parser import Parser
from utils.cli.program import check_flags, run_program
from utils.cli.wording import did_you_mean, shortened


def failing(error):
    def body(argv):
        raise error

    return body


def test_a_mistake_is_one_line_and_exit_code_2(capsys):
    assert run_program('p.py', failing(ValueError('a\n  b')), []) == 2
    assert capsys.readouterr().err == 'p.py: error: a b\n'


def test_an_interruption_says_what_is_left_and_exits_with_130(capsys):
    assert run_program('p.py', failing(KeyboardInterrupt()), [], interrupted='half is kept') == 130
    assert capsys.readouterr().err == 'p.py: half is kept\n'
    assert run_program('p.py', failing(KeyboardInterrupt('all is kept')), [], interrupted='half is kept') == 130
    assert capsys.readouterr().err == 'p.py: all is kept\n'


def test_debug_and_errors_without_a_remedy_keep_the_stack_trace():
    with pytest.raises(ValueError, match='a'):
        run_program('p.py', failing(ValueError('a')), ['--debug'])
    with pytest.raises(RuntimeError):
        run_program('p.py', failing(RuntimeError('a')), [], mistakes=(RuntimeError,), remedy=lambda error: None)


def test_debug_in_the_yaml_file_of_flags_keeps_the_stack_trace_too(tmp_path, capsys):
    (tmp_path / 'a.yml').write_text('debug: true\n')
    (tmp_path / 'b.yml').write_text('debug: false\n')
    (tmp_path / 'c.yml').write_text('debug: [\n')
    with pytest.raises(ValueError, match='a'):
        run_program('p.py', failing(ValueError('a')), ['--config', str(tmp_path / 'a.yml')])
    for name in ('b.yml', 'c.yml', 'none.yml'):
        assert run_program('p.py', failing(ValueError('a')), [f'--config={tmp_path / name}']) == 2
    assert capsys.readouterr().err == 3 * 'p.py: error: a\n'


def test_flags_that_are_checked_first_end_the_program_only_where_they_are_wrong(capsys):
    parser = Parser(prog='p.py')
    assert check_flags('p.py', parser.parse_all, ['--debug']) is None
    for argv, code in ((['--debgu'], 2), (['--help'], 0)):
        with pytest.raises(SystemExit) as ended:
            check_flags('p.py', parser.parse_all, argv)
        assert ended.value.code == code
    told = capsys.readouterr()
    assert 'did you mean --debug?' in told.err and '--debug' in told.out


def test_every_program_knows_debug():
    args = Parser(prog='p.py').parse_all(['--debug'])
    assert args.debug and args.given == ['debug']
    with pytest.raises(FileNotFoundError, match='gone: the dataset root does not exist'):
        verify(['--debug', '--dataset', 'camvid', '--override_dataset_root', 'gone'])


def test_the_exit_code_is_that_of_the_body_and_0_for_none():
    assert run_program('p.py', lambda argv: None, []) == 0
    assert run_program('p.py', lambda argv: len(argv), ['a']) == 1


def test_the_nearest_name_is_found_whatever_its_case():
    assert did_you_mean('ocrnet.hrnet', ['ocrnet.HRNet', 'unet']) == 'did you mean ocrnet.HRNet?'
    assert did_you_mean('zzz', ['ocrnet.HRNet'], 'choose one of 3') == 'choose one of 3'


def test_a_long_list_ends_in_how_many_lines_are_left_out():
    assert shortened(['a', 'b', 'c'], 2) == ['a', 'b', '  and 1 more'] and shortened(['a'], 2) == ['a']


def test_a_long_message_is_cut_in_the_middle_and_control_characters_are_escaped(capsys):
    error = ValueError('a.pth: holds \x1b[31m' + 'x' * 5000 + '; give another file')
    assert run_program('p.py', failing(error), []) == 2
    told = capsys.readouterr().err
    assert told.startswith('p.py: error: a.pth: holds \\x1b[31mxxx') and told.endswith('; give another file\n')
    assert 'characters left out) ... ' in told and len(told) < 800
