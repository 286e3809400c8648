"""The help of the programs: what its first screen shows, and how the rest is asked for."""

import re
import shlex
import subprocess
import sys

import pytest
from small import ROOT

import ensemble
import predict
import train
from aggregation import benchmarks, commands
from datasets.prepare import __main__ as prepare
from utils.cli import flags, help
from utils.cli.parser import Parser
from utils.settings import SETTINGS
from utils.settings.shown import EVERYDAY, RARE


@pytest.fixture
def shown(capsys, monkeypatch):
    """shown(program, *argv) -> what its help prints, in 80 columns."""
    monkeypatch.setenv('COLUMNS', '80')

    def call(program, *argv):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            program.main(list(argv))
        assert ended.value.code == 0
        return capsys.readouterr().out

    return call


def flags_in(text):
    """The flags that a help text explains, in its order."""
    return re.findall(r'^  (?:-\w+(?: \S+)?, )?--(\w+)', text, re.MULTILINE)


def commands_in(text):
    """The command lines of the examples, as words."""
    joined = text.replace('\\\n', ' ')
    return [shlex.split(line) for line in re.findall(r'^  python \S+\.py (.*)$', joined, re.MULTILINE)]


def test_the_first_screen_has_three_commands_and_the_twenty_flags_of_every_day(shown):
    text = shown(train, '--help')
    assert flags_in(text) == list(EVERYDAY) and len(EVERYDAY) == 20
    examples = commands_in(text)
    assert len(examples) == 3 and text.index('python train.py') < text.index('--dataset NAME')
    for words in examples:
        assert flags.build_parser().parse_all(words).given
    assert shown(train, '-h') == shown(train, '-help') == shown(train, '--lr', '1', '--help') == text


def test_the_first_screen_says_how_many_flags_each_group_has(shown):
    text = ' '.join(shown(train, '--help').split())
    assert f'--help all shows all {len(SETTINGS) + 1} flags' in text
    groups = dict(re.findall(r'(\w+) \((\d+)\)', text.partition('of a group: ')[2]))
    assert groups['rare'] == str(len(RARE)) and groups['coarse'] == '9'
    assert sum(map(int, groups.values())) == len(SETTINGS) + 1


def test_every_flag_stands_in_the_whole_help_once(shown):
    assert sorted(flags_in(shown(train, '--help', 'all'))) == sorted(['help', *SETTINGS])


def test_the_help_of_a_group_has_its_flags_and_those_alone(shown):
    assert flags_in(shown(train, '--help', 'coarse')) == SETTINGS.of_group('coarse labels (cityscapes)')
    assert flags_in(shown(train, '--help=rare')) == list(RARE)
    assert flags_in(shown(predict, '--help', 'videos')) == ['every', 'smooth', 'frames', 'show']


def test_the_help_of_a_flag_is_its_line(shown):
    assert shown(train, '--help', 'lr').split() == '--lr RATE learning rate at the start (default: 0.002)'.split()
    assert shown(train, '--help', 'epochs') == 'epochs: it is called --max_epoch here\n'


@pytest.mark.parametrize('topic, near', [('lrr', 'did you mean lr'), ('xyz123', 'no such group or flag; the groups')])
def test_an_unknown_group_lists_the_groups(topic, near, capsys):
    assert train.main(['--help', topic]) == 2
    printed = capsys.readouterr().err
    assert near in printed and 'the groups are options, plan, data, coarse, augmentation, network, loss' in printed


def test_rare_flags_and_those_of_every_day_are_flags_and_no_flag_is_both():
    assert set(EVERYDAY) | set(RARE) <= set(SETTINGS) and not set(EVERYDAY) & set(RARE)
    assert flags.build_parser().parse_all(['--rescale', '2']).rescale == 2


def test_predict_begins_with_three_commands_too(shown):
    text = shown(predict, '--help')
    assert flags_in(text) == list(predict.EVERYDAY) and 'SOURCE  ' in text
    examples = commands_in(text)
    assert len(examples) == 3
    for words in examples:
        assert predict.build_parser().parse_all(words).sources


def test_help_of_a_command_of_ensemble_stands_on_either_side_of_it(shown, capsys):
    assert shown(ensemble, '--help', 'fuse') == shown(ensemble, 'fuse', '--help')
    assert ensemble.main(['--help', 'all']) == ensemble.main([]) == 0
    assert ensemble.main(['--help', 'fuze']) == 2
    assert "there is no command 'fuze', choose one of check, fuse" in capsys.readouterr().err


