"""Annotations of labelme: order, shapes, classes, photos that are missing, embedded, turned or of another size."""

import base64

import pytest
from drawn import Prepared, box, photo, png, write

from datasets.prepare.labelme import extract


def entry(label, points, kind='polygon', **more):
    return {'label': label, 'points': points, 'shape_type': kind, **more}


ROAD, CAR = entry('road', box(0, 2, 4, 4)), entry('car', box(1, 1, 3, 3))


def annotate(root, name, shapes, size=(4, 4), image=None, **more):
    """A photo root/name.png and its JSON file."""
    photo(root / f'{name}.png', *size) if image is None else None
    record = {'imagePath': image or f'{name.rpartition("/")[2]}.png', 'imageHeight': size[0], 'imageWidth': size[1]}
    write(root / f'{name}.json', {'version': '5.4.1', 'imageData': None, 'shapes': shapes, **record, **more})


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'mine').mkdir()
    return tmp_path / 'mine'


@pytest.fixture
def run(root, capsys):
    return lambda *flags: Prepared(capsys, 'labelme', root, *flags)


def test_shapes_are_drawn_in_the_order_of_the_file_later_over_earlier(root, run):
    annotate(root, 'a', [ROAD, CAR])
    annotate(root, 'b', [CAR, ROAD])
    done = run()
    assert done.code == 0 and done.names == {'background': 0, 'car': 1, 'road': 2}, done.printed
    assert done.label('a.png') == ['....', '.cc.', 'rccr', 'rrrr']
    assert done.label('b.png') == ['....', '.cc.', 'rrrr', 'rrrr']


def test_the_data_set_trains_as_it_is_written(root, run):
    for day in ('one', 'two', 'three'):
        for number in range(2):
            annotate(root, f'{day}/{number}', [ROAD, CAR])
    done = run()
    assert 'whole folders are held out' in done.printed
    train, val = done.dataset(), done.dataset('val')
    assert (len(train.items), len(val.items)) == (4, 2)
    assert list(train.classes.names) == ['background', 'car', 'road']
    assert train.items[0].label.parent.parent == done.out / 'labels'


@pytest.mark.parametrize(
    'shape, rows',
    [
        (entry('car', [[3, 1], [1, 3]], 'rectangle'), ['....', '.cc.', '.cc.', '....']),
        (entry('car', box(1, 1, 3, 3), 'rectangle'), ['....', '.cc.', '.cc.', '....']),
        (entry('car', [[2, 2], [2, 3]], 'circle'), ['....', '.cc.', '.cc.', '....']),  # centres 0.71 from its middle
        (
            entry('car', [[1, 0], [3, 2]], 'mask', mask=base64.b64encode(png([[1, 0], [0, 1]])).decode()),
            ['.c..', '..c.', '....', '....'],
        ),
        (
            entry('car', [[-1, 3], [1, 5]], 'mask', mask=base64.b64encode(png([[1, 1], [1, 1]])).decode()),
            ['....', '....', '....', 'c...'],
        ),
    ],
    ids=['two corners', 'four corners', 'circle', 'mask', 'mask beyond the border'],
)
def test_every_kind_of_area_is_drawn(root, run, shape, rows):
    annotate(root, 'a', [shape])
    assert run().label('a.png') == rows


def test_what_has_no_area_is_left_out_and_counted(root, run):
    shapes = [entry('car', [[1, 1], [3, 3]]), entry('lane', [[0, 0], [4, 4]], 'line'), entry('p', [[1, 1]], 'point')]
    annotate(root, 'a', [*shapes, ROAD, entry('car', [[1, 1], [1, 1]], 'circle')])
    done = run()
    assert done.label('a.png') == ['....', '....', 'rrrr', 'rrrr']
    for line in (
        'note: polygons of fewer than 3 points, left out: 1',
        'note: shapes of the kind line, which has no area, left out: 1',
        'note: shapes of the kind point, which has no area, left out: 1',
        'note: circles and ellipses without an area, left out: 1',
    ):
        assert line in done.printed


