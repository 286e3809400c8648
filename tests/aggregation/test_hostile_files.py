"""Files of a submission that are damaged, or that would take far more memory than their bytes: one sentence, and no
memory."""

import io
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from aggregation.benchmarks import trees
from aggregation.benchmarks.score_files import encode_hdf5, read_score
from aggregation.benchmarks.trees import Tree, read_gray

h5py = pytest.importorskip('h5py')
PNG = cv2.imencode('.png', np.arange(12, dtype=np.uint8).reshape(3, 4))[1].tobytes()


def peak(work) -> int:
    """Bytes that `work` takes at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def zipped(data, name='a_pred.png', method=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', method) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def map_npz(header=None, data=None, method=zipfile.ZIP_DEFLATED) -> bytes:
    """An .npz of a score map; header: what its .npy says it holds."""
    file = io.BytesIO()
    array = np.linspace(0, 1, 600, dtype=np.float16).reshape(20, 30) if data is None else data
    np.lib.format.write_array_header_1_0(file, header or np.lib.format.header_data_from_array_1_0(array))
    return zipped(file.getvalue() + array.tobytes(), 'value.npy', method)


def in_directory(data: bytes, place: int, value: bytes) -> bytes:
    """A zip of one file with other bytes at a place of its entry in the directory (PKWARE APPNOTE 4.3.12)."""
    begin = data.index(b'PK\1\2') + place
    return data[:begin] + value + data[begin + len(value) :]


def group_hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, 'w') as made:
        made.create_group('value')
    return file.getvalue()


def huge_hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, 'w') as made:
        made.create_dataset('value', (1 << 16, 1 << 16), np.float16, chunks=(256, 256))
    return file.getvalue()


def bomb_hdf5(content=bytes(1 << 26)) -> bytes:
    """One chunk of 4x5 float16 whose gzip stream is another."""
    file = io.BytesIO()
    with h5py.File(file, 'w') as made:
        values = made.create_dataset('value', (4, 5), np.float16, chunks=(4, 5), compression='gzip')
        values.id.write_direct_chunk((0, 0), zlib.compress(content))
    return file.getvalue()


HUGE = {'descr': '<f2', 'fortran_order': False, 'shape': (1 << 16, 1 << 16)}


@pytest.mark.parametrize(
    'name, data, words',
    [
        ('a_msp.npz', b'PK\3\4 cut', 'BadZipFile'),
        ('a_msp.npz', map_npz()[:70] + b'\xff\xff\xff' + map_npz()[73:], 'error'),
        ('a_msp.npz', in_directory(map_npz(), 10, b'\x63'), 'packed with method 99'),
        ('a_msp.npz', in_directory(map_npz(), 8, b'\1'), 'RuntimeError|NotImplementedError|encrypted'),
        ('a_msp.npz', map_npz(method=zipfile.ZIP_BZIP2), 'packed with method 12'),
        ('a_msp.npz', map_npz(HUGE), 'announces 65536x65536 pixels, expected at most 16,777,216'),
        ('a_msp.npz', zipped(b'', 'other.npy'), 'KeyError'),
        ('a_msp.npy', b'\x93NUMPY\1\0\4\0{((\n', 'Error'),
        ('a_msp.npy', b'', 'ValueError'),
        ('a_msp.hdf5', group_hdf5(), 'Error'),
        ('a_msp.hdf5', huge_hdf5(), 'announces 65536x65536 pixels'),
        ('a_msp.hdf5', encode_hdf5(np.zeros((4, 5)))[:700], 'OSError'),
        ('a_msp.hdf5', bomb_hdf5(), 'a chunk that unpacks to more than its 40 bytes'),
    ],
)
def test_a_score_map_that_cannot_be_read_is_named_in_one_sentence(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    tree = Tree(tmp_path)
    with (
        pytest.raises(ValueError, match=f'{name} holds no score map under .value. .*({words}).*; write it again'),
    ):
        read_score(tree, name)


@pytest.mark.parametrize(
    'ending, data', [('npz', map_npz()), ('hdf5', encode_hdf5(np.random.default_rng(0).random((20, 30))))]
)
def test_any_damage_of_a_score_map_gives_a_sentence_or_a_map(tmp_path, ending, data):
    rng = np.random.default_rng(2)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(data))] = rng.integers(256)
        (tmp_path / f'a_msp.{ending}').write_bytes(
            damaged[: rng.integers(len(data))] if rng.random() < 0.3 else damaged
        )
        tree = Tree(tmp_path)
        try:
            assert read_score(tree, f'a_msp.{ending}').ndim == 2
        except ValueError as error:
            assert f'a_msp.{ending} holds' in str(error)


@pytest.mark.parametrize(
    'place, value, words',
    [
        (0, b'PK\1\7', 'is damaged or no zip archive .*; fetch or pack it anew'),
        (8, b'\1', "'a_pred.png' in it is encrypted"),
        (10, b'\x63', "'a_pred.png' in it is compressed with 99, only stored and deflated files are read"),
        (20, b'\xff\xff\xff\x7f', 'a_pred.png: is damaged in its archive; fetch or pack the archive anew'),  # its bytes
        (
            42,
            b'\xff\xff\xff\x7f',
            'a_pred.png: is damaged in its archive; fetch or pack the archive anew',
        ),  # their place
    ],
)
def test_a_damaged_zip_is_named_and_takes_no_memory(tmp_path, place, value, words):
    (tmp_path / 'a.zip').write_bytes(in_directory(zipped(PNG), place, value))

    def read():
        with pytest.raises(ValueError, match=f'a.zip.*{words}'):
            Tree(tmp_path / 'a.zip').read('a_pred.png')

    assert peak(read) < 1 << 21


def test_a_zip_never_unpacks_to_more_than_it_says(tmp_path):
    data = zipped(bytes(1 << 26))
    (tmp_path / 'a.zip').write_bytes(in_directory(data, 24, struct.pack('<I', 1000)))
    tree = Tree(tmp_path / 'a.zip')

    def read():
        with pytest.raises(ValueError, match='a.zip/a_pred.png: is damaged in its archive'):
            tree.read('a_pred.png')

    assert peak(read) < 1 << 21


@pytest.mark.parametrize('kind', ['folder', 'zip', 'tar'])
def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(trees, 'FILE_LIMIT', len(PNG))
    path = tmp_path / f'a.{kind}'
    files = {'a.png': PNG, 'b.png': PNG + b'\0'}
    if kind == 'folder':
        path.mkdir()
        for name, data in files.items():
            (path / name).write_bytes(data)
    elif kind == 'zip':
        with zipfile.ZipFile(path, 'w') as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, 'w') as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    tree = Tree(path)
    assert tree.read('a.png') == PNG
    with pytest.raises(ValueError, match=f'b.png has {len(PNG) + 1} bytes, expected at most {len(PNG)}; .*take it out'):
        tree.read('b.png')


def test_a_tar_whose_file_has_a_negative_size_is_refused(tmp_path):
    member = tarfile.TarInfo('a.png')
    member.size = -512
    (tmp_path / 'a.tar').write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(ValueError, match='a.tar: is damaged or no tar archive'):
        Tree(tmp_path / 'a.tar')


def test_a_png_that_announces_a_huge_picture_is_refused_before_it_is_decoded(tmp_path):
    header = b'IHDR' + struct.pack('>II', 20000, 30000) + PNG[24:29]
    (tmp_path / 'a.png').write_bytes(PNG[:12] + header + zlib.crc32(header).to_bytes(4, 'big') + PNG[33:])
    tree = Tree(tmp_path)
    with (
        pytest.raises(
            ValueError, match='a.png announces 20000x30000 pixels, expected at most 16,777,216; write it again'
        ),
    ):
        read_gray(tree, 'a.png')


def test_a_picture_of_another_format_under_the_name_of_a_png_is_no_png(tmp_path):
    (tmp_path / 'a.png').write_bytes(cv2.imencode('.tiff', np.zeros((3, 4), np.uint8))[1].tobytes())
    tree = Tree(tmp_path)
    with pytest.raises(ValueError, match='a.png is damaged or no image in PNG form'):
        read_gray(tree, 'a.png')


@pytest.mark.parametrize(
    'damage',
    [
        lambda data: data[:33] + b'\x7f\xff\xff\xff' + data[37:],  # a chunk of 2 GiB
        lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
        lambda data: data[:-12],
        lambda data: data[:8],
        lambda data: b'',
    ],
)
def test_a_damaged_png_is_named_and_nothing_else_is_printed(tmp_path, damage, capfd):
    (tmp_path / 'a.png').write_bytes(damage(PNG))
    tree = Tree(tmp_path)
    with (
        pytest.raises(ValueError, match='a.png is damaged or no image in PNG form, .*; write it again'),
    ):
        read_gray(tree, 'a.png')
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
    'options',
    [{}, {'chunks': (3, 4)}, {'chunks': (3, 4), 'compression': 'gzip'}, {'compression': 'gzip', 'shuffle': True}],
)
def test_hdf5_maps_of_any_layout_that_the_suite_writes_are_read(tmp_path, options):
    values = np.random.default_rng(0).random((10, 13)).astype(np.float32)
    with h5py.File(tmp_path / 'a_msp.hdf5', 'w') as made:
        made.create_dataset('value', data=values, **options)
    (tmp_path / 'b_msp.hdf5').write_bytes(bomb_hdf5(np.ones((4, 5), np.float16).tobytes()))
    tree = Tree(tmp_path)
    assert np.array_equal(read_score(tree, 'a_msp.hdf5'), values)
    assert np.array_equal(read_score(tree, 'b_msp.hdf5'), np.ones((4, 5)))