@pytest.mark.parametrize('name', [name for name, command in commands.COMMANDS.items() if command.everyday])
def test_a_command_of_many_flags_begins_with_those_of_every_day_and_an_example(shown, name):
    text, everyday = shown(ensemble, *name.split(), '--help'), commands.COMMANDS[name].everyday
    assert tuple(flag.removesuffix('_path') for flag in flags_in(text.replace('--out DIR, ', ''))) == everyday
    [words] = commands_in(text)
    command, rest = commands.split_command(words)
    assert command == name and commands.parse(command, rest).out
    assert flags_in(shown(ensemble, name, '--help', 'all')) != flags_in(text)


def test_no_flag_of_a_command_of_many_flags_stands_outside_a_group():
    for name, command in commands.COMMANDS.items():
        parser = commands.make_parser(name)
        titles = help.groups_of(parser)
        assert not command.everyday or {'members', 'fusion', 'output'} <= titles.keys() - {'positional'}
        assert not command.everyday or flags_in(help.help_text(parser, 'options')) == ['help', 'config', 'debug']


def test_a_group_is_found_by_its_singular_too(shown):
    assert shown(predict, '--help', 'source') == shown(predict, '--help', 'sources')
    assert shown(predict, '--help', 'SOURCE').startswith('sources:\n  SOURCE')
    assert flags_in(shown(ensemble, 'fuse', '--help', 'member')) == ['kind', 'weights', 'allow_missing']


@pytest.mark.parametrize(
    'program, argv, groups',
    [
        (predict, ['--help', 'weather'], 'options, sources, network, size, videos, precision, output'),
        (ensemble, ['fuse', '--help', 'weather'], 'options, members, files, fusion, output'),
    ],
)
def test_every_program_lists_its_groups_for_an_unknown_one(program, argv, groups, capsys):
    assert program.main(argv) == 2
    assert f'the groups are {groups}; --help all shows every flag' in capsys.readouterr().err


def test_every_help_text_fits_into_80_columns(monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', '80')
    benchmarks.register()
    parsers = [
        flags.build_parser(['cityscapes']),
        predict.build_parser(),
        *map(commands.make_parser, commands.COMMANDS),
    ]
    texts = [commands.overview()]
    for parser in parsers:
        for topic in ([], ['all']):
            with pytest.raises(SystemExit):
                parser.parse_all(['--help', *topic])
            texts.append(capsys.readouterr().out)
    assert [line for text in texts for line in text.splitlines() if len(line) > 80] == []
    assert len(texts) > 20


def test_a_program_without_flags_of_every_day_shows_all_of_them(capsys):
    parser = Parser(prog='tool', description='A tool.')
    parser.add_argument('file', metavar='FILE', help='to read')
    parser.add_argument('--out', metavar='FILE', required=True, help='to write')
    parser.add_argument('--size', type=int, default=3, metavar='N', help='of it')
    with pytest.raises(SystemExit):
        parser.parse_all(['--help'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ['usage: tool FILE --out FILE [--flag value ...]', '', 'A tool.']
    assert '  --size N              of it (default: 3)' in lines


@pytest.mark.parametrize(
    'words, code, told',
    [
        ('train.py --help', 0, 'flags of every day'),
        ('train.py --lrr 1', 2, 'did you mean --lr'),
        ('predict.py --help', 0, 'flags of every day'),
        ('predict.py a.png --filp', 2, 'did you mean --flip'),
        ('predict.py gone.png', 2, 'gone.png: no such file or folder'),
        ('ensemble.py', 0, 'usage: ensemble.py COMMAND'),
        ('ensemble.py fuse --help', 0, 'flags of every day'),
        ('ensemble.py fuse a --otu b', 2, 'did you mean --out'),
        ('-m datasets.verify --help', 0, 'usage: python -m datasets.verify'),
        ('-m datasets.prepare', 2, 'python -m datasets.prepare: error'),
        ('-m datasets.describe --help', 0, 'usage: python -m datasets.describe'),
    ],
)
def test_help_and_mistakes_in_flags_are_told_before_torch_is_imported(words, code, told):
    """So that they come at once: torch takes seconds."""
    argv = [sys.executable, '-X', 'importtime', *words.split()]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    imported = re.findall(r'\| +([\w.]+)$', ended.stderr, re.MULTILINE)
    assert ended.returncode == code and told in ended.stdout + ended.stderr
    assert 'utils.settings' in imported and 'torch' not in imported


@pytest.mark.parametrize('name', [*(converter.name for converter in prepare.CONVERTERS), 'synthetic'])
def test_no_help_of_a_conversion_says_a_default_twice(name, capsys):
    with pytest.raises(SystemExit):
        prepare.parse_args([name, '--help'])
    printed = ' '.join(capsys.readouterr().out.split())
    assert 'number of processes (default: ' in printed and not re.search(r'default: [^)]*\) \(default', printed)
