"""Files of predicted images and videos below one folder, and the record of what they were made with.

    <name>_labels.png          uint8, the id of each pixel's class in the classes' own table
    <name>_color.png           the class colours, as a palette
    <name>_overlay.jpg         the class colours over the image
    <name>_confidence.png      uint16, 65535 times the largest probability
    <name>_probabilities.npz   float16 (classes, h, w), key `probabilities`
    <name>_logits.npz          float16 (classes, h, w), key `logits`
    index.html                 the images with their classes; beside it <name>_input.jpg, _thumbnails.jpg, _pixels.js

A video has its colours and overlay as videos, everything else per frame in `<name>_frames/`. predict.json holds the
settings, sources.jsonl one line for each source that is done; both let a later call go on where this one ended.
"""

import json
import threading
from pathlib import Path

import cv2
import numpy as np

from utils.classes import Classes, pixels_per_class
from utils.files import stamps, video
from utils.files.archives import fingerprint
from utils.files.atomic import remove_temporaries, write_bytes
from utils.files.images import JPEG_QUALITY, write_png
from utils.files.npz import write_npz
from utils.outputs.pictures import palette_image
from utils.pages.page import write_page
from utils.pages.pixels import CONFIDENCE, coarse, write_pixels
from utils.pages.records import Layer, PageRecord
from utils.pages.thumbnails import write_thumbnails

SUFFIXES = {
    'labels': '_labels.png',
    'color': '_color.png',
    'overlay': '_overlay.jpg',
    'confidence': '_confidence.png',
    'probabilities': '_probabilities.npz',
    'logits': '_logits.npz',
}
PAGE = 'page'
BESIDE = {'input': '_input.jpg', 'thumbnails': '_thumbnails.jpg', 'pixels': '_pixels.js'}  # what the page shows
KINDS = (*SUFFIXES, PAGE)
FILMED = ('color', 'overlay')  # kinds that a video has as a video
OVERLAY_ALPHA = 0.5  # share of the class colours
JPEG_SIDE = 65535  # pixels, the most that the format can say
BAND = 256  # rows painted at a time: the colours of a very large image are never held as a whole
PAGE_LAYERS = {  # kind -> key and title in the page's script, how it is shown, full scale of a map
    'color': ('prediction', 'Prediction', 'classes'),
    'confidence': ('prob_mask', 'Confidence', 'map', 100, '%'),
}
PAGE_IMAGES = 10_000  # images of a page at most
# Settings in words, of those that are not said by their flag and its value.
WORDS = {
    'weights': 'other --weights',
    'calibration': 'another --calibration',
    'scales': 'scales of --test_settings',
    'by_height': 'height of --test_settings',
}
OTHERS = ('other --weights', 'another --calibration')  # hashes, which tell nobody anything


