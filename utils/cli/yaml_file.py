"""YAML files that people write: one mapping, with every mistake told in a sentence."""

import difflib
import os
from contextlib import suppress
from itertools import islice
from pathlib import Path

import yaml

from utils.cli.wording import listed
from utils.files.limits import TEXT_BYTES, check_bytes

MOST_VALUES = 100_000  # of a file with aliases; each stands for all values of its anchor
DEPTH, MOST_FOLDERS, MOST_FILES = 2, 100, 10_000  # of the search for what a wrong name may have meant
NAMED = 5  # of the files that it finds


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses a key that stands twice, of which YAML would silently take the last, and aliases that
    multiply."""

    def get_single_node(self):
        node = super().get_single_node()
        _count_values(node, {})
        return node

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            name = getattr(key, 'value', None)
            if key.tag == 'tag:yaml.org,2002:str' and name in seen:
                raise yaml.constructor.ConstructorError(None, None, f'key {name!r} stands twice', key.start_mark)
            seen.add(name if isinstance(name, str) else None)
        return super().construct_mapping(node, deep)


def _count_values(node, known: dict) -> int:
    """How many values a node holds once its aliases are written out; an error where these make it too many, or where a
    node holds itself. known: node -> its count, None while it is being counted."""
    if node is None:
        return 0
    if node in known:
        if known[node] is None:
            raise yaml.constructor.ConstructorError(None, None, 'an alias within its own anchor', node.start_mark)
        return known[node]
    known[node], parts = None, node.value if isinstance(node, yaml.CollectionNode) else ()
    children = [child for part in parts for child in (part if isinstance(part, tuple) else (part,))]
    counts = [_count_values(child, known) for child in children]
    known[node] = 1 + sum(counts)
    if known[node] > max(MOST_VALUES, len(known)):
        raise yaml.constructor.ConstructorError(
            None, None, f'aliases that stand for more than {MOST_VALUES:,} values', node.start_mark
        )
    return known[node]


def read_yaml(path, flag: str, expected: str) -> dict:
    """The mapping in the YAML file that `flag` names; {} for an empty file. expected: what it should hold, for the
    errors.

    Raises FileNotFoundError when it cannot be read, ValueError when it is no YAML, no mapping, or holds a key twice.
    """
    try:
        with open(path, 'rb') as file:
            check_bytes(os.fstat(file.fileno()).st_size, f'{flag} {path}:', TEXT_BYTES)
            values = yaml.load(file, _Loader) or {}  # a SafeLoader: plain values only
    except OSError as error:
        there = _there_are(path)
        raise FileNotFoundError(
            f'{flag} {path}: cannot be read ({error.strerror}){there}; give a YAML file of {expected}'
        ) from error
    except RecursionError:
        raise ValueError(f'{flag} {path}: its values are nested too deeply to be read; expected {expected}') from None
    except yaml.YAMLError as error:
        raise ValueError(f'{flag} {path}: not YAML ({_plain(error)}); expected {expected}') from error
    if not isinstance(values, dict):
        raise ValueError(f'{flag} {path}: holds a {type(values).__name__}, expected {expected}')
    return values


def _there_are(path) -> str:
    """', there is photos.yaml': the YAML files in the nearest folder of a path that exists and in those below it, the
    likest names first; '' where there are none or the file itself is there."""
    path = Path(os.path.expanduser(path))
    if path.is_file():
        return ''
    folder = next(place for place in (path, *path.parents) if os.path.isdir(place))
    found = sorted(_yaml_files(folder), key=lambda file: (-_likeness(file.name, path.name), str(file)))
    return f', there {"is" if len(found) == 1 else "are"} {listed(found, NAMED)}' if found else ''


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _yaml_files(folder: Path) -> list[Path]:
    """Visible YAML files in a folder and up to DEPTH folders below it; of very many, some."""
    folders, found = [str(folder)], []
    for _ in range(DEPTH + 1):
        entries: list[os.DirEntry] = []
        for one in folders[:MOST_FOLDERS]:
            with suppress(OSError), os.scandir(one) as listing:
                entries += (entry for entry in islice(listing, MOST_FILES) if not entry.name.startswith('.'))
        found += [Path(entry.path) for entry in entries if entry.name.lower().endswith(('.yaml', '.yml'))]
        folders = sorted(entry.path for entry in entries if entry.is_dir())
    return found


def _plain(error: yaml.YAMLError) -> str:
    """What is wrong and where, without the quoted line and the name of the file, which is said already."""
    mark = getattr(error, 'problem_mark', None)
    if mark is None:
        return ' '.join(str(error).split())
    return f'{error.problem} at line {mark.line + 1}, column {mark.column + 1}'
