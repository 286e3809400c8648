"""Sources of images: files, patterns, lists, folders, archives, videos and cameras as one list with a name for each.

The name is where the results of a source go below a folder of results: its path relative to the folder, archive or
pattern it was found by, without extension. What two sources would share is told apart by the folders above them, or by
the extension.
"""

import glob
import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from utils.cli.wording import counted, listed
from utils.files.archives import ArchivePath, locate

IMAGES = ('.png', '.jpg', '.jpeg', '.jpe', '.webp', '.bmp', '.tif', '.tiff', '.gif', '.ppm', '.pgm', '.pnm', '.jp2')
VIDEOS = (
    '.mp4',
    '.m4v',
    '.mov',
    '.avi',
    '.mkv',
    '.webm',
    '.mpg',
    '.mpeg',
    '.ts',
    '.mts',
    '.wmv',
    '.flv',
    '.3gp',
    '.ogv',
)
LISTS = ('.txt', '.lst')
PREPARED = 'prepared_'  # how the names of folders of datasets.prepare begin
RESULTS = 'predict.json'  # what folders of predict.py hold, beside files of such names:
RESULT = re.compile('.*_(labels|color|overlay|confidence|input|thumbnails)')
STDIN, CAMERA = '-', re.compile(r'camera:(\d+)')
MADE = 'which datasets.prepare or predict.py wrote; give such a folder itself to predict what is in it'
KINDS = 'an image, a folder, a .zip or .tar, a video, a .txt with one path per line, a pattern in quotes, camera:0 or -'


@dataclass(frozen=True)
class Source:
    """An image or a video (a camera is one too). path: Path, ArchivePath, or the number of a camera; name: of its
    results, with / between folders."""

    path: object
    name: str
    is_video: bool = False

    @property
    def is_camera(self) -> bool:
        return isinstance(self.path, int)

    def __str__(self):
        return f'camera:{self.path}' if self.is_camera else str(self.path)


@dataclass
class Found:
    """Sources in the order they were given; faults: (what was given, why nothing was found); notes: what else a person
    should know."""

    sources: list[Source] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_sources(texts, stdin=(), out=None) -> Found:
    """Everything that `texts`, as given on a command line, stand for.

    Args:
        texts: image files, folders, archives, videos, patterns, lists, 'camera:0', '-' for the lines of `stdin`.
        stdin: lines of text, read only for '-'.
        out: the folder of results; images in it, left by an earlier call, are left out of folders.

    Label maps that datasets.prepare wrote below a folder, and results of predict.py, are left out as well, unless their
    own folder is given.

    Raises ValueError when `out` is a folder of the sources or holds one.
    """
    search = _Search(stdin, Path(out).resolve() if out is not None else None)
    for text in texts:
        search.add(text)
    for text, folders in search.made.items():
        count = counted(folders.total(), 'image or video', 'images and videos')
        search.found.notes.append(f'{text}: {count} left out in {listed(folders, 3)}, {MADE}')
    if search.twice:
        search.found.notes.append(f'{counted(search.twice, "file")} that were given more than once are done once')
    search.found.sources = _named(search.entries)
    return search.found


