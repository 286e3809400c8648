"""Samples to look at: as the files hold them, or as the network sees them in training, with the place that a crop was
drawn for."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from datasets.base import Dataset
from datasets.browse.pictures import fitted, overlay
from datasets.sampling.epoch import epoch_order, sample_generator
from datasets.sampling.sets import TrainSet
from transforms.deferred import as_seen
from utils.cli.wording import shortened
from utils.files.images import as_rgb, write_png
from utils.outputs.pictures import palette_image

MARK = 9  # pixels from the middle of a cross to its ends


class Shown(NamedTuple):
    """image uint8 (h, w, 3), label uint8 (h, w) of trainIds or None, about: a line on how it came about, mark: (x, y)
    or None."""

    name: str
    about: str
    image: np.ndarray
    label: np.ndarray | None
    mark: tuple | None = None


def raw_samples(dataset: Dataset, count: int, seed: int, log=print):
    """Yield `count` images of a dataset, drawn without repetition, as they are. Those that cannot be used are left out
    and logged.

    Raises ValueError when that is all of them.
    """
    shown, faults = 0, []
    for place in epoch_order(len(dataset), seed, 0).tolist():
        try:
            image, label = dataset.load(dataset.items[place])
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        yield Shown(dataset.items[place].name, f'{image.shape[1]}x{image.shape[0]}', as_rgb(image), label)
        shown += 1
        if shown == count:
            break
    if not shown:
        raise ValueError(f'no image of split {dataset.split!r} can be shown, the first because: {faults[0]}')
    for fault in shortened(faults, 10, ''):
        log(f'left out: {fault}')


def augmented_samples(train_set: TrainSet, count: int):
    """Yield the first `count` samples of a training with the set's seed, in their order, with the centroid of
    class-uniform draws."""
    names = train_set.dataset.classes.names
    for index in epoch_order(len(train_set), train_set.seed, train_set.epoch)[:count].tolist():
        draw, sample = train_set.draws[index], train_set[index]
        drawn = 'random image' if draw.class_id is None else f'drawn for {names[draw.class_id]}'
        image, label = as_rgb(as_seen(sample)), sample['label'].numpy()
        yield Shown(
            sample['name'], f'{drawn}, scale {sample["scale"]:.2f}', image, label, _moved_centroid(train_set, index)
        )


def _moved_centroid(train_set, index):
    """Where the centroid of a draw lies in the sample: a label of zeros with a spot there is put through the same
    transform."""
    draw = train_set.draws[index]
    if draw.centroid is None:
        return None
    image, label = train_set.dataset.load(train_set.dataset.items[draw.image])
    (x, y), radius = draw.centroid, max(2, min(label.shape) // 64)
    spot = np.zeros_like(label)
    spot[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = 1
    _, spot, *_ = train_set.transform(
        image, spot, sample_generator(train_set.seed, train_set.epoch, index), centroid=draw.centroid
    )
    rows, columns = np.nonzero(spot == 1)
    return (float(columns.mean()), float(rows.mean())) if len(rows) else None  # RandAugment may push it out


def picture(shown: Shown, palette: np.ndarray, side: int) -> Image.Image:
    """A sample with sides of at most `side` pixels with its label over it and a cross at its mark."""
    if shown.label is None:
        return Image.fromarray(fitted(shown.image, side))
    drawn = overlay(shown.image, shown.label, palette, side)
    if shown.mark is not None:
        factor = drawn.width / shown.image.shape[1]
        x, y = (position * factor for position in shown.mark)
        draw = ImageDraw.Draw(drawn)
        for colour, width in (('black', 5), ('white', 2)):
            draw.line((x - MARK, y, x + MARK, y), colour, width)
            draw.line((x, y - MARK, x, y + MARK), colour, width)
    return drawn


def dump_augmented(train_set: TrainSet, out_dir, count: int, seed: int | None = None) -> list:
    """Write the first `count` samples that training sees in the current epoch into out_dir; returns the images' paths.

    A sample is three PNG files: <name>.png, <name>_mask.png (palette colours) and <name>_mask_raw.png (trainIds). The
    name is <class>_<stem> for class-uniform draws, else the image's relative name, with _2, _3, ... when it was there
    before. seed: that of the loader, when it is not the set's own.
    """
    order = epoch_order(len(train_set), train_set.seed if seed is None else seed, train_set.epoch)[:count]
    palette, paths, used = train_set.dataset.classes.colors, [], {}
    for index in order.tolist():
        sample = train_set[index]
        name = _name(train_set, index)
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = f'{name}_{used[name]}'
        path = Path(out_dir) / f'{name}.png'
        label = sample['label'].numpy().astype(np.uint8)
        write_png(path, as_rgb(as_seen(sample)))
        write_png(path.with_name(f'{path.stem}_mask.png'), palette_image(label, palette))
        write_png(path.with_name(f'{path.stem}_mask_raw.png'), label)
        paths.append(path)
    return paths


def _name(train_set, index):
    draw = train_set.draws[index]
    name = PurePosixPath(train_set.dataset.items[draw.image].name)
    if draw.class_id is None:
        return str(name.with_suffix(''))
    return f'{train_set.dataset.classes.names[draw.class_id].replace(" ", "_")}_{name.stem}'
