"""Training samples as pictures, to look at what the transforms do."""

from pathlib import Path, PurePosixPath

import numpy as np

from datasets.sampling.epoch import epoch_order
from datasets.sampling.sets import TrainSet
from transforms.deferred import as_seen
from utils.files.images import write_png
from utils.outputs.pictures import palette_image


def dump_augmented(train_set: TrainSet, out_dir, count: int, seed: int | None = None) -> list:
    """Write the first `count` samples that training sees in the current epoch into out_dir; returns the images' paths.

    A sample is three PNG files: <name>.png, <name>_mask.png (palette colours) and <name>_mask_raw.png (trainIds). The
    name is <class>_<stem> for class-uniform draws, else the image's relative name, with _2, _3, ... when it was there
    before. seed: that of the loader, when it is not the set's own.
    """
    order = epoch_order(len(train_set), train_set.seed if seed is None else seed, train_set.epoch)[:count]
    palette, paths, used = train_set.dataset.palette, [], {}
    for index in order.tolist():
        sample = train_set[index]
        name = _name(train_set, index)
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = f'{name}_{used[name]}'
        path = Path(out_dir) / f'{name}.png'
        label = sample['label'].numpy().astype(np.uint8)
        write_png(path, as_seen(sample))
        write_png(path.with_name(f'{path.stem}_mask.png'), palette_image(label, palette))
        write_png(path.with_name(f'{path.stem}_mask_raw.png'), label)
        paths.append(path)
    return paths


def _name(train_set, index):
    draw = train_set.draws[index]
    name = PurePosixPath(train_set.dataset.items[draw.image].name)
    if draw.class_id is None:
        return str(name.with_suffix(''))
    return f'{train_set.dataset.class_names[draw.class_id].replace(" ", "_")}_{name.stem}'
