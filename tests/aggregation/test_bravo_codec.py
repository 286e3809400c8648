import tracemalloc
import zlib

import numpy as np
import pytest

from aggregation.benchmarks import bravo_codec as codec

zstandard = pytest.importorskip('zstandard')
INDICES = np.array([7, 8, 300, 70000])
CLASSES, LEVELS = np.arange(12, dtype=np.uint8).reshape(3, 4), np.full(3, 65535, np.uint16)
ENCODED = bytes.fromhex(
    '42563233020000000300000004000000030000000c00000006000000'
    '28b52ffd2012910000000102030405060708090a0bffffffffffff4e54dc02'
)


def test_the_published_samples_file_byte_for_byte():
    assert codec.encode_samples(INDICES).hex() == '28b52ffd200f790000040000070000010024010000441001'
    assert codec.decode_samples(codec.encode_samples(INDICES)).tolist() == INDICES.tolist()


def test_the_published_prediction_byte_for_byte():
    assert codec.encode_prediction(CLASSES, LEVELS) == ENCODED
    classes, levels = codec.decode_prediction(ENCODED)
    assert (classes == CLASSES).all() and (levels == LEVELS).all()


@pytest.mark.parametrize(
    'indices',
    [[0], [5], [0, 255], [0, 256], [3, 4, 5, 700, 701, 2**24 - 1], list(range(0, 60000, 256)), list(range(0, 6000, 3))],
)
def test_any_indices_come_back(indices):
    assert codec.decode_samples(codec.encode_samples(indices)).tolist() == list(indices)


@pytest.mark.parametrize('indices', [[], [-1, 2], [4, 4], [5, 3], [2**24]])
def test_indices_that_cannot_be_written_are_refused(indices):
    with pytest.raises(ValueError, match='strictly ascending'):
        codec.encode_samples(indices)


def test_samples_are_drawn_as_the_benchmark_draws_them():
    truth = np.full((400, 400), 255, np.uint8)
    truth[:, 10:] = 3
    labelled = np.flatnonzero(truth.ravel() != 255)
    expected = np.sort(np.random.RandomState(1).choice(labelled, 100_000, replace=False))
    assert (codec.draw_samples(truth) == expected).all()
    assert (codec.draw_samples(truth[:5]) == np.flatnonzero(truth[:5].ravel() != 255)).all()


def test_every_cut_and_every_flipped_byte_of_a_prediction_is_noticed():
    rng = np.random.default_rng(0)
    data = codec.encode_prediction(
        rng.integers(0, 19, (30, 40)).astype(np.uint8), rng.integers(0, 65536, 50).astype(np.uint16)
    )
    for length in range(len(data)):
        with pytest.raises(ValueError):
            codec.decode_prediction(data[:length], 'a.bin')
    for place in range(0, len(data), 3):
        with pytest.raises(ValueError):
            codec.decode_prediction(data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :], 'a.bin')


def test_random_bytes_in_a_samples_file_give_a_sentence_or_indices():
    rng = np.random.default_rng(1)
    good = codec.encode_samples(np.sort(rng.choice(10000, 200, replace=False)))
    for _ in range(500):
        data = bytearray(good)
        data[rng.integers(len(data))] = rng.integers(256)
        try:
            indices = codec.decode_samples(bytes(data[: rng.integers(len(data)) + 1]), 's.bin')
        except ValueError as error:
            assert str(error).startswith('s.bin: ')
        else:
            assert (np.diff(indices) > 0).all()


def forged(*, header=None, body=b'', checksum=True):
    data = codec.HEADER.pack(*header) + body
    return data + (zlib.crc32(data).to_bytes(4, 'little') if checksum else b'\0\0\0\0')


def frame(content, **options):
    return zstandard.ZstdCompressor(**options).compress(content)


