"""COCO instances: order, polygons of one instance, run-length masks, crowds, splits, and records that do not fit."""

import pytest
from drawn import Prepared, box, photo, write

CATEGORIES = [{'id': 7, 'name': 'road'}, {'id': 3, 'name': 'car'}]
FLAT = [value for point in box(1, 1, 3, 3) for value in point]


def instance(category, segmentation, image=1, **more):
    return {'image_id': image, 'category_id': category, 'segmentation': segmentation, 'iscrowd': 0, 'area': 4, **more}


ROAD = instance(7, [[0, 2, 4, 2, 4, 4, 0, 4]], area=8)
CAR = instance(3, [FLAT])


def images(*names, size=(4, 4)):
    return [{'id': n, 'file_name': name, 'height': size[0], 'width': size[1]} for n, name in enumerate(names, 1)]


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'mine').mkdir()
    return tmp_path / 'mine'


@pytest.fixture
def run(root, capsys):
    """run(annotations, *flags): of the one photo images/a.png."""

    def call(annotations, *flags, name='instances', listed=None, categories=CATEGORIES):
        photo(root / 'images/a.png')
        content = {'images': listed or images('a.png'), 'annotations': annotations, 'categories': categories}
        write(root / f'annotations/{name}.json', content)
        return Prepared(capsys, 'coco', root, *flags)

    return call


def test_instances_are_drawn_in_the_order_of_the_file_and_classes_by_the_ids_of_categories(run):
    done = run([CAR, ROAD])
    assert done.code == 0 and done.names == {'background': 0, 'car': 1, 'road': 2}, done.printed
    assert done.label('images/a.png') == ['....', '.cc.', 'rrrr', 'rrrr']


def test_small_instances_lie_above_large_ones_with_the_order_of_areas(run):
    assert run([CAR, ROAD], '--order', 'area').label('images/a.png') == ['....', '.cc.', 'rccr', 'rrrr']


def test_the_polygons_of_an_instance_are_filled_together_and_make_no_hole(run):
    outer, inner = [0, 0, 4, 0, 4, 4, 0, 4], FLAT
    assert run([instance(3, [outer, inner])]).label('images/a.png') == ['cccc'] * 4
    assert run([instance(3, [[0, 0, 1, 0, 1, 1, 0, 1], inner])], '--overwrite').label('images/a.png') == [
        'c...',
        '.cc.',
        '.cc.',
        '....',
    ]


@pytest.mark.parametrize('counts', [[0, 5, 2, 2, 2, 5], '052M03'])
def test_a_hole_comes_from_a_run_length_mask(run, counts):
    # down the columns: 5 inside, 2 outside, 2 inside, 2 outside, 5 inside
    done = run([instance(3, {'size': [4, 4], 'counts': counts})])
    assert done.label('images/a.png') == ['cccc', 'c..c', 'c..c', 'cccc'], done.printed


def test_a_mask_of_another_size_is_refused_by_name(run):
    done = run([instance(3, {'size': [5, 4], 'counts': [20]})])
    assert done.code == 2 and 'a.png: a mask is 4x5 pixels, the picture 4x4' in done.printed


def test_crowds_are_void_below_all_other_instances_and_counted(run):
    crowd = instance(7, {'size': [4, 4], 'counts': [0, 16]}, iscrowd=1)
    done = run([CAR, crowd])
    assert done.label('images/a.png') == ['xxxx', 'xccx', 'xccx', 'xxxx']
    assert 'crowds, which became void where no instance lies above them: 1' in done.printed
    assert 'not in --classes' not in done.printed


def test_boxes_and_short_polygons_are_left_out_and_counted(run):
    done = run([CAR, instance(7, []), instance(7, None), instance(7, [[0, 0, 4, 4]])])
    assert done.label('images/a.png') == ['....', '.cc.', '.cc.', '....']
    assert 'instances with a box alone, left out: 2' in done.printed
    assert 'polygons of fewer than 3 points, left out: 1' in done.printed


