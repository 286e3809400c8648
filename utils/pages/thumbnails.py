"""Thumbnails of an image's layers, one below the other in a single JPEG: a page shows one of them at a time."""

from PIL import Image

from utils.files.images import write_jpeg

WIDTH, HEIGHT = 320, 480  # pixels at most


def write_thumbnails(path, pictures):
    """Write the strip. pictures: (kind of the layer, Pillow picture or uint8 array (h, w[, 3])), all of one shape."""
    write_jpeg(path, thumbnails(pictures))


def thumbnails(pictures) -> Image.Image:
    """The strip as an RGB picture: equal parts from top to bottom, in the order of the pictures."""
    parts = [_small(kind, picture) for kind, picture in pictures]
    width, height = parts[0].size
    strip = Image.new('RGB', (width, height * len(parts)))
    for place, part in enumerate(parts):
        strip.paste(part.resize((width, height)), (0, place * height))
    return strip


def _small(kind, picture) -> Image.Image:
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    factor = min(WIDTH / picture.width, HEIGHT / picture.height)
    size = tuple(max(1, round(side * factor)) for side in picture.size)
    resampling = Image.Resampling.NEAREST if kind == 'classes' else Image.Resampling.BOX
    return picture.resize(size, resampling).convert('RGB')
