"""Small dataset trees: 48x32 pixel images whose labels are known."""

import cv2
import numpy as np

HEIGHT, WIDTH = 32, 48


def write_png(path, array):
    """Write an array (RGB or grey) as PNG, with the folders on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)
    return path


def striped_label(ids, height=HEIGHT, width=WIDTH):
    """Vertical stripes of equal width, one per id."""
    return np.repeat(np.array(ids, np.uint8), width // len(ids))[None].repeat(height, 0)


def flat_image(value, height=HEIGHT, width=WIDTH):
    """An image of one colour: red = value, green = 2, blue = 3."""
    return np.broadcast_to(np.array([value, 2, 3], np.uint8), (height, width, 3)).copy()


def make_cityscapes(base, cities, ids=(7, 26, 0), layout='plain'):
    """cities: {(split, city): number of images}; returns base."""
    images = base / ('leftImg8bit' if layout == 'plain' else 'leftImg8bit_trainvaltest/leftImg8bit')
    labels = base / ('gtFine' if layout == 'plain' else 'gtFine_trainvaltest/gtFine')
    for (split, city), count in cities.items():
        for number in range(count):
            stem = f'{city}_{number:06d}_000019'
            write_png(images / split / city / f'{stem}_leftImg8bit.png', flat_image(number))
            if split != 'test':
                write_png(labels / split / city / f'{stem}_gtFine_labelIds.png', striped_label(ids))
    return base


def make_camvid(base, split='train', count=6, ids=(0, 3, 8)):
    """`count` images named 00.png, 01.png, ... of one split, their red value is their number."""
    for number in range(count):
        write_png(base / split / f'{number:02d}.png', flat_image(number))
        write_png(base / f'{split}annot' / f'{number:02d}.png', striped_label(ids))
    return base


def red(dataset, place):
    """The red value of the image at a place of a dataset; here, because a spawned process imports where it stands, and
    this without torch."""
    return int(dataset.load(dataset.items[place])[0][0, 0, 0])