class PredictedFiles:
    """The files below `out`, of the `kinds` asked for.

    Args:
        settings: everything that decides the values, as plain JSON values.
        frames: write colours and overlays of a video as one file per frame too.
        overwrite: make again what is there.

    Raises ValueError when `out` holds results of other settings and not overwrite.
    """

    def __init__(self, out, kinds, classes: Classes, settings: dict, frames: bool = False, overwrite: bool = False):
        self.folder, self.classes, self.frames = Path(out), classes, frames
        self.kinds = [kind for kind in SUFFIXES if kind in kinds or (kind == 'color' and PAGE in kinds)]
        self.has_page = PAGE in kinds
        self.settings_file, self.sources_file = self.folder / 'predict.json', self.folder / 'sources.jsonl'
        self._made_by, self._lock = stamps.digest_of_values(settings), threading.Lock()
        self._entries = {} if overwrite else self._read_entries()
        before = None if overwrite else stamps.read(self.settings_file, 'give another --out, or --overwrite')
        if before and self._entries:
            differing = stamps.differences(_by_flag(before.get('settings')), _by_flag(settings), named_only=OTHERS)
            if differing:
                raise ValueError(
                    f'--out {out}: the results there were made with {"; ".join(differing[:5])}: give the same flags to'
                    ' go on there, another --out, or --overwrite to make them anew'
                )
        for folder in (self.folder, *(path for path in self.folder.rglob('*') if path.is_dir())):
            for suffix in ('', video.suffix()):
                remove_temporaries(folder, suffix=suffix)
        stamps.write(self.settings_file, {'settings': settings, 'classes': classes.as_dict()})
        if overwrite:
            self.sources_file.unlink(missing_ok=True)

    def check(self, sources):
        """Raise ValueError when a result would be written over a source, or over the result of another source."""
        inputs = {str(Path(source.path).resolve()) for source in sources if isinstance(source.path, Path)}
        for source in sources:
            for path in self.files(source):
                if str(path.resolve()) in inputs:
                    raise ValueError(
                        f'--out {self.folder}: {path} of {source} would replace an image that is to be read; give'
                        ' another --out'
                    )
            entry = self._entries.get(source.name)
            if entry and entry['stamp'] != self._stamp(source) and entry['source'] != str(source):
                raise ValueError(
                    f'--out {self.folder}: {source.name} there is the result of {entry["source"]}, now it would be that'
                    f' of {source}; give another --out, or --overwrite'
                )

    def files(self, source) -> list[Path]:
        """The files of a source that are known before it is read: of a video without those of its frames."""
        if not source.is_video:
            paths = [self.path(source.name, kind) for kind in self.kinds]
            return paths + self._page_files(source.name) if self.has_page else paths
        return [self.film(source.name, kind) for kind in self.kinds if kind in FILMED]

    def shown(self, sources) -> Path:
        """Where to look for the results: of a single source its overlay, or its first file; else the folder."""
        paths = [path for path in self.files(sources[0]) if path.is_file()] if len(sources) == 1 else []
        overlays = [path for path in paths if path.stem.endswith('_overlay')]
        return (overlays + paths + [self.folder])[0]

    def path(self, name: str, kind: str) -> Path:
        return self._beside(name, SUFFIXES[kind])

    def film(self, name: str, kind: str) -> Path:
        return self._beside(name, f'_{kind}{video.suffix()}')

    def frame_name(self, name: str, number: int) -> str:
        return f'{self.frames_folder(name)}/{number:06d}'

    def frames_folder(self, name: str) -> str:
        return f'{name}_frames'

    def frame_kinds(self) -> list[str]:
        """The kinds that a video has per frame."""
        return [kind for kind in self.kinds if self.frames or kind not in FILMED]

    def film_kinds(self) -> list[str]:
        return [kind for kind in self.kinds if kind in FILMED]

    def _beside(self, name, suffix) -> Path:
        return self.folder / f'{name}{suffix}'

    def _page_files(self, name) -> list[Path]:
        return [self._beside(name, suffix) for suffix in BESIDE.values()]

    def done(self, source) -> bool:
        """Whether a source has all its files, made of these very bytes with these settings."""
        entry = self._entries.get(source.name)
        if source.is_camera or not entry or entry['made_by'] != self._made_by:
            return False
        kinds = set(self.kinds) | ({'frames'} if self.frames and source.is_video else set())
        has_frames = source.is_video and bool(self.frame_kinds())
        return (
            kinds <= set(entry['kinds'])
            and (not has_frames or (self.folder / self.frames_folder(source.name)).is_dir())
            and entry['stamp'] == self._stamp(source)
            and all(path.is_file() and path.stat().st_size for path in self.files(source))
        )

    def write(self, name: str, kinds, image: np.ndarray, prediction):
        """Write files of an image or frame. image: uint8 (h, w, 3) RGB; it is painted over.

        prediction: has labels uint8 (h, w); confidence uint16 (h, w), probabilities and logits (C, h, w), where asked.
        """
        if 'labels' in kinds:
            write_png(self.path(name, 'labels'), self.classes.trainid_to_id[prediction.labels])
        if 'color' in kinds:
            write_png(self.path(name, 'color'), palette_image(prediction.labels, self.classes.colors))
        if 'confidence' in kinds:
            write_png(self.path(name, 'confidence'), prediction.confidence)
        for kind in ('probabilities', 'logits'):
            if kind in kinds:
                write_npz(self.path(name, kind), {kind: getattr(prediction, kind)}, durable=False)
        if 'overlay' in kinds:
            overlay(image, prediction.labels, self.classes, out=image)
            write_photo(self.path(name, 'overlay'), image, out=image)

    def write_image(self, source, image: np.ndarray, prediction):
        """Write all files of an image, then its line in the record."""
        if self.has_page:
            self._write_for_page(source.name, image, prediction)
        self.write(source.name, self.kinds, image, prediction)
        self.enter(source, image.shape[:2], pixels_per_class(prediction.labels, len(self.classes)).tolist())

    def _write_for_page(self, name, image, prediction):
        photo, thumbnails, pixels = self._page_files(name)
        write_photo(photo, image)
        labels, confidence = coarse(prediction.labels), coarse(prediction.confidence)
        pictures = {
            'color': palette_image(labels, self.classes.colors),
            'confidence': (confidence >> 8).astype(np.uint8),
        }
        shown = [(PAGE_LAYERS[kind][2], pictures[kind]) for kind in self._page_kinds()]
        write_thumbnails(thumbnails, [('photo', np.ascontiguousarray(coarse(image))), *shown])
        percent = np.rint(confidence * (CONFIDENCE / 65535)).astype(np.uint8)
        write_pixels(pixels, prediction=labels, confidence=percent)

    def _page_kinds(self) -> list[str]:
        """The kinds that are layers of the page."""
        return [kind for kind in PAGE_LAYERS if kind in self.kinds]

    def enter(self, source, size, pixels=()):
        """Say in the record that everything of a source stands. pixels: of each class."""
        if source.is_camera:
            return
        entry = {
            'name': source.name,
            'source': str(source),
            'stamp': self._stamp(source),
            'made_by': self._made_by,
            'kinds': [*self.kinds, *(['frames'] if self.frames else [])],
            'size': list(size),
            'pixels': list(pixels),
        }
        with self._lock:
            self._entries[source.name] = entry
            with open(self.sources_file, 'a', encoding='utf-8') as file:
                file.write(json.dumps(entry) + '\n')

    def _stamp(self, source) -> list:
        return [] if source.is_camera else list(fingerprint(source.path))

    def _read_entries(self) -> dict:
        """name -> the last line about it; a line that a killed program left half is none."""
        entries = {}
        if self.sources_file.is_file():
            for line in self.sources_file.read_text(encoding='utf-8', errors='replace').splitlines():
                try:
                    entry = json.loads(line)
                    known = {key: entry[key] for key in ('source', 'stamp', 'made_by', 'kinds', 'size')}
                    entries[entry['name']] = {**known, 'pixels': [int(pixels) for pixels in entry.get('pixels', ())]}
                except (ValueError, KeyError, TypeError):
                    continue
        return entries

    def write_page(self, sources, facts: dict) -> Path | None:
        """Write the page of the images among `sources` that are done; returns its path, None where there are none."""
        shown = [source for source in sources if not source.is_video and self.done(source)]
        if not self.has_page or not shown:
            return None
        if len(shown) > PAGE_IMAGES:
            facts = {**facts, 'images in all': len(shown)}
        records = [self._record(index, source) for index, source in enumerate(shown[:PAGE_IMAGES])]
        path = self.folder / 'index.html'
        write_page(path, records, self.classes, self.folder.resolve().name, facts)
        return path

    def _record(self, index, source) -> PageRecord:
        entry, name = self._entries[source.name], source.name
        height, width = entry['size']
        layers = [Layer('input', 'Input', f'{name}{BESIDE["input"]}', 'photo')]
        for kind in self._page_kinds():
            key, title, *shown = PAGE_LAYERS[kind]
            layers.append(Layer(key, title, f'{name}{SUFFIXES[kind]}', *shown))
        classes = [[label, None, pixels, None] for label, pixels in enumerate(entry['pixels']) if pixels]
        files = {key: f'{name}{BESIDE[key]}' for key in ('thumbnails', 'pixels')}
        return PageRecord(name, index, width, height, layers, classes=classes, **files)