class _Search:
    """entries: path -> name with extension, of everything found so far. made: what was given -> folder in it that this
    project wrote -> images and videos in that."""

    def __init__(self, stdin, out):
        self.stdin, self.out = stdin, out
        self.entries, self.found, self.twice = {}, Found(), 0
        self.made, self._has_results = defaultdict(Counter), {}

    def add(self, text: str, within: str = '', line: str = ''):
        """Enter what `text` stands for; a mistake in it becomes a fault. within: the list in which it is `line`."""
        try:
            self._add(text, within, line or text)
        except OSError as error:
            self.found.faults.append((text, f'{text}: cannot be read ({error.strerror or error}); check the path'))
        except ValueError as error:
            if isinstance(error, _Fatal):
                raise
            self.found.faults.append((text, str(error)))

    def _add(self, text, within, line):
        camera = CAMERA.fullmatch(text)
        if camera:
            self._enter(int(camera[1]), PurePosixPath(f'camera_{camera[1]}'))
        elif text == STDIN:
            self._add_lines([line.rstrip('\r\n') for line in self.stdin], 'stdin', Path())
        elif '\0' in text:
            raise ValueError(f'{text!r}: is no path; separate names by line ends')
        else:
            self._add_path(text, locate(Path(os.path.expanduser(text))), within, line)

    def _add_path(self, text, path, within, line):
        if path.is_dir():
            self._add_folder(path, PurePosixPath())
        elif path.is_file():
            if path.suffix.lower() in LISTS and not isinstance(path, ArchivePath):
                if within:
                    raise ValueError(f'{text}: is a list within the list {within}; give it on the command line')
                lines = path.read_text(encoding='utf-8-sig', errors='surrogateescape').splitlines()
                self._add_lines(lines, text, path.parent)
            else:
                self._enter(path, _own_name(line if within else path.name))
        elif glob.has_magic(text):
            self._add_pattern(text)
        else:
            where = f', named in {within}' if within else ''
            raise ValueError(f'{text}: no such file or folder{where}; give {KINDS}')

    def _add_folder(self, folder, name: PurePosixPath, pattern='', fixed=None):
        """Enter what is in a folder, without what this project wrote into folders below it.

        pattern: that matches it, which itself may be such a folder then; fixed: the part of it without wild cards.
        """
        files, own, text, top = walk(folder), 0, pattern or str(folder), fixed or folder
        if self.out is not None and not isinstance(folder, ArchivePath):
            if folder.resolve() == self.out or self.out in folder.resolve().parents:
                raise _Fatal(
                    f'--out {self.out}: is or holds the folder of images {folder}, and results would mix with images;'
                    ' give a folder of its own'
                )
            inside = [path for path in files if self.out in path.resolve().parents]
            own, files = len(inside), [path for path in files if path not in set(inside)]
        files = [path for path in files if not self._leaves_out(text, top, path)]
        usable = [path for path in files if path.suffix.lower() in IMAGES]
        videos = [path for path in files if path.suffix.lower() in VIDEOS]
        if isinstance(folder, ArchivePath) and videos:
            self.found.faults += [
                (str(video), f'{video}: a video cannot be read in an archive; unpack it') for video in videos
            ]
        else:
            usable = sorted(usable + videos)
        if own:
            self.found.notes.append(f'{folder}: {counted(own, "file")} below --out {self.out} left out')
        if not usable and not videos:
            if text in self.made:
                if pattern:
                    return  # what the others hold decides
                inside = self.made.pop(text)
                raise ValueError(f'{folder}: holds no images or videos but those in {listed(inside, 3)}, {MADE}')
            if not files:
                raise ValueError(f'{folder}: holds no images or videos, it is empty; give another folder')
            raise ValueError(
                f'{folder}: holds no images or videos, only {counted(len(files), "other file")}'
                f' ({listed(sorted({path.suffix or path.name for path in files}), 3)}); give another folder'
            )
        others = len(files) - len(usable) - (len(videos) if isinstance(folder, ArchivePath) else 0)
        if others:
            self.found.notes.append(f'{folder}: {counted(others, "other file")} left out')
        for path in usable:
            self._enter(path, name / path.relative_to(folder).as_posix())

    def _add_pattern(self, text):
        fixed = Path(*_fixed_part(Path(os.path.expanduser(text))))
        matches = sorted(glob.glob(os.path.expanduser(text), recursive=True))
        count = len(self.entries)
        for match in map(Path, matches):
            name = PurePosixPath(match.relative_to(fixed).as_posix())
            if match.is_dir() and '**' not in text:
                self._add_folder(match, name, *([] if PREPARED in text else [text, fixed]))
            elif PREPARED not in text and self._leaves_out(text, fixed, match):
                continue
            elif match.is_file() and match.suffix.lower() in IMAGES + VIDEOS:
                self._enter(match, name)
        if len(self.entries) == count and not self.twice:
            if text in self.made:
                inside = self.made.pop(text)
                raise ValueError(f'{text}: matches no image or video but those in {listed(inside, 3)}, {MADE}')
            what = f'matches {counted(len(matches), "file")}, but no image or video' if matches else 'matches no file'
            raise ValueError(f'{text}: {what}; correct the pattern')

    def _leaves_out(self, text: str, top, path) -> bool:
        """Whether this project wrote the file `path` into a folder below `top`; counts images and videos for `text`."""
        relative, is_seen = PurePosixPath(path.relative_to(top).as_posix()), path.suffix.lower() in IMAGES + VIDEOS
        may_be_result = not is_seen or RESULT.fullmatch(path.stem)
        for above in [*reversed(relative.parents)][1:]:
            if above.name.startswith(PREPARED) or may_be_result and self._is_of_prediction(top / str(above)):
                if is_seen:
                    self.made[text][str(above)] += 1
                return True
        return False

    def _is_of_prediction(self, folder) -> bool:
        if str(folder) not in self._has_results:
            self._has_results[str(folder)] = (folder / RESULTS).is_file()
        return self._has_results[str(folder)]

    def _add_lines(self, lines, source, folder):
        """Enter the paths in the lines of a list; they count from its folder, or else from the working directory."""
        lines = [line for line in lines if line.strip()]
        if not lines:
            raise ValueError(f'{source}: holds no line; write one path per line')
        before = len(self.found.faults)
        for line in lines:
            beside = folder / line
            is_beside = not Path(line).is_absolute() and os.path.exists(beside)
            self.add(str(beside) if is_beside else line, within=source, line=line)
        faults = self.found.faults[before:]
        if len(faults) == len(lines):
            del self.found.faults[before:]
            raise ValueError(
                f'{source}: is read as a list of paths, and none of its {counted(len(lines), "line")} is one, the first'
                f' being {lines[0][:60]!r}; write one path per line'
            )

    def _enter(self, path, name):
        key = path if isinstance(path, (int, ArchivePath)) else path.resolve()
        if key in self.entries:
            self.twice += 1
        else:
            self.entries[key] = (path, name)


