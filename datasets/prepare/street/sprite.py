"""A flat drawing in metres: colours and label ids together, so that a picture and its labels cannot disagree."""

import cv2
import numpy as np

from datasets.prepare.street.canvas import CLEAR, noise

SHIFT = 4  # fractional bits of OpenCV's polygon coordinates


class Sprite:
    """A sheet `width` x `height` metres with its origin at the lower left; y points up.

    rgb uint8 (h, w, 3); ids uint8 (h, w), CLEAR where nothing is drawn; holes bool (h, w), where one sees what is
    behind although the label is the sprite's. `density` is in pixels per metre.
    """

    def __init__(self, width, height, density):
        self.width, self.height = width, height
        rows, cols = max(int(np.ceil(height * density)), 2), max(int(np.ceil(width * density)), 2)
        self.rgb = np.zeros((rows, cols, 3), np.uint8)
        self.ids = np.full((rows, cols), CLEAR, np.uint8)
        self.holes = np.zeros((rows, cols), bool)
        self.per_x, self.per_y = cols / width, rows / height

    def _points(self, points):
        points = np.asarray(points, np.float64)
        pixels = np.stack([points[:, 0] * self.per_x, self.ids.shape[0] - points[:, 1] * self.per_y], 1) - 0.5
        return np.round(pixels * 2**SHIFT).astype(np.int32)

    def polygon(self, points, colour, label=None):
        """Fill a polygon of (x, y) points; without a label only what is already drawn there changes its colour."""
        self._fill(
            self._points(points), 1, lambda mask, inside: cv2.fillPoly(mask, [inside], 1, shift=SHIFT), colour, label
        )

    def rect(self, x0, y0, x1, y1, colour, label=None):
        """Fill an upright rectangle; the same as its polygon, but a slice instead of a scan."""
        rows, cols = self.ids.shape
        left, right = max(round(x0 * self.per_x), 0), min(round(x1 * self.per_x), cols)
        top, bottom = max(rows - round(y1 * self.per_y), 0), min(rows - round(y0 * self.per_y), rows)
        if right > left and bottom > top:
            self._set((slice(top, bottom), slice(left, right)), True, colour, label)

    def ellipse(self, x, y, rx, ry, colour, label=None):
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        self.polygon(np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], 1), colour, label)

    def ring(self, x, y, radius, width, colour, label=None):
        """A circle drawn as a band, such as a tyre; what lies inside stays. x, y, radius, width: in metres."""
        turn = np.linspace(0, 2 * np.pi, 24)
        self.line(np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], 1), width, colour, label)

    def line(self, points, width, colour, label=None):
        """An open line through (x, y) points, `width` metres thick (at least one pixel of the sprite)."""
        thickness = max(round(width * self.per_x), 1)
        self._fill(
            self._points(points),
            thickness,
            lambda mask, inside: cv2.polylines(mask, [inside], False, 1, thickness, shift=SHIFT),
            colour,
            label,
        )

    def _fill(self, points, margin, draw, colour, label):
        """Set what `draw(mask, points)` covers; only the part of the sheet that the points span is looked at.

        Args:
            points: int32 (n, 2) of x, y in pixels, shifted left by SHIFT.
            margin: pixels that the drawing reaches beyond the points.
            colour, label: as of `polygon`.
        """
        x, y = points[:, 0] >> SHIFT, points[:, 1] >> SHIFT
        rows, cols = self.ids.shape
        left, right = max(int(x.min()) - margin, 0), min(int(x.max()) + margin + 2, cols)
        top, bottom = max(int(y.min()) - margin, 0), min(int(y.max()) + margin + 2, rows)
        if right <= left or bottom <= top:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        draw(mask, points - (np.array([left, top], np.int32) << SHIFT))
        self._set((slice(top, bottom), slice(left, right)), mask.view(bool), colour, label)

    def _set(self, area, mask, colour, label):
        """Colour the part of `area` where mask (bool array, or True for all of it) is set; see `polygon` for the
        label."""
        ids, rgb = self.ids[area], self.rgb[area]
        if label is None:
            mask = mask & (ids != CLEAR)
            if mask.all():
                mask = True
        value = np.array([min(max(int(channel), 0), 255) for channel in colour], np.uint8)
        if mask is True:
            rgb[:] = value
        else:
            np.copyto(rgb, value, where=mask[..., None])
        if label is not None:
            np.copyto(ids, np.uint8(label), where=mask)

    def fill_holes(self, height, label):
        """Give the label to whatever is still clear up to `height` metres; one sees through it."""
        clear = self.ids == CLEAR
        clear[: len(clear) - round(height * self.per_y)] = False
        self.ids[clear] = label
        self.holes |= clear

    def cut(self, mask):
        """Remove what is drawn where mask bool (h, w) is true."""
        self.ids[mask] = CLEAR

    def grain(self, rng, strength, cell=0.15, where=None):
        """Multiply the colours by smooth noise of mean 1; `cell` in metres."""
        field = noise(rng, *self.ids.shape, max(cell * self.per_x, 2.0))
        factor = 1 + strength * 2 * (field - 0.5)
        if where is not None:
            factor = np.where(where, factor, 1)
        self.rgb = np.clip(self.rgb * factor[..., None], 0, 255).astype(np.uint8)

    def light(self, top, bottom, side=0.0):
        """Multiply by a vertical gradient (top to bottom) and lean it by `side` from left to right."""
        rows, cols = self.ids.shape
        factor = np.linspace(top, bottom, rows, dtype=np.float32)[:, None] + np.linspace(
            -side, side, cols, dtype=np.float32
        )
        self.rgb = np.clip(self.rgb * factor[..., None], 0, 255).astype(np.uint8)

    def mirror(self):
        """The same sprite seen in a mirror."""
        self.rgb, self.ids, self.holes = (array[:, ::-1].copy() for array in (self.rgb, self.ids, self.holes))
        return self
