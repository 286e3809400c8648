"""Damage to the bytes of a file, as disks, copies, half downloads and bad will do it, drawn with a random generator."""

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable

WRONG = (
    None,
    True,
    False,
    -1,
    0,
    1,
    7,
    1 << 31,
    1 << 62,
    10**30,
    -1.5,
    1e308,
    '',
    'x',
    '../x',
    '\0',
    [],
    [[]],
    {},
    [None],
)


def damaged(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Other bytes than `data`, and the name of what was done to them."""
    name = rng.choice(list(DAMAGES))
    return DAMAGES[name](bytearray(data), rng), name


def flipped(data, rng):
    for _ in range(rng.choice((1, 1, 2, 8))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(data, rng):
    return bytes(data[: rng.randrange(len(data) + 1)])


def extended(data, rng):
    more = rng.choice((bytes(64), rng.randbytes(rng.choice((1, 100, 5000))), bytes(data)))
    return bytes(data) + more


def swapped(data, rng):
    size = rng.choice((1, 16, 64, 512))
    if len(data) >= 2 * size:
        one, other = rng.randrange(len(data) - size), rng.randrange(len(data) - size)
        data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]
    return bytes(data)


def emptied(data, rng):
    """A hole of zero bytes, as a disk that was full or a download in pieces leaves it."""
    start, size = rng.randrange(len(data) + 1), rng.choice((4, 64, 512, 4096))
    end = min(start + size, len(data))
    data[start:end] = bytes(end - start)
    return bytes(data)


def announced(data, rng):
    """A number of two, four or eight bytes near the head (or, as in archives, near the end) becomes a huge one."""
    width = rng.choice((2, 4, 8))
    if len(data) > width:
        place = rng.randrange(min(len(data) - width, 256))
        place = len(data) - width - place if rng.random() < 0.3 else place
        data[place : place + width] = rng.choice(
            (b'\xff' * width, b'\x7f' + b'\xff' * (width - 1), b'\xff' * (width - 1) + b'\x7f', bytes(width))
        )
    return bytes(data)


def rewritten(data, rng):
    """A decimal number in a text within the file becomes another one, as in the header of an array or a JSON text."""
    places = list(re.finditer(rb'(?<![\d.])\d{1,6}(?![\d.])', bytes(data[: 1 << 16])))
    if not places:
        return flipped(data, rng)
    place = rng.choice(places)
    other = rng.choice((b'0', b'-1', b'4294967295', b'99999999999999999999', b'1e99', b'65536', b'"x"', b'null'))
    return bytes(data[: place.start()] + other + data[place.end() :])


def repacked(data, rng):
    """What lies in a zip archive is damaged and packed anew, with right check sums, as bad will does it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, IndexError):
        return _with_check_sums(flipped(data, rng))
    if not members:
        return flipped(data, rng)
    place, file = rng.randrange(len(members)), io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for index, (info, content) in enumerate(members):
            if index == place:
                damage = rng.choice((flipped, cut, emptied, announced, rewritten, extended, None))
                if damage is None:
                    continue
                content = damage(bytearray(content), rng)
            archive.writestr(info.filename, content, rng.choice((info.compress_type, zipfile.ZIP_DEFLATED)))
    return file.getvalue()


def _with_check_sums(data: bytes) -> bytes:
    """A PNG whose chunks have the check sums of what they hold, so that the damage is found where it matters."""
    if not data.startswith(b'\x89PNG'):
        return data
    place, done = 8, bytearray(data[:8])
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], 'big')
        if end + 4 > len(data):
            break
        done += data[place:end] + struct.pack('>I', zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(done + data[place:])


def other_values(data, rng):
    """One value of a JSON text becomes one of another type or size."""
    try:
        content = json.loads(bytes(data))
    except (ValueError, UnicodeDecodeError):
        return flipped(data, rng)
    return json.dumps(with_other_value(content, rng)).encode()


def with_other_value(content, rng: random.Random):
    """`content`, nested dicts, lists and tuples, with one value in it replaced or left out."""
    places = list(_places(content))
    if not places or rng.random() < 0.02:
        return rng.choice(WRONG)
    path = rng.choice(places)
    return _replaced(content, path, rng.choice(WRONG), rng.random() < 0.15)


def _places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for number, (key, inner) in enumerate(items):
        if number > 40:
            break
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _replaced(value, path, new, is_left_out):
    if not path:
        return new
    items = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and is_left_out:
        del items[path[0]]
    else:
        items[path[0]] = _replaced(items[path[0]], path[1:], new, is_left_out)
    return tuple(items) if isinstance(value, tuple) else items


def other_words(data, rng):
    """A line of a text is doubled, left out, joined to the next, or has other characters."""
    lines = bytes(data).split(b'\n')
    place = rng.randrange(len(lines))
    lines[place : place + 1] = rng.choice(
        (
            [lines[place]] * 2,
            [],
            [lines[place] * 200],
            [
                lines[place]
                + rng.choice((b'\0', b'\xff\xfe', b'\t', b' , ', b'\\', b'\xc3', b': [', b'*a', b'&a', b'"', b'-'))
            ],
            [
                rng.choice(
                    (
                        b'\t',
                        b'/x',
                        b'../x',
                        b'[' * 3000,
                        b'- ' * 500,
                        b'a: ' * 99,
                        b'? ',
                        b'!!python/object:os.system x',
                    )
                )
            ],
            [lines[place].decode(errors='replace').encode('utf-16')],
        )
    )
    return b'\n'.join(lines)


DAMAGES: dict[str, Callable] = {
    'bits flipped': flipped,
    'cut off': cut,
    'bytes added': extended,
    'blocks swapped': swapped,
    'a hole of zeros': emptied,
    'a huge number': announced,
    'another number in a text': rewritten,
    'packed anew': repacked,
    'a value of another type': other_values,
    'another line': other_words,
}
