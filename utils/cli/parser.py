"""An argparse parser without surprises, and the value types of its flags.

No abbreviations, a YAML file of defaults under the command line, and mistakes raised as a ValueError of one sentence.
"""

import argparse
import difflib
import math

from utils.cli.yaml_file import read_yaml


class _Help(argparse.HelpFormatter):
    """Appends the default to every help text that has one."""

    def _get_help_string(self, action):
        if action.nargs == 0 or action.default in (None, (), argparse.SUPPRESS):
            return action.help
        default = ','.join(map(str, action.default)) if isinstance(action.default, tuple) else action.default
        return f'{action.help} (default: {default})'


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that knows no abbreviations and raises ValueError instead of exiting."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, formatter_class=_Help, **kwargs)

    def error(self, message):
        raise ValueError(message)

    def parse_all(self, argv):
        """Parse argv; the YAML file of --config comes first, so that flags on the command line win."""
        known, _ = self._config_parser().parse_known_args(argv)
        if known.config:
            argv = self._yaml_as_flags(known.config) + list(argv)
        args, unknown = self.parse_known_args(argv)
        if unknown:
            raise ValueError(self._describe_unknown(unknown[0].split('=')[0], 'unknown flag'))
        given = {item.split('=')[0] for item in argv if item.startswith('--')}
        args.given = sorted(action.dest for flag, action in self._option_string_actions.items() if flag in given)
        return args

    @staticmethod
    def _config_parser():
        parser = Parser(add_help=False)
        parser.add_argument('--config')
        return parser

    def _describe_unknown(self, flag, what):
        near = difflib.get_close_matches(flag, list(self._option_string_actions), n=3, cutoff=0.5)
        hint = f'did you mean {" or ".join(near)}?' if near else 'see --help for all of them'
        return f'{what} {flag}; {hint}'

    def _yaml_as_flags(self, path):
        values = read_yaml(path, '--config', 'flag: value lines')
        argv = []
        for key, value in values.items():
            action = self._option_string_actions.get(f'--{key}')
            if action is None:
                raise ValueError(f'--config {path}: {self._describe_unknown(f"--{key}", "unknown key for flag")}')
            if action.nargs == 0:
                if not isinstance(value, bool):
                    raise ValueError(f'--config {path}: {key} is a switch and takes true or false, found {value!r}')
                argv += [f'--{key}'] if value else []
            elif value is not None:
                items = value if isinstance(value, list) else [value]
                argv += [f'--{key}={",".join(str(item) for item in items)}']
        return argv


_WORDS, _EXAMPLES = {int: 'whole number', float: 'number'}, {int: '4', float: '0.5'}


def numbers(kind, count=None, minimum=None):
    """A parser of 'a,b,c' into a tuple of `kind`."""

    def parse(text):
        try:
            values = tuple(kind(item) for item in text.split(','))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a comma list of {_WORDS[kind]}s, such as {_EXAMPLES[kind]},{_EXAMPLES[kind]}'
            ) from None
        if count and len(values) not in count:
            raise argparse.ArgumentTypeError(
                f'{text!r} has {len(values)} values, expected {" or ".join(map(str, count))}'
            )
        if not all(map(math.isfinite, values)):
            raise argparse.ArgumentTypeError(f'{text!r} holds a value that is not a finite number')
        if minimum is not None and min(values) < minimum:
            raise argparse.ArgumentTypeError(f'{text!r} holds a value below {minimum}')
        return values

    parse.__name__ = f'comma list of {kind.__name__}'
    return parse


def crop_size(text):
    """'s' or 'h,w' -> (h, w) in pixels."""
    sizes = numbers(int, count=(1, 2), minimum=1)(text)
    return sizes if len(sizes) == 2 else sizes * 2


def number(kind, low=None, high=None):
    """A parser of one number within [low, high]."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{text!r} is not a {_WORDS[kind]}, such as {_EXAMPLES[kind]}') from None
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f'{text!r} is not a finite number')
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            bounds = [f'of at {word} {bound}' for word, bound in (('least', low), ('most', high)) if bound is not None]
            raise argparse.ArgumentTypeError(f'{text} is out of range; give a {_WORDS[kind]} {" and ".join(bounds)}')
        return value

    parse.__name__ = kind.__name__
    return parse


def names(text):
    return tuple(item.strip() for item in text.split(',') if item.strip())


count = number(int, low=0)
positive = number(int, low=1)
share = number(float, low=0, high=1)
amount = number(float, low=0)
