"""Prediction of images and videos: decoding, the network and writing run side by side, in bounded memory.

One thread goes through the sources and decodes ahead, the calling thread runs the network, writers encode and write. A
budget of bytes holds them together: what is decoded and not yet written never exceeds it, except for one image that
alone is larger.
"""

import queue
import threading
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch

from engine.decoder import Budget, Decoder, End, Frame
from engine.predictor import Predictor
from utils.classes import pixels_per_class
from utils.cli.progress import progress
from utils.files.video import VideoWriter
from utils.outputs.predicted import PredictedFiles, overlay
from utils.outputs.writers import WriterPool

BUDGET = 1 << 29  # bytes in flight
WINDOW = 'predict.py (q: end)'


@dataclass
class Summary:
    """What was done. counts: pixels per class, int64 (C,); faults: (source, reason); changed, compared: pixels of video
    frames whose class is not that of the frame before, and all of these."""

    counts: np.ndarray
    images: int = 0
    frames: int = 0
    seconds: float = 0.0
    faults: list = field(default_factory=list)
    changed: int = 0
    compared: int = 0


class Film:
    """The files of one video, in the order of its frames, written by a thread of its own."""

    def __init__(self, source, files: PredictedFiles):
        self.source, self.files = source, files
        self.thread = WriterPool(num_threads=1, max_pending=8)
        self._writers, self._before, self.size, self._begin = {}, None, None, None

    def write(self, frame: Frame, prediction, summary: Summary):
        """In the writer's thread: append a frame to each video, and write the files that it has of its own."""
        labels = prediction.labels
        self.size = labels.shape
        if self._before is not None:
            summary.changed += int(np.count_nonzero(labels != self._before))
            summary.compared += labels.size
        self._before = labels
        for kind in self.files.film_kinds():
            if kind not in self._writers:
                self._writers[kind] = VideoWriter(self.files.film(self.source.name, kind), labels.shape, frame.rate)
            classes = self.files.classes
            painted = classes.paint(labels) if kind == 'color' else overlay(frame.image, labels, classes)
            for _ in range(self._times(frame, self._writers[kind].frames)):
                self._writers[kind].write(painted)
        name = self.files.frame_name(self.source.name, frame.number)
        self.files.write(name, self.files.frame_kinds(), frame.image, prediction)

    def _times(self, frame, written: int) -> int:
        """How often a frame is written: one of a camera as long as it was seen, whatever the network's speed."""
        if not self.source.is_camera:
            return 1
        self._begin = frame.time if self._begin is None else self._begin
        return max(1, 1 + round((frame.time - self._begin) * frame.rate) - written)

    def close(self):
        """Wait for the frames, finish the videos."""
        self.thread.close()
        for writer in self._writers.values():
            writer.close()

    def abort(self):
        self.thread.abort()
        for writer in self._writers.values():
            writer.abort()


