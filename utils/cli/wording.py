"""Parts of sentences that messages have in common: lists, counts, and the nearest known name."""

import difflib
from collections import Counter

LONGEST = 800  # characters of a message


def told(text) -> str:
    """A message as one line for a terminal: control characters escaped, and cut in the middle where it is too long."""
    line = ''.join(c if c.isprintable() or c.isspace() else c.encode('unicode_escape').decode() for c in str(text))
    line = ' '.join(line.split())
    if len(line) <= LONGEST:
        return line
    left, right = LONGEST // 2, LONGEST // 3
    return f'{line[:left]} ... ({len(line) - left - right:,} characters left out) ... {line[-right:]}'


def listed(names, count: int = 10) -> str:
    """The first of some names: 'a, b and 3 more'; 'nothing' of none."""
    names = list(map(str, names))
    if not names:
        return 'nothing'
    return ', '.join(names[:count]) + (f' and {len(names) - count:,} more' if len(names) > count else '')


def by_ending(names) -> str:
    """How many files have which ending: '3 .heic, 1 .txt'; a file without one counts by its name."""
    names = [str(name).replace('\\', '/').rpartition('/')[2] for name in names]
    endings = Counter(f'.{name.rpartition(".")[2].lower()}' if '.' in name[1:] else name for name in names)
    return listed(f'{count:,} {ending}' for ending, count in endings.most_common())


def shortened(lines, count: int, indent: str = '  ') -> list[str]:
    """The first of some lines, and in a last one how many there are beside them: '  and 3 more'."""
    lines = list(lines)
    return lines[:count] + ([f'{indent}and {len(lines) - count:,} more'] if len(lines) > count else [])


def left_out_lines(faults, images: int, is_scored=False) -> list[str]:
    """What is said of images that were left out: a count, and a line for each of the messages `faults`.

    images: how many were not left out.
    """
    if not faults:
        return []
    score = '; the score is of the others alone' if is_scored else ''
    return [
        f'{len(faults)} of {len(faults) + images} images were left out{score}:',
        *(f'  {told(one)}' for one in faults),
    ]


def counted(count: int, one: str, many: str = '') -> str:
    """'1 label', '1,234 labels'; many: the plural where it is not one + 's'."""
    return f'{count:,} {one if count == 1 else many or one + "s"}'


def nearest(name, known, count: int = 3, cutoff: float = 0.5) -> list[str]:
    """The names of `known` that `name` may have meant, best first; upper and lower case count as the same."""
    by_lower = {str(item).lower(): str(item) for item in known}
    found = difflib.get_close_matches(str(name).lower(), by_lower, n=count, cutoff=cutoff)
    return [by_lower[match] for match in found]


def did_you_mean(name, known, otherwise: str = '', count: int = 3, cutoff: float = 0.5) -> str:
    """'did you mean a or b?' for a name that is not known.

    Args:
        known: the names there are.
        otherwise: what is said where none is near.
        count: names that are suggested at most.
        cutoff: how alike they are at least, from 0 to 1 (difflib's ratio).
    """
    near = nearest(name, known, count, cutoff)
    return f'did you mean {" or ".join(near)}?' if near else otherwise
