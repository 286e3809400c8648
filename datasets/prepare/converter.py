"""Converters: what makes a download readable for its dataset, as a list of files and how each is made."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from utils.files.stamps import digest

# raised when a converter makes something else from the same files, so that its old results are made anew
VERSION = 1


class Job(NamedTuple):
    """One file: `target` is made from `sources` by make(sources, *arguments) -> (bytes, notes).

    notes: sentences for a person, such as about ids that are in no table. make: a function of a module, so that another
    process can call it. arguments: numbers, strings, bytes and tuples of these, everything beside the sources that
    decides about the result.
    """

    target: Path
    sources: tuple
    make: Callable
    arguments: tuple = ()

    def recipe(self) -> str:
        """Changes when the function or one of the arguments does."""
        return digest(repr((VERSION, self.make.__module__, self.make.__qualname__, self.arguments)))


class Converter(NamedTuple):
    """The preparation of one download, called `name` on the command line.

    summary, details: for --help. dataset: the class that reads the results and knows the names of the folder below
    --root. markers: folders of which the download has at least one. remedy: what to unpack where, the end of errors.
    plan(base, args, made) returns the Jobs, all with targets below base; made(path) tells whether a file there is the
    result of an earlier run. add_flags(parser) adds flags of its own. aliases: further names, of datasets that are
    prepared along with it.
    """

    name: str
    summary: str
    details: str
    dataset: type
    markers: tuple
    remedy: str
    plan: Callable
    add_flags: Callable = lambda parser: None
    aliases: tuple = ()
