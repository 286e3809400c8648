"""People: walking, standing, and riding bicycles and motorcycles; and the two-wheelers that wait without a rider."""

import numpy as np

from datasets.prepare.street.sprite import Sprite

SKIN = [(226, 186, 160), (198, 152, 120), (150, 104, 78), (96, 66, 52)]
CLOTH = [
    (36, 38, 44),
    (44, 58, 96),
    (150, 36, 40),
    (206, 200, 190),
    (86, 94, 68),
    (190, 150, 60),
    (96, 60, 96),
    (60, 110, 130),
    (220, 120, 60),
]


def _cloth(rng):
    return np.array(CLOTH[rng.integers(len(CLOTH))]) + rng.normal(0, 12, 3)


def person(rng, density, labels):
    """A pedestrian seen from the front, the back or the side, mid-step or standing."""
    tall = rng.uniform(1.5, 1.92) if rng.random() < 0.88 else rng.uniform(1.0, 1.35)
    sprite = Sprite(tall * 0.62, tall, density)
    label, unit, middle = labels['person'], tall / 1.75, tall * 0.31
    skin, coat, legs = np.array(SKIN[rng.integers(4)]), _cloth(rng), _cloth(rng) * 0.75
    stride = rng.uniform(0.02, 0.26) * unit
    hip, shoulder = 0.86 * unit, 1.42 * unit
    shoe = np.array([34, 30, 30]) if rng.random() < 0.7 else np.array([200, 196, 190])
    for side, shade in ((-1, 0.8), (1, 1.0)):
        foot = middle + side * (stride + 0.07 * unit)
        sprite.line(
            [
                (middle + side * 0.08 * unit, hip),
                (middle + side * (stride * 0.6 + 0.08 * unit), 0.45 * unit),
                (foot, 0.05 * unit),
            ],
            0.15 * unit,
            legs * shade,
            label,
        )
        sprite.rect(foot - 0.06 * unit, 0, foot + 0.12 * unit, 0.08 * unit, shoe, label)
    long_coat = rng.random() < 0.25
    bottom = (0.5 if long_coat else 0.8) * unit
    half = rng.uniform(0.19, 0.25) * unit
    sprite.polygon(
        [
            (middle - half * 0.9, bottom),
            (middle + half * 0.9, bottom),
            (middle + half, shoulder),
            (middle - half, shoulder),
        ],
        coat,
        label,
    )
    swing = rng.uniform(-0.1, 0.16) * unit
    for side in (-1, 1):
        arm = middle + side * half
        sprite.line(
            [
                (arm, shoulder - 0.04),
                (arm + side * 0.07 * unit, 1.1 * unit),
                (arm + side * (0.05 * unit + swing), 0.84 * unit),
            ],
            0.1 * unit,
            coat * 0.86,
            label,
        )
    sprite.rect(middle - 0.05 * unit, shoulder - 0.02, middle + 0.05 * unit, shoulder + 0.12 * unit, skin * 0.9, label)
    sprite.ellipse(middle, 1.6 * unit, 0.1 * unit, 0.135 * unit, skin, label)
    hair = np.array([(40, 32, 28), (92, 66, 42), (170, 140, 90), (150, 148, 146)][rng.integers(4)])
    sprite.ellipse(middle, 1.67 * unit, 0.11 * unit, 0.085 * unit, hair, label)
    if rng.random() < 0.35:  # a bag
        sprite.rect(middle + half * 0.6, 0.72 * unit, middle + half * 1.5, 1.05 * unit, _cloth(rng) * 0.8, label)
    sprite.grain(rng, 0.22, cell=0.2)
    sprite.light(1.08, 0.88, 0.08)
    return sprite


def _bicycle(sprite, x, label, colour):
    """Two thin wheels and a frame, side view, the rear axle at x."""
    tyre = (32, 32, 34)
    for axle in (x, x + 1.05):
        sprite.ring(axle, 0.35, 0.32, 0.06, tyre, label)
        for angle in np.arange(3) * np.pi / 3:
            dx, dy = 0.3 * np.cos(angle), 0.3 * np.sin(angle)
            sprite.line([(axle - dx, 0.35 - dy), (axle + dx, 0.35 + dy)], 0.015, (120, 120, 122), label)
    frame = [(x, 0.35), (x + 0.42, 0.32), (x + 0.88, 0.82), (x + 0.34, 0.85), (x + 0.42, 0.32)]
    sprite.line(frame, 0.065, colour, label)
    sprite.line([(x, 0.35), (x + 0.34, 0.85), (x + 0.3, 0.96)], 0.055, colour * 0.9, label)
    sprite.line([(x + 1.05, 0.35), (x + 0.88, 0.82), (x + 0.86, 1.04), (x + 0.98, 1.08)], 0.055, colour * 0.9, label)
    sprite.rect(x + 0.18, 0.95, x + 0.42, 1.01, (40, 38, 36), label)


