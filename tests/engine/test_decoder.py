import queue
from fractions import Fraction
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from engine.decoder import BYTES_PER_PIXEL, Budget, Decoder, End, Frame
from engine.prediction import Film, Summary
from utils.classes import Classes
from utils.files import video
from utils.files.sources import Source, find_sources
from utils.outputs.predicted import PredictedFiles

COST = 40 * 60 * BYTES_PER_PIXEL


@pytest.fixture
def sources(tmp_path):
    """Nine images of 40x60 pixels whose grey level tells their number, and a text called an image."""
    for number in range(9):
        cv2.imwrite(str(tmp_path / f'{number}.png'), np.full((40, 60, 3), 20 * number, np.uint8))
    (tmp_path / '4b.png').write_text('no image')
    return find_sources([str(tmp_path)]).sources


def test_images_come_in_order_and_a_bad_one_in_its_place(sources):
    with Decoder(sources, Budget(1 << 30)) as decoder:
        items = [decoder.get(patiently=True) for _ in sources]
        assert decoder.get(patiently=True) is None
    assert [int(item.image[0, 0, 0]) // 20 for item in items if isinstance(item, Frame)] == list(range(9))
    [bad] = [item for item in items if isinstance(item, End)]
    assert items.index(bad) == 5 and '4b.png: is damaged or no image' in str(bad.error)


def test_no_more_is_decoded_than_the_budget_allows(sources):
    budget = Budget(3 * COST)
    with Decoder(sources, budget) as decoder:
        frames = [decoder.get(patiently=False) for _ in range(3)]
        with pytest.raises(queue.Empty):
            decoder.get(patiently=False)
        assert budget.used == 3 * COST
        budget.release(frames[0].cost)
        assert int(decoder.get(patiently=False).image[0, 0, 0]) == 60


def test_an_image_larger_than_the_budget_waits_until_it_is_alone(sources):
    budget = Budget(COST // 2)
    with Decoder(sources, budget) as decoder:
        assert decoder.get(patiently=False).cost == COST
        with pytest.raises(queue.Empty):
            decoder.get(patiently=False)
        budget.release(COST)
        assert decoder.get(patiently=False).cost == COST


def test_the_longest_side_of_the_view_is_limited(sources):
    with Decoder(sources, Budget(1 << 30), max_side=30) as decoder:
        frame = decoder.get(patiently=True)
    assert frame.image.shape == (40, 60, 3) and frame.view.shape == (20, 30, 3)


def test_a_decoder_that_is_left_early_ends(sources):
    with Decoder(sources * 20, Budget(3 * COST)) as decoder:
        decoder.get(patiently=True)
    ready = 0  # how much was, depends on the threads
    while decoder.get(patiently=True) is not None:
        ready += 1
    assert ready <= 3


def test_frames_of_a_camera_are_written_as_long_as_they_were_seen(tmp_path):
    # 10 frames per second; the network took 0.3 s for each but the last
    files = PredictedFiles(tmp_path, ['overlay'], Classes.numbered(3), {})
    source = Source(0, 'camera_0', is_video=True)
    film, summary = Film(source, files), Summary(np.zeros(3, np.int64))
    image, labels = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
    for moment in (5.0, 5.3, 5.6, 5.7):
        frame = Frame(source, image, image, 0, rate=Fraction(10), time=moment)
        film.write(frame, SimpleNamespace(labels=labels), summary)
    film.close()
    assert video.VideoReader(tmp_path / f'camera_0_overlay{video.suffix()}').frames == 1 + 3 + 3 + 1
