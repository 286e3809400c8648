"""Every numeric flag of the programs beside train.py at its boundaries: what nobody can mean is refused by its name."""

import argparse
import importlib.util
import inspect

import pytest
from small import ROOT

import ensemble  # noqa: F401  (whose import registers its commands)
import predict
from aggregation import benchmarks, commands
from datasets.browse import __main__ as browse
from datasets.describe import __main__ as describe
from datasets.prepare import __main__ as prepare
from datasets.verify import commandline as verify
from network import convert, export, summary
from utils.cli.parser import Parser
from utils.settings import SETTINGS

benchmarks.register()
SCRIPTS = sorted(path.stem for path in (ROOT / 'scripts').glob('*.py') if 'parse_args' in path.read_text())
REFUSED = {
    'predict.py': {
        'max_side': '0',
        'tile': '0 0,8',
        'overlap': '-0.1 1',
        'every': '0',
        'smooth': '-0.1 1',
        'batch': '0',
    },
    'datasets.verify': {'workers': '0 100000'},
    'datasets.browse': {'count': '0'},
    'datasets.describe': {},
    'datasets.prepare': {'workers': '0 100000', 'train': '4', 'val': '0', 'size': '32,64', 'seed': '-1'},
    'network.convert': {},
    'network.export': {'size': '0', 'batch': '0', 'tolerance': '-1 1', 'num_classes': '0 1000000000'},
    'network.summary': {'size': '0', 'batch': '0', 'depth': '-1', 'num_classes': '0 1000000000'},
    'ensemble.py': {'num_workers': '0 100000', 'worst': '-1', 'size': '0'},
    'bench': {'photo_size': '0', 'size': '0', 'batch': '0', 'images': '0', 'repeats': '0'},
    'bench_waiting': {'size': '0', 'steps': '0', 'seconds': '0', 'rounds': '0'},
    'bravo_tree': {'per_subset': '0', 'size': '0'},
    'mutate': {'count': '0', 'minutes': '-1'},
    'network_table': {'size': '0', 'repeats': '0'},
    'record_anomaly': {'bootstrap': '1 -1'},
    'record_comparison': {},
    'record_ensemble': {},
    'record_results': {},
    'robustness': {'images': '0'},
}
OF_TEXT = (str, None)


class Parsed(Exception):
    """In place of parsing: what the program would have parsed with."""


def script(name):
    spec = importlib.util.spec_from_file_location(f'of_scripts_{name}', ROOT / 'scripts' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parsers_of(program, monkeypatch):
    """All parsers of a program, those of its commands too."""
    if program == 'ensemble.py':
        return [commands.make_parser(name) for name in commands.COMMANDS]
    modules = {
        'predict.py': predict,
        'datasets.verify': verify,
        'datasets.browse': browse,
        'datasets.describe': describe,
        'datasets.prepare': prepare,
        'network.convert': convert,
        'network.export': export,
        'network.summary': summary,
    }
    module = modules[program] if program in modules else script(program)
    if hasattr(module, 'build_parser') and not inspect.signature(module.build_parser).parameters:
        return [module.build_parser()]
    found = []

    def parse(parser, *_):
        found.append(parser)
        raise Parsed

    with monkeypatch.context() as patched:
        patched.setattr(Parser, 'parse_all', parse)
        patched.setattr(argparse.ArgumentParser, 'parse_args', parse)
        if program == 'datasets.prepare':
            for name in (*(converter.name for converter in prepare.CONVERTERS), 'synthetic'):
                with pytest.raises(Parsed):
                    prepare.parse_args([name])
        else:
            with pytest.raises(Parsed):
                getattr(module, 'parse_args', getattr(module, 'render', None))([])
    return found


def numeric(parser):
    """name -> the flag, of those whose value is a number and which this program declares itself."""
    named = {action.dest: action for action in parser._actions if action.option_strings}
    return {
        name: action
        for name, action in named.items()
        if action.nargs != 0
        and action.type not in OF_TEXT
        and action.type.__name__ not in ('names', '_truth')
        and not (name in SETTINGS and SETTINGS[name].type is action.type)  # tested with train.py
    }


@pytest.mark.parametrize('program', REFUSED)
def test_a_value_that_nobody_can_mean_is_refused_by_the_flags_name(program, monkeypatch, tmp_path):
    seen = set()
    for parser in parsers_of(program, monkeypatch):
        for name in numeric(parser):
            seen.add(name)
            for value in REFUSED[program].get(name, '').split():
                with pytest.raises(ValueError, match=f'--{name}'):
                    parser.parse_all([f'--{name}={value}'])
                    synthetic(parser, tmp_path, name, value)
    assert seen == REFUSED[program].keys()


def synthetic(parser, root, name, value):
    """Render with the flag: of the street data set its program knows the least numbers, not the parser."""
    if parser.prog.endswith('synthetic'):
        args = prepare.parse_args(['synthetic', '--root', str(root), f'--{name}', value])
        args.run(args)


def test_every_script_with_flags_is_looked_at():
    assert set(SCRIPTS) <= REFUSED.keys() | {'storm', 'storm_records', 'train_folds', 'choices'}


@pytest.mark.parametrize('text, value', [('0', 0), ('2', 2), ('1000', 1000)])
def test_a_bootstrap_is_off_or_has_two_resamplings_at_least(text, value):
    args = commands.make_parser('eval cityscapes').parse_all(['--gt', 'a', '--pred', 'b', '--bootstrap', text])
    assert args.bootstrap == value