def test_classes_outside_the_list_and_ignored_ones_become_void_and_are_counted(root, run):
    annotate(root, 'a', [ROAD, CAR, entry('tram', box(0, 0, 1, 1)), entry('__ignore__', box(3, 0, 4, 1))])
    done = run('--classes', 'road,car', '--ignore', 'car')
    assert done.names == {'background': 0, 'road': 1}
    assert done.label('a.png') == ['x..x', '.xx.', 'rxxr', 'rrrr']
    assert "shapes of the class 'tram', which is not in --classes and became void: 1" in done.printed
    assert "shapes of the class 'car', which became void: 1" in done.printed
    assert 'shapes of the class __ignore__, which are void: 1' in done.printed


def test_a_list_of_classes_may_be_a_file_of_labelme_and_gives_their_order(root, run, tmp_path):
    annotate(root, 'a', [ROAD, CAR])
    (tmp_path / 'labels.txt').write_text('__ignore__\n_background_\nroad\nsky\ncar\n')
    done = run('--classes', tmp_path / 'labels.txt')
    assert done.names == {'background': 0, 'road': 1, 'sky': 2, 'car': 3}
    assert "note: shapes of the class 'sky' of --classes (there are none): 0" in done.printed


def test_a_class_that_is_misspelled_in_the_list_is_told_the_near_one(root, run):
    annotate(root, 'a', [ROAD, CAR])
    done = run('--classes', 'raod,car')
    assert "shapes of the class 'raod' of --classes (did you mean road?): 0" in done.printed
    assert "the class 'road', which is not in --classes and became void: 1" in done.printed


def test_the_rest_is_void_where_that_is_asked_for(root, run):
    annotate(root, 'a', [ROAD, CAR])
    done = run('--rest', 'ignore')
    assert done.names == {'car': 1, 'road': 2} and done.label('a.png') == ['xxxx', 'xccx', 'rccr', 'rrrr']


def test_points_outside_the_picture_are_cut_off_and_said(root, run):
    annotate(root, 'a', [entry('road', box(-3, 2, 9, 9)), CAR])
    done = run()
    assert done.label('a.png') == ['....', '.cc.', 'rccr', 'rrrr']
    assert 'reach beyond the picture and are cut off at its border (1 file)' in done.printed


def test_a_photo_turned_by_exif_is_labelled_as_it_was_annotated(root, run):
    annotate(root, 'shown', [ROAD, CAR], size=(4, 6), image='shown.jpg')
    photo(root / 'shown.jpg', 6, 4, orientation=6)  # stored 4 wide and 6 high, shown 6 wide and 4 high
    stored = entry('road', box(0, 0, 4, 1))  # the upper row of the stored picture, the right column of the shown one
    annotate(root, 'stored', [stored, CAR], size=(6, 4), image='stored.jpg')
    photo(root / 'stored.jpg', 6, 4, orientation=6)
    done = run()
    assert done.label('shown.png') == ['......', '.cc...', 'rccr..', 'rrrr..']
    assert done.label('stored.png') == ['.....r', '...ccr', '...ccr', '.....r']
    assert 'was annotated as stored, and is turned as the EXIF record of the photo says (1 file)' in done.printed


def test_a_mirrored_photo_is_taken_to_be_annotated_as_it_is_shown_and_that_is_said(root, run):
    annotate(root, 'a', [ROAD, CAR], image='a.jpg')
    photo(root / 'a.jpg', orientation=2)
    done = run()
    assert done.label('a.png') == ['....', '.cc.', 'rccr', 'rrrr']
    assert 'an EXIF orientation of 2: taken to be annotated as viewers show it (1 file)' in done.printed


