"""Glob patterns with named parts: the images of a dataset, and the label that belongs to each.

    images/{split}/**/*.jpg      labels/{split}/{folder}/{stem}.png

* and ? stand for characters of one name, ** for any number of folders; {stem} is an image's file name without its
extension, {folder} the folders that ** stands for, {split} the folder of a split. Upper and lower case are one.
"""

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from datasets.collection.layout import IMAGE_EXTENSIONS, UNREAD_PICTURES, list_files, subfolders, walk_files
from utils.cli.wording import by_ending, counted, listed, nearest
from utils.files.archives import locate, printed

FIELDS = ('split', 'folder', 'stem')
_TOKEN = re.compile(r'(\*|\?|\{.*?\})')
_FOLDERS = '(?:[^/]+/)*'


class Found(NamedTuple):
    """A file that a pattern matches. folder, stem: what these stand for in it."""

    file: object
    folder: str
    stem: str


class Pattern:
    """A pattern of paths below a root. fields: the names in braces that it has; base: its folders before the first that
    is not fixed.

    Raises ValueError that quotes the text.
    """

    def __init__(self, text: str):
        self.text, self.others = text, []
        _check(text)
        text = printed(text)
        self.fields = {field for field in FIELDS if f'{{{field}}}' in text}
        parts = text.split('/')
        fixed = next((place for place, part in enumerate(parts) if _TOKEN.search(part)), len(parts) - 1)
        self.base = '/'.join(parts[: min(fixed, len(parts) - 1)])
        self.in_one_folder = fixed >= len(parts) - 1 and parts[-1] != '**'
        self._expression = re.compile(_expression(parts), re.IGNORECASE | re.DOTALL)

    def of_split(self, folder: str) -> 'Pattern':
        """The pattern with the folder of a split in the place of {split}."""
        return Pattern(self.text.replace('{split}', folder))

    def filled(self, folder: str, stem: str) -> str:
        """The path of one file, as far as the pattern says it."""
        text = self.text.replace('{folder}/', f'{folder}/' if folder else '')
        return text.replace('{stem}', stem)

    def match(self, path: str, file=None) -> Found | None:
        """What {folder} and {stem} are in a path below the root; without such a name the folders below `base` and the
        file's stem."""
        path = printed(path)
        found = self._expression.fullmatch(path)
        if found is None:
            return None
        names, posix = found.groupdict(), PurePosixPath(path)
        folder = (
            names['folder'].rstrip('/')
            if 'folder' in names
            else posix.parent.relative_to(PurePosixPath(path[: len(self.base)])).as_posix()
        )
        return Found(file, '' if folder == '.' else folder, names.get('stem', posix.stem))

    def key(self, found: Found) -> tuple:
        """What a file and an image that belong together have in common: the values of the names that this pattern
        has."""
        return tuple(getattr(found, field) for field in ('folder', 'stem') if field in self.fields)

    def find(self, root) -> dict:
        """{path below the root: Found} of every image file that matches, sorted; hidden ones are left out.

        `others` has the paths of what was seen and is not among them: files that match and are no images, and pictures
        that do not match.
        """
        self.others = []
        folder = locate(root / self.base)
        if not folder.is_dir():
            return {}
        matches = {}
        for file in (list_files if self.in_one_folder else walk_files)(folder, ('',)):
            path, is_image = file.relative_to(root).as_posix(), file.name.lower().endswith(IMAGE_EXTENSIONS)
            found = self.match(path, file)
            if found is not None and is_image:
                matches[path] = found
            elif found is not None or is_image or file.name.lower().endswith(UNREAD_PICTURES):
                self.others.append(path)
        return matches

    def what_is_there(self, root) -> str:
        """Why nothing was found: the folder that is missing, or what its files are called instead."""
        folder = locate(root / self.base)
        if folder.is_dir():
            files = (list_files if self.in_one_folder else walk_files)(folder, ('',))
            return f'{folder} holds ' + (
                f'{counted(len(files), "other file")} ({by_ending(files)}),'
                f' {files[0].relative_to(folder).as_posix()} among them'
                if files
                else 'no files'
            )
        parent = next(
            place for place in (locate(root / above) for above in PurePosixPath(self.base).parents) if place.is_dir()
        )
        present = subfolders(parent)
        names = f'only {listed(present, 5)}' if present else 'none at all'
        return f'there is no folder {folder}, in {parent} {names}'


def _check(text):
    parts = text.split('/')
    if '\\' in text:
        raise ValueError(f'{text!r} has a backslash; write / between folders')
    if text.startswith(('/', '~')) or '..' in parts or '' in parts or '.' in parts:
        raise ValueError(
            f'{text!r} is no path below root; leave out a / at its start or end, //, ~, . and .. (root itself may be'
            ' any folder)'
        )
    for token in re.findall(r'\{.*?\}|[{}]', text):
        if token[1:-1] not in FIELDS:
            near = nearest(token[1:-1], FIELDS, 1, 0.6)
            raise ValueError(
                f'{text!r} has {token}; only {{split}}, {{folder}} and {{stem}} stand in braces'
                + (f', did you mean {{{near[0]}}}?' if near else '; give a list of patterns for several endings')
            )
    if any('{folder}' in part and part != '{folder}' for part in parts) or parts[-1] == '{folder}':
        raise ValueError(
            f'{text!r} has {{folder}} beside other characters or at the end; it stands for whole folders, as in'
            ' labels/{folder}/{stem}.png'
        )


def _expression(parts: list) -> str:
    """The regular expression of a whole path."""
    seen, result = set(), ''
    for place, part in enumerate(parts):
        end = '' if place == len(parts) - 1 else '/'
        if part == '**':
            result += _FOLDERS if end else f'{_FOLDERS}[^/]*'
        elif part == '{folder}':
            result += _group('folder', _FOLDERS, seen)
        else:
            result += ''.join(_piece(token, seen) for token in _TOKEN.split(part)) + end
    return result


def _piece(token, seen):
    if token == '{stem}':
        return _group('stem', '[^/]+', seen)
    return {'*': '[^/]*', '?': '[^/]'}.get(token, re.escape(token))


def _group(name, inner, seen):
    """A named group, and the same text again wherever the name stands again."""
    if name in seen:
        return f'(?P={name})'
    seen.add(name)
    return f'(?P<{name}>{inner})'
