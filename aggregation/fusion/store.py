"""Folders of stored logits: with a manifest.json everything is known, without one (published dumps) the files are
found.

An image is known by its stem: the path below the folder without `_logits` and ending. Stems must coincide between the
folders of an ensemble.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from aggregation.fusion.kinds import LOGITS, known_kind
from utils.files.atomic import sha256
from utils.outputs.logits import FORMATS, Logits, read_logits, read_manifest


@dataclass(frozen=True)
class Fault:
    """A file of a store that cannot be relied on, and why."""

    file: str
    why: str


class Store:
    """One model's logits. stems of the files that are there, sorted; listed: those of the manifest, there or not; name,
    what the model is called; kind of the numbers; class_names or None.

    kind: overrules the manifest, for folders without one. Raises FileNotFoundError or ValueError naming the folder.
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
        self.class_names = about.get('class_names')
        self.dataset = about.get('dataset')
        self.made_with = (
            {key: about.get(key) for key in ('scales', 'n_scales', 'flip', 'precision', 'storage')} if about else None
        )
        self._files = self._from_manifest() if self.manifest else self._from_folder()
        self._there = {stem for stem in self._files if self.path(stem).is_file()}
        if not self._there:
            raise ValueError(
                f'{self.folder}: holds no files *{", *".join(FORMATS.values())}; give the folder logits/ of an'
                ' evaluation with --dump_logits'
            )

    def _from_manifest(self) -> dict[str, str]:
        return {_stem(entry['file']): entry['file'] for entry in self.manifest['images'].values()}

    def _from_folder(self) -> dict[str, str]:
        found = {}
        for path in sorted(self.folder.rglob('*')):
            file = path.relative_to(self.folder).as_posix()
            stem = _stem(file)
            if stem is None or path.name.startswith('.'):
                continue
            if stem in found:
                raise ValueError(
                    f'{self.folder}: {found[stem]} and {file} are both logits of {stem}; remove one of them'
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
        return self.folder / self._files[stem]

    def read(self, stem: str) -> Logits:
        """The stored values of an image, all finite; ValueError naming a file that holds nan or infinity."""
        logits = read_logits(self.path(stem))
        # nan is passed on; isfinite takes memory and time
        if not all(torch.isfinite(extreme) for extreme in logits.values.aminmax()):
            raise ValueError(
                f'{self.path(stem)}: holds nan or infinity; evaluate with --precision fp32 and dump it again'
            )
        return logits

    def check(self, stem: str) -> Fault | None:
        """Whether the file of `stem` is there, whole, as large and with the check sum that the manifest says, and
        finite."""
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
        named = set(self._files.values())
        return [
            file
            for path in sorted(self.folder.rglob('*'))
            if _stem(file := path.relative_to(self.folder).as_posix()) and file not in named
        ]

    def _entries(self) -> dict:
        return {_stem(entry['file']): entry for entry in self.manifest['images'].values()} if self.manifest else {}


def _stem(file: str) -> str | None:
    """'a/b_logits.npz' -> 'a/b'; other ends of .npz files of foreign writers are taken as they are; None for other
    files."""
    for suffix in FORMATS.values():
        if file.endswith(suffix):
            return file.removesuffix(suffix)
    return file.removesuffix('.npz') if file.endswith('.npz') else None
