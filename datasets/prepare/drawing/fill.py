"""Filling of outlines: the pixels whose centres lie inside, without anti-aliasing.

Coordinates are continuous: (0, 0) is the upper left corner of the picture, the centre of pixel (row, column) is
(column + 0.5, row + 0.5). A centre on an upper or left edge is inside, one on a lower or right edge outside, so that
areas with a common edge neither overlap nor leave a gap. An outline that crosses itself is filled by the even-odd rule.
"""

import math

import numpy as np

MOST_CROSSINGS = 1 << 26  # of the edges of an outline with the rows of a picture; memory is taken for each


def fill_polygon(points, size) -> tuple:
    """((top, left), mask bool (h, w)): the pixels inside the outline `points` (N, 2) of x, y, in a picture of `size`
    (H, W), as a window of it. What lies outside the picture is cut off.

    Raises ValueError for points that are no finite numbers, or an outline of absurdly many edges.
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    if not np.isfinite(points).all():
        raise ValueError('an outline has a coordinate that is not a finite number')
    left, right = _range(points[:, 0], size[1])
    top, bottom = _range(points[:, 1], size[0])
    if left >= right or top >= bottom:
        return (0, 0), np.zeros((0, 0), bool)
    start, end = points, np.roll(points, -1, axis=0)
    down = (start[:, 1] <= end[:, 1])[:, None]
    upper, lower = np.where(down, start, end), np.where(down, end, start)  # an edge is the same in both directions
    first, last = (np.clip(np.ceil(ends[:, 1] - 0.5), top, bottom).astype(int) for ends in (upper, lower))
    crossed = last - first
    if crossed.sum() > MOST_CROSSINGS:
        raise ValueError(f'an outline of {len(points):,} points crosses the rows of the picture too often to be real')
    edge = np.repeat(np.arange(len(points)), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + first[edge]
    (x, y), (x_end, y_end) = upper[edge].T, lower[edge].T
    crossing = x + (row + 0.5 - y) / (y_end - y) * (x_end - x)
    column = np.clip(np.ceil(crossing - 0.5), left, right).astype(int)
    toggles = np.zeros((bottom - top, right - left + 1), np.int64)
    np.add.at(toggles, (row - top, column - left), 1)
    return (top, left), (np.cumsum(toggles[:, :-1], axis=1) & 1).astype(bool)


def _range(values, length) -> tuple:
    """The first pixel whose centre may be inside, and the one after the last, of `length`."""
    return tuple(int(np.clip(math.ceil(value - 0.5), 0, length)) for value in (values.min(), values.max()))


def fill_ellipse(centre, radii, size) -> tuple:
    """The same of an upright ellipse: centre (x, y), radii (rx, ry). A centre on the line is inside."""
    if not np.isfinite([*centre, *radii]).all() or min(radii) <= 0:
        raise ValueError('an ellipse has a radius that is not above 0, or a coordinate that is not a finite number')
    (left, right), (top, bottom) = (
        _range(np.array([at - radius, np.nextafter(at + radius, np.inf)]), length)
        for at, radius, length in zip(centre, radii, size[::-1])
    )
    x = (np.arange(left, right) + 0.5 - centre[0]) / radii[0]
    y = (np.arange(top, bottom) + 0.5 - centre[1]) / radii[1]
    return (top, left), x[None] ** 2 + y[:, None] ** 2 <= 1


def rotated(points, degrees: float):
    """Points (N, 2) turned clockwise, as one sees it, around the middle of their bounding box."""
    points = np.asarray(points, np.float64)
    middle = (points.min(0) + points.max(0)) / 2
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (points - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle
