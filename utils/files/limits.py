"""Limits of what a file may ask for: whatever it says of its size, memory is taken for no more than these.

Limits of pixels are those of the reader: datasets.loading.formats (--max_pixels), aggregation.benchmarks.trees.
"""

import json

FILE_BYTES = 1 << 31  # of one file, member of an archive, or array, packed or unpacked
TEXT_BYTES = 1 << 28  # of a file in JSON or YAML


def check_bytes(size: int, what: str, limit: int = FILE_BYTES):
    """Raise ValueError, which begins with `what`, where `size` is above the limit."""
    if size > limit:
        raise ValueError(f'{what} has {size:,} bytes, expected at most {limit:,}')


def parse_json(text: str | bytes):
    """The values of a JSON text; ValueError for one that is none, is nested too deeply, or is too large."""
    check_bytes(len(text), 'the text', TEXT_BYTES)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError('its values are nested too deeply') from None
