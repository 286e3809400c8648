"""Stored logits of one model: a folder, described by its manifest.json or (published dumps) by its files alone.

An image is known by its stem: the path below the folder without `_logits` and ending. Stems must coincide between the
folders of an ensemble; those that print alike (NFC, NFD) do.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from aggregation.fusion.pooling import known_kind
from utils.classes import Classes
from utils.cli.progress import progress
from utils.cli.wording import shortened
from utils.files.archives import alike, printed
from utils.files.atomic import sha256
from utils.outputs.kinds import LOGITS
from utils.outputs.logits import FORMATS, Logits, read_logits, read_manifest


@dataclass(frozen=True)
class Fault:
    """A file of a store that cannot be relied on, and why."""

    file: str
    why: str


class Store:
    """One model's logits: its `name`, the `kind` of the numbers, the `classes` or None.

    stems: of the files that are there, sorted; listed: of those of the manifest, there or not. The argument `kind`
    overrules the manifest, for folders without one. Raises FileNotFoundError or ValueError naming the folder.
    """

    def __init__(self, folder, kind: str | None = None):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            found = 'is a file, no folder' if self.folder.exists() else 'no such folder'
            raise FileNotFoundError(f'{folder}: {found}; give the folder logits/ of an evaluation with --dump_logits')
        self.manifest = read_manifest(self.folder)
        about = self.manifest or {}
        self.kind = known_kind(kind or about.get('kind', LOGITS), str(self.folder))
        self.name = about.get('model') or self.folder.name
        self.weights = about.get('weights_sha256')
        self.classes = _classes(about, f'{self.folder}/manifest.json')
        self.dataset = about.get('dataset')
        self.made_with = (
            {key: about.get(key) for key in ('scales', 'n_scales', 'flip', 'precision', 'storage')} if about else None
        )
        self._files = self._from_manifest() if self.manifest else self._from_folder()
        self._paths = {stem: _path(self.folder / file) for stem, file in self._files.items()}
        self._there = {stem for stem in self._files if self.path(stem).is_file()}
        if not self._there:
            raise ValueError(
                f'{self.folder}: holds no files *{", *".join(FORMATS.values())}; give the folder logits/ of an'
                ' evaluation with --dump_logits'
            )

    def _from_manifest(self) -> dict[str, str]:
        return self._by_stem(entry['file'] for entry in self.manifest['images'].values())

    def _from_folder(self) -> dict[str, str]:
        paths = (path for path in sorted(self.folder.rglob('*')) if not path.name.startswith('.'))
        return self._by_stem(path.relative_to(self.folder).as_posix() for path in paths)

    def _by_stem(self, files) -> dict[str, str]:
        found = {}
        for file in files:
            stem = _stem(file)
            if stem is None:
                continue
            if stem in found:
                raise ValueError(
                    f'{self.folder}: {found[stem]!a} and {file!a} are both logits of {stem}; remove one of them'
                )
            found[stem] = file
        return found

    @property
    def stems(self) -> list[str]:
        return sorted(self._there)

    @property
    def listed(self) -> list[str]:
        return sorted(self._files)

    def __contains__(self, stem: str) -> bool:
        return stem in self._there

    def path(self, stem: str) -> Path:
        return self._paths[stem]

    def read(self, stem: str) -> Logits:
        """The stored values of an image, all finite; ValueError naming a file that holds nan or infinity."""
        logits = read_logits(self.path(stem))
        if not self.manifest:
            _check_layout(self.path(stem), tuple(logits.values.shape))
        # nan is passed on; isfinite takes memory and time
        if not all(torch.isfinite(extreme) for extreme in logits.values.aminmax()):
            raise ValueError(
                f'{self.path(stem)}: holds nan or infinity; evaluate with --precision fp32 and dump it again'
            )
        return logits

    def check(self, stem: str) -> Fault | None:
        """The fault of a file that is missing, damaged, not as the manifest says or not finite; None for a good one."""
        path, entry = self.path(stem), self._entries().get(stem)
        if not path.is_file():
            return Fault(str(path), 'is missing')
        if entry and path.stat().st_size != entry['bytes']:
            return Fault(str(path), f'has {path.stat().st_size} bytes, the manifest says {entry["bytes"]}')
        if entry and sha256(path) != entry['sha256']:
            return Fault(str(path), 'has another SHA-256 than the manifest says')
        try:
            logits = self.read(stem)
        except ValueError as error:
            return Fault(str(path), str(error).partition(': ')[2])
        if entry and (list(logits.size) != entry['size'] or list(logits.values.shape) != entry['shape']):
            return Fault(
                str(path),
                f'holds {tuple(logits.values.shape)} of {logits.size}, the manifest says {entry["shape"]} of'
                f' {entry["size"]}',
            )
        return None

    def unlisted(self) -> list[str]:
        """Logits files in the folder that the manifest does not name."""
        if not self.manifest:
            return []
        named = set(map(printed, self._files.values()))
        return [
            file
            for path in sorted(self.folder.rglob('*'))
            if _stem(file := path.relative_to(self.folder).as_posix()) and printed(file) not in named
        ]

    def _entries(self) -> dict:
        return {_stem(entry['file']): entry for entry in self.manifest['images'].values()} if self.manifest else {}


def _path(path: Path) -> Path:
    """The file itself, or the one whose name prints alike: a copy may be spelt otherwise than the manifest."""
    return path if path.is_file() else alike(path) or path


def _check_layout(path: Path, shape: tuple[int, int, int]):
    """Raise ValueError for values without a manifest whose last axis is the shortest: those are (H, W, C)."""
    if shape[2] < min(shape[:2]):
        raise ValueError(
            f'{path}: holds an array of {shape}, which looks like (height, width, classes), expected (classes, height,'
            ' width); store np.moveaxis(logits, -1, 0), or dump it with train.py --dump_logits, whose manifest.json'
            ' tells the axes'
        )


def _stem(file: str) -> str | None:
    """'a/b_logits.npz' -> 'a/b', and of other writers 'a/b.npz' -> 'a/b'; None for files of another kind."""
    file = printed(file)
    for suffix in FORMATS.values():
        if file.endswith(suffix):
            return file.removesuffix(suffix)
    return file.removesuffix('.npz') if file.endswith('.npz') else None


def _classes(about: dict, source: str) -> Classes | None:
    """The classes that a manifest describes; older ones have names only, foreign ones nothing."""
    if about.get('classes'):
        return Classes.from_dict(about['classes'], source)
    names = about.get('class_names')
    return Classes(tuple(names), Classes.numbered(len(names)).colors) if names else None


def check_stores(folders, threads: int = 2, log=None) -> dict[str, dict]:
    """What can be relied on of some folders of logits.

    folder -> {'images', 'manifest': whether it has one, 'kind', 'faults': list of Fault, 'unlisted': files that the
    manifest does not name}.
    """
    found = {}
    for folder in folders:
        store = Store(folder)
        with ThreadPoolExecutor(threads) as pool:
            checked = pool.map(store.check, store.listed)
            faults = list(filter(None, progress(checked, total=len(store.listed), desc=str(folder), log=log)))
        found[str(folder)] = {
            'images': len(store.listed),
            'manifest': store.manifest is not None,
            'kind': store.kind,
            'faults': faults,
            'unlisted': store.unlisted(),
        }
    return found


def fault_lines(found: dict, count: int = 10) -> list[str]:
    """What check_stores found, for a person: a line per folder, and the first faults of each."""
    lines = []
    for folder, result in found.items():
        faults: list[Fault] = result['faults']
        against = 'its manifest' if result['manifest'] else 'nothing but themselves, it has no manifest.json'
        lines.append(
            f'{folder}: {result["images"]} images of {result["kind"]} checked against {against}: {len(faults)} faults'
        )
        lines += shortened((f'  {fault.file}: {fault.why}' for fault in faults), count)
        if result['unlisted']:
            lines.append(
                f'  {len(result["unlisted"])} files are not in the manifest and would not be used:'
                f' {result["unlisted"][0]}, ...'
            )
    return lines
