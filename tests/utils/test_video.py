import shutil
import subprocess
from fractions import Fraction
from html import escape

import cv2
import numpy as np
import pytest

from utils.files import video
from utils.files.video import VideoReader, VideoWriter


@pytest.fixture(params=['PyAV', 'OpenCV'])
def writer(request, monkeypatch):
    """Each of the two ways in which videos are written."""
    if request.param == 'OpenCV':
        monkeypatch.setattr(video, 'av', None)
    elif video.av is None:
        pytest.skip('PyAV is not installed')
    return request.param


def frames_of(count, size=(96, 128)):
    """Frames whose grey level tells their number."""
    return [np.full((*size, 3), 20 + 8 * number, np.uint8) for number in range(count)]


def write(path, frames, rate=Fraction(25)):
    writer = VideoWriter(path, frames[0].shape[:2], rate)
    for frame in frames:
        writer.write(frame)
    writer.close()
    return path


@pytest.mark.parametrize('rate', [Fraction(25), Fraction(30000, 1001), Fraction(25, 2), Fraction(60)])
def test_a_video_keeps_its_frames_their_number_and_their_rate(tmp_path, writer, rate):
    frames = frames_of(24)
    reader = VideoReader(write(tmp_path / f'v{video.suffix()}', frames, rate))
    assert (reader.size, reader.frames) == ((96, 128), 24)
    assert float(reader.rate) == pytest.approx(float(rate), rel=1e-4)
    found = list(reader.read())
    assert [number for number, _ in found] == list(range(24))
    for (_, image), frame in zip(found, frames):
        assert np.abs(image.astype(int) - frame).max() <= 6  # neighbours differ by 8
    assert [path.name for path in tmp_path.iterdir()] == [f'v{video.suffix()}']


def test_colours_come_back_as_red_green_and_blue(tmp_path, writer):
    frames = [np.full((64, 64, 3), (200, 60, 20), np.uint8)] * 3
    [*_, (_, image)] = VideoReader(write(tmp_path / f'v{video.suffix()}', frames)).read()
    assert np.abs(image.astype(int) - (200, 60, 20)).max() <= 6


def test_odd_sides_are_widened_by_their_last_row_and_column(tmp_path, writer):
    reader = VideoReader(write(tmp_path / f'v{video.suffix()}', frames_of(3, (95, 127))))
    [(_, image), *_] = reader.read()
    assert image.shape == (96, 128, 3) and np.abs(image.astype(int) - 20).max() <= 4


def test_every_third_frame(tmp_path, writer):
    path = write(tmp_path / f'v{video.suffix()}', frames_of(10))
    found = list(VideoReader(path).read(every=3))
    assert [number for number, _ in found] == [0, 3, 6, 9]
    assert [round((image.mean() - 20) / 8) for _, image in found] == [0, 3, 6, 9]


def test_a_video_that_is_given_up_leaves_nothing(tmp_path, writer):
    unfinished = VideoWriter(tmp_path / f'v{video.suffix()}', (64, 64), Fraction(25))
    unfinished.write(np.zeros((64, 64, 3), np.uint8))
    unfinished.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path, writer):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file/v.* cannot be written'):
        VideoWriter(tmp_path / 'file' / f'v{video.suffix()}', (64, 64), Fraction(25))


def test_a_file_that_is_no_video_is_said_to_be_none(tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty.mp4').write_text('')
    with pytest.raises(ValueError, match='text.mp4: is damaged or no video'):
        VideoReader(tmp_path / 'text.mp4')
    with pytest.raises(ValueError, match='empty.mp4: is empty'):
        VideoReader(tmp_path / 'empty.mp4')


def test_a_camera_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(ValueError, match='camera:63: there is no such camera'):
        VideoReader(63)


def test_a_video_that_is_cut_off_gives_what_it_has_and_says_so(tmp_path):
    path, code = tmp_path / 'v.avi', cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), code, 25, (128, 96))
    noise = np.random.default_rng(0).integers(0, 255, (40, 96, 128, 3), np.uint8)
    for frame in noise:
        writer.write(frame)
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    found = []
    with pytest.raises(ValueError, match=r'v.avi: ends after \d+ of the 40 frames'):
        for number, _ in VideoReader(path).read():
            found.append(number)
    assert 10 < len(found) < 25


@pytest.mark.skipif(not shutil.which('chromium'), reason='no Chromium here')
def test_a_browser_plays_it(tmp_path, writer):
    name = write(tmp_path / f'v{video.suffix()}', frames_of(20)).name
    (tmp_path / 'page.html').write_text(
        f'<video id=v muted src="{escape(name)}"></video><script>'
        'v.oncanplaythrough = () => document.title = `plays ${v.videoWidth}x${v.videoHeight} ${v.duration.toFixed(2)}`;'
        "v.onerror = () => document.title = 'error ' + v.error.message;</script>"
    )
    browser = 'chromium --headless --no-sandbox --disable-gpu --virtual-time-budget=5000 --dump-dom'.split()
    done = subprocess.run([*browser, f'file://{tmp_path}/page.html'], capture_output=True, text=True, timeout=120)
    assert '<title>plays 128x96 0.80</title>' in done.stdout
