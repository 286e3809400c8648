"""Camera and canvas: where a piece of the world stands in the picture, and how it is laid over what is behind it."""

from dataclasses import dataclass, field

import cv2
import numpy as np

CLEAR = 255  # label value of "nothing drawn here"; never left in a finished scene


def noise(rng, height, width, cell, octaves=3):
    """Smooth noise float32 (height, width), roughly in [0, 1] with mean 0.5.

    Args:
        cell: the coarsest grain, in pixels.
        octaves: how many grains are added, each half as coarse as the one before.
    """
    total = np.zeros((height, width), np.float32)
    weight = 0.0
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        rows, cols = int(np.ceil(height / size)) + 1, int(np.ceil(width / size)) + 1
        grid = rng.random((rows, cols), np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR) / 2**octave
        weight += 1 / 2**octave
    return total / weight


@dataclass
class Camera:
    """A pinhole camera above a flat ground: world x right, y up, z ahead, in metres; picture in pixels."""

    height: int
    width: int
    focal: float  # in picture widths
    horizon: float  # row of the horizon, in picture heights
    eye: float  # metres above the ground
    shift: float  # metres right of the middle of the lane
    yaw: float  # radians to the right

    def __post_init__(self):
        self.f = self.focal * self.width
        self.row = self.horizon * self.height
        self.sin, self.cos = np.sin(self.yaw), np.cos(self.yaw)

    def depth(self, x, z):
        """Distance along the viewing axis of the ground point (x, z)."""
        return (x - self.shift) * self.sin + z * self.cos

    def project(self, x, y, z):
        """Picture position (column, row) float of a world point; it must lie in front of the camera."""
        right = (x - self.shift) * self.cos - z * self.sin
        depth = max(self.depth(x, z), 0.3)
        return self.width / 2 + self.f * right / depth, self.row + self.f * (self.eye - y) / depth

    def scale(self, x, z):
        """Pixels per metre at the ground point (x, z)."""
        return self.f / max(self.depth(x, z), 0.3)

    def sees(self, x0, x1, z):
        """True when something at depth z between world x0 and x1 may be in the picture."""
        left, right = self.project(x0, 0, z)[0], self.project(x1, 0, z)[0]
        return self.depth((x0 + x1) / 2, z) > 0.5 and right > 0 and left < self.width

    def ground(self):
        """World x, z and pixels per metre, each float32 (height, width), of every pixel; infinite above the horizon."""
        rows = np.arange(self.height, dtype=np.float32)[:, None] + 0.5 - self.row
        depth = np.where(rows > 0.5, self.f * self.eye / np.maximum(rows, 0.5), np.float32(1e4))
        right = (np.arange(self.width, dtype=np.float32)[None] + 0.5 - self.width / 2) * depth / self.f
        x = right * self.cos + depth * self.sin + self.shift
        z = depth * self.cos - right * self.sin
        return x, z, np.broadcast_to(self.f / depth, x.shape)


@dataclass
class Canvas:
    """The picture in the making: `image` float32 (H, W, 3) RGB 0..255 and `ids` uint8 (H, W), drawn from far to
    near."""

    camera: Camera
    haze: np.ndarray  # RGB of the air
    visibility: float  # metres after which a surface has lost 63 % of its own colour to the air
    image: np.ndarray = field(init=False)
    ids: np.ndarray = field(init=False)

    def __post_init__(self):
        shape = (self.camera.height, self.camera.width)
        self.image = np.zeros((*shape, 3), np.float32)
        self.ids = np.full(shape, CLEAR, np.uint8)

    def clear_air(self, depth):
        """Share of a surface's own colour that is left at a distance (a number or an array) in metres."""
        return np.exp(-np.asarray(depth, np.float32) / self.visibility)

    def window(self, corners):
        """The pixels (y0, y1, x0, x1) that a polygon of picture points may touch, or None when it is out of view."""
        (x0, y0), (x1, y1) = np.floor(corners.min(0)), np.ceil(corners.max(0)) + 1
        x0, y0 = max(int(x0), 0), max(int(y0), 0)
        x1, y1 = min(int(x1), self.camera.width), min(int(y1), self.camera.height)
        return (y0, y1, x0, x1) if x1 > x0 and y1 > y0 else None

    def place(self, sprite, corners, depth):
        """Lay a sprite over the picture; corners: its bottom-left, bottom-right, top-right, top-left (column, row)."""
        corners = np.asarray(corners, np.float32)
        window = self.window(corners)
        if window is None:
            return
        y0, y1, x0, x1 = window
        height, width = sprite.ids.shape
        source = np.array([[0, height], [width, height], [width, 0], [0, 0]], np.float32) - 0.5
        matrix = cv2.getPerspectiveTransform(source, corners - np.float32([x0, y0]) - 0.5)
        size = (x1 - x0, y1 - y0)
        covered = (sprite.ids != CLEAR) & ~sprite.holes
        colour = np.dstack([sprite.rgb * covered[..., None], covered * np.uint8(255)])
        colour = cv2.warpPerspective(colour, matrix, size, flags=cv2.INTER_LINEAR).astype(np.float32)
        ids = cv2.warpPerspective(sprite.ids, matrix, size, flags=cv2.INTER_NEAREST, borderValue=CLEAR)
        cover = colour[..., 3:] / 255
        own = float(self.clear_air(depth))
        part = self.image[y0:y1, x0:x1]
        part *= 1 - cover
        part += colour[..., :3] * own + cover * (self.haze * (1 - own))
        np.copyto(self.ids[y0:y1, x0:x1], ids, where=ids != CLEAR)

    def stand(self, sprite, x, z):
        """Place a sprite upright on the ground at world (x, z), facing the camera."""
        column, row = self.camera.project(x, 0, z)
        scale = self.camera.scale(x, z)
        half, top = sprite.width * scale / 2, row - sprite.height * scale
        left, right = column - half, column + half
        self.place(sprite, [(left, row), (right, row), (right, top), (left, top)], self.camera.depth(x, z))

    def wall(self, sprite, start, end, lean=0.0):
        """Place a sprite on the plane that rises from ground point start (x, z), its left edge, to end, its right edge.

        The plane is upright, or its upper edge is moved `lean` metres to the right.
        """
        project = self.camera.project
        points = [
            project(start[0], 0, start[1]),
            project(end[0], 0, end[1]),
            project(end[0] + lean, sprite.height, end[1]),
            project(start[0] + lean, sprite.height, start[1]),
        ]
        depth = (self.camera.depth(*start) + self.camera.depth(*end)) / 2
        self.place(sprite, points, depth)

    def shade(self, x, z, across, along, strength):
        """Darken the ground below a thing by a soft ellipse; labels stay.

        Args:
            x, z: where it stands on the plane, in metres.
            across, along: width and depth of the ellipse, in metres.
            strength: share of the light that it takes in its middle.
        """
        near, far = self.camera.project(x, 0, max(z - along / 2, 0.5)), self.camera.project(x, 0, z + along / 2)
        column, row = self.camera.project(x, 0, z)
        half = across / 2 * self.camera.scale(x, z)
        drop = max(near[1] - far[1], 2.0) / 2
        window = self.window(np.array([(column - half, row - drop), (column + half, row + drop)]))
        if window is None:
            return
        y0, y1, x0, x1 = window
        rows, cols = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        radius = ((cols - column) / max(half, 1)) ** 2 + ((rows - (near[1] + far[1]) / 2) / drop) ** 2
        self.image[y0:y1, x0:x1] *= (1 - strength * np.clip(1.2 - radius, 0, 1))[..., None]
