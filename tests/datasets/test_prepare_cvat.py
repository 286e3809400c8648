"""CVAT for images: z_order, kinds of shapes, masks, classes of the task, and files that are none."""

import pytest
from drawn import Prepared, photo, write

META = (
    '<meta><task><labels><label><name>road</name><color>#804080</color></label>'
    '<label><name>car</name></label><label><name>wheel</name><parent>skeleton</parent></label></labels></task></meta>'
)
ROAD = '<polygon label="road" points="0,2;4,2;4,4;0,4" z_order="0"/>'
CAR = '<box label="car" xtl="1" ytl="1" xbr="3" ybr="3" z_order="0"/>'


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'mine').mkdir()
    return tmp_path / 'mine'


@pytest.fixture
def run(root, capsys):
    """run(shapes, *flags): of the one photo images/a.png."""

    def call(shapes, *flags, size='width="4" height="4"', meta=META):
        photo(root / 'images/a.png')
        image = f'<image id="0" name="a.png" {size}>{shapes}</image>'
        write(root / 'annotations.xml', f'<?xml version="1.0"?><annotations>{meta}{image}</annotations>')
        return Prepared(capsys, 'cvat', root, *flags)

    return call


def test_shapes_are_drawn_by_z_order_and_then_in_the_order_of_the_file(run):
    done = run(ROAD + CAR)
    assert done.code == 0 and done.label('images/a.png') == ['....', '.cc.', 'rccr', 'rrrr'], done.printed
    done = run(CAR + ROAD, '--overwrite')
    assert done.label('images/a.png') == ['....', '.cc.', 'rrrr', 'rrrr']
    done = run(CAR.replace('z_order="0"', 'z_order="2"') + ROAD, '--overwrite')
    assert done.label('images/a.png') == ['....', '.cc.', 'rccr', 'rrrr']


def test_classes_and_colours_are_those_of_the_task(run):
    done = run(ROAD)
    assert done.names == {'background': 0, 'road': 1, 'car': 2}
    assert {entry['name']: entry['color'] for entry in done.values['classes']}['road'] == [128, 64, 128]


@pytest.mark.parametrize(
    'shape, rows',
    [
        ('<ellipse label="car" cx="2" cy="2" rx="2" ry="1"/>', ['....', 'cccc', 'cccc', '....']),
        ('<ellipse label="car" cx="2" cy="2" rx="2" ry="1" rotation="90"/>', ['.cc.'] * 4),
        ('<box label="car" xtl="0" ytl="1" xbr="4" ybr="3" rotation="90"/>', ['.cc.'] * 4),
        (
            # rows of a box of 2 rows and 3 columns at row 1, column 1: 1 outside, 3 inside, 2 outside
            '<mask label="car" rle="1, 3, 2" left="1" top="1" width="3" height="2"/>',
            ['....', '..cc', '.c..', '....'],
        ),
    ],
    ids=['ellipse', 'turned ellipse', 'turned box', 'mask'],
)
def test_every_kind_of_area_is_drawn(run, shape, rows):
    assert run(shape).label('images/a.png') == rows


def test_lines_points_and_tags_are_no_areas(run):
    done = run('<polyline label="road" points="0,0;4,4"/><points label="car" points="1,1"/><tag label="car"/>' + ROAD)
    assert 'shapes of the kind polyline, which has no area, left out: 1' in done.printed
    assert 'shapes of the kind points, which has no area, left out: 1' in done.printed
    assert 'kind tag' not in done.printed


def test_a_class_that_is_not_in_the_list_becomes_void(run):
    done = run(ROAD + CAR, '--classes', 'road')
    assert done.label('images/a.png') == ['....', '.xx.', 'rxxr', 'rrrr']
    assert "the class 'car', which is not in --classes and became void: 1" in done.printed


def test_a_label_called_background_is_the_ground(run):
    done = run(ROAD + CAR.replace('car', 'background'))
    assert done.label('images/a.png') == ['....', '....', 'r..r', 'rrrr']


def test_a_photo_of_another_size_is_refused(run):
    done = run(ROAD, size='width="8" height="8"')
    assert done.code == 2 and 'its annotation is of a picture of 8x8' in done.printed


def test_a_mask_or_photo_that_would_fill_the_memory_is_refused(run, monkeypatch):
    done = run('<mask label="car" rle="0, 9" left="0" top="0" width="100000" height="99999"/>')
    assert done.code == 2 and 'a mask is 100000x99999 pixels, possible are 1 to 268,435,456' in done.printed
    monkeypatch.setattr('datasets.prepare.drawing.label.MOST_PIXELS', 15)
    done = run(ROAD)
    assert done.code == 2 and 'a.png: has 4x4 pixels, labels are drawn of at most 15' in done.printed


@pytest.mark.parametrize(
    'text, part',
    [
        ('<annotations><track id="0"/></annotations>', 'is an export "CVAT for video"'),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', 'has a document type'),
        ('<annotations><image', 'is no whole XML file'),
        ('<annotations><image name="a.png" width="4"/></annotations>', "KeyError: 'height'"),
        (
            '<annotations><image name="a.png" width="4" height="4"><polygon label="x" points="1,2;3"/></image>'
            '</annotations>',
            'is not an export "CVAT for images 1.1" (ValueError',
        ),
        ('<other/>', 'XML files that are no exports of CVAT, left out: 1'),
    ],
)
def test_a_file_that_is_no_export_is_one_sentence_with_its_name(root, capsys, text, part):
    photo(root / 'a.png')
    write(root / 'annotations.xml', text)
    done = Prepared(capsys, 'cvat', root)
    assert done.code == 2 and part in done.printed and done.printed.count('\n') == 1
