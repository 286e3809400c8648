"""Value types of flags: functions that turn the text of a command line into a checked value."""

import argparse
import math
from collections.abc import Callable

_WORDS, _EXAMPLES = {int: 'whole number', float: 'number'}, {int: '4', float: '0.5'}


def numbers(kind: type, count: tuple = (), minimum: float | None = None) -> Callable[[str], tuple]:
    """A parser of 'a,b,c' into a tuple of finite numbers of `kind`, int or float.

    count: how many there may be, () for any number of them; minimum: the smallest value allowed.
    """

    def parse(text):
        try:
            values = tuple(kind(item) for item in text.split(','))
        except ValueError:
            spaces = ', without spaces' if text.endswith(',') else ''
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a comma list of {_WORDS[kind]}s{spaces}, such as {_EXAMPLES[kind]},{_EXAMPLES[kind]}'
            ) from None
        if count and len(values) not in count:
            raise argparse.ArgumentTypeError(
                f'{text!r} has {len(values)} values, expected {" or ".join(map(str, count))}'
            )
        if not all(map(math.isfinite, values)):
            raise argparse.ArgumentTypeError(f'{text!r} holds a value that is not a finite number')
        if minimum is not None and min(values) < minimum:
            raise argparse.ArgumentTypeError(f'{text!r} holds a value below {minimum}')
        return values

    parse.__name__ = f'comma list of {kind.__name__}'
    return parse


def number(
    kind: type, low: float | None = None, high: float | None = None, above: float | None = None, below=None
) -> Callable[[str], float]:
    """A parser of one finite number of `kind`, int or float; low, high: its bounds; above, below: bounds that it must
    not touch."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{text!r} is not a {_WORDS[kind]}, such as {_EXAMPLES[kind]}') from None
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f'{text!r} is not a finite number')
        words = {'of at least': low, 'of at most': high, 'above': above, 'below': below}
        outside = (low is not None and value < low) or (high is not None and value > high)
        if outside or (above is not None and value <= above) or (below is not None and value >= below):
            bounds = [f'{word} {bound}' for word, bound in words.items() if bound is not None]
            raise argparse.ArgumentTypeError(f'{text} is out of range; give a {_WORDS[kind]} {" and ".join(bounds)}')
        return value

    parse.__name__ = kind.__name__
    return parse


def value_range(text: str) -> tuple[float, float]:
    """'low,high' -> (low, high), of which low is smaller."""
    low, high = numbers(float, count=(2,))(text)
    if low >= high:
        raise argparse.ArgumentTypeError(f'{text!r} has no values in between; give the smaller one first')
    return low, high


def crop_size(text: str) -> tuple[int, int]:
    """'s' or 'h,w' -> (h, w) in pixels."""
    sizes = numbers(int, count=(1, 2), minimum=1)(text)
    return sizes if len(sizes) == 2 else sizes * 2


def rates(text: str) -> tuple[float, float]:
    """'low,high', both above 0 and in this order."""
    low, high = numbers(float, count=(2,))(text)
    if not 0 < low < high:
        raise argparse.ArgumentTypeError(f'{text!r} is no range of rates: expected 0 < LOW < HIGH, such as 1e-6,1')
    return low, high


def resamplings(text: str) -> int:
    """How often a bootstrap draws: 0 for no intervals, else at least 2, of one of which both ends would be the same."""
    times = int(count(text))
    if times == 1:
        raise argparse.ArgumentTypeError('1 resampling has no interval; give 0 for none, or a number such as 1000')
    return times


def names(text: str) -> tuple[str, ...]:
    """'a, b' -> ('a', 'b')."""
    found = tuple(item.strip() for item in text.split(',') if item.strip())
    if not found:
        raise argparse.ArgumentTypeError(f'{text!r} names nothing')
    return found


def names_among(*known: str) -> Callable[[str], tuple[str, ...]]:
    """A parser of 'a,b' into names that are all among `known`; 'none' -> ()."""

    def parse(text):
        found = names(text) if text != 'none' else ()
        unknown = [name for name in found if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f'{unknown[0]!r} is none of {", ".join(known)}; give some of them, or none'
            )
        return found

    parse.__name__ = 'names'
    return parse


count = number(int, low=0)
positive = number(int, low=1)
share = number(float, low=0, high=1)
amount = number(float, low=0)
processes = number(int, low=1, high=512)  # or threads
grey_level = number(float, low=0, high=255)
above_zero = number(float, above=0)
scale = number(float, low=0.01)
scales = numbers(float, minimum=0.01)