def test_a_category_that_is_not_in_the_list_becomes_void(run):
    done = run([ROAD, CAR], '--classes', 'car')
    assert done.label('images/a.png') == ['....', '.cc.', 'xccx', 'xxxx']
    assert "the class 'road', which is not in --classes and became void: 1" in done.printed


def test_files_named_after_splits_make_these_splits(root, run, capsys):
    photo(root / 'images/b.png')
    run([CAR], name='instances_train2017')
    done = run([CAR], '--overwrite', name='instances_val2017', listed=images('b.png'))
    assert 'the annotations are in these splits' in done.printed
    assert [item.name for item in done.dataset('val').items] == ['images/b.png']
    assert [item.name for item in done.dataset('train').items] == ['images/a.png']


def test_missing_photos_are_counted_and_none_at_all_is_a_mistake(root, run):
    done = run([CAR], listed=images('a.png', 'b.png', 'c.png'))
    assert done.code == 0 and f'photos that are not below {root} (b.png, c.png), left out: 2' in done.printed
    done = run([CAR], listed=images('x.png'))
    assert done.code == 2 and 'holds no photo with an annotation of coco' in done.printed and 'x.png' in done.printed


@pytest.mark.parametrize(
    'annotations, listed, part',
    [
        ([instance(3, [FLAT], image=9)], None, '(KeyError: 9)'),
        ([instance(99, [FLAT])], None, '(KeyError: 99)'),
        ([instance(3, [FLAT[:-1]])], None, 'ValueError'),
        ([CAR], images('a.png') * 2, 'two images have the same id'),
        ([CAR], images('a.png', 'images/a.png'), 'annotates images/a.png twice'),
        ([CAR], [{'id': 1, 'file_name': 'a.png', 'height': 'tall', 'width': 4}], "'tall'"),
    ],
)
def test_a_record_that_contradicts_itself_is_one_sentence_with_the_file(run, annotations, listed, part):
    done = run(annotations, listed=listed)
    assert done.code == 2 and 'instances.json: ' in done.printed and part in done.printed
    assert done.printed.count('\n') == 1


@pytest.mark.parametrize(
    'segmentation, part',
    [
        ([[0, 0, 1, 0, float('nan'), 1]], 'not a finite number'),
        ({'size': [4, 4], 'counts': '2 3'}, 'characters that no packed runs have'),
        ({'size': [4, 4], 'counts': [9, 9]}, 'has 18 pixels, expected the 16'),
    ],
)
def test_a_shape_that_cannot_be_drawn_refuses_its_photo(run, segmentation, part):
    done = run([instance(3, segmentation)])
    assert done.code == 2 and part in done.printed and 'a.png' in done.printed


def test_labels_of_other_classes_do_not_replace_those_that_a_file_describes(run):
    run([CAR, ROAD])
    done = run([CAR, ROAD], '--classes', 'road')
    assert done.code == 2 and 'were made with other classes (then background, car, road' in done.printed
    done = run([CAR, ROAD], '--classes', 'road', '--overwrite')
    assert done.code == 0 and done.names == {'background': 0, 'road': 1}


def test_a_file_that_a_person_has_changed_is_kept_and_said(run):
    done = run([CAR, ROAD])
    text = done.file.read_text().replace('name: road', 'name: street')
    done.file.write_text(text)
    again = run([CAR, ROAD])
    assert again.file.read_text() == text and 'mine.yaml in ' in again.printed and 'are kept' in again.printed


def test_a_dry_run_writes_nothing(root, run):
    done = run([CAR, ROAD], '--dry_run')
    assert done.code == 0 and '1 to make' in done.printed and not done.out.exists()


def test_results_may_lie_elsewhere(root, run, tmp_path, capsys):
    run([CAR, ROAD], '--out', tmp_path / 'else')
    done = Prepared.__new__(Prepared)
    done.file = tmp_path / 'else/mine.yaml'
    assert done.dataset().items[0].label == tmp_path / 'else/labels/images/a.png'
