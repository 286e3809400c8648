"""Run-length masks: lengths of runs that are outside and inside in turn, the first outside.

COCO runs down the columns, of the whole picture, and also packs the lengths into text: 5 bits of a number a character,
the lowest first, as chr(48 + bits), with 32 where another follows; from the fourth number on, the difference from the
one before the last. CVAT runs along the rows, of a box.
"""

import numpy as np


def unpack(text: str | bytes) -> list[int]:
    """The lengths of the runs in COCO's packed text. Raises ValueError for text that is none."""
    codes = [code - 48 for code in (text.encode('utf-8', 'surrogatepass') if isinstance(text, str) else text)]
    if codes and (min(codes) < 0 or max(codes) > 63 or codes[-1] & 32):
        raise ValueError('a run-length mask holds characters that no packed runs have, or ends within a number')
    lengths: list[int] = []
    value = shift = 0
    for code in codes:
        value |= (code & 31) << shift
        shift += 5
        if shift > 60:
            raise ValueError('a run-length mask holds a number that is too large')
        if code & 32:
            continue
        if code & 16:  # the sign
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths


def runs_mask(lengths, size, by_columns: bool) -> np.ndarray:
    """bool (h, w) of the runs of a mask of `size` (h, w). Raises ValueError where they do not fill it exactly."""
    lengths = np.asarray(lengths, np.int64).reshape(-1)
    height, width = size
    if (lengths < 0).any() or int(lengths.astype(object).sum()) != height * width:
        raise ValueError(
            f'a run-length mask has {int(lengths.astype(object).sum()):,} pixels, expected the {height * width:,} of'
            f' {width}x{height}'
        )
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(width, height).T if by_columns else flat.reshape(height, width)
