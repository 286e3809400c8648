"""Setting: the one declaration of a flag and of the key of cfg behind it. All that the programs know of it follows."""

from argparse import SUPPRESS
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

# What a setting decides. Nothing at all: where files are, how fast it goes, what is printed.
NETWORK = 'network'  # the network: kept in its checkpoints, taken over from them, refused when a resumed run differs
STEPS = 'steps'  # the size of a step: a run that stopped within an epoch refuses another one
NUMBERS = 'numbers'  # the numbers of a training: a run that is resumed with another one says so
VALUES = 'values'  # the values of an evaluation: recorded with its dumps, which are not mixed with others
TEST = 'test'  # how images are tested: kept in checkpoints beside the network

TRAINING, EVALUATION = 'training', 'evaluation'  # the only one that reads a setting


def unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Setting:
    """A flag of the programs, a key of cfg, or both.

    Conditions (`idle_without`, `idle_beside`, `needs`) are names of other settings or 'name=value'; a name holds where
    that one has another value than its default. One of several is enough.
    """

    name: str  # of the flag, without dashes; '' for a key of cfg that has no flag
    type: Callable[[str], Any]  # text -> value; bool: a switch
    default: Any
    metavar: str | None
    help: str  # with the unit; the default is added
    choices: tuple = ()
    old_names: tuple[str, ...] = ()  # other spellings of the flag, with their dashes
    cfg: str = ''  # path of its key, as in 'MODEL.OCR.MID_CHANNELS', where it is the default of an argument in Python
    to_cfg: Callable[[Any], Any] = unchanged  # value of the flag -> value of the key
    from_cfg: Callable[[Any], Any] = unchanged  # and back
    decides: tuple[str, ...] | None = None  # of NETWORK, STEPS, NUMBERS, VALUES, TEST; None: as the rest of its group
    read_by: str | None = None  # TRAINING or EVALUATION, '' for both; None: as the rest of its group
    idle_without: tuple[str, ...] = ()  # without these it has no effect
    idle_beside: tuple[str, ...] = ()  # with one of these it has none
    needs: tuple[str, ...] = ()  # without these it is an error
    unmet: str = ''  # the words of that error after the flag; '': 'needs --x'
    network_if: Callable[[Any], bool] | None = None  # of the args: whether it belongs to this network after all
    recorded: Callable[[Any], Any] = unchanged  # value of the flag -> what the record of a dump holds
    recorded_if_given: bool = False  # left out of the record at its default: dumps older than the setting stay valid
    group: str = ''  # title in the help

    @property
    def flag(self) -> str:
        return f'--{self.name}'

    @property
    def is_switch(self) -> bool:
        return self.type is bool

    def add_to(self, parser, **changes):
        """Add the flag to an argparse parser or group. changes: other fields for this program, such as `default`.

        A switch has a twin, --no_<name>, that the help leaves out: it turns off what an earlier run turned on.
        """
        setting = replace(self, **changes)
        options: dict = {'dest': setting.name, 'default': setting.default, 'help': setting.help}
        if setting.is_switch:
            options |= {'action': 'store_true'}
        else:
            options |= {'type': setting.type, 'metavar': setting.metavar, 'choices': setting.choices or None}
        parser.add_argument(*setting.old_names, setting.flag, **options)
        if setting.is_switch:
            options |= {'action': 'store_false', 'help': SUPPRESS}
            parser.add_argument(f'--no_{setting.name}', **options)

    def words(self, value: Any) -> list[str]:
        """The flag with `value` as words of a command line."""
        if self.is_switch:
            return [self.flag if value else f'--no_{self.name}']
        listed = ','.join(map(str, value)) or 'none' if isinstance(value, (list, tuple)) else str(value)
        return [self.flag, listed]


def switch(name: str, help: str, **fields) -> Setting:
    """A flag without a value: True where it is given."""
    return Setting(name, bool, False, None, help, **fields)


def choice(name: str, choices: tuple, default: str | None, help: str, **fields) -> Setting:
    """A flag whose value is one of `choices`."""
    return Setting(name, str, default, None, help, choices, **fields)


def key(path: str, default: Any, help: str) -> Setting:
    """A key of cfg that only Python sets: it has no flag."""
    return Setting('', str, default, None, help, cfg=path)


def group(title: str, *settings: Setting, decides: tuple[str, ...] = (), read_by: str = '') -> tuple[Setting, ...]:
    """The settings of one group of the help; what they do not say themselves of `decides` and `read_by` stands here."""
    return tuple(
        replace(
            setting,
            group=title,
            decides=decides if setting.decides is None else setting.decides,
            read_by=read_by if setting.read_by is None else setting.read_by,
        )
        for setting in settings
    )


def holds(condition: str, values: dict, settings) -> bool:
    """Whether `values`, the flags by name, meet a condition (see Setting)."""
    name, _, expected = condition.partition('=')
    if name not in values:
        return False
    return str(values[name]) == expected if expected else values[name] != settings[name].default


def written(conditions: tuple[str, ...]) -> str:
    """Conditions as one reads them: '--coarse_boost_classes or --only_coarse'."""
    return ' or '.join(f'--{condition.replace("=", " ")}' for condition in conditions)
