"""Light and weather of a scene: the sky, the tint of the light, and what the camera adds at the end."""

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.prepare.street.canvas import noise

# name: share of the scenes, RGB at the top of the sky, RGB at the horizon, tint of the light, cloud RGB, cloud cover,
# sun, visibility
SKIES = {
    'clear': (0.36, (88, 138, 206), (186, 208, 228), (1.04, 1.0, 0.94), (240, 242, 245), 0.45, 1.0, 400),
    'overcast': (0.30, (168, 174, 182), (208, 212, 214), (0.92, 0.95, 1.0), (190, 194, 200), 0.8, 0.25, 260),
    'dusk': (0.14, (96, 104, 150), (238, 178, 128), (1.06, 0.92, 0.80), (226, 170, 150), 0.5, 0.7, 240),
    'fog': (0.10, (186, 190, 194), (206, 208, 208), (0.95, 0.96, 0.98), (200, 202, 204), 0.3, 0.1, 70),
    'night': (0.10, (26, 30, 50), (70, 66, 78), (0.52, 0.54, 0.66), (60, 62, 74), 0.5, 0.15, 160),
}


@dataclass
class Weather:
    """What the light does in one scene; colours RGB 0..255, factors around 1."""

    name: str
    zenith: np.ndarray
    horizon: np.ndarray
    cloud: np.ndarray
    cover: float  # share of the sky under clouds
    tint: np.ndarray
    sun: float  # 0: light from everywhere, 1: hard shadows
    side: float  # -1: the sun stands on the left and lights the facades on the right; 1: the opposite
    visibility: float  # metres
    wet: float  # 0 dry road, 1 mirror-wet

    @classmethod
    def sample(cls, rng):
        names = list(SKIES)
        name = names[rng.choice(len(names), p=[SKIES[key][0] for key in names])]
        _, zenith, horizon, tint, cloud, cover, sun, visibility = SKIES[name]
        jitter = rng.normal(0, 9, 3)
        return cls(
            name,
            np.array(zenith) + jitter,
            np.array(horizon) + jitter * 0.6,
            np.array(cloud) + rng.normal(0, 5, 3),
            float(np.clip(cover + rng.normal(0, 0.2), 0, 1)),
            np.array(tint) * rng.normal(1, 0.035, 3) * rng.uniform(0.82, 1.12),
            sun * rng.uniform(0.4, 1.0),
            rng.choice([-1.0, 1.0]),
            visibility * rng.uniform(0.7, 1.4),
            rng.uniform(0.3, 1.0) if name in ('overcast', 'night') and rng.random() < 0.4 else 0.0,
        )

    def facing(self, side):
        """Light on an upright surface that looks towards the middle of the street from side -1 (left) or 1 (right)."""
        return 1 - 0.28 * self.sun * (1 + side * self.side) / 2


def paint_sky(canvas, weather, rng, label):
    """Fill the whole canvas with sky: a vertical gradient, clouds that flatten towards the horizon."""
    camera = canvas.camera
    height, width = canvas.ids.shape
    down = np.clip((np.arange(height) + 0.5) / max(camera.row, 1), 0, 1)[:, None, None] ** 1.4
    sky = np.broadcast_to(weather.zenith * (1 - down) + weather.horizon * down, (height, width, 3)).astype(np.float32)
    tall = noise(rng, height, max(width // 3, 8), height * 0.5, 5)
    field = cv2.resize(tall, (width, height), interpolation=cv2.INTER_LINEAR)
    edge = np.quantile(field, 1 - 0.75 * weather.cover)
    veil = np.clip((field - edge) * 5, 0, 1)[..., None] * (0.9 - 0.5 * down)
    canvas.image[:] = sky * (1 - veil) + weather.cloud * veil * (0.9 + 0.2 * field[..., None])
    canvas.ids[:] = label


def expose(image, weather, rng):
    """What light and camera do to a finished drawing: tint, rain, soft lens, vignette, gamma, noise; uint8 (H, W,
    3)."""
    height, width = image.shape[:2]
    image = image * weather.tint.astype(np.float32)
    if weather.wet > 0.5:
        streaks = noise(rng, height, width, 2, 1) > 0.995
        streaks = cv2.filter2D(streaks.astype(np.float32), -1, np.eye(5, dtype=np.float32)[::-1] / 4)
        image += 60 * streaks[..., None]
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.75) * max(width / 1024, 0.8))
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    image *= (1 - rng.uniform(0.02, 0.14) * (x * x + y * y))[..., None]
    image = 255 * np.clip(image / 255, 0, 1) ** np.float32(rng.uniform(0.85, 1.2))
    grain = rng.standard_normal((height, width, 3), np.float32)
    image += rng.uniform(1.5, 5.0) * (grain * 0.6 + grain.mean(2, keepdims=True))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
