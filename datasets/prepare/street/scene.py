"""One street scene: a plan of the street, what stands along it, who is on it, and the photograph of it all."""

import numpy as np

from datasets.prepare.street import furniture, people, roadside
from datasets.prepare.street.canvas import Camera, Canvas
from datasets.prepare.street.ground import Plan, paint_ground
from datasets.prepare.street.vehicles import Vehicle
from datasets.prepare.street.weather import Weather, expose, paint_sky

# Each scene has a theme, taken in turn, so that the rare classes are never missing from a small set.
THEMES = {
    'train': ('train', 'terrain', 'traffic light'),
    'truck': ('truck', 'wall', 'person'),
    'bus': ('bus', 'fence', 'traffic sign'),
    'motorcycle': ('motorcycle', 'rider', 'wall'),
    'bicycle': ('bicycle', 'rider', 'fence'),
}
FAR = 90.0  # metres; nothing but the skyline is drawn beyond


def render_scene(rng, height, width, labels, theme=None):
    """Draw one scene; returns image uint8 (H, W, 3) RGB and ids uint8 (H, W), the raw Cityscapes label ids.

    Args:
        height, width: in pixels.
        labels: dict of Cityscapes label names to ids.
        theme: a key of THEMES, or None for a scene without a must.
    """
    wanted = THEMES[theme] if theme else ()
    weather = Weather.sample(rng)
    plan = Plan.sample(rng, 'train' if 'train' in wanted else theme)
    camera = Camera(
        height,
        width,
        rng.uniform(0.72, 0.95),
        rng.uniform(0.40, 0.50),
        rng.uniform(1.25, 1.7),
        rng.uniform(-0.5, 0.5),
        rng.normal(0, 0.05),
    )
    canvas = Canvas(camera, (weather.horizon * 0.9 + 15).astype(np.float32), weather.visibility)
    paint_sky(canvas, weather, rng, labels['sky'])
    paint_ground(canvas, plan, weather, rng, labels)
    street = Street(canvas, plan, weather, rng, labels)
    roadside.skyline(canvas, plan, weather, rng, labels)
    for side in (0, 1):
        street.line_side(side, [name for name in wanted if name in ('wall', 'fence')])
    street.add_furniture(wanted)
    street.add_traffic([name for name in wanted if name in ('train', 'truck', 'bus', 'motorcycle', 'bicycle')])
    street.add_people(wanted)
    street.draw()
    image = expose(canvas.image, weather, rng)
    _add_own_car(image, canvas.ids, rng, labels)
    return image, canvas.ids


def _add_own_car(image, ids, rng, labels):
    """The bonnet of the car that carries the camera, and the border that a rectified picture has."""
    height, width = ids.shape
    columns = np.linspace(-1, 1, width)
    top = height * (1 - rng.uniform(0.04, 0.09) * (1 - 0.5 * columns**2))
    bonnet = np.arange(height)[:, None] >= top[None]
    sheen = np.linspace(30, 80, width)[None, :, None] * rng.uniform(0.6, 1.4) + rng.normal(0, 3, (height, width, 1))
    image[bonnet] = np.clip(np.broadcast_to(sheen, image.shape)[bonnet], 0, 255).astype(np.uint8)
    ids[bonnet] = labels['ego vehicle']
    border = max(round(height * 5 / 1024), 1)
    ids[:border] = ids[-border:] = labels['out of roi']
    ids[:, :border] = ids[:, -border:] = labels['out of roi']


