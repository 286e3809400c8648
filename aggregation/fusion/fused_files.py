"""Files of a fusion: `<stem>_pred.png` trainIds uint8, `<stem>_conf.png` uint16, `<stem>_<score>.npz`, fusion.json.

A run that was interrupted can be continued: fusion.json is written first, with the settings; a folder of other
settings is refused.
"""

from pathlib import Path

import numpy as np

from aggregation.fusion.fusing import Fused, FuseOptions
from aggregation.fusion.names import CONFIDENCE, KEY, PREDICTION, RECORD
from aggregation.statistics.levels import to_levels
from utils.files import stamps
from utils.files.atomic import plain, remove_temporaries, write_error
from utils.files.images import write_png
from utils.files.npz import write_npz

REMEDY = 'remove it and the results beside it, or give another --out'


class Outputs:
    """The folder of one fusion: which images are done, and how their files are written.

    Results that were made of other members, or any with overwrite, are removed before they are made again.

    Args:
        out: the folder.
        options: what is made of each image.
        settings: everything that decides the values, as plain JSON values.
        prefix: put before every stem, for dumps whose folder already is a part of the benchmark's tree.
        overwrite: make the results again, also those of other settings.
        incomplete: stem -> the members that lack it.

    Raises:
        ValueError: `out` holds the results of other settings and not overwrite.
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
        self.record = self.folder / prefix.rpartition('/')[0] / RECORD
        self.settings, self.incomplete = plain(settings), incomplete or {}
        before = self._read(overwrite)
        if before is not None and before['settings'] != self.settings and not overwrite and self._results(before):
            differing = stamps.differences(before['settings'], self.settings, named_only=('members',))
            raise ValueError(
                f'{self.record}: the results there were made with other settings ({", ".join(differing)}); '
                'give another --out, or --overwrite'
            )
        if before is not None:
            self._remove_stale(before, overwrite)
        self.log = {
            'settings': self.settings,
            'digest': stamps.digest_of_values(self.settings),
            'incomplete_images': self.incomplete,
        }
        stamps.write(self.record, {**self.log, 'complete': False})

    def _remove_stale(self, before: dict, overwrite: bool):
        """Remove what must be made again.

        Now, so that a run that is interrupted and continued takes nothing old for new.
        """
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
        """What the fusion of the record `before` left in its folder; not what other fusions left below it."""
        endings = _endings(before['settings'].get('scores') or ())
        others = {path.parent for path in self.record.parent.rglob(RECORD)} - {self.record.parent}
        return [
            path
            for path in self.record.parent.rglob('*')
            if path.name.endswith(endings) and not others & set(path.parents)
        ]

    def _read(self, overwrite: bool) -> dict | None:
        """The record of an earlier fusion, with its settings in a dict, or None; one of another form counts as none
        where it may be overwritten."""
        try:
            content = stamps.read(self.record, REMEDY)
        except OSError as error:
            raise write_error(self.record, error) from None
        if content is None:
            return None
        settings, incomplete = content.get('settings') or {}, content.get('incomplete_images') or {}
        if not (
            isinstance(settings, dict)
            and isinstance(incomplete, dict)
            and isinstance(settings.get('scores') or [], list)
        ):
            if overwrite:
                return None
            raise ValueError(f'{self.record}: is no record of a fusion; {REMEDY}')
        return {**content, 'settings': settings, 'incomplete_images': incomplete}

    def files(self, stem: str) -> list[Path]:
        """The files of an image: prediction, confidence, a map for each score."""
        return [self.folder / f'{self.prefix}{stem}{ending}' for ending in _endings(self.options.scores)]

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

    def finish(self, stems, about: dict, faults=()):
        """Say in fusion.json that everything stands but for `faults`, and what the members were."""
        for folder in {path.parent for stem in stems for path in self.files(stem)}:
            remove_temporaries(folder)
        left_out = {'left_out': list(faults)} if faults else {}
        stamps.write(self.record, {**self.log, 'complete': not faults, 'images': len(stems), **about, **left_out})


def _endings(scores) -> tuple[str, ...]:
    return PREDICTION, CONFIDENCE, *(f'_{name}.npz' for name in scores)