class _Fatal(ValueError):
    """A mistake that is not of one source."""


def walk(folder) -> list:
    """Every file in and below a folder or archive, sorted, hidden ones left out."""
    if isinstance(folder, ArchivePath):
        files = [path for path in folder.walk() if not any(part[0] == '.' for part in path.relative_to(folder).parts)]
        return sorted(files)
    found = []
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        found += [Path(top, name) for name in files if not name.startswith('.')]
    return sorted(found)


def _own_name(text) -> PurePosixPath:
    """The name of a path that was given as it is: below its list, without what leads out of it."""
    path = PurePosixPath(os.path.normpath(text))
    if path.is_absolute() or path.parts[0] == '~':
        return PurePosixPath(path.name)
    return PurePosixPath(*(part for part in path.parts if part != '..'))


def _fixed_part(path: Path):
    """The parts of a pattern before the first that has a wild card."""
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _named(entries) -> list[Source]:
    """Sources with names of which no two are equal."""
    rows = list(entries.values())
    extra, keep = [0] * len(rows), [False] * len(rows)
    while True:
        names = [_name(*row, *how) for row, *how in zip(rows, extra, keep)]
        groups = defaultdict(list)
        for index, name in enumerate(names):
            groups[name].append(index)
        shared = [group for group in groups.values() if len(group) > 1]
        if not shared:
            break
        for group in shared:
            for index in group:
                siblings = [other for other in group if _folder(rows[other][0]) == _folder(rows[index][0])]
                if len(siblings) > 1 and not keep[index]:
                    keep[index] = True
                else:
                    extra[index] += 1
    return [
        Source(path, name, isinstance(path, int) or path.suffix.lower() in VIDEOS)
        for (path, _), name in zip(rows, names)
    ]


def _name(path, relative: PurePosixPath, extra: int, keep: bool) -> str:
    """The name of a source: `extra` folders above its own are put before, and with `keep` its extension is kept."""
    relative = relative if keep or isinstance(path, int) else relative.with_suffix('')
    above = [part for part in _folder(path).parts if part not in (os.sep, '/')]
    above = above[: len(above) - (len(relative.parts) - 1)]
    return str(PurePosixPath(*above[max(0, len(above) - extra) :] if extra else (), relative))


def _folder(path) -> Path:
    """The folder that a source lies in; an archive is one, under its whole name."""
    if isinstance(path, int):
        return Path()
    return Path(os.path.abspath(str(path))).parent
