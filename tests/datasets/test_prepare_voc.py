"""Masks of Pascal VOC, labelme and CVAT: palettes, colours, void, lists of splits, and masks that do not fit."""

import numpy as np
import pytest
from drawn import Prepared, photo
from prepare_trees import write_png

MASK = [[0, 7, 7, 0], [255, 7, 7, 15]]  # 7 is car, 15 person


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'mine').mkdir()
    return tmp_path / 'mine'


@pytest.fixture
def run(root, capsys):
    def call(*flags, mask=MASK, names=('a',), **more):
        for name in names:
            photo(root / f'JPEGImages/{name}.jpg', 2, 4, number=len(name))
            write_png(root / f'SegmentationClass/{name}.png', mask, **more)
            write_png(root / f'SegmentationObject/{name}.png', mask, **more)
        return Prepared(capsys, 'voc', root, *flags)

    return call


def test_indices_of_a_palette_are_taken_over_and_255_stays_void(run):
    done = run(palette=True)
    assert done.code == 0 and len(done.names) == 21 and done.names['person'] == 15, done.printed
    assert done.label('JPEGImages/a.png') == ['.cc.', 'xccp']
    assert done.dataset().items[0].image.name == 'a.jpg'


def test_classes_of_the_list_are_the_values_from_1_and_others_become_void(run):
    done = run('--classes', 'road,sky', mask=[[0, 1, 2, 3], [0, 1, 2, 255]], palette=True)
    assert done.names == {'background': 0, 'road': 1, 'sky': 2}
    assert done.label('JPEGImages/a.png') == ['.rsx', '.rsx']
    assert 'id 3 is in no table and became 255 (void) (1 file)' in done.printed


def test_background_is_void_where_that_is_asked_for(run):
    assert run('--rest', 'ignore', palette=True).label('JPEGImages/a.png') == ['xccx', 'xccp']


def test_a_label_map_of_colours_names_the_classes(root, run):
    (root / 'labelmap.txt').write_text(
        '# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,64,128::\ncar:0,0,9::\n'
    )
    road, car, void, other = (128, 64, 128), (0, 0, 9), (224, 224, 192), (1, 2, 3)
    done = run(mask=np.array([[road, car, (0, 0, 0), void], [other, road, road, road]], np.uint8))
    assert done.names == {'background': 0, 'road': 1, 'car': 2}
    assert done.label('JPEGImages/a.png') == ['rc.x', 'xrrr']
    assert 'pixels of a colour that is no class became void (1 file)' in done.printed


def test_coloured_masks_without_a_label_map_have_the_colours_of_voc(run):
    done = run(mask=np.array([[(128, 128, 128), (192, 128, 128), (0, 0, 0), (224, 224, 192)]] * 2, np.uint8))
    assert done.label('JPEGImages/a.png') == ['cp.x'] * 2


def test_the_lists_of_the_data_set_are_its_splits(root, run):
    for split, name in (('train', 'aa'), ('val', 'b')):
        (root / 'ImageSets/Segmentation').mkdir(parents=True, exist_ok=True)
        (root / f'ImageSets/Segmentation/{split}.txt').write_text(f'{name}\n')
    done = run(names=('aa', 'b'), palette=True)
    assert 'the annotations are in these splits' in done.printed
    assert [item.image.stem for item in done.dataset('val').items] == ['b']


def test_a_mask_of_another_size_than_its_photo_is_refused(run, root):
    done = run(mask=[[0, 7]], palette=True)
    assert (
        done.code == 2 and 'is 4x2 pixels (width x height), but its annotation is of a picture of 2x1' in done.printed
    )


def test_a_mask_of_the_stored_rows_of_a_turned_photo_is_turned_with_it(run, root):
    photo(root / 'JPEGImages/b.jpg', 2, 4, orientation=6)  # shown 2 wide and 4 high, its left column at the top
    write_png(root / 'SegmentationClass/b.png', MASK, palette=True)
    done = run(palette=True)
    assert done.label('JPEGImages/b.png') == ['x.', 'cc', 'cc', 'p.']


def test_masks_without_photos_are_counted(run, root):
    write_png(root / 'SegmentationClass/gone.png', MASK, palette=True)
    assert f'photos that are not below {root} (gone), left out: 1' in run(palette=True).printed


def test_a_folder_without_masks_and_a_wrong_label_map_are_told(run, root, capsys):
    (root / 'labelmap.txt').write_text('road:128,64::\n')
    assert "'road:128,64::' is not name:red,green,blue::" in run(palette=True).printed
    (root / 'other').mkdir()
    done = Prepared(capsys, 'voc', root / 'other')
    assert done.code == 2 and 'has no folder SegmentationClass with PNG files' in done.printed
