"""Vehicles as boxes of two pictures: the face (front or rear) and the flank. Cars, trucks, buses and trams."""

from dataclasses import dataclass

import numpy as np

from datasets.prepare.street.sprite import Sprite

PAINT = [
    (206, 208, 208),
    (38, 40, 44),
    (128, 132, 136),
    (152, 30, 34),
    (40, 64, 116),
    (176, 172, 160),
    (70, 84, 76),
    (196, 150, 50),
    (92, 40, 44),
]
SIGNAL = [(206, 160, 40), (168, 34, 36), (44, 92, 152), (210, 212, 210), (60, 122, 72), (220, 120, 30)]
TYRE, GLASS = (26, 26, 28), np.array([48, 56, 64])
# name: width, height, length (low, high) in metres
SIZES = {
    'car': (1.8, 1.5, (3.8, 4.7)),
    'truck': (2.5, 3.5, (7, 12)),
    'bus': (2.5, 3.1, (9, 13)),
    'train': (2.6, 3.5, (16, 30)),
}


@dataclass
class Vehicle:
    """One vehicle: its measures in metres and its looks."""

    kind: str
    width: float
    height: float
    length: float
    paint: np.ndarray
    second: np.ndarray
    glass: np.ndarray

    @classmethod
    def sample(cls, rng, kind):
        width, height, (low, high) = SIZES[kind]
        colours = PAINT if kind == 'car' else SIGNAL + PAINT[:3]
        paint, second = (np.array(colours[rng.integers(len(colours))]) + rng.normal(0, 10, 3) for _ in range(2))
        # some are vans
        stretch = rng.uniform(1.0, 1.3) if kind == 'car' and rng.random() < 0.25 else rng.uniform(0.93, 1.07)
        return cls(
            kind,
            width * rng.uniform(0.95, 1.05),
            height * stretch,
            rng.uniform(low, high),
            paint,
            second,
            GLASS + rng.normal(0, 10) + rng.uniform(0, 30),
        )

    def face(self, rng, density, labels, front):
        """The picture from ahead (front) or from behind."""
        sprite = Sprite(self.width, self.height, density)
        draw = {'car': _car_face, 'truck': _truck_face, 'bus': _bus_face, 'train': _train_face}[self.kind]
        draw(sprite, self, labels[self.kind], front, rng)
        sprite.grain(rng, 0.1, cell=0.8)
        sprite.light(1.08, 0.84, rng.uniform(-0.06, 0.06))
        return sprite

    def flank(self, rng, density, labels):
        """The picture from the side; the vehicle looks to the right."""
        sprite = Sprite(self.length, self.height, density)
        draw = {'car': _car_flank, 'truck': _truck_flank, 'bus': _bus_flank, 'train': _train_flank}[self.kind]
        draw(sprite, self, labels[self.kind], rng)
        sprite.grain(rng, 0.1, cell=0.8)
        sprite.light(1.1, 0.76)
        return sprite


def _wheels(sprite, axles, radius, label):
    for x in axles:
        sprite.ellipse(x, radius, radius, radius, TYRE, label)
        sprite.ellipse(x, radius, radius * 0.55, radius * 0.55, (128, 130, 132), label)


def _car_face(sprite, car, label, front, rng):
    w, h, paint = car.width, car.height, car.paint
    belt = min(0.95, h * 0.62)
    for x in (0.08, w - 0.3):
        sprite.rect(x, 0, x + 0.22, 0.4, TYRE, label)
    sprite.polygon(
        [(0.02, 0.28), (w - 0.02, 0.28), (w, belt * 0.75), (w * 0.96, belt), (w * 0.04, belt), (0, belt * 0.75)],
        paint,
        label,
    )
    sprite.polygon(
        [(w * 0.05, belt), (w * 0.95, belt), (w * 0.83, h * 0.97), (w * 0.72, h), (w * 0.28, h), (w * 0.17, h * 0.97)],
        paint * 0.92,
        label,
    )
    sprite.polygon(
        [(w * 0.12, belt + 0.03), (w * 0.88, belt + 0.03), (w * 0.8, h * 0.92), (w * 0.2, h * 0.92)], car.glass
    )
    sprite.rect(w * 0.06, 0.26, w * 0.94, 0.4, paint * 0.55)
    for side in (0.03, 0.77):
        lamp = np.array([235, 232, 214]) if front else np.array([176, 24, 26])
        sprite.rect(w * side, belt * 0.66, w * (side + 0.2), belt * 0.88, lamp)
    if front:
        sprite.rect(w * 0.26, belt * 0.5, w * 0.74, belt * 0.72, (32, 34, 36))
    sprite.rect(w * 0.36, 0.36 if front else belt * 0.52, w * 0.64, 0.47 if front else belt * 0.66, (226, 226, 220))
    for x in (-0.02, 0.94):
        sprite.rect(w * x, belt, w * (x + 0.08), belt + 0.14, paint * 0.8, label)


