"""Tables of builders by name: architectures (`--arch`) and trunks (`--trunk`)."""

from collections.abc import Callable

from utils.cli.wording import did_you_mean


class Registry:
    """Builders by name; an unknown name is an error that lists the near ones.

    kind: what is registered, for the message; flag: the flag that names it.
    """

    def __init__(self, kind: str, flag: str):
        self.kind, self.flag = kind, flag
        self._builders: dict[str, Callable] = {}
        self._facts: dict[str, dict] = {}

    def register(self, name: str, **facts) -> Callable:
        """Decorator that files a builder under `name`, with `facts` about it that a caller needs before building."""

        def file_under(builder):
            assert name not in self._builders, f'{self.kind} {name} is registered twice'
            self._builders[name], self._facts[name] = builder, facts
            return builder

        return file_under

    def fact(self, name: str, key: str, default=None):
        """What was registered as `key` with `name`, else `default`; raises as [] does for an unknown name."""
        _ = self[name]
        return self._facts[name].get(key, default)

    def names(self) -> list[str]:
        return sorted(self._builders)

    def __contains__(self, name: str) -> bool:
        return name in self._builders

    def __getitem__(self, name: str) -> Callable:
        """The builder; raises ValueError naming what is near to `name`, or everything there is."""
        if name in self._builders:
            return self._builders[name]
        hint = did_you_mean(name, self._builders, otherwise=f'choose one of {", ".join(self.names())}')
        raise ValueError(f'{self.flag}: there is no {self.kind} {name!r}; {hint}')


ARCHS = Registry('architecture', '--arch')
TRUNKS = Registry('trunk', '--trunk')
