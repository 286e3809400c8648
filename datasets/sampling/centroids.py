"""Where each class is in a label map: one centroid per class and tile, from the runs of equal labels along the rows."""

import numpy as np


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