def test_a_photo_of_another_size_than_the_record_is_refused_and_the_others_are_made(root, run):
    annotate(root, 'a', [ROAD, CAR])
    annotate(root, 'b', [ROAD, CAR], size=(8, 8), image='b.png')
    photo(root / 'b.png', 4, 4)
    done = run()
    assert done.code == 1 and 'b.png: is 4x4 pixels (width x height), but its annotation is of a picture of 8x8' in (
        done.printed
    )
    assert [item.name for item in done.dataset().items] == ['a.png']


def test_a_size_that_would_fill_the_memory_is_refused(root, run):
    annotate(root, 'a', [ROAD, CAR])
    annotate(root, 'b', [ROAD, CAR], size=(100_000, 100_000), image='b.png')
    photo(root / 'b.png', 4, 4)
    assert '100000x100000' in run().printed


def test_a_missing_photo_is_counted_and_left_out(root, run):
    annotate(root, 'a', [ROAD, CAR])
    annotate(root, 'b', [ROAD, CAR], image='gone.png')
    done = run()
    assert f'photos that are not below {root} (gone.png), left out: 1' in done.printed
    assert [item.name for item in done.dataset().items] == ['a.png']


def test_an_embedded_photo_takes_the_place_of_a_missing_one(root, run):
    data = png([[[9, 9, 9]] * 4] * 4)
    annotate(root, 'day/a', [ROAD, CAR], image='gone.png', imageData=base64.b64encode(data).decode())
    done = run()
    assert done.code == 0 and (done.out / 'images/day/a.png').read_bytes() == data
    assert [item.image for item in done.dataset().items] == [done.out / 'images/day/a.png']
    assert 'is taken from its annotation (1 file)' in done.printed
    assert 'nothing to do' in run().printed


@pytest.mark.parametrize('data, part', [('?', 'is damaged'), ('AAAA', 'is no image')])
def test_an_embedded_photo_that_is_none_is_refused(root, run, tmp_path, data, part):
    annotate(root, 'a', [ROAD, CAR])
    annotate(root, 'b', [ROAD, CAR], image='gone.png', imageData=data)
    with pytest.raises(ValueError, match=part):
        extract([root / 'b.json'])
    done = run()
    assert done.code == 1 and part in done.printed and len(done.dataset().items) == 1


def test_photos_of_one_name_in_two_folders_are_told_apart_by_their_place(root, run):
    annotate(root, 'one/a', [ROAD])
    annotate(root, 'two/a', [CAR])
    done = run()
    assert done.label('one/a.png')[3] == 'rrrr' and done.label('two/a.png')[3] == '....'


def test_a_name_that_fits_two_photos_is_refused(root, run):
    photo(root / 'one/a.png'), photo(root / 'two/a.png')
    annotate(root, 'json/a', [ROAD, CAR], image='a.png')
    done = run()
    assert done.code == 2 and 'json/a.json' in done.printed and "'a.png' fits 2 images" in done.printed


def test_a_photo_with_two_annotations_is_refused(root, run):
    annotate(root, 'a', [ROAD])
    annotate(root, 'b', [CAR], image='a.png')
    done = run()
    assert done.code == 2 and f'b.json: annotates a.png as {root / "a.json"} does' in done.printed


@pytest.mark.parametrize(
    'text, part',
    [
        ('{"shapes": [{"label": "road"}]}', "a.json: is not an annotation of labelme (KeyError: 'points')"),
        ('{"shapes": [', 'is no whole JSON file'),
        ('[' * 100_000, 'is no whole JSON file'),
    ],
)
def test_a_damaged_annotation_is_one_sentence_with_its_name(root, run, text, part):
    photo(root / 'a.png')
    write(root / 'a.json', text)
    done = run()
    assert done.code == 2 and part in done.printed and done.printed.count('\n') == 1


def test_other_json_files_are_counted(root, run):
    annotate(root, 'a', [ROAD, CAR])
    write(root / 'package.json', {'name': 'x'})
    assert 'JSON files that are no annotations of labelme (without shapes), left out: 1' in run().printed
