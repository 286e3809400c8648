"""Street furniture: poles, lamps, traffic lights, traffic signs, and the odds and ends that have no class."""

import numpy as np

from datasets.prepare.street.sprite import Sprite

STEEL = [(104, 108, 110), (74, 78, 80), (140, 142, 140), (66, 82, 70), (120, 104, 88)]


def _steel(rng):
    return np.array(STEEL[rng.integers(len(STEEL))]) + rng.normal(0, 10, 3)


def lamp(rng, density, labels):
    """A street lamp: a pole with an arm to the left."""
    height, arm = rng.uniform(5.5, 8.5), rng.uniform(0.8, 2.0)
    sprite = Sprite(2 * arm + 0.3, height, density)
    colour, label, middle = _steel(rng), labels['pole'], arm + 0.15
    sprite.polygon(
        [(middle - 0.12, 0), (middle + 0.12, 0), (middle + 0.07, height), (middle - 0.07, height)], colour, label
    )
    sprite.line([(middle, height - 0.25), (0.5, height - 0.08)], 0.1, colour, label)
    sprite.rect(0.1, height - 0.24, 0.9, height - 0.02, colour * 1.15, label)
    sprite.light(1.05, 0.9, 0.12)
    return sprite


def post(rng, density, labels, height=None):
    """A bare post, a bollard when it is low."""
    height = height or rng.choice([1.0, 3.0, 5.0])
    sprite = Sprite(0.3, height, density)
    colour = _steel(rng)
    sprite.rect(0.06, 0, 0.24, height, colour, labels['pole'])
    if height < 1.5:
        sprite.rect(0.06, height * 0.7, 0.24, height * 0.85, (214, 206, 196))
    return sprite


def _panel(sprite, x, y, size, kind, label, rng):
    """One of the shapes a traffic sign has.

    Args:
        x, y: its middle on the sprite, in metres.
        size: metres across.
        kind: the name of the shape.
        label: the id that it draws.
    """
    half = size / 2
    white, red = np.array([226, 224, 218]), np.array([186, 34, 38])
    blue, yellow = np.array([34, 74, 158]), np.array([226, 184, 40])
    if kind == 'round':
        sprite.ellipse(x, y, half, half, red, label)
        sprite.ellipse(x, y, half * 0.72, half * 0.72, white)
        sprite.rect(x - half * 0.3, y - half * 0.34, x + half * 0.3, y + half * 0.34, (60, 60, 64))
    elif kind == 'triangle':
        sprite.polygon([(x - half, y - half * 0.8), (x + half, y - half * 0.8), (x, y + half * 0.95)], red, label)
        sprite.polygon(
            [(x - half * 0.6, y - half * 0.58), (x + half * 0.6, y - half * 0.58), (x, y + half * 0.52)], white
        )
    elif kind == 'diamond':
        sprite.polygon([(x - half, y), (x, y - half), (x + half, y), (x, y + half)], white, label)
        sprite.polygon([(x - half * 0.7, y), (x, y - half * 0.7), (x + half * 0.7, y), (x, y + half * 0.7)], yellow)
    elif kind == 'square':
        sprite.rect(x - half, y - half, x + half, y + half, blue, label)
        sprite.polygon([(x - half * 0.5, y - half * 0.5), (x + half * 0.5, y - half * 0.5), (x, y + half * 0.5)], white)
    elif kind == 'stop':
        turn = np.arange(8) * np.pi / 4 + np.pi / 8
        sprite.polygon(np.stack([x + half * np.cos(turn), y + half * np.sin(turn)], 1), red, label)
        sprite.rect(x - half * 0.7, y - half * 0.16, x + half * 0.7, y + half * 0.16, white)
    else:  # a direction board
        sprite.rect(
            x - half * 1.9,
            y - half * 0.6,
            x + half * 1.9,
            y + half * 0.6,
            (yellow, blue, white)[rng.integers(3)],
            label,
        )
        for line in (-0.25, 0.2):
            sprite.rect(
                x - half * 1.6,
                y + half * line,
                x + half * rng.uniform(0.2, 1.5),
                y + half * (line + 0.16),
                (40, 40, 44),
            )


def sign(rng, density, labels):
    """A post with one or two traffic signs."""
    height = rng.uniform(2.4, 3.4)
    size = rng.uniform(0.65, 0.95)
    kind = ('round', 'triangle', 'diamond', 'square', 'stop', 'board')[rng.integers(6)]
    width = size * (2.0 if kind == 'board' else 1.1)
    sprite = Sprite(width, height, density)
    sprite.rect(width / 2 - 0.06, 0, width / 2 + 0.06, height - size * 0.4, _steel(rng), labels['pole'])
    _panel(sprite, width / 2, height - size / 2, size, kind, labels['traffic sign'], rng)
    if kind != 'board' and rng.random() < 0.35:
        _panel(
            sprite,
            width / 2,
            height - size * 1.6,
            size * 0.9,
            ('round', 'square', 'triangle')[rng.integers(3)],
            labels['traffic sign'],
            rng,
        )
    sprite.light(rng.uniform(0.8, 1.1), rng.uniform(0.8, 1.0))
    return sprite


def traffic_light(rng, density, labels):
    """A post with a signal head of three lamps, one of them lit; some stand on an arm above the lane."""
    tall = rng.random() < 0.35
    height = rng.uniform(4.6, 5.6) if tall else rng.uniform(2.9, 3.5)
    reach = rng.uniform(1.5, 3.0) if tall else 0.0
    sprite = Sprite(2 * reach + 0.7, height, density)
    middle = reach + 0.35
    colour = _steel(rng)
    sprite.rect(middle - 0.09, 0, middle + 0.09, height - 0.3, colour, labels['pole'])
    heads = [(middle, height - 1.15)]
    if tall:
        sprite.line([(middle, height - 0.4), (0.35, height - 0.3)], 0.12, colour, labels['pole'])
        heads = [(0.35, height - 1.25), (middle, height - 2.3)]
    case = np.array([(34, 36, 38), (50, 56, 50), (92, 84, 40)][rng.integers(3)])
    for x, y in heads:
        sprite.rect(x - 0.24, y, x + 0.24, y + 1.15, case, labels['traffic light'])
        lit = rng.integers(3)
        for lamp_no, bright in enumerate([(70, 240, 140), (250, 190, 60), (250, 60, 48)]):
            lens = np.array(bright) if lamp_no == lit else np.array(bright) * 0.22
            sprite.ellipse(x, y + 0.22 + 0.35 * lamp_no, 0.15, 0.15, lens)
    return sprite


def clutter(rng, density, labels):
    """Things without a class of their own: bins, boxes and benches (static), prams and dogs (dynamic)."""
    colour = rng.uniform(50, 140) + rng.normal(0, 14, 3)
    if rng.random() < 0.6:
        width, height = rng.uniform(0.5, 1.4), rng.uniform(0.7, 1.4)
        sprite = Sprite(width, height, density)
        sprite.rect(0, 0, width, height, colour, labels['static'])
        sprite.rect(0, height * 0.8, width, height, colour * 1.25)
    else:
        sprite = Sprite(1.0, 0.9, density)
        sprite.ellipse(0.5, 0.5, 0.42, 0.25, colour, labels['dynamic'])
        sprite.rect(0.2, 0, 0.3, 0.4, colour * 0.6, labels['dynamic'])
        sprite.rect(0.7, 0, 0.8, 0.4, colour * 0.6, labels['dynamic'])
        sprite.ellipse(0.86, 0.7, 0.13, 0.12, colour, labels['dynamic'])
    sprite.grain(rng, 0.2)
    return sprite