@pytest.mark.parametrize(
    'data, words',
    [
        (forged(header=(b'BV23', 1, 1, 1, 0, 1, 0), body=frame(b'\0')), 'version 1'),
        (forged(header=(b'BV23', 2, 1, 1, 0, 1, 0), body=frame(b'\0'), checksum=False), 'check sum'),
        (forged(header=(b'BV23', 2, 2, 2, 0, 1, 0), body=frame(b'\0')), 'announces 2x2 pixels'),
        (forged(header=(b'BV23', 2, 1, 1, 1, 1, 3), body=frame(b'\0\0\0\0')), 'announces'),
        (forged(header=(b'BV23', 2, 1, 1, 0, 1, 0), body=frame(b'\0' * 9)), 'would take 9 bytes'),
        (forged(header=(b'BV23', 2, 1, 3, 0, 3, 0), body=frame(b'\0')), 'holds 1 bytes, expected 3'),
        (
            forged(header=(b'BV23', 2, 1, 1, 0, 1, 0), body=frame(b'\0', write_content_size=False)),
            'does not say how large',
        ),
        (forged(header=(b'BV23', 2, 1, 1, 0, 1, 0), body=frame(b'\0') + frame(b'\0')), 'more than one zstd frame'),
        (
            forged(header=(b'BV23', 2, 60000, 60000, 0, 3600000000, 0), body=frame(b'\0' * 100)),
            'announces 60000x60000 pixels',
        ),
        (b'PK\3\4 some archive of other things', 'no encoded prediction'),
    ],
)
def test_hostile_predictions_are_refused_in_words(data, words):
    with pytest.raises(ValueError, match=words):
        codec.decode_prediction(data, 'x.bin')


def test_a_small_file_of_a_huge_picture_is_refused_before_memory_is_taken():
    header = codec.HEADER.pack(codec.MAGIC, codec.VERSION, 1 << 15, 1 << 15, 0, 1 << 30, 0)
    with pytest.raises(ValueError, match='announces 32768x32768 pixels'):
        codec.decode_prediction(header + zlib.crc32(header).to_bytes(4, 'little'))


def test_a_file_of_escapes_alone_is_refused_at_the_first():
    content = (5).to_bytes(3, 'little') * 2 + b'\0\1\0\0' * 1000
    with pytest.raises(ValueError, match='a distance of 1 in four bytes'):
        codec.decode_samples(codec.zstandard().ZstdCompressor().compress(content))


def test_more_samples_than_pixels_are_refused_before_memory_is_taken():
    with pytest.raises(ValueError, match='announces 2147483647 samples of 1x1 pixels, expected at most one of each'):
        codec.decode_prediction(forged(header=(b'BV23', 2, 1, 1, 2**31 - 1, 1, 2**32 - 2)), 'x.bin')


def test_another_size_than_that_of_the_image_is_refused_before_it_is_unpacked():
    data = forged(header=(b'BV23', 2, 3, 4, 0, 12, 0), body=b'no zstd frame')
    with pytest.raises(
        ValueError, match=r'x.bin: is 4x3 \(width x height\) pixels, its ground truth 4x2 \(width x height\); predict'
    ):
        codec.decode_prediction(data, 'x.bin', (2, 4))
    with pytest.raises(ValueError, match='x.bin: is damaged, cut off or more than one zstd frame'):
        codec.decode_prediction(data, 'x.bin', (3, 4))


def test_a_frame_that_unpacks_to_more_than_it_says_takes_no_more():
    body = bytearray(frame(bytes(1 << 26)))
    place = body.index((1 << 26).to_bytes(4, 'little'))
    body[place : place + 4] = (12).to_bytes(4, 'little')
    data = forged(header=(b'BV23', 2, 3, 4, 0, 12, 0), body=bytes(body))
    tracemalloc.start()
    with pytest.raises(ValueError, match='x.bin: is damaged, cut off or more than one zstd frame'):
        codec.decode_prediction(data, 'x.bin')
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 1 << 20
