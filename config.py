"""The one global configuration: `cfg` holds every default that a constructor or builder reads.

The keys and their defaults are those of utils.settings. The program's flags are merged into it once, then it is
frozen. It imports nothing else of the project, so any module may read it, but only while something is built: an object
that exists carries what it needs. A key that is not declared can be neither read nor written, so a typo is an error and
never a new setting.
"""

from contextlib import contextmanager

from easydict import EasyDict

from utils.cli.wording import did_you_mean
from utils.settings import SETTINGS


class _Keys(EasyDict):
    """An EasyDict that is read by declared keys alone. A class of its own: EasyDict makes keys of its last class's
    methods."""

    def get(self, name, default=None):
        """The value of a key. One that is not declared is an error whatever the default, as cfg.name is."""
        return default if self.__dict__.get('__state__', 'open') == 'open' and name not in self else self[name]

    def __missing__(self, name):
        return getattr(self, name)  # raises, naming the nearest key


class Config(_Keys):
    """An EasyDict whose keys are fixed once declared, and whose values are fixed once frozen."""

    def __getattr__(self, name):  # only called for what does not exist
        if name.startswith('__'):
            raise AttributeError(name)
        hint = did_you_mean(name, self, 'see utils/settings', count=1)
        raise AttributeError(f'cfg has no key {name}; {hint} (keys here: {", ".join(sorted(self))})')

    def __setattr__(self, name, value):
        state = self.__dict__.get('__state__', 'open')
        if state == 'frozen':
            raise AttributeError(f'cfg is frozen: {name} cannot change once the flags are merged')
        if state == 'closed' and name not in self:
            getattr(self, name)  # raises, naming the nearest key
        if state == 'closed' and isinstance(self[name], Config):
            raise AttributeError(f'{name} is a section of cfg; set its keys: {", ".join(sorted(self[name]))}')
        if type(value) is dict:
            value = Config(value)
        super().__setattr__(name, value)

    __setitem__ = __setattr__


def _set_state(section, state):
    section.__dict__['__state__'] = state
    for value in section.values():
        if isinstance(value, Config):
            _set_state(value, state)


def freeze(section=None):
    """Refuse every change of cfg from here on; flags are merged before this."""
    _set_state(cfg if section is None else section, 'frozen')


def as_dict(section=None):
    """The configuration as a plain nested dict (for hparams.json)."""
    section = cfg if section is None else section
    return {key: as_dict(value) if isinstance(value, Config) else value for key, value in section.items()}


def _restore(section, values):
    for key, value in values.items():
        if isinstance(value, dict):
            _restore(section[key], value)
        else:
            section[key] = value


@contextmanager
def scope(**values):
    """Use other values of cfg inside the block and the old ones after it: `with scope(MODEL__OCR_ASPP=True): ...`.

    Double underscores separate sections. A frozen cfg is thawed for the block; a program runs in one scope of its own,
    so that calling it from Python twice starts from the same defaults twice.
    """
    before, state = as_dict(), cfg.__dict__['__state__']
    _set_state(cfg, 'closed')
    try:
        for path, value in values.items():
            *sections, key = path.split('__')
            section = cfg
            for name in sections:
                section = getattr(section, name)
            setattr(section, key, value)
        yield cfg
    finally:
        _set_state(cfg, 'closed')
        _restore(cfg, before)
        _set_state(cfg, state)


cfg = Config(SETTINGS.cfg_tree())
_set_state(cfg, 'closed')