class Prediction:
    """One pass over `sources` (utils.files.sources) into `files`; strict: the first fault is raised, and ends it."""

    def __init__(self, predictor: Predictor, files: PredictedFiles, strict: bool = False, show: bool = False):
        self.predictor, self.files, self.strict, self.show = predictor, files, strict, show
        self.summary = Summary(np.zeros(len(files.classes), np.int64))
        self._budget, self._lock, self._film = Budget(BUDGET), threading.Lock(), None

    def run(self, sources, max_side: int | None = None, every: int = 1, log=None, **decoding) -> Summary:
        """Predict them all. A camera is ended by Ctrl-C, or by q in the window; other arguments: see Decoder."""
        begin = time.monotonic()
        total = None if any(source.is_video for source in sources) else len(sources)
        unit = 'frames' if sources and all(source.is_video for source in sources) else 'images'
        try:
            with WriterPool() as writers, Decoder(sources, self._budget, max_side, every, **decoding) as self._decoder:
                for result in progress(self._results(), total, 'predict', unit, log):
                    if result is not None:
                        self._hand_over(*result, writers)
        except BaseException as error:
            if self._film is None:
                raise
            if self._film.source.is_camera and isinstance(error, KeyboardInterrupt):
                self._finish_film()  # the usual end of a camera
            else:
                self._film.abort()
                if isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(self._left_of_film()) from None
                raise
        self.summary.seconds = time.monotonic() - begin
        return self.summary

    def _left_of_film(self) -> str:
        """What an interruption leaves of the video that it falls into."""
        source, frames = self._film.source, ''
        if self.files.frame_kinds():
            frames = f', the files of single frames in {self.files.folder / self.files.frames_folder(source.name)} are'
        return f'interrupted in {source}: no video of it is left{frames}; the same command begins it anew'

    def _results(self):
        """(frame, prediction) in the order of the sources; None for an image of which there is none."""
        for group in self._groups():
            if isinstance(group, End):
                self._end(group)
                if not group.source.is_video:
                    yield None
            else:
                yield from self._predicted([frame for frame in group if not self._is_dropped(frame)])

    def _groups(self):
        """Lists of frames of one size that go through the network together, and the Ends between them."""
        pending, batch = [], self.predictor.options.batch
        while True:
            try:
                item = self._decoder.get(patiently=not pending)
            except queue.Empty:
                yield pending
                pending = []
                continue
            if pending and not (isinstance(item, Frame) and _together(item, pending[0])):
                yield pending
                pending = []
            if item is None:
                return
            if isinstance(item, End):
                yield item
                continue
            pending.append(item)
            if len(pending) == batch or item.source.is_camera:
                yield pending
                pending = []

    def _predicted(self, frames):
        """The results of frames of one size, which fail one by one."""
        if not frames:
            return
        film = frames[0].source if frames[0].source.is_video else None
        try:
            found = self.predictor([frame.view for frame in frames], [frame.image.shape[:2] for frame in frames], film)
        except (ValueError, RuntimeError) as error:
            reason = _told(error, frames[0].view)
            if reason is None:
                raise
        else:
            yield from zip(frames, found)
            return
        if len(frames) > 1:
            for frame in frames:
                yield from self._predicted([frame])
            return
        self._budget.release(frames[0].cost)
        self._fault(frames[0].source, reason)
        yield None

    def _hand_over(self, frame, prediction, writers):
        """Give a result to its writer; waits while that is behind."""
        if self.show:
            self._show(frame, prediction)
        if frame.source.is_video:
            self._film = self._film or Film(frame.source, self.files)
            self._film.thread.submit(self._write, frame, prediction, self._film.write, frame, prediction, self.summary)
        else:
            writers.submit(
                self._write, frame, prediction, self.files.write_image, frame.source, frame.image, prediction
            )

    def _is_dropped(self, frame) -> bool:
        if frame.source not in self._decoder.dropped:
            return False
        self._budget.release(frame.cost)
        return True

    def _write(self, frame, prediction, write, *args):
        """In a writer's thread: write, count, free the budget; what cannot be written is a fault of its source."""
        try:
            write(*args)
            counts = pixels_per_class(prediction.labels, len(self.summary.counts))
            with self._lock:
                self.summary.counts += counts
                self.summary.frames += frame.source.is_video
                self.summary.images += not frame.source.is_video
        except (ValueError, OSError) as error:
            self._fault(frame.source, str(error))
        finally:
            self._budget.release(frame.cost)

    def _fault(self, source, reason: str):
        """Note why a source has no (whole) result; of a video the rest is given up."""
        if self.strict:
            raise ValueError(reason if str(source) in reason else f'{source}: {reason}')
        with self._lock:
            if source not in self._decoder.dropped:
                self.summary.faults.append((str(source), reason))
            if source.is_video:
                self._decoder.dropped.add(source)

    def _end(self, end: End):
        """A source is through: a video is closed, an error noted."""
        if end.error is not None and not isinstance(end.error, (ValueError, OSError)):
            raise end.error
        if self._film is not None:
            self._finish_film(whole=end.error is None)
        elif end.error is None and end.source not in self._decoder.dropped:
            self._fault(end.source, f'{end.source}: holds no frame that can be decoded; convert it to H.264 in .mp4')
        if end.error is not None:
            self._fault(end.source, str(end.error))

    def _finish_film(self, whole=True):
        film, self._film = self._film, None
        try:
            film.thread.close()
            if film.source in self._decoder.dropped:
                film.abort()
                return
            film.close()
            if whole:
                self.files.enter(film.source, film.size)
        except (ValueError, OSError) as error:
            film.abort()
            self._fault(film.source, str(error))

    def _show(self, frame, prediction):
        picture = overlay(frame.image, prediction.labels, self.files.classes)
        cv2.imshow(WINDOW, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if cv2.waitKey(1 if frame.source.is_video else 0) & 0xFF == ord('q'):
            raise KeyboardInterrupt


def _together(frame: Frame, other: Frame) -> bool:
    """Whether two frames can go through the network in one batch."""
    films = {item.source if item.source.is_video else None for item in (frame, other)}
    return len(films) == 1 and frame.view.shape == other.view.shape


def _told(error: Exception, view) -> str | None:
    """Why an image could not be predicted, None for a fault of the program."""
    if isinstance(error, ValueError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError) or 'allocate' in str(error):
        height, width = view.shape[:2]
        return (
            f'{height}x{width} pixels need more memory than there is; give --tile 1024,1024, a smaller --batch or'
            ' --max_side, or --precision bf16'
        )
    return None