def _motorcycle(sprite, x, label, colour):
    """Two fat wheels, an engine block, a tank and a seat, side view, the rear axle at x."""
    for axle in (x, x + 1.4):
        sprite.ellipse(axle, 0.33, 0.33, 0.33, (28, 28, 30), label)
        sprite.ellipse(axle, 0.33, 0.17, 0.17, (120, 122, 124), label)
    sprite.polygon(
        [(x + 0.1, 0.5), (x + 0.35, 0.22), (x + 1.0, 0.22), (x + 1.15, 0.55), (x + 0.7, 0.75)], (62, 62, 66), label
    )
    sprite.polygon([(x - 0.25, 0.78), (x + 0.6, 0.68), (x + 0.62, 0.84), (x - 0.28, 0.94)], (36, 34, 36), label)
    sprite.polygon([(x + 0.55, 0.7), (x + 1.15, 0.74), (x + 1.1, 1.0), (x + 0.62, 0.98)], colour, label)
    sprite.polygon([(x - 0.36, 0.7), (x + 0.2, 0.56), (x + 0.1, 0.84), (x - 0.3, 0.95)], colour * 0.85, label)
    sprite.line([(x + 1.4, 0.33), (x + 1.18, 0.95), (x + 1.02, 1.12)], 0.08, (90, 92, 94), label)
    sprite.polygon([(x + 1.1, 0.72), (x + 1.38, 0.85), (x + 1.22, 1.15), (x + 1.08, 1.05)], colour * 1.1, label)


def two_wheeler(rng, density, labels, kind, rider):
    """A bicycle or motorcycle from the side.

    Args:
        density: pixels per metre.
        labels: dict of label names to ids.
        kind: 'bicycle' or 'motorcycle'.
        rider: whether somebody rides it; parked else.
    """
    sprite = Sprite(2.3, 1.95, density)
    colour = np.clip(_cloth(rng) * rng.uniform(0.9, 1.3), 20, 240)
    draw, x = (_bicycle, 0.62) if kind == 'bicycle' else (_motorcycle, 0.5)
    draw(sprite, x, labels[kind], colour)
    if rider:
        _rider_side(sprite, rng, x, labels['rider'], kind)
    sprite.grain(rng, 0.15, cell=0.2)
    return sprite.mirror() if rng.random() < 0.5 else sprite


def _rider_side(sprite, rng, x, label, kind):
    coat, legs, skin = _cloth(rng), _cloth(rng) * 0.7, np.array(SKIN[rng.integers(4)])
    seat = (x + 0.3, 1.0) if kind == 'bicycle' else (x + 0.3, 0.92)
    hand = (x + 0.92, 1.08) if kind == 'bicycle' else (x + 1.02, 1.1)
    knee, foot = ((x + 0.68, 0.78), (x + 0.46, 0.28)) if kind == 'bicycle' else ((x + 0.78, 0.82), (x + 0.62, 0.38))
    neck = (seat[0] + rng.uniform(0.2, 0.36), seat[1] + 0.56)
    sprite.line([seat, knee, foot], 0.15, legs, label)
    sprite.rect(foot[0] - 0.06, foot[1] - 0.08, foot[0] + 0.14, foot[1], (36, 34, 34), label)
    sprite.polygon(
        [
            (seat[0] - 0.16, seat[1] - 0.08),
            (seat[0] + 0.16, seat[1] - 0.1),
            (neck[0] + 0.1, neck[1]),
            (neck[0] - 0.16, neck[1]),
        ],
        coat,
        label,
    )
    sprite.line(
        [(neck[0], neck[1] - 0.08), ((neck[0] + hand[0]) / 2, (neck[1] + hand[1]) / 2 - 0.12), hand],
        0.1,
        coat * 0.85,
        label,
    )
    head = (neck[0] + 0.08, neck[1] + 0.18)
    sprite.ellipse(*head, 0.12, 0.14, skin, label)
    if kind == 'motorcycle' or rng.random() < 0.6:
        sprite.ellipse(head[0], head[1] + 0.03, 0.15, 0.15, rng.uniform(30, 230, 3), label)
    else:
        sprite.ellipse(head[0] - 0.02, head[1] + 0.07, 0.12, 0.09, (60, 44, 34), label)


def two_wheeler_ahead(rng, density, labels, kind):
    """A 'bicycle' or 'motorcycle' with its rider, seen from behind or the front."""
    sprite = Sprite(0.95, 1.85, density)
    label, fat = labels[kind], 0.05 if kind == 'bicycle' else 0.11
    middle, coat, legs = 0.475, _cloth(rng), _cloth(rng) * 0.7
    sprite.rect(middle - fat, 0, middle + fat, 0.68, (32, 32, 34), label)
    if kind == 'motorcycle':
        sprite.ellipse(middle, 0.7, 0.24, 0.26, _cloth(rng), label)
        sprite.ellipse(middle, 0.78, 0.1, 0.08, (230, 224, 200) if rng.random() < 0.5 else (190, 30, 30), label)
    sprite.line([(middle - 0.32, 1.04), (middle + 0.32, 1.04)], 0.07, (80, 82, 84), label)
    rider = labels['rider']
    for side in (-1, 1):
        sprite.line(
            [(middle + side * 0.1, 0.95), (middle + side * 0.2, 0.62), (middle + side * 0.14, 0.28)], 0.14, legs, rider
        )
    sprite.polygon(
        [(middle - 0.18, 0.86), (middle + 0.18, 0.86), (middle + 0.24, 1.42), (middle - 0.24, 1.42)], coat, rider
    )
    for side in (-1, 1):
        sprite.line(
            [(middle + side * 0.22, 1.38), (middle + side * 0.33, 1.18), (middle + side * 0.28, 1.04)],
            0.1,
            coat * 0.85,
            rider,
        )
    sprite.ellipse(middle, 1.6, 0.13, 0.16, SKIN[rng.integers(4)], rider)
    sprite.ellipse(middle, 1.65, 0.145, 0.13, rng.uniform(30, 220, 3), rider)
    sprite.grain(rng, 0.18, cell=0.2)
    return sprite
