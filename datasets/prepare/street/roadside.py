"""Roadside of a rendered street: houses, walls, fences, hedges, trees, and the skyline behind them."""

import numpy as np

from datasets.prepare.street.canvas import noise
from datasets.prepare.street.sprite import Sprite

PLASTER = [
    (196, 180, 150),
    (176, 152, 124),
    (150, 92, 72),
    (168, 168, 164),
    (120, 116, 112),
    (206, 198, 184),
    (132, 104, 84),
    (174, 130, 96),
]
LEAVES = [(62, 88, 44), (78, 104, 50), (50, 74, 46), (96, 108, 52), (128, 104, 44), (84, 92, 60)]


def pick(rng, colours, spread=12):
    """One of the colours, shifted a little."""
    return np.array(colours[rng.integers(len(colours))]) + rng.normal(0, spread, 3)


def facade(rng, width, height, density, labels, body):
    """A house front: floors of windows, a ground floor with a door or shop, a cornice.

    Args:
        width, height: in metres.
        density: pixels per metre.
        labels: dict of label names to ids.
        body: RGB (3,) of the wall, 0 to 255.
    """
    house = labels['building']
    sprite = Sprite(width, height, density)
    sprite.rect(0, 0, width, height, body, house)
    if rng.random() < 0.3:  # bricks or panels
        for y in np.arange(0, height, rng.choice([0.45, 0.9])):
            sprite.rect(0, y, width, y + 0.07, body * 0.86)
    sprite.grain(rng, 0.16, cell=2.5)
    floor, bay = rng.uniform(2.8, 3.6), rng.uniform(1.9, 3.4)
    pane_w, pane_h = bay * rng.uniform(0.4, 0.72), floor * rng.uniform(0.42, 0.66)
    frame = body * rng.uniform(0.72, 1.2)
    lit = rng.random() < 0.3
    ground = rng.uniform(3.0, 4.2)
    columns = max(int(width // bay), 1)
    margin = (width - columns * bay) / 2
    for y in np.arange(ground, height - floor * 0.75, floor):
        for column in range(columns):
            x = margin + column * bay + (bay - pane_w) / 2
            glass = (
                np.array([58, 68, 80]) + rng.normal(0, 14)
                if not lit or rng.random() < 0.6
                else np.array([190, 168, 112])
            )
            sprite.rect(x - 0.12, y + 0.3, x + pane_w + 0.12, y + 0.55 + pane_h, frame)
            sprite.rect(x, y + 0.42, x + pane_w, y + 0.42 + pane_h, glass)
            sprite.rect(x, y + 0.42 + pane_h * 0.6, x + pane_w, y + 0.42 + pane_h, glass * 1.25)
    if rng.random() < 0.5:  # shop front
        sprite.rect(0.4, 0.3, width - 0.4, ground - 0.9, np.array([50, 56, 64]) + rng.normal(0, 10, 3))
        sprite.rect(0.2, ground - 0.85, width - 0.2, ground - 0.2, rng.uniform(40, 220, 3))
    x = rng.uniform(0.5, max(width - 1.6, 0.6))
    sprite.rect(x, 0, x + 1.1, 2.2, rng.uniform(30, 120, 3))
    sprite.rect(0, height - 0.35, width, height, body * 0.72)
    sprite.rect(0, 0, width, 0.4, body * 0.7)
    return sprite


def masonry(rng, width, height, density, labels):
    """A free-standing wall: bricks, concrete panels or plaster, with a coping, sometimes painted on."""
    label = labels['wall']
    body = pick(rng, [(150, 146, 138), (128, 124, 118), (146, 100, 80), (172, 164, 150), (112, 108, 104)])
    sprite = Sprite(width, height, density)
    sprite.rect(0, 0, width, height, body, label)
    sprite.grain(rng, 0.3, cell=1.2)
    if rng.random() < 0.5:
        for x in np.arange(0, width, rng.uniform(1.5, 3.0)):
            sprite.rect(x, 0, x + 0.09, height, body * 0.7)
    else:
        for y in np.arange(0.25, height, 0.3):
            sprite.rect(0, y, width, y + 0.05, body * 0.78)
    if rng.random() < 0.3:  # graffiti
        points = np.cumsum(rng.normal(0, 0.5, (9, 2)), 0) + [width / 2, height / 2]
        sprite.line(points, 0.16, rng.uniform(30, 230, 3))
    sprite.rect(0, height - 0.16, width, height, body * 1.18)
    sprite.light(1.06, 0.82)
    return sprite


def fence(rng, width, height, density, labels):
    """A fence one can look through: pickets, bars or mesh between posts. The label covers the gaps, as in
    Cityscapes."""
    label = labels['fence']
    colour = pick(rng, [(112, 88, 62), (82, 84, 86), (150, 152, 150), (62, 78, 62), (176, 168, 150)])
    sprite = Sprite(width, height, density)
    step = rng.choice([0.22, 0.32, 0.5])
    bar = step * rng.uniform(0.4, 0.62)
    for x in np.arange(0, width, step):
        sprite.rect(x, 0.05, x + bar, height * rng.uniform(0.93, 1.0), colour * rng.uniform(0.88, 1.1), label)
    for x in np.arange(0, width, 2.4):
        sprite.rect(x, 0, x + 0.16, height, colour * 0.7, label)
    for y in (0.2, 0.8):
        sprite.rect(0, height * y, width, height * y + 0.1, colour * 0.85, label)
    sprite.grain(rng, 0.15, cell=0.6)
    sprite.fill_holes(height * 0.93, label)
    return sprite


def foliage(rng, sprite, x, y, rx, ry, colour, label, lumps=9):
    """A crown of leaves inside an ellipse: overlapping lumps, a ragged outline, light from above.

    Args:
        x, y: the middle of the ellipse on the sprite, in metres.
        rx, ry: its half axes, in metres.
        colour: RGB (3,), 0 to 255.
        label: the id that it draws.
        lumps: how many smaller ellipses.
    """
    before = sprite.ids != label
    angles, radii = rng.uniform(0, 2 * np.pi, lumps), np.sqrt(rng.uniform(0.05, 0.6, lumps))
    sprite.ellipse(x, y, rx * 0.75, ry * 0.78, colour * 0.85, label)
    for angle, radius in sorted(zip(angles, radii), key=lambda lump: np.sin(lump[0]) * lump[1]):
        high = np.sin(angle) * radius
        sprite.ellipse(
            x + rx * np.cos(angle) * radius,
            y + ry * high,
            rx * 0.42,
            ry * 0.4,
            colour * (1 + 0.26 * high + rng.normal(0, 0.06)),
            label,
        )
    fresh = before & (sprite.ids == label)
    sprite.grain(rng, 0.55, cell=0.5, where=sprite.ids == label)
    rows, cols = sprite.ids.shape
    ragged = noise(rng, rows, cols, max(0.3 * sprite.per_x, 2), 2)
    yy, xx = np.mgrid[0:rows, 0:cols]
    rim = ((xx / sprite.per_x - x) / rx) ** 2 + ((rows - yy) / sprite.per_y - y) ** 2 / ry**2
    sprite.cut(fresh & (rim > 0.6) & (ragged < 0.42))


def tree(rng, height, density, labels):
    """A street tree: trunk and crown are both vegetation."""
    label = labels['vegetation']
    spread = height * rng.uniform(0.5, 0.8)
    sprite = Sprite(spread, height, density)
    bark = np.array([84, 70, 56]) * rng.uniform(0.7, 1.2)
    middle, trunk = spread / 2, height * rng.uniform(0.022, 0.034)
    sprite.polygon(
        [
            (middle - trunk, 0),
            (middle + trunk, 0),
            (middle + trunk * 0.5, height * 0.6),
            (middle - trunk * 0.5, height * 0.6),
        ],
        bark,
        label,
    )
    colour = pick(rng, LEAVES, 9)
    base = rng.uniform(0.28, 0.42)
    if rng.random() < 0.2:  # a conifer
        for step in np.linspace(0.16, 0.86, 5):
            half = spread * 0.4 * (1.05 - step)
            sprite.polygon(
                [(middle - half, height * step), (middle + half, height * step), (middle, height * min(step + 0.3, 1))],
                colour * (0.7 + 0.3 * step),
                label,
            )
        sprite.grain(rng, 0.5, cell=0.3)
        return sprite
    foliage(rng, sprite, middle, height * (1 + base) / 2, spread / 2, height * (1 - base) / 2, colour, label, 14)
    return sprite


def hedge(rng, width, height, density, labels):
    """A row of bushes or a clipped hedge."""
    sprite = Sprite(width, height, density)
    colour, label = pick(rng, LEAVES, 9), labels['vegetation']
    if rng.random() < 0.4:
        sprite.rect(0, 0, width, height * 0.92, colour, label)
        sprite.grain(rng, 0.55, cell=0.4)
        sprite.light(1.15, 0.75)
        return sprite
    for x in np.arange(0, width, height * 0.7):
        foliage(
            rng,
            sprite,
            x + height * 0.3,
            height * 0.45,
            height * 0.6,
            height * rng.uniform(0.4, 0.55),
            colour,
            label,
            6,
        )
    return sprite


def skyline(canvas, plan, weather, rng, labels):
    """Distant woods and roofs along the horizon, drawn before everything else."""
    camera = canvas.camera
    x = -170.0
    while x < 170:
        width = rng.uniform(12, 32)
        z = rng.uniform(125, 155)
        density = 1.4 * camera.scale(x, z)
        if not camera.sees(x - width, x + width, z):
            x += width * 0.8
            continue
        if rng.random() < 0.55:
            sprite = hedge(rng, width * 1.3, rng.uniform(5, 10), density, labels)
        else:
            sprite = facade(rng, width, rng.uniform(7, 22), density, labels, pick(rng, PLASTER) * weather.facing(0))
        canvas.stand(sprite, x, z)
        x += width * 0.8
