import struct
import zipfile
import zlib

import numpy as np
import pytest

import utils.files.npz
from utils.files.npz import read_npz, write_npz


@pytest.mark.parametrize('shape', [(3, 5, 7), (19, 200, 301), (1,), (2, 0, 4)])
def test_numpy_reads_back_every_bit(tmp_path, shape):
    array = np.random.default_rng(0).normal(0, 8, shape).astype(np.float16)
    write_npz(tmp_path / 'a.npz', {'logits': array})
    with np.load(tmp_path / 'a.npz', allow_pickle=False) as stored:
        assert stored.files == ['logits']
        assert stored['logits'].dtype == np.float16 and stored['logits'].shape == shape
        assert stored['logits'].tobytes() == array.tobytes()


def test_other_zip_readers_find_one_sound_deflated_member(tmp_path):
    write_npz(tmp_path / 'a.npz', {'logits': np.zeros((4, 64, 64), np.float16)})
    with zipfile.ZipFile(tmp_path / 'a.npz') as archive:
        assert archive.testzip() is None
        [member] = archive.infolist()
    assert (member.filename, member.compress_type, member.file_size) == (
        'logits.npy',
        zipfile.ZIP_DEFLATED,
        128 + 4 * 64 * 64 * 2,
    )
    assert (tmp_path / 'a.npz').stat().st_size < 8192  # zeros: one bit a byte


def test_arrays_in_another_memory_order_are_written_in_c_order(tmp_path):
    array = np.arange(24, dtype=np.float16).reshape(2, 3, 4).transpose(2, 0, 1)
    write_npz(tmp_path / 'a.npz', {'logits': array})
    assert np.array_equal(np.load(tmp_path / 'a.npz')['logits'], array)


def test_equal_arrays_give_equal_files(tmp_path):
    for name in ('a.npz', 'b.npz'):
        write_npz(tmp_path / name, {'logits': np.ones((2, 8, 8), np.float16)})
    assert (tmp_path / 'a.npz').read_bytes() == (tmp_path / 'b.npz').read_bytes()


def test_what_does_not_fit_a_plain_zip_is_left_to_numpy(tmp_path, monkeypatch):
    monkeypatch.setattr(utils.files.npz, 'ZIP_LIMIT', 100)
    array = np.arange(200, dtype=np.float16)
    write_npz(tmp_path / 'a.npz', {'logits': array})
    assert np.array_equal(np.load(tmp_path / 'a.npz')['logits'], array)


def test_several_arrays_lie_in_one_file(tmp_path):
    arrays = {
        'logits': np.arange(24, dtype=np.int8).reshape(2, 3, 4),
        'steps': np.ones((2, 2), np.float32),
        'none': np.empty((0, 3)),
    }
    write_npz(tmp_path / 'a.npz', arrays)
    assert zipfile.ZipFile(tmp_path / 'a.npz').testzip() is None
    with np.load(tmp_path / 'a.npz') as stored:
        assert stored.files == list(arrays) and all(np.array_equal(stored[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize('shape', [(3, 5, 7), (19, 200, 301), (1,), (2, 0, 4), ()])
@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.int8, np.int64])
def test_what_numpy_writes_is_read_bit_for_bit(tmp_path, shape, dtype):
    array = np.random.default_rng(0).integers(-99, 99, shape).astype(dtype)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / 'a.npz', logits=array, other=np.ones(3))
        found = read_npz(tmp_path / 'a.npz', ('logits', 'size'))
        assert list(found) == ['logits'] and found['logits'].dtype == dtype and found['logits'].shape == shape
        assert found['logits'].tobytes() == array.tobytes() and found['logits'].flags.writeable


def test_an_array_in_another_memory_order_is_read(tmp_path):
    array = np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    np.savez_compressed(tmp_path / 'a.npz', logits=array)
    assert np.array_equal(read_npz(tmp_path / 'a.npz', ['logits'])['logits'], array)


@pytest.mark.parametrize('place', [60, 200, 2000, -200])
def test_a_damaged_byte_is_found(tmp_path, place):
    path = tmp_path / 'a.npz'
    write_npz(path, {'logits': np.random.default_rng(0).normal(size=(4, 32, 32)).astype(np.float16)})
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(Exception, match='.'):
        read_npz(path, ['logits'])


def test_a_member_that_is_longer_than_it_says_is_refused(tmp_path):
    path = tmp_path / 'a.npz'
    write_npz(path, {'logits': np.zeros(100000, np.float16)})
    content = path.read_bytes()
    true, false = (struct.pack('<I', size) for size in (128 + 200000, 128 + 20000))
    assert content.count(true) == 2
    path.write_bytes(content.replace(true, false))
    with pytest.raises(zipfile.BadZipFile, match='longer than the 20128 bytes'):
        read_npz(path, ['logits'])


def test_python_objects_are_refused(tmp_path):
    np.savez_compressed(tmp_path / 'a.npz', logits=np.array([{}], object))
    with pytest.raises(ValueError, match='allow_pickle'):
        read_npz(tmp_path / 'a.npz', ['logits'])


def test_zlib_does_the_work_where_zlib_ng_is_missing(tmp_path, monkeypatch):
    array = np.random.default_rng(0).normal(size=(4, 64, 64)).astype(np.float16)
    write_npz(tmp_path / 'a.npz', {'logits': array})
    monkeypatch.setattr(utils.files.npz, 'zlib', zlib)
    write_npz(tmp_path / 'b.npz', {'logits': array})
    for name in ('a.npz', 'b.npz'):
        assert np.array_equal(read_npz(tmp_path / name, ['logits'])['logits'], array)
    assert abs((tmp_path / 'a.npz').stat().st_size - (tmp_path / 'b.npz').stat().st_size) < 100
