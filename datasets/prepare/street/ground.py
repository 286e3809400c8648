"""The ground: road with its marks, kerb, sidewalk, grass, parking bays and tram rails, computed pixel by pixel."""

from dataclasses import dataclass

import numpy as np

from datasets.prepare.street.canvas import noise


@dataclass
class Plan:
    """The street from above, in metres: x to the right of the middle of our own lane, z ahead."""

    lane: float  # width of a lane
    left_lanes: int  # oncoming lanes
    rails: bool  # a tram track takes the leftmost lane's place beside the sidewalk
    parking: tuple  # (left, right): a row of parking bays on that side
    sidewalk: tuple  # widths (left, right)
    grass: tuple  # widths (left, right) of the strip between sidewalk and houses
    crossing: tuple | None  # (z0, z1) of a side street, or None
    zebra: bool

    @property
    def road(self):
        """(left, right) edges of the road, parking bays outside of it."""
        return -self.lane * (0.5 + self.left_lanes), self.lane * 0.5

    @property
    def track(self):
        """(left, right) edges of the tram track left of the road; no width when there is none."""
        left = self.road[0]
        return (left - 3.4, left) if self.rails else (left, left)

    @property
    def kerb(self):
        """(left, right) edges where the sidewalks begin."""
        return self.track[0] - 2.2 * self.parking[0], self.road[1] + 2.2 * self.parking[1]

    @property
    def front(self):
        """(left, right) lines on which houses, walls and fences stand."""
        return self.kerb[0] - self.sidewalk[0] - self.grass[0], self.kerb[1] + self.sidewalk[1] + self.grass[1]

    @classmethod
    def sample(cls, rng, theme):
        start = rng.uniform(18, 45)
        wants_grass = theme == 'train' or rng.random() < 0.75
        return cls(
            lane=rng.uniform(3.0, 3.7),
            left_lanes=int(rng.integers(1, 3)),
            rails=theme == 'train' or rng.random() < 0.06,
            parking=(rng.random() < 0.35, rng.random() < 0.45),
            sidewalk=tuple(rng.uniform(1.8, 4.2, 2)),
            grass=tuple(rng.uniform(1.5, 5.5, 2) * (rng.random(2) < 0.65) * wants_grass),
            crossing=(start, start + rng.uniform(7, 12)) if rng.random() < 0.45 else None,
            zebra=bool(rng.random() < 0.6),
        )


def _band(distance, half, scale):
    """Coverage 0..1 of a painted band of half-width `half` metres at `distance` metres, softened over a pixel."""
    return np.clip((half - np.abs(distance)) * scale + 0.5, 0, 1)


class Grain:
    """Repeating noise that lies on the ground: finer near the camera, blending into its mean far away."""

    def __init__(self, rng, size=256, cell=24):
        self.tile = noise(rng, size, size, cell, 5) - 0.5
        self.size = size

    def __call__(self, x, z, per_metre):
        rows = np.mod(z * per_metre, self.size).astype(np.int32) % self.size
        cols = np.mod(x * per_metre, self.size).astype(np.int32) % self.size
        return self.tile[rows, cols]


def paint_ground(canvas, plan, weather, rng, labels):
    """Draw the ground into every pixel below the horizon; labels: dict name -> label id."""
    top = int(np.clip(np.floor(canvas.camera.row) + 1, 0, canvas.camera.height))
    x, z, scale = (field[top:] for field in canvas.camera.ground())
    grain = Grain(rng)
    image, ids = _surfaces(x, z, scale, plan, rng, labels, grain)
    image = _marks(image, x, z, scale, plan, rng)
    if weather.wet:
        mirror = canvas.image[:top][::-1][: len(image)]
        shine = np.zeros_like(image)
        shine[: len(mirror)] = mirror
        gloss = (0.45 * weather.wet * (ids == labels['road']))[..., None]
        image = image * (1 - gloss) * (1 - 0.2 * weather.wet) + shine * gloss * 0.8
    if weather.sun > 0.3:  # shade of trees and houses, cast across the street
        cast = np.clip((grain(x * 0.6 + 31, z, 3.0) * 6 - 0.3), 0, 1)
        cast = np.maximum(cast, np.clip((weather.side * x + rng.uniform(2, 8)) * -2, 0, 1))
        image = image * (1 - 0.5 * weather.sun * cast[..., None])
    own = canvas.clear_air(np.abs(z))[..., None]
    canvas.image[top:] = image * own + canvas.haze * (1 - own)
    canvas.ids[top:] = ids


