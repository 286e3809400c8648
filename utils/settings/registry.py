"""Settings by name, and all that follows from their declarations: defaults, flags, records and comparisons."""

from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from utils.settings.setting import EVALUATION, NETWORK, NUMBERS, STEPS, TEST, TRAINING, VALUES, Setting, holds, written
from utils.settings.shown import RARE, RARE_GROUP


class Settings(Mapping[str, Setting]):
    """The settings that have a flag, by name, in the order of the help; `keys_only` are those of cfg alone.

    `args` below are parsed flags, all of them or those of a program that has a part of them, and `given` the names of
    those that were not left at their defaults.
    """

    def __init__(self, settings: Iterable[Setting]):
        declared = tuple(settings)
        self.keys_only = tuple(setting for setting in declared if not setting.name)
        self._by_name = {setting.name: setting for setting in declared if setting.name}
        paths = [setting.cfg for setting in declared if setting.cfg]
        assert len(self._by_name) + len(self.keys_only) == len(declared), 'two settings have the same name'
        assert len(set(paths)) == len(paths), 'two settings have the same key of cfg'

    def __getitem__(self, name: str) -> Setting:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def of_group(self, title: str) -> list[str]:
        """The names of the settings of one group of the help."""
        return [name for name, setting in self.items() if setting.group == title]

    def deciding(self, *what: str) -> list[str]:
        """The names of the settings that decide one of NETWORK, STEPS, NUMBERS, VALUES, TEST."""
        return [name for name, setting in self.items() if set(what) & set(setting.decides or ())]

    # The parser and cfg

    def add_to(self, parser, names: Iterable[str] | None = None, **changes: dict) -> dict:
        """Add the flags of `names`, by default all, to an argparse parser; returns its groups by title.

        changes: by name, the fields that this program declares otherwise, as in dataset={'default': None}.
        """
        groups = {'': parser}
        for name in sorted(self if names is None else names, key=RARE.__contains__):  # the rare ones last
            title = RARE_GROUP if name in RARE else self[name].group
            if title not in groups:
                groups[title] = parser.add_argument_group(title)
            self[name].add_to(groups[title], **changes.get(name, {}))
        return groups

    def defaults(self) -> dict:
        """The value of every flag that is not given."""
        return {name: setting.default for name, setting in self.items()}

    def cfg_tree(self) -> dict:
        """The defaults of cfg as nested dicts."""
        pairs = [(setting.cfg, setting.default) for setting in self.keys_only]
        return _nested(pairs + [(item.cfg, item.to_cfg(item.default)) for item in self.values() if item.cfg])

    def as_tree(self, values: Mapping) -> dict:
        """Flags (all of them, or the entry `network` of a checkpoint) as nested values of cfg; None is left out."""
        return _nested(
            (setting.cfg, setting.to_cfg(values[name]))
            for name, setting in self.items()
            if setting.cfg and values.get(name) is not None
        )

    def as_cfg(self, values: Mapping) -> dict:
        """The same as arguments of config.scope."""
        return dict(_flat(self.as_tree(values)))

    def from_tree(self, tree: Mapping) -> dict:
        """The flags that stand for nested values of cfg, of those that are there: as_tree the other way round."""
        values = dict(_flat(tree))
        paths = {name: setting.cfg.replace('.', '__') for name, setting in self.items() if setting.cfg}
        return {name: self[name].from_cfg(values[path]) for name, path in paths.items() if path in values}

    # Records and comparisons

    def network_entry(self, args: Namespace) -> dict:
        """What describes the network in a checkpoint, so that the file alone is enough to build it again."""
        fits = {name: self[name].network_if for name in self.deciding(NETWORK)}
        return {name: getattr(args, name) for name, check in fits.items() if check is None or check(args)}

    def test_entry(self, args: Namespace) -> dict:
        """How these flags have images tested, for the checkpoints of a training."""
        return {name: getattr(args, name) for name in self.deciding(TEST)}

    def changed(self, args: Namespace, before: Mapping, *what: str) -> list[str]:
        """The settings deciding one of `what` that `before`, the flags of an earlier run, had otherwise: '--flag new
        (was old)'."""
        names = [name for name in self.deciding(*what) if self[name].network_if is None]
        return [
            f'--{name} {getattr(args, name)} (was {before[name]})'
            for name in names
            if name in before and getattr(args, name) != before[name]
        ]

    def changed_numbers(self, args: Namespace, before: Mapping) -> list[str]:
        """The settings for which a run that is resumed is not the same bit for bit."""
        return self.changed(args, before, NETWORK, STEPS, NUMBERS)

    def recorded_values(self, args: Namespace) -> dict:
        """What decides the values that an evaluation writes, to tell dumps of other settings apart; what is idle is
        None."""
        values, record = vars(args), {}
        for name in self.deciding(NETWORK, VALUES):
            setting, value = self[name], values[name]
            if value is not None:
                value = None if self._lacks(setting.idle_without, values) else setting.recorded(value)
            if not (setting.recorded_if_given and values[name] == setting.default):
                record[name] = value
        return record

    # What depends on what

    def _lacks(self, conditions: tuple[str, ...], values: dict) -> bool:
        return bool(conditions) and not any(holds(condition, values, self) for condition in conditions)

    def without_idle(self, values: Mapping) -> dict:
        """Flags by name, those that are missing or have no effect at their defaults."""
        whole = {**self.defaults(), **values}
        return {
            name: self[name].default if self._lacks(self[name].idle_without, whole) else value
            for name, value in whole.items()
        }

    def notes(self, args: Namespace) -> list[str]:
        """A sentence for every given flag that nothing reads because of the others."""
        given = [self[name] for name in args.given if name in self]
        of_training = [setting for setting in given if args.eval and setting.read_by == TRAINING]
        lines = []
        for setting in given:
            needed = ('eval',) if setting.read_by == EVALUATION else setting.idle_without
            if setting not in of_training and self._lacks(needed, vars(args)):
                lines.append(f'{setting.flag} has no effect without {written(needed)}')
            beside = tuple(condition for condition in setting.idle_beside if holds(condition, vars(args), self))
            if beside and setting not in of_training:
                lines.append(f'{setting.flag} has no effect beside {written(beside)}')
        if of_training:
            lines.append(f'{", ".join(setting.flag for setting in of_training)}: no effect with --eval')
        return lines

    def check_needs(self, args: Namespace):
        """Raise ValueError where a flag is not at its default and another one is missing that it cannot do without."""
        values = vars(args)
        for name, setting in self.items():
            if holds(name, values, self) and self._lacks(setting.needs, values):
                words = ' '.join(setting.words(values[name])) if setting.unmet else setting.flag
                raise ValueError(f'{words} {setting.unmet or f"needs {written(setting.needs)}"}')


def _nested(pairs: Iterable[tuple[str, Any]]) -> dict:
    """{'A': {'B': 1}} from ('A.B', 1)."""
    tree: dict = {}
    for path, value in pairs:
        *sections, last = path.split('.')
        section = tree
        for name in sections:
            section = section.setdefault(name, {})
        section[last] = value
    return tree


def _flat(tree: Mapping, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """('A__B', 1) from {'A': {'B': 1}}."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f'{prefix}{name}__')
        else:
            yield f'{prefix}{name}', value
