"""Parser of command lines: argparse without surprises.

No abbreviations, a YAML file of defaults under the command line, help in parts, and mistakes raised as a ValueError of
one sentence that says what may have been meant.
"""

import argparse
import re

from utils.cli import run_record
from utils.cli.help import FLAGS, Formatter, ShowHelp, visible
from utils.cli.mistyped import explicit_value, unknown_flag, unknown_word
from utils.cli.yaml_file import read_yaml
from utils.settings import SETTINGS


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that knows no abbreviations and raises ValueError instead of exiting.

    Args:
        everyday: the flags, without dashes, that the first screen of the help shows; (): all of them.
        examples: commands, which stand above them.
        retired: what to say of names that are no flags (any more), which may be patterns such as 'paths.*'.
    """

    def __init__(self, everyday=(), examples='', retired=None, add_help=True, **kwargs):
        super().__init__(allow_abbrev=False, formatter_class=Formatter, add_help=False, **kwargs)
        self.everyday, self.examples, self.retired = everyday, examples, retired or {}
        if add_help:
            self.add_argument(*FLAGS, action=ShowHelp, metavar='GROUP', help='the flags of a group; all: every flag')

    def error(self, message):
        found = re.match(r'argument (?:\S+/)?(--\w+): (?=expected |.* names nothing$)', message)
        if found:
            message += f'; it is {self._describe(self.named(found[1]))}'
        raise ValueError(explicit_value(message))

    def _describe(self, action):
        """What a flag takes: '--splits LIST: which splits (default: val)'."""
        metavar = action.metavar or '{' + ','.join(action.choices or ()) + '}'
        text = self._get_formatter()._expand_help(action) if action.help else ''
        return f'{action.option_strings[-1]} {metavar}: {text}'

    def named(self, flag: str):
        """What was declared as `flag`, None for none."""
        return self._option_string_actions.get(flag)

    def flags(self) -> list[str]:
        """Every flag of the help with its dashes, under its last name."""
        return [action.option_strings[-1] for action in visible(self._actions) if action.option_strings]

    def positionals(self) -> list:
        """What stands before the flags."""
        return [action for action in self._actions if not action.option_strings]

    def spellings(self) -> list[str]:
        """Every flag with its dashes, under all its names."""
        return list(self._option_string_actions)

    def parse_all(self, argv):
        """Parse argv; the YAML file of --config comes first, so that flags on the command line win. Every program knows
        --debug, which run_program reads."""
        if '--debug' not in self._option_string_actions:
            self.add_argument(
                '--debug', action='store_true', help='show the stack trace of an error instead of one line'
            )
        config = config_named(argv)
        if config:
            argv = self._yaml_as_flags(config) + list(argv)
        args, unknown = self.parse_known_args(argv)
        if unknown:
            raise ValueError(unknown_word(unknown[0], list(argv), self))
        given = {item.split('=')[0] for item in argv}
        args.given = sorted(action.dest for flag, action in self._option_string_actions.items() if flag in given)
        return args

    def _yaml_as_flags(self, path):
        values = _read_config(path)
        if _is_record(path) and not {f'--{name}' for name in SETTINGS} <= self._option_string_actions.keys():
            raise ValueError(
                f'--config {path}: is the record of a run of train.py, whose flags are not those of {self.prog}; give'
                ' that the checkpoint of the run'
            )
        argv = []
        for key, value in values.items():
            action = self.named(f'--{key}')
            if action is None:
                raise ValueError(f'--config {path}: {unknown_flag(f"--{key}", self, "unknown key for flag")}')
            if key == 'config':
                raise ValueError(f'--config {path}: names another file of flags, which is not read; put its lines here')
            if action.nargs == 0:
                if not isinstance(value, bool):
                    raise ValueError(f'--config {path}: {key} is a switch and takes true or false, found {value!r}')
                argv += [f'--{key}'] if value else []
            elif value is not None:
                items = value if isinstance(value, (list, tuple)) else [value]
                text = ','.join(str(item) for item in items)
                self._check_line(f'--config {path}: {key}', action, text)
                argv += [f'--{key}={text}']
        return argv

    def _check_line(self, what, action, text):
        """Raise ValueError, which begins with `what`, for a value that the flag cannot have."""
        try:
            self._check_value(action, self._get_value(action, text))
        except argparse.ArgumentError as error:
            raise ValueError(f'{what}: {error.message}') from None


def config_named(argv) -> str | None:
    """The file that --config names in a command line, None without one."""
    parser = Parser(add_help=False)
    parser.add_argument('--config')
    args, _ = parser.parse_known_args(argv)
    return args.config


def config_of(argv) -> dict:
    """What that file says, {} without one. Raises as read_yaml does."""
    path = config_named(argv)
    return _read_config(path) if path else {}


def _read_config(path) -> dict:
    """The flags in the file of --config: lines of YAML, or what another run records in its hparams.json."""
    if _is_record(path):
        content = run_record.read_json(path, f'--config {path}')
        return run_record.given_by(run_record.flags_of(content, f'--config {path}'))
    return read_yaml(path, '--config', 'flag: value lines')


def _is_record(path) -> bool:
    return path.endswith('.json') and run_record.is_record(run_record.read_json(path, f'--config {path}'))
