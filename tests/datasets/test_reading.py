import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.labels import ColorTable
from datasets.loading.reading import label_size, read_image, read_label

SHAPE = 6, 7


def noise(side=64):
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def pixels(channels=3, dtype=np.uint8):
    """Random values (6, 7, channels)."""
    return np.random.default_rng(channels).integers(0, np.iinfo(dtype).max, (*SHAPE, channels), dtype, endpoint=True)


def bgr(array):
    """As OpenCV writes it: blue first, alpha last."""
    return array[..., [2, 1, 0, *range(3, array.shape[-1])]]


@pytest.mark.parametrize('extension', ['png', 'webp', 'tif', 'bmp'])
def test_lossless_formats_give_the_same_pixels(tmp_path, extension):
    path, image = tmp_path / f'a.{extension}', pixels()
    Image.fromarray(image).save(path, **({'lossless': True} if extension == 'webp' else {}))
    read = read_image(path)
    assert read.dtype == np.uint8 and read.tolist() == image.tolist()


@pytest.mark.parametrize('extension', ['png', 'tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_of_16_bits_the_upper_8_are_kept(tmp_path, extension, channels):
    path, image = tmp_path / f'a.{extension}', pixels(channels, np.uint16)
    image[0, 0] = 0x1234
    cv2.imwrite(str(path), image if channels == 1 else bgr(image))
    read = read_image(path)
    assert read.dtype == np.uint8 and read[0, 0].tolist() == [0x12] * 3
    assert np.array_equal(read, np.broadcast_to(image[..., :3] >> 8, (*SHAPE, 3)))


@pytest.mark.parametrize('extension', ['png', 'tif', 'webp'])
def test_alpha_is_dropped_and_not_multiplied_in(tmp_path, extension):
    image = pixels(4)
    Image.fromarray(image).save(
        tmp_path / f'a.{extension}', **({'lossless': True, 'exact': True} if extension == 'webp' else {})
    )
    assert np.array_equal(read_image(tmp_path / f'a.{extension}'), image[..., :3])


@pytest.mark.parametrize('extension', ['png', 'tif'])
@pytest.mark.parametrize('mode', ['L', 'LA'])
def test_grey_is_repeated(tmp_path, extension, mode):
    image = pixels(2)
    Image.merge(mode, [Image.fromarray(image[..., channel]) for channel in range(len(mode))]).save(
        tmp_path / f'a.{extension}'
    )
    assert np.array_equal(read_image(tmp_path / f'a.{extension}'), image[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize('extension', ['png', 'tif', 'bmp'])
def test_a_palette_image_gives_its_colours(tmp_path, extension):
    indices, colors = np.arange(42, dtype=np.uint8).reshape(SHAPE), pixels(6).reshape(-1, 3)
    picture = Image.fromarray(indices)
    picture.putpalette(colors[:42].tobytes())
    picture.save(tmp_path / f'a.{extension}')
    assert np.array_equal(read_image(tmp_path / f'a.{extension}'), colors[indices])


def test_black_and_white_images_are_0_and_255(tmp_path):
    for extension in ('png', 'tif'):
        Image.fromarray(np.array([[False, True]])).save(tmp_path / f'a.{extension}')
        assert read_image(tmp_path / f'a.{extension}').tolist() == [[[0] * 3, [255] * 3]]


def test_a_jpeg_and_a_tiff_of_cmyk_are_read(tmp_path):
    picture = Image.new('CMYK', (16, 16), (0, 255, 255, 0))
    for extension in ('jpg', 'tif'):
        picture.save(tmp_path / f'a.{extension}')
        red, green, blue = read_image(tmp_path / f'a.{extension}')[8, 8].tolist()
        assert red > 250 and green < 5 and blue < 5


def test_a_tiff_of_floats_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.tif'), np.zeros(SHAPE, np.float32))
    with pytest.raises(ValueError, match='a.tif: is a TIFF of 32-bit values, images have 8 or 16 bits'):
        read_image(tmp_path / 'a.tif')


@pytest.mark.parametrize('extension', ['png', 'tif', 'bmp'])
@pytest.mark.parametrize('palette', [False, True])
def test_ids_are_grey_values_and_palette_indices(tmp_path, extension, palette):
    path, ids = tmp_path / f'a.{extension}', np.arange(42, dtype=np.uint8).reshape(SHAPE)
    label = Image.fromarray(ids)
    if palette:
        label.putpalette(pixels(6).tobytes()[:126])
    label.save(path)
    read = read_label(path)
    assert read.dtype == np.uint8 and read.tolist() == ids.tolist()
    assert label_size(path) == SHAPE


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_grey_labels_of_few_bits_keep_their_ids(tmp_path, bits):
    ids = np.arange(8, dtype=np.uint8).reshape(2, 4) % 2**bits
    # Pillow writes grey PNGs of 1 and 8 bits only, so a palette PNG is turned into a grey one
    label = Image.fromarray(ids)
    label.putpalette(list(range(3 * 2**bits)))
    label.save(tmp_path / 'palette.png', bits=bits)
    data = bytearray((tmp_path / 'palette.png').read_bytes())
    data[25] = 0
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    start = data.index(b'PLTE') - 4
    del data[start : start + 12 + int.from_bytes(data[start : start + 4], 'big')]
    (tmp_path / 'grey.png').write_bytes(data)
    assert read_label(tmp_path / 'grey.png').tolist() == ids.tolist()


@pytest.mark.parametrize('extension', ['png', 'tif'])
def test_16_bit_labels_are_read_when_their_ids_fit(tmp_path, extension):
    path, ids = tmp_path / f'a.{extension}', np.arange(42, dtype=np.uint16).reshape(SHAPE) + 214
    cv2.imwrite(str(path), ids)
    assert read_label(path).tolist() == ids.tolist() and read_label(path).dtype == np.uint8
    ids[4, 5] = 256
    cv2.imwrite(str(path), ids)
    with pytest.raises(
        ValueError,
        match=(
            rf'a.{extension}: holds values up to 256 \(first at row 4, column 5\), ids end at 255; .*Mapillary.*ADE20K'
        ),
    ):
        read_label(path)


def test_instance_labels_of_cityscapes_are_recognised(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.array([[7, 26001], [24000, 33012]], np.uint16))
    with pytest.raises(
        ValueError,
        match='holds values up to 33012 .*row 0, column 1.*instances as Cityscapes writes them .*_labelIds.png',
    ):
        read_label(tmp_path / 'a.png')


@pytest.mark.parametrize(
    'name, options, kind',
    [
        ('a.jpg', {}, 'JPEG'),
        ('a.webp', {}, 'lossy WebP'),
        ('a.tif', {'compression': 'jpeg'}, 'TIFF with jpeg compression'),
    ],
)
def test_lossy_labels_are_refused_with_the_reason(tmp_path, name, options, kind):
    Image.fromarray(noise()[..., 0]).save(tmp_path / name, **options)
    for read in (read_label, label_size):
        with pytest.raises(
            ValueError, match=rf'{name}: is a {kind} file, whose compression changes values.*take the original'
        ):
            read(tmp_path / name)


@pytest.mark.parametrize('name, options', [('a.png', {}), ('a.tif', {}), ('a.bmp', {}), ('a.webp', {'lossless': True})])
def test_colours_are_no_ids_without_a_table(tmp_path, name, options):
    Image.fromarray(noise()).save(tmp_path / name, **options)
    with pytest.raises(
        ValueError, match=f'{name}: is a .* a label map holds class ids from 0 to 255 .*a table of its colours'
    ):
        read_label(tmp_path / name)


@pytest.mark.parametrize('content', [b'GIF89a', b'<html>', b'PK'])
def test_a_label_of_no_known_format_is_refused(tmp_path, content):
    (tmp_path / 'a.png').write_bytes(content)
    for read in (read_label, label_size):
        with pytest.raises(ValueError, match='a.png: is no PNG, TIFF, BMP or WebP file'):
            read(tmp_path / 'a.png')


COLORS = {(0, 0, 0): 0, (128, 64, 128): 7, (255, 255, 255): 33, (0, 0, 1): 255}


@pytest.mark.parametrize('name, options', [('a.png', {}), ('a.tif', {}), ('a.bmp', {}), ('a.webp', {'lossless': True})])
def test_colours_become_ids_by_a_table(tmp_path, name, options):
    order = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    Image.fromarray(np.array(list(COLORS), np.uint8)[order]).save(tmp_path / name, **options)
    assert read_label(tmp_path / name, ColorTable('d', COLORS)).tolist() == [[0, 7, 33, 255], [255, 33, 7, 0]]
    assert label_size(tmp_path / name) == (2, 4)


def test_a_palette_label_is_read_by_its_colours_when_there_is_a_table(tmp_path):
    label = Image.fromarray(np.array([[0, 1]], np.uint8))
    label.putpalette([128, 64, 128, 0, 0, 0])
    label.save(tmp_path / 'a.png')
    assert read_label(tmp_path / 'a.png', ColorTable('d', COLORS)).tolist() == [[7, 0]]
    assert read_label(tmp_path / 'a.png').tolist() == [[0, 1]]


def test_a_colour_that_is_not_in_the_table_is_named_with_its_place(tmp_path):
    image = np.zeros((4, 5, 3), np.uint8)
    image[2, 3] = image[3, 0] = 1, 2, 3
    Image.fromarray(image).save(tmp_path / 'a.png')
    with pytest.raises(
        ValueError,
        match=(
            r"a.png: the colour \(1, 2, 3\) at row 2, column 3 is not in the colour table of dataset 'd' \(2 of its 20"
        ),
    ):
        read_label(tmp_path / 'a.png', ColorTable('d', COLORS))


def test_colours_of_16_bits_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), pixels(3, np.uint16))
    with pytest.raises(ValueError, match='a.png: is a 16-bit PNG; a label map of colours has 8 bits'):
        read_label(tmp_path / 'a.png', ColorTable('d', COLORS))


@pytest.mark.parametrize(
    'color_map, complaint',
    [
        ({(0, 0, 256): 1}, 'three values from 0 to 255'),
        ({(0, 0, 0): 300}, 'an id from 0 to 255'),
        ({(0, 0): 1}, 'three values'),
        ({(0, 0, raw): raw for raw in range(256)}, 'all 256 ids'),
    ],
)
def test_an_impossible_colour_table_is_an_error(color_map, complaint):
    with pytest.raises(ValueError, match=f"dataset 'd': .*{complaint}"):
        ColorTable('d', color_map)


def test_palette_labels_of_four_bits_give_indices(tmp_path, stripes):
    label = Image.fromarray(stripes((2, 5, 11)))
    label.putpalette(list(range(48)))
    label.save(tmp_path / 'label.png', bits=4)
    assert (tmp_path / 'label.png').read_bytes()[24] == 4
    assert read_label(tmp_path / 'label.png')[0, [0, 16, 32]].tolist() == [2, 5, 11]


@pytest.mark.parametrize(
    'extension, complaint',
    [
        ('png', 'is a PNG cut off after'),
        ('jpg', 'is a JPEG cut off after'),
        ('webp', 'is a WebP cut off after'),
        ('bmp', 'is damaged or no image'),
        ('tif', 'is damaged or no image'),
    ],
)
def test_a_truncated_image_is_unreadable(tmp_path, extension, complaint):
    path = tmp_path / f'image.{extension}'
    cv2.imwrite(str(path), noise())
    read_image(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match=rf'image.{extension}: {complaint}.*; replace the file or take it out'):
        read_image(path)


@pytest.mark.parametrize('content, complaint', [(b'', 'is empty'), (b'not an image at all', 'is damaged or no image')])
def test_a_file_that_is_no_image_is_unreadable(tmp_path, content, complaint):
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(ValueError, match=f'a.png: {complaint}'):
        read_image(tmp_path / 'a.png')


@pytest.mark.parametrize(
    'name, options', [('a.png', {}), ('a.tif', {'compression': 'tiff_lzw'}), ('a.tif', {'compression': 'tiff_deflate'})]
)
def test_a_damaged_image_is_unreadable(tmp_path, name, options):
    Image.fromarray(noise()).save(tmp_path / name, **options)
    data = bytearray((tmp_path / name).read_bytes())
    data[2000:2400] = bytes(400)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=f'{name}: is damaged or no image'):
        read_image(tmp_path / name)


def test_a_truncated_palette_label_is_unreadable(tmp_path):
    label = Image.fromarray(noise()[..., 0])
    label.putpalette(list(range(256)) * 3)
    label.save(tmp_path / 'a.png')
    (tmp_path / 'a.png').write_bytes((tmp_path / 'a.png').read_bytes()[:3000])
    with pytest.raises(ValueError, match='a.png: is a PNG cut off after 3000 bytes'):
        read_label(tmp_path / 'a.png')


def test_a_jpeg_with_a_thumbnail_that_is_cut_off_is_noticed(tmp_path):
    thumbnail = cv2.imencode('.jpg', noise(16))[1].tobytes()
    whole = cv2.imencode('.jpg', noise())[1].tobytes()
    segment = b'\xff\xee' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    (tmp_path / 'whole.jpg').write_bytes(whole[:2] + segment + whole[2:])
    (tmp_path / 'cut.jpg').write_bytes(whole[:2] + segment + whole[2:-300])
    assert read_image(tmp_path / 'whole.jpg').shape == (64, 64, 3)
    with pytest.raises(ValueError, match='cut.jpg: is a JPEG cut off'):
        read_image(tmp_path / 'cut.jpg')


def test_a_jpeg_with_more_behind_it_is_whole(tmp_path):
    whole = cv2.imencode('.jpg', noise())[1].tobytes()
    (tmp_path / 'a.jpg').write_bytes(whole + bytes(500))
    assert read_image(tmp_path / 'a.jpg').shape == (64, 64, 3)


@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_a_jpeg_with_a_hole_of_zero_bytes_is_unreadable(tmp_path, mode):
    Image.fromarray(noise(256)).convert(mode).save(tmp_path / 'a.jpg')
    data = bytearray((tmp_path / 'a.jpg').read_bytes())
    place = len(data) // 3
    data[place : place + 4096] = bytes(4096)
    (tmp_path / 'a.jpg').write_bytes(data)
    with pytest.raises(ValueError, match=r'a.jpg: is a JPEG with a hole of zero bytes at byte \d+; replace the file'):
        read_image(tmp_path / 'a.jpg')


@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
@pytest.mark.parametrize('options', [{}, {'optimize': True}, {'progressive': True}, {'quality': 5}, {'quality': 100}])
@pytest.mark.parametrize('value', [0, 128, 255])
def test_zeros_that_are_pixels_of_one_colour_are_no_hole(tmp_path, mode, options, value):
    image = np.full((512, 512, 3), value, np.uint8)
    Image.fromarray(image).convert(mode).save(tmp_path / 'a.jpg', **options)
    image[:64, :64] = noise()
    Image.fromarray(image).convert(mode).save(tmp_path / 'b.jpg', **options)
    for name in 'ab':
        assert read_image(tmp_path / f'{name}.jpg').shape == (512, 512, 3)
    if mode == 'L' and 'optimize' in options:
        assert bytes(64) in (tmp_path / 'a.jpg').read_bytes()  # so that the test can fail


def test_zeros_beside_the_coded_pixels_of_a_jpeg_are_no_hole(tmp_path):
    whole = cv2.imencode('.jpg', noise())[1].tobytes()
    comment = b'\xff\xfe' + (502).to_bytes(2, 'big') + bytes(500)
    (tmp_path / 'a.jpg').write_bytes(whole[:2] + comment + whole[2:-2] + bytes(100) + whole[-2:] + bytes(500))
    assert read_image(tmp_path / 'a.jpg').shape == (64, 64, 3)


def test_a_file_that_vanished_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.png: the file does not exist any more'):
        read_image(tmp_path / 'gone.png')


def test_a_folder_in_place_of_a_file_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match='cannot be read'):
        read_image(tmp_path)
