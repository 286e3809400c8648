"""Class-uniform index: for every class, the places of the training images where it is found, and the search.

It is built once per state of the label files, in parallel, and kept as JSON under the assets folder. The file's name
holds a hash of everything the content depends on, so a changed label, map or tile makes a new index and never reuses
an old one.
"""

import json
from pathlib import Path

import numpy as np

from datasets.base import Dataset
from datasets.loading.threads import in_threads
from utils.files.archives import fingerprint
from utils.files.atomic import atomic_write
from utils.files.limits import parse_json
from utils.files.stamps import digest

FORMAT = 1  # of the file; part of the hash


class CentroidIndex:
    """Per class, an int32 array (n, 3) of (place of the image in the dataset's items, x, y)."""

    def __init__(self, centroids: list):
        self.centroids = centroids

    @property
    def num_classes(self) -> int:
        return len(self.centroids)

    def counts(self) -> list:
        """Number of centroids of each class."""
        return [len(places) for places in self.centroids]

    def absent(self) -> list:
        """Classes that occur in no label."""
        return [trainid for trainid, places in enumerate(self.centroids) if len(places) == 0]


def index_path(dataset: Dataset, tile: int, assets_path) -> Path:
    """The file in which the index of this dataset, as its files are now, is kept."""
    name = f'{dataset.name}_{dataset.quality}_cv{dataset.cv}_tile{tile}_{_fingerprint(dataset, tile)}.json'
    return Path(assets_path) / 'uniform_centroids' / name


def _fingerprint(dataset, tile):
    """Hash of the tile, the tables of ids (with --ignore_ids) and colours, the rules of reading, and the name, size and
    time of every label file."""
    parts = [f'{FORMAT} {tile} {dataset.num_classes} {dataset.ignore_label} ', dataset.mapper.table.tobytes()]
    parts += [dataset.label_rules, repr(sorted(dataset.color_map.items())) if dataset.color_map else '']
    for item in dataset.items:
        for file in dataset.label_files(item):
            stamp = '\0'.join(map(str, fingerprint(file)))
            parts.append(f'{item.name}\0{file.name}\0{stamp}\n')
    return digest(*parts)


def load_or_build(dataset: Dataset, tile: int, assets_path, *, is_main=True, barrier=None, log=None) -> CentroidIndex:
    """The index of `dataset`, from its file when there is one, else built and written.

    With several processes every one calls this: the main one builds, the others read what it wrote (or build for
    themselves where they do not share its disk).

    Args:
        tile: side of the tiles in pixels.
        assets_path: the file is kept in its folder uniform_centroids.
        barrier: a function in which all processes wait.
        log: a function of one line.

    Raises:
        ValueError: for a dataset without labels or with a label that cannot be used.
        OSError: naming the file when it cannot be written.
    """
    if tile < 1:
        raise ValueError(f'--class_uniform_tile {tile}: the side of a tile is at least 1 pixel')
    if not dataset.labelled:
        raise ValueError(
            f'dataset {dataset.name!r}: split {dataset.split!r} has no labels, so classes cannot be sampled; give'
            ' --class_uniform_pct 0'
        )
    if not is_main and barrier is not None:
        barrier()
    index = _load_or_build_here(dataset, tile, index_path(dataset, tile, assets_path), log)
    if is_main and barrier is not None:
        barrier()
    return index


def _load_or_build_here(dataset, tile, path, log):
    index = _read(path, dataset, log)
    if index is None:
        index = build(dataset, tile, log=log)
        _write(path, index, dataset, tile)
        if log is not None:
            log(f'class-uniform index written to {path}')
    return index


def build(dataset: Dataset, tile: int, threads=None, log=None) -> CentroidIndex:
    """Find the centroids of all labels, in as many threads as there are usable cores (decoding runs beside Python)."""

    def find(item):
        raw = dataset.raw_label(item)
        return tile_centroids(raw, dataset.num_classes, tile, lambda ids: dataset.mapper.values(ids, raw, item.label))

    found = list(in_threads(find, dataset.items, 'class-uniform index', 'labels', threads, log))
    image = np.repeat(np.arange(len(found), dtype=np.int32), [len(places) for places in found])
    table = np.concatenate(found)
    rows = np.column_stack([image, table[:, 1:]])
    return CentroidIndex([rows[table[:, 0] == trainid] for trainid in range(dataset.num_classes)])


def tile_centroids(label: np.ndarray, num_classes: int, tile: int, to_trainids=None) -> np.ndarray:
    """int32 (n, 3): class, x, y for every class in every tile of `label` uint8 (H, W), sorted by tile, then class.

    Tiles are tile x tile pixels from the top left and cover the whole image: the last one in each direction is what
    remains. (The earlier systems left that remainder out, 47 % of a 1914 pixel wide image with tile 1024.)
    x and y are the integer parts of the mean column and row of the class's pixels in the tile, in pixels of the image;
    the point need not lie on the class. Labels >= num_classes are not looked at. to_trainids: a function of an array of
    labels, when they are raw ids; it gets one value per run, far fewer than there are pixels.
    """
    height, width = label.shape
    starts = _run_starts(label, tile)
    lengths = np.diff(starts, append=height * width)
    values = label.ravel()[starts]
    if to_trainids is not None:
        values = to_trainids(values)
    kept = values < num_classes
    row, column = np.divmod(starts[kept], width)
    values, lengths = values[kept].astype(np.int64), lengths[kept]

    tiles_across = -(-width // tile)
    key = ((row // tile) * tiles_across + column // tile) * num_classes + values
    # Doubled sums stay integers; bincount adds them in float64, exactly up to 2 ** 53.
    pixels = np.bincount(key, weights=lengths).astype(np.int64)
    doubled_x = np.bincount(key, weights=lengths * (2 * column + lengths - 1)).astype(np.int64)
    doubled_y = np.bincount(key, weights=2 * lengths * row).astype(np.int64)
    present = np.flatnonzero(pixels)
    count = 2 * pixels[present]
    return np.stack([present % num_classes, doubled_x[present] // count, doubled_y[present] // count], axis=1).astype(
        np.int32
    )


def _run_starts(label, tile):
    """Flat indices where a run of one label begins; runs end with their row and at the edges of tiles."""
    begins = np.empty(label.shape, bool)
    np.not_equal(label[:, 1:], label[:, :-1], out=begins[:, 1:])
    begins[:, ::tile] = True
    return np.flatnonzero(begins)


def _write(path, index, dataset, tile):
    content = {
        'format': FORMAT,
        'dataset': dataset.name,
        'quality': dataset.quality,
        'cv': dataset.cv,
        'tile': tile,
        'columns': ['image', 'x', 'y'],
        'centroids': {str(trainid): places.tolist() for trainid, places in enumerate(index.centroids)},
        'images': [item.name for item in dataset.items],
    }
    with atomic_write(path, 'w') as file:
        json.dump(content, file, separators=(',', ':'))


def _read(path, dataset, log):
    """The index in `path`, or None when there is no usable one; a damaged file is reported."""
    try:
        content = parse_json(path.read_bytes())
        if content['images'] != [item.name for item in dataset.items]:
            raise ValueError('other images')
        places = [content['centroids'][str(trainid)] for trainid in range(dataset.num_classes)]
        return CentroidIndex([np.array(rows, np.int32).reshape(-1, 3) for rows in places])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if log is not None:
            log(
                f'{path}: is no class-uniform index of this dataset ({type(error).__name__}: {error}); building it anew'
            )
        return None
