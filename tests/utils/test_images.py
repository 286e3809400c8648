"""Image files: what is written is read back pixel by pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from utils.files.images import encode_png, write_jpeg, write_png


@pytest.mark.parametrize(
    'array',
    [
        np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3),
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.arange(0, 60000, 10000, dtype=np.uint16).reshape(2, 3),
        np.arange(12, dtype=np.uint8).reshape(3, 4).T,
    ],
    ids=['rgb', 'grey', '16 bits', 'a transposed view'],
)
def test_a_png_holds_the_values_of_its_array(array):
    with Image.open(io.BytesIO(encode_png(array))) as image:
        assert np.array_equal(np.asarray(image), array)


def test_a_png_of_a_palette_picture_keeps_indices_and_palette(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90] + [0] * 759)
    write_png(tmp_path / 'label.png', picture)
    with Image.open(tmp_path / 'label.png') as image:
        assert image.mode == 'P' and np.asarray(image).tolist() == [[0, 1], [2, 1]]
        assert image.getpalette()[:9] == [10, 20, 30, 40, 50, 60, 70, 80, 90]


def test_a_jpeg_is_near_its_array_and_leaves_nothing_else_in_the_folder(tmp_path):
    array = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    write_jpeg(tmp_path / 'photo.jpg', array)
    with Image.open(tmp_path / 'photo.jpg') as image:
        assert image.format == 'JPEG' and np.abs(np.asarray(image).astype(int) - array).max() <= 4
    assert [path.name for path in tmp_path.iterdir()] == ['photo.jpg']
