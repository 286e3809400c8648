"""Pixels of the images of a custom dataset, from the file of --data_yaml: how many channels, and their values."""

from argparse import Namespace

from config import scope
from datasets.custom.mistakes import Mistake
from utils.cli.flags import with_values

MOST = 1024


def read_pixels(values: dict) -> tuple[int | None, tuple[float, float] | None]:
    """(channels, (low, high)) of the keys channels and range, None for those that are not there."""
    channels, limits = values.get('channels'), values.get('range')
    if channels is not None and (type(channels) is not int or not 1 <= channels <= MOST):
        raise Mistake(f'channels: is {channels!r}, expected how many the images have, from 1 (grey) to {MOST}')
    if limits is None:
        return channels, None
    numbers = isinstance(limits, list) and len(limits) == 2 and all(type(end) in (int, float) for end in limits)
    if not numbers or not limits[0] < limits[1]:
        raise Mistake(
            f'range: is {limits!r}, expected the values that become black and white, the smaller first, such as'
            ' [0, 4095]'
        )
    return channels, (float(limits[0]), float(limits[1]))


def with_pixels(args: Namespace) -> Namespace:
    """The flags with --in_channels and --value_range as the file of --data_yaml says, which then count as given.

    Raises ValueError for a mistake in the file, or another value that was given.
    """
    if args.dataset != 'custom' or not args.data_yaml:
        return args
    from datasets.custom.custom import DataFile  # which reads this module

    with scope(DATASET__DATA_YAML=args.data_yaml):
        data = DataFile()
    found = {'in_channels': data.channels, 'value_range': data.value_range}
    told = {name: value for name, value in found.items() if value is not None}
    for name, value in told.items():
        if name in args.given and getattr(args, name) != value:
            key = {'in_channels': 'channels', 'value_range': 'range'}[name]
            raise ValueError(
                f'--{name} {getattr(args, name)}: {data.file} has {key}: {value}; give one of the two, or the same'
            )
    return with_values(args, given=(*args.given, *(name for name in told if name not in args.given)), **told)