def _car_flank(sprite, car, label, rng):
    length, h = car.length, car.height
    van = h > 1.65
    belt, nose, tail = min(0.95, h * 0.62), 0.72, h * 0.9 if van else rng.uniform(0.9, 1.0)
    roof = (length * (0.06 if van else 0.26), length * (0.66 if van else 0.6))
    outline = [
        (0.05, 0.3),
        (length - 0.05, 0.3),
        (length, nose * 0.8),
        (length - 0.1, nose),
        (length * 0.76, belt),
        (roof[1], h * 0.98),
        (roof[0], h),
        (length * 0.04, tail),
        (0, belt * 0.8),
    ]
    sprite.polygon(outline, car.paint, label)
    sprite.polygon(
        [(length * 0.74, belt), (roof[1] - 0.04, h * 0.93), (roof[0] + 0.08, h * 0.94), (length * 0.09, belt)],
        car.glass,
    )
    for x in (0.32, 0.52):
        sprite.rect(length * x, belt - 0.02, length * x + 0.1, h * 0.95, car.paint * 0.9)
    sprite.line([(length * 0.53, 0.4), (length * 0.53, belt)], 0.03, car.paint * 0.6)
    sprite.rect(0.06, 0.28, length - 0.06, 0.38, car.paint * 0.5)
    sprite.rect(length - 0.3, nose * 0.78, length - 0.03, nose * 0.95, (236, 232, 210))
    sprite.rect(0.02, belt * 0.72, 0.22, belt * 0.95, (176, 26, 28))
    _wheels(sprite, (length * 0.19, length * 0.81), 0.33, label)


def _truck_face(sprite, truck, label, front, rng):
    w, h = truck.width, truck.height
    for x in (0.1, w - 0.5):
        sprite.rect(x, 0, x + 0.4, 0.6, TYRE, label)
    if front:
        cab = min(h, 2.9)
        sprite.rect(0.05, cab * 0.9, w - 0.05, h, truck.second * 0.9, label)
        sprite.rect(0, 0.4, w, cab, truck.paint, label)
        sprite.rect(w * 0.07, cab * 0.55, w * 0.93, cab * 0.88, truck.glass)
        sprite.rect(w * 0.2, cab * 0.24, w * 0.8, cab * 0.46, truck.paint * 0.5)
        for x in (0.04, 0.8):
            sprite.rect(w * x, 0.5, w * (x + 0.16), 0.72, (234, 230, 210))
        return
    sprite.rect(0.3, 0.45, w - 0.3, 0.9, (52, 52, 54), label)
    sprite.rect(0, 0.85, w, h, truck.second, label)
    sprite.line([(w / 2, 0.9), (w / 2, h)], 0.06, truck.second * 0.55)
    for x in (0.3, 0.7):
        sprite.line([(w * x, 0.9), (w * x, h)], 0.05, truck.second * 0.75)
    sprite.rect(0, 0.85, w, 0.98, truck.second * 0.5)
    sprite.rect(0, h - 0.12, w, h, truck.second * 0.6)
    for x in (0.04, 0.84):
        sprite.rect(w * x, 0.58, w * (x + 0.12), 0.8, (180, 28, 28), label)


def _truck_flank(sprite, truck, label, rng):
    length, h = truck.length, truck.height
    cab = 2.1
    sprite.rect(0.2, 0.5, length - 0.4, 0.9, (56, 56, 58), label)
    _wheels(sprite, (1.1, 2.1, length - 1.3), 0.48, label)
    bed = length - cab - 0.3
    kind = rng.integers(3)
    if kind == 0:  # a flat bed with a load
        sprite.rect(0, 0.85, bed, 1.35, truck.second * 0.8, label)
        for x in np.arange(0.3, bed - 1.5, 1.9):
            sprite.rect(x, 1.35, x + 1.6, rng.uniform(1.8, h * 0.8), rng.uniform(70, 180, 3), label)
    else:
        sprite.rect(0, 0.85, bed, h, truck.second, label)
        for x in np.arange(0, bed, 0.55 if kind == 1 else 2.5):
            sprite.line([(x, 0.9), (x, h)], 0.05, truck.second * 0.78)
        if rng.random() < 0.5:
            sprite.rect(bed * 0.2, h * 0.5, bed * 0.8, h * 0.72, truck.paint)
        sprite.rect(0, h - 0.12, bed, h, truck.second * 0.7)
    top = min(h, 2.9)
    sprite.polygon(
        [(length - cab, 0.5), (length, 0.5), (length, top * 0.55), (length - 0.25, top), (length - cab, top)],
        truck.paint,
        label,
    )
    sprite.polygon(
        [
            (length - 1.3, top * 0.56),
            (length - 0.12, top * 0.56),
            (length - 0.32, top * 0.9),
            (length - 1.3, top * 0.9),
        ],
        truck.glass,
    )
    sprite.line([(length - 1.45, 0.6), (length - 1.45, top * 0.92)], 0.05, truck.paint * 0.6)


