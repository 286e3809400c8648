"""Video files and cameras: frames in, frames out, at the original rate and in a codec that browsers play.

Reading is OpenCV's. Writing is H.264 in .mp4 through PyAV (`av`, an extra) where it is installed, else VP8 in .webm
through OpenCV, whose packages on PyPI hold no H.264 encoder. Measured on frames of 360x480 on one core: 4 ms a frame
with PyAV, 43 ms for VP8 and 140 ms for VP9 with OpenCV; its MPEG-4 Part 2 (mp4v) is fast but no browser plays it.
"""

import math
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from utils.files.atomic import write_error
from utils.files.decoder_lines import silence_logs

try:
    import av
except ImportError:
    av = None

USUAL_RATE = Fraction(25)  # frames per second of a source that tells none
PYAV_REMEDY = 'pip install -r requirements-extras.txt brings PyAV, which writes H.264 ten times faster'
X264 = {'crf': '20', 'preset': 'superfast'}  # half the time of veryfast, a fifth larger
BT601 = 6  # the matrix that frames are converted with; players guess another one for large frames unless told


def suffix() -> str:
    """The ending of the videos that are written here."""
    return '.webm' if av is None else '.mp4'


class VideoReader:
    """The frames of a video file, or of the camera whose number `source` is, upright.

    rate: frames per second as a Fraction; size: (height, width) as announced; frames: their number as announced, 0
    where it is not known. Raises ValueError when it cannot be opened.
    """

    def __init__(self, source):
        self.source, self.is_camera = source, isinstance(source, int)
        if not self.is_camera and not Path(source).stat().st_size:
            raise ValueError(f'{source}: is empty; replace the file')
        silence_logs()
        self._capture = cv2.VideoCapture(source if self.is_camera else str(source))
        if not self._capture.isOpened():
            if self.is_camera:
                raise ValueError(
                    f'camera:{source}: there is no such camera, or it is in use; try another number, and see that this'
                    ' user may read it'
                )
            raise ValueError(f'{source}: is damaged or no video that OpenCV reads; convert it to H.264 in .mp4')
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        usable = math.isfinite(rate) and 0 < rate <= 1000
        self.rate = Fraction(rate).limit_denominator(1001) if usable else USUAL_RATE
        self.frames = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.size = tuple(int(self._capture.get(key)) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))

    def read(self, every: int = 1) -> Iterator[tuple[int, np.ndarray]]:
        """(number, uint8 (h, w, 3) RGB) of every `every`-th frame, counted from 0.

        Raises ValueError at the end of a file that has clearly fewer frames than it announces: it was cut off.
        """
        number = 0
        while self._capture.grab():
            if number % every == 0:
                decoded, frame = self._capture.retrieve()
                if not decoded:
                    break
                yield number, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            number += 1
        if self.is_camera:
            raise ValueError(f'camera:{self.source}: gives no more pictures; see that it is still connected')
        # containers without an index only estimate their number of frames
        if number < self.frames - max(2, self.frames // 50):
            raise ValueError(
                f'{self.source}: ends after {number} of the {self.frames} frames that it announces; what was read is'
                ' done, fetch the whole file for the rest'
            )

    def close(self):
        self._capture.release()


class VideoWriter:
    """A video of frames uint8 (h, w, 3) RGB, which becomes `path` (ending in `suffix()`) when it is closed.

    Codecs want even sides: an odd one is widened by repeating the last row or column. Raises OSError naming the path.
    """

    def __init__(self, path, size: tuple[int, int], rate: Fraction):
        self.path, self.size, self.frames = Path(path), size, 0
        self._padding = size[0] % 2, size[1] % 2
        self._temporary = (
            self.path.parent / f'.{self.path.name[:40]}.{os.getpid()}.{secrets.token_hex(4)}.tmp{suffix()}'
        )
        height, width = (side + odd for side, odd in zip(size, self._padding))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary.touch()
        except OSError as error:
            raise write_error(self.path, error) from error
        self._open(height, width, rate)

    def _open(self, height, width, rate):
        if av is None:
            silence_logs()
            code = cv2.VideoWriter_fourcc(*'VP80')
            self._writer = cv2.VideoWriter(str(self._temporary), cv2.CAP_FFMPEG, code, float(rate), (width, height))
            opened = self._writer.isOpened()
        else:
            self._writer = av.open(str(self._temporary), 'w', format='mp4', options={'movflags': '+faststart'})
            codec = 'libx264' if 'libx264' in av.codecs_available else 'libopenh264'
            self._stream = self._writer.add_stream(codec, rate=rate, options=X264 if codec == 'libx264' else {})
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, 'yuv420p'
            self._stream.codec_context.colorspace = BT601
            opened = True
        if not opened:
            self.abort()
            raise OSError(f'{self.path}: OpenCV opens no video of {height}x{width} for writing; {PYAV_REMEDY}')

    def write(self, frame: np.ndarray):
        """Append a frame of the size that was announced."""
        assert frame.shape[:2] == self.size, (frame.shape, self.size)
        if any(self._padding):
            frame = cv2.copyMakeBorder(frame, 0, self._padding[0], 0, self._padding[1], cv2.BORDER_REPLICATE)
        self.frames += 1
        if av is None:
            self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        else:
            self._encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format='rgb24'))

    def _encode(self, frame):
        try:
            for packet in self._stream.encode(frame):
                self._writer.mux(packet)
        except OSError as error:  # PyAV's errors of writing are OSErrors too
            raise write_error(self.path, error) from error

    def close(self):
        """Finish the file and give it its name."""
        try:
            if av is None:
                self._writer.release()
            else:
                self._encode(None)
                self._writer.close()
            os.replace(self._temporary, self.path)
        except OSError as error:
            self.abort()
            raise write_error(self.path, error) from error

    def abort(self):
        """Leave nothing behind."""
        with suppress(Exception):  # of a file that is thrown away
            if av is None:
                self._writer.release()
            else:
                self._writer.close()
        self._temporary.unlink(missing_ok=True)