def _by_flag(settings: dict | None) -> dict:
    return {WORDS.get(name, f'--{name}'): value for name, value in (settings or {}).items()}


def overlay(image: np.ndarray, labels: np.ndarray, classes: Classes, out: np.ndarray | None = None) -> np.ndarray:
    """The class colours over an image uint8 (h, w, 3) RGB; pixels of no class keep the image. out: may be `image`."""
    out = np.empty_like(image) if out is None else out
    for top in range(0, len(image), BAND):
        rows = slice(top, top + BAND)
        blended = cv2.addWeighted(image[rows], 1 - OVERLAY_ALPHA, classes.paint(labels[rows]), OVERLAY_ALPHA, 0)
        void = labels[rows] >= len(classes)
        if void.any():
            blended[void] = image[rows][void]
        out[rows] = blended
    return out


def write_photo(path, image: np.ndarray, out: np.ndarray | None = None):
    """Write the JPEG of uint8 (h, w, 3) RGB, whole or not at all. Raises ValueError for a side of more than 65,535.

    out: memory for the colours in the order of OpenCV; may be `image`.
    """
    if max(image.shape) > JPEG_SIDE:
        raise ValueError(
            f'{path}: an image of {image.shape[0]}x{image.shape[1]} is too large for a JPEG, which ends at {JPEG_SIDE};'
            ' write color instead of overlay, or give --max_side'
        )
    out = np.empty_like(image) if out is None else out
    for top in range(0, len(image), BAND):
        rows = slice(top, top + BAND)
        out[rows] = cv2.cvtColor(image[rows], cv2.COLOR_RGB2BGR)
    write_bytes(path, cv2.imencode('.jpg', out, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1], durable=False)
