"""Options of a network: the settings of `cfg.MODEL` as an explicit argument.

A network is built from a complete copy of them, which it keeps as `net.options`. No layer reads `cfg`, so that the same
call builds the same network whatever stands in a `config.scope` around it.
"""

from collections.abc import Mapping
from typing import Any

from easydict import EasyDict

from config import as_dict, cfg
from utils.cli.wording import did_you_mean
from utils.settings import SETTINGS


class Options(EasyDict):
    """Settings by name, as attributes too: options.OCR.MID_CHANNELS."""


class Watched:
    """Options that note the paths of those that are read, as in 'OCR.MID_CHANNELS', in the set `read`."""

    def __init__(self, values: Mapping[str, Any], read: set[str], path: str = ''):
        self._values, self._read, self._path = values, read, path

    def __getattr__(self, name: str) -> Any:
        value, path = self._values[name], f'{self._path}{name}'
        if isinstance(value, Mapping):
            return Watched(value, self._read, f'{path}.')
        self._read.add(path)
        return value


def complete(options: Mapping[str, Any] | None = None) -> Options:
    """All settings of cfg.MODEL, with those of `options`, a mapping of any of its keys, nested as they are there.

    What `options` leaves out has its declared default; None stands for cfg.MODEL as it is now. Raises ValueError for a
    key that cfg.MODEL does not have, and for a value of another kind than its default.
    """
    return Options(as_dict(cfg.MODEL) if options is None else _filled(SETTINGS.cfg_tree()['MODEL'], options, 'MODEL'))


def _filled(defaults: dict, given: Any, path: str) -> dict:
    if not isinstance(given, Mapping):
        raise ValueError(f'options: cfg.{path} is a section, found {given!r}; give a mapping with keys of it')
    for key in given:
        if key not in defaults:
            hint = did_you_mean(key, defaults, otherwise=f'choose one of {", ".join(defaults)}')
            raise ValueError(f'options: cfg.{path} has no key {key!r}; {hint}')
    return {
        key: _filled(value, given.get(key, {}), f'{path}.{key}')
        if isinstance(value, dict)
        else _checked(given.get(key, value), value, f'{path}.{key}')
        for key, value in defaults.items()
    }


def _checked(value: Any, default: Any, path: str) -> Any:
    """The value of an option, if it is of the kind of its default: a switch, a number of channels, a scale."""
    kind, expected = (
        type(default),
        {bool: 'True or False', int: 'a whole number above 0'}.get(type(default), 'a number'),
    )
    lowest = 1 if default else 0  # where 0 is the default, it stands for none
    fits = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not fits or (kind is int and value < lowest):
        raise ValueError(f'options: cfg.{path} is {value!r}, expected {expected}')
    return value
