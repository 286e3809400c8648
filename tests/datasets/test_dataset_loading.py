import cv2
import numpy as np
import pytest
from PIL import Image

from config import scope
from datasets import get_dataset
from datasets.labels import LabelMapper
from datasets.reading import read_image, read_label


def one_pair(root, camvid_tree, **options):
    camvid_tree(root / 'camvid', count=1, **options)
    dataset = get_dataset('camvid', 'train')
    return dataset, dataset.items[0]


def test_unknown_ids_are_named_with_file_and_place(root, camvid_tree, stripes, write):
    dataset, item = one_pair(root, camvid_tree)
    label = stripes((0, 3, 8))
    label[7, 20], label[9, 1] = 77, 33
    write(item.label, label)
    with pytest.raises(ValueError, match=r'trainannot/00.png: label ids 33, 77 are not in the map of dataset .camvid. '
                                         r'\(first at row 7, column 20\); .*--ignore_ids'):
        dataset.load(item)


def test_ignore_ids_become_the_ignore_label(root, camvid_tree):
    camvid_tree(root / 'camvid', count=1, ids=(0, 77, 8))
    with scope(DATASET__IGNORE_IDS=(77, 8)):
        dataset = get_dataset('camvid', 'train')
    assert dataset.load(dataset.items[0])[1][0, [0, 16, 32]].tolist() == [0, 255, 255]


def test_ignore_ids_out_of_range_name_the_flag(root, camvid_tree):
    camvid_tree(root / 'camvid', count=1)
    with scope(DATASET__IGNORE_IDS=(256,)):
        with pytest.raises(ValueError, match=r'--ignore_ids: \[256\]'):
            get_dataset('camvid', 'train')


def test_many_unknown_ids_are_shortened():
    mapper = LabelMapper('d', {0: 0}, 1, 255)
    with pytest.raises(ValueError, match='label ids 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 243 more are not'):
        mapper(np.arange(256, dtype=np.uint8).reshape(16, 16), 'x.png')


@pytest.mark.parametrize('num_classes, ignore', [(65, 65), (19, 255), (254, 255), (255, 254)])
def test_unknown_ids_are_found_whatever_the_ignore_label(num_classes, ignore):
    mapper = LabelMapper('d', {0: 0, 1: ignore}, num_classes, ignore)
    assert mapper(np.array([[0, 1]], np.uint8), 'x.png').tolist() == [[0, ignore]]
    with pytest.raises(ValueError, match=r'label ids 2 .*row 0, column 1'):
        mapper(np.array([[0, 2]], np.uint8), 'x.png')


def test_a_label_of_another_size_is_an_error(root, camvid_tree, stripes, write):
    dataset, item = one_pair(root, camvid_tree)
    write(item.label, stripes((0,), height=30, width=48))
    with pytest.raises(ValueError, match=r'trainannot/00.png: the label is 48x30 pixels .* but its image .*train/00.png is 48x32'):
        dataset.load(item)


def test_sizes_are_read_from_the_headers(root, camvid_tree, stripes, write):
    dataset, item = one_pair(root, camvid_tree)
    write(item.label, stripes((0,), height=30, width=40))
    assert list(dataset.sizes()) == [(30, 40)]
    item.label.write_bytes(b'no png')
    with pytest.raises(ValueError, match='trainannot/00.png: is no PNG file'):
        list(dataset.sizes())


def test_palette_labels_give_indices_not_colours(root, camvid_tree, stripes):
    dataset, item = one_pair(root, camvid_tree)
    label = Image.fromarray(stripes((2, 5, 11)))
    label.putpalette(list(range(100, 196)) * 8)
    label.save(item.label)
    assert dataset.load(item)[1][0, [0, 16, 32]].tolist() == [2, 5, 255]


def test_palette_labels_of_four_bits_give_indices(tmp_path, stripes):
    label = Image.fromarray(stripes((2, 5, 11)))
    label.putpalette(list(range(48)))
    label.save(tmp_path / 'label.png', bits=4)
    assert (tmp_path / 'label.png').read_bytes()[24] == 4
    assert read_label(tmp_path / 'label.png')[0, [0, 16, 32]].tolist() == [2, 5, 11]


@pytest.mark.parametrize('array, kind', [
    (np.zeros((4, 4, 3), np.uint8), '8-bit RGB colour PNG'), (np.zeros((4, 4), np.uint16), '16-bit grey PNG')])
def test_labels_of_another_kind_are_refused(tmp_path, array, kind):
    cv2.imwrite(str(tmp_path / 'label.png'), array)
    with pytest.raises(ValueError, match=f'label.png: is a {kind}; a label map is an 8-bit grey or palette PNG'):
        read_label(tmp_path / 'label.png')


def test_a_label_that_is_no_png_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'label.bmp'), np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match='label.bmp: is no PNG file'):
        read_label(tmp_path / 'label.bmp')


def noise(side=64):
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize('extension, complaint', [
    ('png', 'is a PNG cut off after'), ('jpg', 'is a JPEG cut off after'), ('webp', 'is damaged or no image'), ('bmp', 'is damaged or no image'),
    ('tif', 'is damaged or no image')])
def test_a_truncated_image_is_unreadable(tmp_path, extension, complaint):
    path = tmp_path / f'image.{extension}'
    cv2.imwrite(str(path), noise())
    read_image(path)
    path.write_bytes(path.read_bytes()[:path.stat().st_size * 2 // 3])
    with pytest.raises(ValueError, match=rf'image.{extension}: {complaint}.*; replace the file or take it out'):
        read_image(path)


@pytest.mark.parametrize('content, complaint', [(b'', 'is empty'), (b'not an image at all', 'is damaged or no image')])
def test_a_file_that_is_no_image_is_unreadable(tmp_path, content, complaint):
    (tmp_path / 'a.png').write_bytes(content)
    with pytest.raises(ValueError, match=f'a.png: {complaint}'):
        read_image(tmp_path / 'a.png')


def test_a_damaged_png_is_unreadable(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), noise())
    data = bytearray((tmp_path / 'a.png').read_bytes())
    data[2000:2400] = bytes(400)
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(ValueError, match='a.png: is damaged or no image'):
        read_image(tmp_path / 'a.png')


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


def test_grey_and_transparent_images_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((4, 5), 9, np.uint8))
    cv2.imwrite(str(tmp_path / 'alpha.png'), np.full((4, 5, 4), (1, 2, 3, 128), np.uint8))
    assert read_image(tmp_path / 'grey.png')[0, 0].tolist() == [9, 9, 9]
    assert read_image(tmp_path / 'alpha.png')[0, 0].tolist() == [3, 2, 1]


def test_only_images_without_labels_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6                                # a camera held upright: shown turned by 90 degrees
    Image.new('RGB', (40, 20)).save(tmp_path / 'a.jpg', exif=exif)
    assert read_image(tmp_path / 'a.jpg').shape == (20, 40, 3)
    assert read_image(tmp_path / 'a.jpg', upright=True).shape == (40, 20, 3)


def test_a_file_that_vanished_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.png: the file does not exist any more'):
        read_image(tmp_path / 'gone.png')


def test_a_folder_in_place_of_a_file_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match='cannot be read'):
        read_image(tmp_path)
