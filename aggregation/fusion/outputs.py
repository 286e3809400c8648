"""What a fusion leaves on disk: `<stem>_pred.png` trainIds uint8, `<stem>_conf.png` uint16, `<stem>_<score>.npz`,
fusion.json.

The folder can be gone on with: fusion.json is written first, with the settings; a folder of other settings is refused.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from aggregation.fusion.fusing import Fused, FuseOptions
from aggregation.fusion.score_files import KEY
from aggregation.statistics.levels import to_levels
from utils.files.atomic import plain, remove_temporaries, write_error, write_json
from utils.files.images import write_png
from utils.files.npz import write_npz

NAME = 'fusion.json'


class Outputs:
    """The folder `out` of one fusion. settings: everything that decides the values, as plain JSON values.

    prefix: put before every stem, for dumps whose folder already is a part of the benchmark's tree. incomplete: stem ->
    the members that lack it. Results that were made of other members, or any with overwrite, are removed before they
    are made again. Raises ValueError when `out` holds the results of other settings and not overwrite.
    """

    def __init__(
        self,
        out,
        options: FuseOptions,
        settings: dict,
        prefix: str = '',
        overwrite=False,
        incomplete: dict | None = None,
    ):
        self.folder, self.options, self.prefix = Path(out), options, prefix
        # each part of a benchmark's tree has its own
        self.record = self.folder / prefix.rpartition('/')[0] / NAME
        self.settings, self.incomplete = plain(settings), incomplete or {}
        before = self._read()
        if before is not None and before.get('settings') != self.settings and not overwrite and self._results(before):
            raise ValueError(
                f'{self.record}: the results there were made with other {self._differing(before["settings"])}; '
                'give another --out, or --overwrite'
            )
        if before is not None:
            self._remove_stale(before, overwrite)
        self.log = {
            'settings': self.settings,
            'digest': hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16],
            'incomplete_images': self.incomplete,
        }
        write_json(self.record, {**self.log, 'complete': False})

    def _remove_stale(self, before: dict, overwrite: bool):
        """Remove what must be made again: now, so that a run that is interrupted and gone on with takes nothing old for
        new."""
        if overwrite:
            stale = self._results(before)
        else:
            known = before.get('incomplete_images') or {}
            stale = [
                path
                for stem in {**known, **self.incomplete}
                if known.get(stem) != self.incomplete.get(stem)
                for path in self.files(stem)
            ]
        for path in stale:
            path.unlink(missing_ok=True)

    def _results(self, before: dict) -> list[Path]:
        """The results that the fusion of the record `before` left in its folder, without those of other fusions below
        it."""
        endings = ('_pred.png', '_conf.png', *(f'_{name}.npz' for name in before['settings'].get('scores') or ()))
        others = {path.parent for path in self.record.parent.rglob(NAME)} - {self.record.parent}
        return [
            path
            for path in self.record.parent.rglob('*')
            if path.name.endswith(endings) and not others & set(path.parents)
        ]

    def _read(self) -> dict | None:
        """The record of an earlier fusion, with its settings in a dict, or None."""
        path = self.record
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            content = content if isinstance(content, dict) else {}
            return {**content, 'settings': content['settings'] if isinstance(content.get('settings'), dict) else {}}
        except FileNotFoundError:
            return None
        except OSError as error:
            raise write_error(path, error) from None
        except ValueError as error:
            raise ValueError(
                f'{path}: is no JSON ({error}); remove it and the results beside it, or give another --out'
            ) from None

    def _differing(self, before: dict) -> str:
        keys = [key for key in {**before, **self.settings} if before.get(key) != self.settings.get(key)]
        return ', '.join(
            key if key == 'members' else f'{key} ({_told(before.get(key))} there, {_told(self.settings.get(key))} now)'
            for key in keys
        )

    def files(self, stem: str) -> list[Path]:
        """The files of an image: prediction, confidence, a map for each score."""
        base = f'{self.prefix}{stem}'
        return [
            self.folder / f'{base}{ending}'
            for ending in ('_pred.png', '_conf.png', *(f'_{name}.npz' for name in self.options.scores))
        ]

    def done(self, stem: str) -> bool:
        """Whether every file of an image stands; an empty one is what a power failure left."""
        return all(path.is_file() and path.stat().st_size for path in self.files(stem))

    def write(self, stem: str, fused: Fused):
        """Write an image's files, each whole or not at all."""
        prediction, confidence, *maps = self.files(stem)
        write_png(prediction, fused.prediction.cpu().numpy())
        write_png(confidence, to_levels(fused.confidence.cpu().numpy()))
        for path, name in zip(maps, self.options.scores):
            write_npz(path, {KEY: fused.scores[name].cpu().numpy().astype(np.float16)}, durable=False)

    def finish(self, stems, about: dict):
        """Say in fusion.json that everything stands, and what the members were."""
        for folder in {path.parent for stem in stems for path in self.files(stem)}:
            remove_temporaries(folder)
        write_json(self.record, {**self.log, 'complete': True, 'images': len(stems), **about})


def _told(value) -> str:
    return 'nothing' if value in (None, '', []) else str(value)