def _bus_face(sprite, bus, label, front, rng):
    w, h = bus.width, bus.height
    for x in (0.15, w - 0.45):
        sprite.rect(x, 0, x + 0.3, 0.5, TYRE, label)
    sprite.polygon([(0, 0.32), (w, 0.32), (w, h - 0.15), (w - 0.15, h), (0.15, h), (0, h - 0.15)], bus.paint, label)
    sprite.rect(w * 0.06, h * (0.4 if front else 0.55), w * 0.94, h * 0.82, bus.glass)
    sprite.rect(w * 0.18, h * 0.85, w * 0.82, h * 0.95, (34, 34, 32))
    sprite.rect(w * 0.26, h * 0.87, w * 0.74, h * 0.93, (236, 170, 50))
    lamp = (236, 232, 214) if front else (178, 24, 26)
    for x in (0.05, 0.83):
        sprite.rect(w * x, h * 0.17, w * (x + 0.12), h * 0.25, lamp)
    sprite.rect(0, 0.32, w, 0.55, bus.second)
    sprite.rect(w * 0.38, 0.4, w * 0.62, 0.52, (224, 224, 220))


def _bus_flank(sprite, bus, label, rng):
    length, h = bus.length, bus.height
    sprite.rect(0, 0.32, length, h, bus.paint, label)
    sprite.rect(0, 0.32, length, h * 0.3, bus.second)
    sprite.rect(0.15, h * 0.45, length - 0.1, h * 0.84, bus.glass)
    for x in np.arange(1.4, length - 0.8, rng.uniform(1.2, 1.8)):
        sprite.rect(x, h * 0.45, x + 0.09, h * 0.84, bus.paint * 0.85)
    for x in (length - 1.6, length * 0.42):
        sprite.rect(x, 0.36, x + 1.15, h * 0.84, bus.glass * 0.85)
        sprite.line([(x + 0.57, 0.36), (x + 0.57, h * 0.84)], 0.07, bus.paint * 0.8)
    sprite.rect(length * 0.1, h * 0.87, length * 0.3, h * 0.95, (40, 40, 38))
    _wheels(sprite, (length * 0.2, length * 0.74), 0.48, label)


def _train_face(sprite, tram, label, front, rng):
    w, h = tram.width, tram.height
    sprite.polygon(
        [(0.05, 0.12), (w - 0.05, 0.12), (w, h * 0.55), (w * 0.9, h * 0.93), (w * 0.1, h * 0.93), (0, h * 0.55)],
        tram.paint,
        label,
    )
    sprite.polygon([(w * 0.06, h * 0.45), (w * 0.94, h * 0.45), (w * 0.86, h * 0.8), (w * 0.14, h * 0.8)], tram.glass)
    sprite.rect(w * 0.28, h * 0.82, w * 0.72, h * 0.9, (236, 160, 44))
    sprite.rect(0.05, 0.12, w - 0.05, 0.45, np.array([70, 70, 72]))
    sprite.polygon([(w * 0.1, h * 0.2), (w * 0.9, h * 0.2), (w * 0.96, h * 0.4), (w * 0.04, h * 0.4)], tram.second)
    for x in (0.12, 0.76):
        sprite.ellipse(w * (x + 0.06), h * 0.3, 0.14, 0.1, (244, 238, 214) if front else (180, 30, 30))
    sprite.line([(w * 0.3, h * 0.93), (w * 0.5, h), (w * 0.7, h * 0.93)], 0.06, (60, 60, 62), label)


def _train_flank(sprite, tram, label, rng):
    length, h = tram.length, tram.height
    roof = h * 0.93
    sprite.rect(0, 0.12, length, roof, tram.paint, label)
    sprite.rect(0, h * 0.86, length, roof, np.array([128, 130, 132]))
    sprite.rect(0, h * 0.4, length, h * 0.78, tram.glass)
    sprite.rect(0, 0.12, length, 0.42, np.array([72, 72, 74]))
    sprite.rect(0, h * 0.22, length, h * 0.32, tram.second)
    for x in np.arange(1.5, length, 2.2):
        sprite.rect(x, h * 0.4, x + 0.22, h * 0.78, tram.paint)
    for x in np.arange(3, length - 1.5, 5.5):
        sprite.rect(x, 0.4, x + 1.3, h * 0.8, tram.second * 0.9)
        sprite.rect(x + 0.12, h * 0.3, x + 1.18, h * 0.76, tram.glass * 0.9)
    for x in np.arange(8, length - 3, 8.5):  # the joints between the cars
        sprite.rect(x, 0.2, x + 0.5, roof, (54, 54, 56))
    sprite.line([(length * 0.4, roof), (length * 0.45, h), (length * 0.5, roof)], 0.07, (60, 60, 62), label)
