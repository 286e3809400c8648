"""Event files of TensorBoard read back in tests: records of 8 bytes length, 4 of a checksum, the event, 4 more."""

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def events(folder):
    """Every event of the files in a folder, one file after another."""
    for path in sorted(Path(folder).glob('events.out.tfevents.*')):
        data, place = path.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack('<Q', data[place : place + 8])
            yield Event.FromString(data[place + 12 : place + 12 + length])
            place += length + 16


def values(folder, kind):
    """(tag, step, value) of every value of a kind: simple_value or image."""
    return [
        (value.tag, event.step, getattr(value, kind))
        for event in events(folder)
        for value in event.summary.value
        if value.WhichOneof('value') == kind
    ]


def scalars(folder):
    """(tag, step, number) of every scalar."""
    return values(folder, 'simple_value')
