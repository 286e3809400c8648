"""What a fusion leaves on disk: `<stem>_pred.png` trainIds uint8, `<stem>_conf.png` uint16, `<stem>_<score>.npz`, fusion.json.

The folder can be gone on with: fusion.json is written first, with the settings; a folder of other settings is refused.
"""
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np

from aggregation.fusing import Fused, FuseOptions
from aggregation.levels import to_levels
from aggregation.score_files import KEY
from utils.files import plain, remove_temporaries, write_bytes, write_json
from utils.npz import write_npz

NAME = 'fusion.json'


class Outputs:
    """The folder `out` of one fusion. settings: everything that decides the values, as plain JSON values.

    prefix: put before every stem, for dumps whose folder already is a part of the benchmark's tree. Raises ValueError when
    `out` holds the results of other settings and not overwrite.
    """

    def __init__(self, out, options: FuseOptions, settings: dict, prefix: str = '', overwrite=False):
        self.folder, self.options, self.prefix = Path(out), options, prefix
        self.settings = plain(settings)
        before = self._read()
        if before is not None and before.get('settings') != self.settings and not overwrite:
            raise ValueError(f'{self.folder / NAME}: the results there were made with other {self._differing(before.get("settings") or {})}; '
                             'give another --out, or --overwrite')
        self.overwrite = overwrite and before is not None and before.get('settings') != self.settings
        self.log = {'settings': self.settings, 'digest': hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / NAME, {**self.log, 'complete': False})

    def _read(self) -> dict | None:
        try:
            return json.loads((self.folder / NAME).read_text(encoding='utf-8'))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(f'{self.folder / NAME}: is no JSON ({error}); remove it and the results beside it, or give another --out') from None

    def _differing(self, before: dict) -> str:
        keys = [key for key in {**before, **self.settings} if before.get(key) != self.settings.get(key)]
        return ', '.join(f'{key} ({before.get(key)} there, {self.settings.get(key)} now)' for key in keys)

    def files(self, stem: str) -> list[Path]:
        """The files of an image: prediction, confidence, a map for each score."""
        base = f'{self.prefix}{stem}'
        return [self.folder / f'{base}{ending}' for ending in ('_pred.png', '_conf.png', *(f'_{name}.npz' for name in self.options.scores))]

    def done(self, stem: str) -> bool:
        return not self.overwrite and all(path.is_file() for path in self.files(stem))

    def write(self, stem: str, fused: Fused):
        """Write an image's files, each whole or not at all."""
        prediction, confidence, *maps = self.files(stem)
        _write_png(prediction, fused.prediction.cpu().numpy())
        _write_png(confidence, to_levels(fused.confidence.cpu().numpy()))
        for path, name in zip(maps, self.options.scores):
            write_npz(path, {KEY: fused.scores[name].cpu().numpy().astype(np.float16)}, durable=False)

    def finish(self, stems, missing: dict, about: dict):
        """Say in fusion.json that everything stands, which images were incomplete, and what the members were."""
        for folder in {path.parent for stem in stems for path in self.files(stem)}:
            remove_temporaries(folder)
        write_json(self.folder / NAME, {**self.log, 'complete': True, 'images': len(stems), 'incomplete_images': missing, **about})


def _write_png(path: Path, image: np.ndarray):
    # run-length strategy: label maps and smooth confidences compress as well as with the default, several times faster
    write_bytes(path, cv2.imencode('.png', image, [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE])[1], durable=False)