def _surfaces(x, z, scale, plan, rng, labels, grain):
    """Colour float32 (h, w, 3) and label ids uint8 (h, w) of the bare surfaces.

    Args:
        x, z: where each pixel meets the ground, (h, w) in metres.
        scale: pixels per metre there, (h, w).
        plan: of the street.
        labels: dict of label names to ids.
        grain: a Grain.
    """
    image = np.zeros((*x.shape, 3), np.float32)
    ids = np.full(x.shape, labels['terrain'], np.uint8)
    fine, coarse = grain(x, z, 60), grain(x, z, 7)

    lawn = np.array([(96, 118, 58), (122, 116, 70), (84, 100, 62), (134, 120, 88)][rng.integers(4)]) + rng.normal(
        0, 8, 3
    )
    image[:] = lawn * (1 + 0.9 * fine + 0.7 * coarse)[..., None]

    stone = rng.choice([128, 150, 168]) + rng.normal(0, 8) + np.array([6, 2, -4]) * rng.uniform(-1, 3)
    inside = (x > plan.front[0] + plan.grass[0]) & (x < plan.front[1] - plan.grass[1])
    slab = rng.uniform(0.5, 1.2)
    joint = np.maximum(_band(np.mod(x, slab) - slab / 2, 0.02, scale), _band(np.mod(z, slab) - slab / 2, 0.02, scale))
    joint *= np.clip(scale * slab / 12, 0, 1)
    image[inside] = (stone * (1 + 0.25 * fine + 0.2 * coarse - 0.3 * joint)[..., None])[inside]
    ids[inside] = labels['sidewalk']

    asphalt = rng.choice([70, 88, 106]) + rng.normal(0, 7) + rng.normal(0, 3, 3)
    wear = grain(x * 6, z * 0.3, 9)
    asphalt = asphalt * (1 + 0.3 * fine + 0.22 * coarse + 0.16 * wear)[..., None]
    kerb = plan.kerb
    paved = (x > kerb[0]) & (x < kerb[1])
    image[paved] = asphalt[paved]
    ids[paved] = labels['road']
    for side, edge in ((0, plan.track[0]), (1, plan.road[1])):
        if plan.parking[side]:
            bay = (x > kerb[0]) & (x < edge) if side == 0 else (x > edge) & (x < kerb[1])
            image[bay] = (asphalt * 0.9 + 14)[bay]
            ids[bay] = labels['parking']
    if plan.rails:
        track = (x > plan.track[0]) & (x < plan.track[1])
        middle = sum(plan.track) / 2
        rail = np.maximum(_band(x - middle - 0.72, 0.07, scale), _band(x - middle + 0.72, 0.07, scale))[..., None]
        image[track] = (asphalt * 0.8 * (1 - rail) + 175 * rail)[track]
        ids[track] = labels['rail track']
    if plan.crossing:
        street = (z > plan.crossing[0]) & (z < plan.crossing[1])
        image[street] = asphalt[street]
        ids[street] = labels['road']
    curb = np.maximum(_band(x - kerb[0] + 0.1, 0.12, scale), _band(x - kerb[1] - 0.1, 0.12, scale)) * (
        ids == labels['sidewalk']
    )
    return image * (1 - curb[..., None]) + (stone + 22) * curb[..., None], ids


def _marks(image, x, z, scale, plan, rng):
    """Paint lane marks, the edge line and a zebra crossing over the road; arguments as in _surfaces."""
    paint = np.zeros(x.shape, np.float32)
    left, right = plan.road
    dash, gap = rng.uniform(2, 4), rng.uniform(3, 6)
    dashed = np.clip((np.mod(z, dash + gap) < dash) * 1.0, 0, 1)
    for lane in range(1, plan.left_lanes + 1):
        solid = lane == 1 and plan.left_lanes > 1 and rng.random() < 0.5
        paint = np.maximum(paint, _band(x + plan.lane * (lane - 0.5), 0.08, scale) * (1 if solid else dashed))
    if rng.random() < 0.6:
        paint = np.maximum(paint, np.maximum(_band(x - left - 0.2, 0.06, scale), _band(x - right + 0.2, 0.06, scale)))
    if plan.crossing:
        paint = paint * ((z < plan.crossing[0] - 4.5) | (z > plan.crossing[1]))
    if plan.zebra:
        near = plan.crossing[0] - 4 if plan.crossing else rng.uniform(9, 25)
        stripes = (np.mod(x, 1.0) < 0.5) & (z > near) & (z < near + 3) & (x > left) & (x < right)
        paint = np.maximum(paint, stripes)
    worn = rng.uniform(0.6, 0.95)
    colour = np.array([222, 222, 216]) if rng.random() < 0.9 else np.array([214, 184, 70])
    return image * (1 - worn * paint[..., None]) + colour * worn * paint[..., None]
