"""What decoders print by themselves: it reaches the terminal with the name of the file, or not at all."""

import ctypes
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image
from small import ROOT

from datasets.loading.reading import read_image, read_label
from utils.files.decoder_lines import caught, gathered
from utils.files.video import VideoReader

SMOOTH = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8), (5, 5), 0)
EXTRA = 'Corrupt JPEG data: 3 extraneous bytes before marker 0xda'


def encoded(form, image=SMOOTH, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, form, **options)
    return file.getvalue()


def with_extra_bytes(count=3, image=SMOOTH):
    """A JPEG with so many bytes that belong to nothing before its scan, about which libjpeg complains."""
    head, scan, pixels = encoded('JPEG', image).partition(b'\xff\xda')
    return head + bytes([7] * count) + scan + pixels


def altered(data, share=0.7):
    place = int(share * len(data))
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


def print_in_c(text):
    """Print as a C library does."""
    libc = ctypes.CDLL(None)
    stderr = ctypes.c_void_p.in_dll(libc, 'stderr')
    libc.fputs(text.encode(), stderr)
    libc.fflush(stderr)


def test_a_readable_image_with_a_complaint_is_named_once(tmp_path, capfd):
    path = tmp_path / 'a.jpg'
    path.write_bytes(with_extra_bytes())
    assert read_image(path).shape == SMOOTH.shape and read_image(path).shape == SMOOTH.shape
    line = f'{path}: was read, but its decoder says "{EXTRA}"; look at it, part of it may be damaged\n'
    assert capfd.readouterr().err == line


@pytest.mark.parametrize(
    'data, read, told',
    [
        (altered(encoded('PNG')), read_image, r'is damaged or no image \(libpng error: '),
        (altered(encoded('PNG', SMOOTH[..., 0])), read_label, r'is damaged or no image \(libpng error: '),
        (altered(encoded('TIFF', SMOOTH[..., 0] // 9, compression='tiff_lzw'), 0.2), read_label, 'is damaged or no'),
        (encoded('TIFF', compression='tiff_adobe_deflate')[:-300] + bytes(300), read_image, 'is damaged or no image;'),
        (b'BM' + bytes(60), read_image, 'is damaged or no image;'),
        (b'\0' * 99, VideoReader, 'is damaged or no video'),
    ],
    ids=['png', 'label', 'lzw', 'deflate', 'bmp', 'video'],
)
def test_a_damaged_file_is_told_by_the_error_alone(tmp_path, capfd, data, read, told):
    (tmp_path / 'a.bin').write_bytes(data)
    with pytest.raises(ValueError, match=f'a.bin: {told}'):
        read(tmp_path / 'a.bin')
    assert capfd.readouterr().err == ''


def test_a_damaged_video_prints_no_line_of_ffmpeg(tmp_path, capfd):
    from fractions import Fraction

    from utils.files import video

    path = tmp_path / f'v{video.suffix()}'
    writer = video.VideoWriter(path, SMOOTH.shape[:2], Fraction(25))
    for shift in range(12):
        writer.write(np.roll(SMOOTH, shift, 1))
    writer.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200 : 7] = bytes(len(range(len(data) // 2, len(data) // 2 + 200, 7)))
    path.write_bytes(data)
    try:
        list(VideoReader(path).read())
    except ValueError as error:
        assert str(path) in str(error)
    assert capfd.readouterr().err == ''


def test_each_of_many_threads_gets_the_lines_of_its_own_file():
    files = [with_extra_bytes(3 + number, SMOOTH[: 16 + 8 * (number % 9)]) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda data: caught(cv2.imdecode, np.frombuffer(data, np.uint8), 1)[1], files))
    assert found == [
        [f'Corrupt JPEG data: {3 + number} extraneous bytes before marker 0xda'] for number in range(len(files))
    ]


def test_complaints_about_metadata_are_left_out():
    assert caught(print_in_c, 'libpng warning: iCCP: known incorrect sRGB profile\n') == (None, [])
    assert caught(print_in_c, 'Corrupt JPEG data: bad Huffman code\n')[1] == ['Corrupt JPEG data: bad Huffman code']


def test_what_python_prints_meanwhile_and_what_c_prints_afterwards_reach_the_terminal(capfd):
    caught(lambda: print('from Python', file=sys.stderr))
    print_in_c('from C\n')
    assert capfd.readouterr().err == 'from Python\nfrom C\n'


def test_an_error_of_the_decoder_gives_the_terminal_back(capfd):
    with pytest.raises(ZeroDivisionError):
        caught(lambda: 1 / 0)
    print_in_c('from C\n')
    assert capfd.readouterr().err == 'from C\n'


def test_gathered_lines_are_not_printed(tmp_path, capfd):
    path = tmp_path / 'a.jpg'
    path.write_bytes(with_extra_bytes())
    with gathered() as found:
        read_image(path)
    assert found == [(path, EXTRA)] and capfd.readouterr().err == ''


SCRIPT = """
import multiprocessing, os, sys
from pathlib import Path
from datasets.loading.reading import read_image
from utils.files.decoder_lines import caught
path = Path(sys.argv[1])
def begin(number):
    process = multiprocessing.get_context('fork').Process(target=read_image, args=(path.with_name('other.jpg'),))
    process.start()
    process.join()
read_image(path)
for number in range(2):
    caught(begin, number)
caught(os.system, 'echo from a child >&2')
"""


def test_processes_that_begin_while_a_thread_decodes_print_as_ever(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(with_extra_bytes())
    (tmp_path / 'other.jpg').write_bytes(with_extra_bytes(4))
    (tmp_path / 'script.py').write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / 'script.py', tmp_path / 'a.jpg'],
        env={'PYTHONPATH': str(ROOT), 'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
        timeout=100,
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 0 and lines[0].startswith(f'{tmp_path}/a.jpg: was read'), done.stderr
    assert lines[-1] == 'from a child'
    others = lines[1:-1]  # one of each process
    assert len(others) == 2 and all(line.startswith(f'{tmp_path}/other.jpg: was read') for line in others)
