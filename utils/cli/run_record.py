"""Records of runs as flags: what hparams.json says of an earlier run, checked as if it were typed.

A record holds every flag of a run by name, every key of cfg as `cfg.SECTION.KEY`, and under `command` how the run was
started. One of an older version lacks the flags that came later, which then have their defaults.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.cli.wording import did_you_mean, listed
from utils.files.atomic import plain
from utils.files.limits import parse_json
from utils.settings import SETTINGS
from utils.version import VERSION

NAME = 'hparams.json'
NO_FLAGS = ('command', 'source')  # source: found by the program, from --snapshot or --resume
# By --precision; by all other entries, as a file of flags is and a preset; only for who typed it.
SAID_OTHERWISE = ('fp16', 'config', 'augment', 'run', 'debug')


def is_record(content) -> bool:
    """Whether the content of a JSON file is a record of a run, and not a mapping of flags that somebody wrote."""
    return isinstance(content, Mapping) and isinstance(content.get('command'), Mapping)


def read_json(path, what: str, otherwise: str = 'give the flags instead') -> Any:
    """The content of a JSON file. Raises FileNotFoundError, or ValueError for a file that is cut off or none.

    what: the words that the message begins with; otherwise: what can be done where there is no whole copy.
    """
    try:
        return parse_json(Path(path).read_bytes())
    except OSError as error:
        raise FileNotFoundError(f'{what}: cannot be read ({error.strerror}); give the record of a run') from error
    except ValueError as error:
        raise ValueError(f'{what}: is no whole JSON file ({error}); copy it again, or {otherwise}') from None


def flags_of(content: Mapping, what: str) -> dict[str, Any]:
    """The flags in the content of a record, by name, in the types of the settings; those of its own time alone.

    what: the words that a message begins with, such as the name of the file. Raises ValueError for a flag or key of cfg
    that there is none of, a value that the flag cannot have, and a cfg that the flags do not lead to.
    """
    entries = {key: value for key, value in content.items() if key not in NO_FLAGS}
    command = content.get('command')
    command = command if isinstance(command, Mapping) else {}
    keys = {item.cfg: item for item in (*SETTINGS.values(), *SETTINGS.keys_only) if item.cfg}
    for key in entries:
        if key not in SETTINGS and key.removeprefix('cfg.') not in (keys if key.startswith('cfg.') else ()):
            raise ValueError(f'{what}: {_unknown(key, keys, command.get("version"))}')
    values = {name: read_value(name, entries[name], what) for name in SETTINGS if name in entries}
    for path, setting in keys.items():
        if f'cfg.{path}' not in entries:
            continue
        found = entries[f'cfg.{path}']
        if setting.name and setting.name not in values and found != plain(setting.to_cfg(setting.default)):
            # a key that Python alone could set has become a flag since
            values[setting.name] = read_value(setting.name, setting.from_cfg(found), what)
        _check_cfg(found, setting, values, what)
    folder = command.get('folder')
    return {name: _found_from_here(name, value, folder) for name, value in values.items()}


def given_by(values: Mapping) -> dict[str, Any]:
    """Those of the flags of a record that a command line would have to give: what is not at its default."""
    return {
        name: value for name, value in values.items() if name not in SAID_OTHERWISE and value != SETTINGS[name].default
    }


def read_value(name: str, value, what: str) -> Any:
    """The value of a flag from a file (plain values of JSON or of a checkpoint) in the type of its setting.

    Raises ValueError, beginning with `what`, for one that could not have been typed.
    """
    setting = SETTINGS[name]
    if value is None or plain(value) == plain(setting.default):
        return setting.default
    try:
        if setting.is_switch or isinstance(value, (bool, Mapping)):
            if not (setting.is_switch and isinstance(value, bool)):
                raise ValueError('true or false' if setting.is_switch else f'a value such as {setting.metavar}')
            return value
        typed = setting.type(setting.words(value)[1])
        if setting.choices and typed not in setting.choices:
            raise ValueError(f'one of {listed(setting.choices)}')
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise ValueError(
            f'{what}: says {name} {value!r:.60}, which --{name} cannot be ({error}); give --{name}, or mend the file'
        ) from None
    return typed


def _unknown(key: str, keys, version) -> str:
    newer = _number(version) > _number(VERSION)
    if newer:
        return (
            f'was written by version {version} of this program and holds {key!r}, which this one, {VERSION}, does not'
            ' know; take the newer version, or leave that line out'
        )
    near = did_you_mean(key, [*SETTINGS, *(f'cfg.{path}' for path in keys)], 'leave it out')
    return f'holds {key!r}, which is no flag and no key of cfg; {near}'


def _number(version) -> tuple[int, ...]:
    parts = str(version).split('.')
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else ()


def _check_cfg(found, setting, values, what):
    """Raise ValueError where a key of cfg is not what the flags make of it: a run from Python, or an edited file."""
    if setting.name in values:
        value = values[setting.name]
        expected = setting.default if value is None else value  # None leaves cfg as it is
        source = f'--{setting.name} {value!r:.60} beside it makes'
        remedy = f'change {setting.name} where another value is meant'
    elif setting.name:
        return
    else:
        expected, source = setting.default, 'the default is'
        remedy = 'no flag sets it: start that run from Python, inside config.scope'
    expected = plain(setting.to_cfg(expected))
    if found != expected:
        raise ValueError(f'{what}: says cfg.{setting.cfg} {found!r:.60} where {source} {expected!r:.60}; {remedy}')


def _found_from_here(name: str, value, folder):
    """A relative path as the run meant it, where it leads nowhere from here and somewhere from the run's own folder."""
    if isinstance(value, tuple):
        return tuple(_found_from_here(name, item, folder) for item in value)
    is_path = isinstance(value, str) and name != 'result_dir' and bool({'DIR', 'FILE'} & set(_words_of(name)))
    if not is_path or not isinstance(folder, str) or Path(value).exists() or not (Path(folder) / value).exists():
        return value
    return str(Path(folder) / value)


def _words_of(name: str) -> list[str]:
    return (SETTINGS[name].metavar or '').split('|')