class Street:
    """Fills a canvas: rows of houses first, then every loose thing from far to near."""

    def __init__(self, canvas, plan, weather, rng, labels):
        self.canvas, self.plan, self.weather, self.rng, self.labels = canvas, plan, weather, rng, labels
        self.things = []  # (depth, draw)

    def density(self, width, height, x, z):
        """Pixels per metre at which a sprite is drawn: finer than it will be seen, but never a picture of its own."""
        camera = self.canvas.camera
        cap = np.sqrt(1.0 * camera.height * camera.width / max(width * height, 0.1))
        return float(np.clip(1.5 * camera.scale(x, z), 4, cap))

    def add(self, x, z, draw):
        self.things.append((self.canvas.camera.depth(x, z), draw))

    def draw(self):
        for _, draw in sorted(self.things, key=lambda thing: -thing[0]):
            draw()

    # -- houses, walls, fences, hedges -------------------------------------------------------------------------------

    def line_side(self, side, wanted):
        """Line one side (0 left, 1 right) with segments, and draw them from far to near."""
        rng, plan = self.rng, self.plan
        segments, z = [], rng.uniform(3, 8)
        musts = list(wanted)
        while z < FAR:
            length = rng.uniform(7, 18)
            if plan.crossing and z < plan.crossing[1] and z + length > plan.crossing[0]:
                if z < plan.crossing[0] - 5:
                    length = plan.crossing[0] - z
                else:
                    z = plan.crossing[1]
            kinds = ['building', 'wall', 'fence', 'hedge', 'open']
            kind = kinds[rng.choice(5, p=[0.56, 0.14, 0.14, 0.08, 0.08])]
            if musts and z > 8:
                kind, length = musts.pop(), max(length, 9)
            segments.append((z, z + length, kind))
            z += length
        for near, far, kind in reversed(segments):
            self._segment(side, near, far, kind)

    def _upright(self, side, x, near, far, sprite_of, height):
        """Draw a sprite on the plane at x from z = near to far; its near part may lie behind the camera's view.

        Args:
            side: 0 on the left of the street, 1 on the right.
            x, near, far: in metres.
            sprite_of: (width, height, density) -> the sprite, in metres and pixels per metre.
            height: in metres.
        """
        camera = self.canvas.camera
        if not camera.sees(x, x, far):
            return
        seen = max(near, abs(x - camera.shift) * camera.f / camera.width * 1.6)
        sprite = sprite_of(far - near, height, self.density(far - near, height, x, min(seen, far)))
        start, end = ((x, near), (x, far)) if side == 0 else ((x, far), (x, near))
        self.canvas.wall(sprite, start, end)

    def _house(self, side, x, near, far):
        """A house: the gable towards the camera, then its front along the street."""
        rng, outward = self.rng, (-1, 1)[side]
        body, height = roadside.pick(rng, roadside.PLASTER), rng.uniform(6, 19)
        depth = rng.uniform(8, 14)
        left, right = sorted((x, x + outward * depth))
        if self.canvas.camera.sees(left, right, near):
            gable = roadside.facade(rng, depth, height, self.density(depth, height, x, near), self.labels, body * 0.85)
            self.canvas.wall(gable, (left, near), (right, near))
        light = self.weather.facing((-1, 1)[side])
        self._upright(
            side, x, near, far, lambda w, h, d: roadside.facade(rng, w, h, d, self.labels, body * light), height
        )

    def _segment(self, side, near, far, kind):
        rng, labels, camera = self.rng, self.labels, self.canvas.camera
        x, outward = self.plan.front[side], (-1, 1)[side]
        if kind == 'building':
            self._house(side, x, near, far)
            return
        if rng.random() < 0.5:
            self._house(side, x + outward * rng.uniform(6, 12), near, far)
        for z in np.sort(rng.uniform(near, far, rng.integers(1, 4)))[::-1]:
            place = x + outward * rng.uniform(1.5, 5)
            height = rng.uniform(4, 9)
            if camera.sees(place - height / 2, place + height / 2, z):
                self.canvas.stand(roadside.tree(rng, height, self.density(height, height, place, z), labels), place, z)
        low = {'wall': (1.4, 3.2), 'fence': (1.0, 2.2), 'hedge': (0.9, 2.0)}.get(kind)
        if low:
            make = {'wall': roadside.masonry, 'fence': roadside.fence, 'hedge': roadside.hedge}[kind]
            self._upright(side, x, near, far, lambda w, h, d: make(rng, w, h, d, labels), rng.uniform(*low))

    # -- loose things ------------------------------------------------------------------------------------------------

    def _stand(self, x, z, size, make, shadow=0.0):
        """Queue a sprite.

        Args:
            x, z: where it stands, in metres.
            size: (width, height) in metres, which guides its resolution.
            make: density in pixels per metre -> the sprite.
            shadow: strength of the shade below it.
        """
        if not self.canvas.camera.sees(x - size[0], x + size[0], z):
            return
        sprite = make(self.density(*size, x, z))

        def draw():
            if shadow:
                self.canvas.shade(x, z, sprite.width * 1.1, 0.7, shadow)
            self.canvas.stand(sprite, x, z)

        self.add(x, z, draw)

    def add_furniture(self, wanted):
        """Poles, lamps, signs, lights, street trees and clutter on both sidewalks."""
        rng, plan, labels = self.rng, self.plan, self.labels
        for side, outward in ((0, -1), (1, 1)):
            edge = plan.kerb[side] + outward * rng.uniform(0.35, 0.7)
            spacing = rng.uniform(11, 22)
            for z in np.arange(rng.uniform(6, 12), FAR * 0.8, spacing):
                z = z + rng.normal(0, 1)
                kind = rng.choice(['lamp', 'post', 'sign', 'light', 'tree'], p=[0.28, 0.14, 0.26, 0.14, 0.18])
                self._furnish(kind, edge, z)
            for z in rng.uniform(8, 50, rng.poisson(1.0)):
                self._stand(
                    edge + outward * rng.uniform(0.3, 1.2), z, (1, 1), lambda d: furniture.clutter(rng, d, labels), 0.4
                )
            stop = plan.crossing[0] - 1 if plan.crossing else rng.uniform(14, 30)
            if plan.crossing or 'traffic light' in wanted:
                self._furnish('light', edge, stop)
        self._furnish('sign', plan.kerb[1] + 0.6, rng.uniform(9, 16))

    def _furnish(self, kind, x, z):
        rng, labels = self.rng, self.labels
        if kind == 'tree':
            height = rng.uniform(4.5, 8.5)
            return self._stand(x, z, (height * 0.7, height), lambda d: roadside.tree(rng, height, d, labels))
        make, size = {
            'lamp': (furniture.lamp, (3, 7)),
            'post': (furniture.post, (0.3, 4)),
            'sign': (furniture.sign, (1, 3)),
            'light': (furniture.traffic_light, (3, 5)),
        }[kind]
        return self._stand(x, z, size, lambda d: make(rng, d, labels))

    def _vehicle(self, kind, x, z, front):
        """Queue a vehicle in a lane, its near end at z; front: it comes towards us."""
        rng, camera = self.rng, self.canvas.camera
        car = Vehicle.sample(rng, kind)
        face = car.face(rng, self.density(car.width, car.height, x, z), self.labels, front)
        flank = car.flank(rng, self.density(car.length, car.height, x, z), self.labels)
        left = x < camera.shift
        if left == front:
            flank.mirror()
        edge = x + car.width / 2 * (1 if left else -1)
        hidden = edge > camera.shift if left else edge < camera.shift
        far = z + car.length
        lean = 0.2 * (-1 if left else 1) * (kind == 'car')  # the cabin of a car is narrower than its body

        def draw():
            self.canvas.shade(x, z + car.length / 2, car.width * 1.25, car.length * 1.1, 0.55)
            if not hidden:
                self.canvas.wall(flank, *(((edge, z), (edge, far)) if left else ((edge, far), (edge, z))), lean)
            self.canvas.wall(face, (x - car.width / 2, z), (x + car.width / 2, z))

        self.add(x, z + 0.1, draw)
        return far

    def _rider(self, kind, x, z, side_view=False):
        rng, labels = self.rng, self.labels
        if side_view:
            self._stand(x, z, (2.3, 1.95), lambda d: people.two_wheeler(rng, d, labels, kind, True), 0.4)
        else:
            self._stand(x, z, (0.95, 1.85), lambda d: people.two_wheeler_ahead(rng, d, labels, kind), 0.4)
        return z + 2

    def add_traffic(self, wanted):
        """Vehicles in our lane, oncoming lanes and parking bays; wanted: kinds that have to come, near enough to be
        seen."""
        rng, plan = self.rng, self.plan
        wanted = list(wanted)
        if plan.rails and ('train' in wanted or rng.random() < 0.3):
            self._vehicle('train', sum(plan.track) / 2, rng.uniform(9, 24), bool(rng.random() < 0.6))
        wanted = [kind for kind in wanted if kind != 'train']
        for lane in range(plan.left_lanes + 1):
            z = rng.uniform(7, 16) if lane == 0 else rng.uniform(6, 22)
            while z < FAR * 0.75:
                kind = rng.choice(['car', 'truck', 'bus', 'motorcycle', 'bicycle'], p=[0.56, 0.13, 0.13, 0.1, 0.08])
                if wanted:
                    kind, z = wanted.pop(0), rng.uniform(7, 13)
                x = -lane * plan.lane + rng.normal(0, 0.2)
                if kind in ('motorcycle', 'bicycle'):
                    z = self._rider(kind, x + rng.uniform(-0.8, 0.8), z)
                else:
                    z = self._vehicle(kind, x, z, front=lane > 0)
                z += rng.exponential(9) + 4 if lane == 0 else rng.exponential(14) + 5
        for side, edge in ((0, plan.track[0] - 1.1), (1, plan.road[1] + 1.1)):
            z = rng.uniform(5, 12)
            while plan.parking[side] and z < FAR * 0.6:
                if plan.crossing and plan.crossing[0] - 6 < z < plan.crossing[1] + 1:
                    z = plan.crossing[1] + 1
                z = self._vehicle(
                    'car' if rng.random() < 0.9 else 'truck', edge, z, bool(rng.random() < 0.3)
                ) + rng.uniform(0.8, 5)
        if plan.crossing and rng.random() < 0.6:
            self._cross(rng.choice(['car', 'car', 'truck', 'bus', 'motorcycle', 'bicycle']))

    def _cross(self, kind):
        """Something that crosses in the side street, seen from the side."""
        rng, plan = self.rng, self.plan
        z, x = rng.uniform(*plan.crossing), rng.uniform(plan.front[0] * 0.7, plan.front[1] * 0.7)
        if kind in ('motorcycle', 'bicycle'):
            return self._rider(kind, x, z, side_view=True)
        car = Vehicle.sample(rng, kind)
        flank = car.flank(rng, self.density(car.length, car.height, x, z), self.labels)
        if rng.random() < 0.5:
            flank.mirror()

        def draw():
            self.canvas.shade(x, z + 0.5, car.length * 1.1, 2.2, 0.5)
            self.canvas.wall(flank, (x - car.length / 2, z), (x + car.length / 2, z))

        return self.add(x, z, draw)

    def add_people(self, wanted):
        """Pedestrians on sidewalks and the zebra, cyclists at the edge, two-wheelers parked at the house fronts."""
        rng, plan, labels = self.rng, self.plan, self.labels
        for side, outward in ((0, -1), (1, 1)):
            inner, outer = plan.kerb[side] + outward * 0.8, plan.kerb[side] + outward * plan.sidewalk[side]
            for z in rng.uniform(7, 45, rng.poisson(3.2)):
                x = rng.uniform(*sorted((inner, outer)))
                for neighbour in range(1 + (rng.random() < 0.35)):
                    self._stand(
                        x + 0.6 * neighbour,
                        z + 0.3 * neighbour,
                        (1, 1.8),
                        lambda d: people.person(rng, d, labels),
                        0.35,
                    )
            for z in rng.uniform(6, 30, rng.poisson(0.7)):
                kind = 'bicycle' if rng.random() < 0.6 else 'motorcycle'
                self._stand(
                    outer, z, (2.3, 1.95), lambda d, kind=kind: people.two_wheeler(rng, d, labels, kind, False), 0.3
                )
        if 'person' in wanted or rng.random() < 0.3:
            self._stand(
                rng.uniform(plan.road[0], plan.road[1]),
                rng.uniform(9, 16),
                (1, 1.8),
                lambda d: people.person(rng, d, labels),
                0.35,
            )
        if 'rider' in wanted or rng.random() < 0.25:
            kind = next((name for name in wanted if name in ('bicycle', 'motorcycle')), 'bicycle')
            self._rider(
                kind,
                rng.uniform(plan.road[0] * 0.5, plan.road[1]),
                rng.uniform(6, 13),
                side_view=bool(rng.random() < 0.6),
            )
