"""Decoder: images and frames of videos in order, decoded ahead by threads within a budget of bytes."""

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from PIL import Image

from datasets.loading.channels import read_channels
from datasets.loading.reading import peek
from utils.files.images import as_rgb
from utils.files.video import VideoReader
from utils.outputs.writers import default_threads

BYTES_PER_PIXEL = 8  # of an image in flight: its colours, classes, their colours
LARGEST = 1 << 30  # pixels of an image, the most that OpenCV decodes; Pillow, asked for sizes, wants to be told
AHEAD = 16  # images that are decoded before the network wants them, at most


@dataclass
class Frame:
    """An image, or a frame of a video: number within it, rate per second, when it was read, in seconds.

    image uint8 (h, w, 3) RGB; view: what the network sees, the same or reduced; cost: bytes of the budget.
    """

    source: object
    image: np.ndarray
    view: np.ndarray
    cost: int
    number: int = 0
    rate: Fraction = Fraction(0)
    time: float = 0.0


@dataclass
class End:
    """The end of a source; error: why it came too early, or None."""

    source: object
    error: Exception | None = None


class Budget:
    """Bytes that may be in flight; the first to come is always let in, so one image may be larger than all of it."""

    def __init__(self, limit: int):
        self.limit, self.used, self.waiting, self._changed = limit, 0, False, threading.Condition()

    def acquire(self, cost: int, stopped) -> bool:
        """Wait for room; False when `stopped` (an Event) was set before there was any."""
        with self._changed:
            while self.used and self.used + cost > self.limit:
                self.waiting = True
                self._changed.wait(0.1)
                if stopped.is_set():
                    return False
            self.waiting = False
            self.used += cost
            return not stopped.is_set()

    def release(self, cost: int):
        with self._changed:
            self.used -= cost
            self._changed.notify_all()


class Decoder:
    """Frames of the sources in their order, decoded ahead by threads. max_side: of the view, None as it is; every: of
    how many frames of a video one is taken; resize: image -> view, in place of max_side; channels, value_range: as of
    read_channels, which the view has; videos have three."""

    def __init__(self, sources, budget: Budget, max_side=None, every=1, resize=None, channels=3, value_range=None):
        self.channels, self.value_range = channels, value_range
        self.sources, self.budget, self.max_side, self.every = sources, budget, max_side, every
        self._view = resize or self._reduced
        Image.MAX_IMAGE_PIXELS = LARGEST // 2  # it warns from there and refuses twice as many
        self.dropped = set()  # videos that are given up
        self._queue, self._stopped = queue.Queue(AHEAD), threading.Event()
        self._thread = threading.Thread(target=self._run, name='decoder', daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._thread.join()

    def get(self, patiently: bool):
        """The next Frame or End, None after the last, or after what was ready of a decoder that was left; raises
        queue.Empty, unless patiently, when the decoder waits for room in the budget, and no more can come before
        something is written."""
        while True:
            try:
                item = self._queue.get(timeout=0.1 if patiently else 0.02)
                return item if item is None or isinstance(item, (Frame, End)) else item.result()
            except queue.Empty:
                if self._stopped.is_set():
                    return None
                if self.budget.waiting and not patiently:
                    raise

    def _put(self, item) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def _run(self):
        with ThreadPoolExecutor(default_threads(), thread_name_prefix='decode') as pool:
            for source in self.sources:
                if self._stopped.is_set():
                    return
                try:
                    (self._video if source.is_video else self._image)(source, pool)
                except Exception as error:  # a fault of the program is raised where it is read, too
                    self._put(End(source, error))
            self._put(None)

    def _image(self, source, pool):
        height, width = peek(source.path)
        cost = height * width * BYTES_PER_PIXEL
        if self.budget.acquire(cost, self._stopped):
            self._put(pool.submit(self._decoded, source, cost))

    def _decoded(self, source, cost):
        try:
            image = read_channels(source.path, self.channels, self.value_range)
            return Frame(source, as_rgb(image), self._view(image), cost)
        except Exception as error:
            self.budget.release(cost)
            return End(source, error)

    def _video(self, source, pool):
        reader = VideoReader(source.path)
        try:
            for number, image in reader.read(self.every):
                cost = image.shape[0] * image.shape[1] * BYTES_PER_PIXEL
                if source in self.dropped or not self.budget.acquire(cost, self._stopped):
                    break
                rate, now = reader.rate / self.every, time.monotonic()
                self._put(Frame(source, image, self._view(self._of_video(image, source)), cost, number, rate, now))
        finally:
            reader.close()
        self._put(End(source))

    def _of_video(self, image, source):
        if self.channels == 3:
            return image
        if self.channels != 1:
            raise ValueError(
                f'{source}: frames of videos have 3 channels, the network takes {self.channels}; give images'
            )
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]

    def _reduced(self, image):
        longest = max(image.shape[:2])
        if not self.max_side or longest <= self.max_side:
            return image
        height, width = (max(1, round(side * self.max_side / longest)) for side in image.shape[:2])
        reduced = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return reduced if reduced.ndim == 3 else reduced[..., None]
