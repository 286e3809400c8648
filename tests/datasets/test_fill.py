"""Filling of outlines: pixel centres, edges, parity, and the border of the picture, on shapes that can be drawn by
hand."""

import numpy as np
import pytest

from datasets.prepare.drawing.fill import MOST_CROSSINGS, fill_ellipse, fill_polygon, rotated


def filled(points, size):
    """The rows of the filled outline as text, # inside."""
    (top, left), mask = fill_polygon(points, size)
    return shown(top, left, mask, size)


def shown(top, left, mask, size):
    whole = np.zeros(size, bool)
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return [''.join('.#'[int(value)] for value in row) for row in whole]


def test_a_box_from_1_1_to_3_3_holds_the_four_pixels_whose_centres_are_1_5_and_2_5():
    assert filled([(1, 1), (3, 1), (3, 3), (1, 3)], (4, 4)) == ['....', '.##.', '.##.', '....']


def test_a_triangle_holds_the_centres_below_its_slope():
    # inside where x + y < 4 at (column + 0.5, row + 0.5): column + row < 3; a centre on the line is outside
    assert filled([(0, 0), (4, 0), (0, 4)], (4, 4)) == ['###.', '##..', '#...', '....']


def test_centres_on_upper_and_left_edges_are_inside_and_on_lower_and_right_ones_outside():
    assert filled([(0.5, 0.5), (2.5, 0.5), (2.5, 2.5), (0.5, 2.5)], (3, 3)) == ['##.', '##.', '...']


def test_two_areas_with_a_common_edge_neither_overlap_nor_leave_a_gap():
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = rng.uniform(-2, 12, (2, 2)).round(1)
        fan = [(-50, -50), (50, -50), (50, 50), (-50, 50)]
        one = filled([fan[0], fan[1], b, a], (10, 10)), filled([fan[1], fan[2], b], (10, 10))
        two = filled([fan[2], fan[3], a, b], (10, 10)), filled([fan[3], fan[0], a], (10, 10))
        for row in range(10):
            for column in range(10):
                parts = [part[row][column] == '#' for part in (*one, *two)]
                assert sum(parts) % 2 == 1, 'the square around is covered once, where an area folds over three times'


def test_an_outline_that_crosses_itself_is_filled_by_parity():
    twice = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (1, 1), (3, 1), (3, 3), (1, 3), (1, 1)]
    assert filled(twice, (4, 4)) == ['####', '#..#', '#..#', '####']


@pytest.mark.parametrize('direction', [1, -1])
def test_what_lies_outside_the_picture_is_cut_off(direction):
    points = [(-5, 1), (1e9, 1), (1e9, 3), (-5, 3)][::direction]
    assert filled(points, (4, 3)) == ['...', '###', '###', '...']
    assert filled([(10, 10), (12, 10), (12, 12)], (4, 3)) == ['...'] * 4


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
def test_a_coordinate_that_is_no_number_is_refused(bad):
    with pytest.raises(ValueError, match='not a finite number'):
        fill_polygon([(0, 0), (4, bad), (4, 4)], (4, 4))


def test_an_outline_that_would_take_the_memory_is_refused_before_it_is_taken():
    points = np.tile([(0.0, 0.0), (1.0, 9000.0)], (MOST_CROSSINGS // 9000, 1))
    with pytest.raises(ValueError, match='too often to be real'):
        fill_polygon(points, (9000, 10))


def test_a_circle_of_radius_one_and_a_half_around_a_centre_holds_nine_pixels():
    # centres at distance 0, 1 and 1.414 are inside, those at 2 outside
    (top, left), mask = fill_ellipse((2.5, 2.5), (1.5, 1.5), (5, 5))
    assert shown(top, left, mask, (5, 5)) == ['.....', '.###.', '.###.', '.###.', '.....']


def test_an_ellipse_is_cut_off_at_the_border_and_a_centre_on_its_line_is_inside():
    (top, left), mask = fill_ellipse((0.5, 0.5), (2, 1), (3, 4))
    assert shown(top, left, mask, (3, 4)) == ['###.', '#...', '....']


@pytest.mark.parametrize('radii', [(0, 1), (1, -1), (float('nan'), 1)])
def test_an_ellipse_without_an_area_is_refused(radii):
    with pytest.raises(ValueError, match='radius'):
        fill_ellipse((1, 1), radii, (4, 4))


def test_points_are_turned_clockwise_around_the_middle_of_their_box():
    turned = rotated([(0, 0), (4, 0), (4, 2), (0, 2)], 90)
    assert np.allclose(turned, [(3, -1), (3, 3), (1, 3), (1, -1)])
