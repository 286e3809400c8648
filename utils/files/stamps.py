"""Stamps: records of what results were made with, and the words for what has changed since.

A result that takes long is used again when it was made with the same things. Either its file name holds a `digest` of
them, or a JSON record beside it lists them and `differences` says which are others now.
"""

import hashlib
import json
from pathlib import Path

from utils.files.archives import ArchivePath
from utils.files.atomic import plain, write_json
from utils.files.limits import parse_json

END = 1024  # bytes of an end of a file


def digest(*parts) -> str:
    """Sixteen hexadecimal digits that change with the bytes or texts of `parts`, put one after another."""
    state = hashlib.sha256()
    for part in parts:
        # file names need not be UTF-8
        state.update(part.encode(errors='surrogateescape') if isinstance(part, str) else part)
    return state.hexdigest()[:16]


def digest_of_ends(path) -> str:
    """The digest of the first and the last bytes of a file; in an archive of the first ones, the last cannot be read
    alone."""
    if isinstance(path, ArchivePath):
        return digest(path.read_bytes(END))
    with open(path, 'rb') as file:
        first = file.read(END)
        file.seek(-len(first), 2)
        return digest(first, file.read())


def digest_of_values(values) -> str:
    """The digest of settings: of their JSON with sorted keys."""
    return digest(json.dumps(plain(values), sort_keys=True))


def read(path, remedy: str, what: str = 'record') -> dict | None:
    """The mapping in the JSON file `path`, None where there is no such file.

    Raises ValueError, ending in `remedy`, for a file that is no `what`, and OSError for one that cannot be read.
    """
    try:
        content = parse_json(Path(path).read_bytes())
        if not isinstance(content, dict):
            raise ValueError('no mapping')
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: is no {what} in JSON ({error}); {remedy}') from None
    return content


def write(path, content: dict, durable=True):
    """Write a record as JSON, whole or not at all; see atomic.write_json."""
    write_json(path, content, durable)


def differences(before, now, named_only=()) -> list[str]:
    """What differs between two records, by name: ['scales 1.0, now 0.5,1.0']; empty when they are equal.

    Args:
        before: the record of the result that is there. Mappings within a record are compared entry by entry.
        now: what a result would be made with now, in any values that `plain` knows.
        named_only: keys whose values are too long for a sentence; of them only the name is given.
    """
    before, now = ({} if record is None else plain(record) for record in (before, now))
    found = []
    for key in {**before, **now}:
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old or new, dict) and isinstance(old or {}, dict) and isinstance(new or {}, dict):
            found += differences(old or {}, new or {}, named_only)
        else:
            found.append(key if key in named_only else f'{key} {_in_words(old)}, now {_in_words(new)}')
    return found


def _in_words(value) -> str:
    """A value as one writes it behind a flag."""
    if isinstance(value, bool):
        return 'on' if value else 'off'
    if value is None or value == '' or value == []:
        return 'none'
    return ','.join(map(str, value)) if isinstance(value, list) else str(value)
