import io
import tracemalloc

import numpy as np
import pytest
import torch

from utils.outputs.logits import FORMATS, Storage, read_logits, reduce, write_logits

zstandard = pytest.importorskip('zstandard')
SIZE = (9, 14)


def logits(seed=0, size=SIZE):
    return torch.randn(4, *size, generator=torch.Generator().manual_seed(seed)) * 5


@pytest.mark.parametrize('format', FORMATS)
def test_whole_float16_logits_come_back_bit_for_bit(tmp_path, format):
    values, storage = logits().half(), Storage(format)
    write_logits(tmp_path / f'a{storage.suffix}', values.numpy(), SIZE, storage)
    found = read_logits(tmp_path / f'a{storage.suffix}')
    assert torch.equal(found.full(), values) and found.size == SIZE


def test_the_plain_forms_are_what_numpy_reads(tmp_path):
    values = logits().half().numpy()
    write_logits(tmp_path / 'a.npz', values, SIZE, Storage('npz'))
    write_logits(tmp_path / 'a.npy', values, SIZE, Storage('npy'))
    assert np.load(tmp_path / 'a.npz').files == ['logits']
    assert np.array_equal(np.load(tmp_path / 'a.npz')['logits'], values) and np.array_equal(
        np.load(tmp_path / 'a.npy'), values
    )


@pytest.mark.parametrize('format', FORMATS)
@pytest.mark.parametrize('stride', [1, 2, 4])
def test_int8_is_off_by_half_a_step_of_its_class_at_most(tmp_path, format, stride):
    values = reduce(logits(), stride).half()
    storage = Storage(format, 'int8', stride)
    write_logits(tmp_path / f'a{storage.suffix}', values.numpy(), SIZE, storage)
    found = read_logits(tmp_path / f'a{storage.suffix}')
    step = (values.amax((1, 2)) - values.amin((1, 2))).float() / 254
    assert ((found.values - values.float()).abs() <= step.view(-1, 1, 1) * 0.501 + 1e-6).all()
    assert found.size == SIZE and found.full().shape == (4, *SIZE)


def test_a_stride_is_the_mean_of_its_pixels_also_at_the_edge():
    values = torch.arange(15.0).view(1, 3, 5)
    assert reduce(values, 2).tolist() == [[[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]]


def test_a_stride_keeps_a_smooth_map_nearly():
    ramp = torch.linspace(0, 8, 64).repeat(1, 64, 1)
    stored = read_back(ramp, 4)
    assert (stored.full() - ramp)[..., 4:-4].abs().max() < 0.02


def read_back(values, stride):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        write_logits(
            f'{folder}/a.npy',
            reduce(values, stride).half().numpy(),
            tuple(values.shape[1:]),
            Storage('npy', stride=stride),
        )
        return read_logits(f'{folder}/a.npy')


@pytest.mark.parametrize('format', FORMATS)
def test_every_cut_is_noticed(tmp_path, format):
    storage = Storage(format, 'int8', 2)
    path = tmp_path / f'a{storage.suffix}'
    write_logits(path, reduce(logits(), 2).half().numpy(), SIZE, storage)
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 7):
        path.write_bytes(data[:length])
        try:
            found = read_logits(path)
        except ValueError as error:
            assert str(error).startswith(f'{path}: holds no logits')
        else:
            # an .npy file that ends between two of its arrays is a whole file of fewer arrays: then the sizes tell
            assert format == 'npy' and found.size != SIZE


def test_what_is_no_logits_file_is_said(tmp_path):
    np.savez(tmp_path / 'a.npz', other=np.zeros(3))
    np.savez(tmp_path / 'b.npz', logits=np.zeros((3, 4)))
    np.savez(tmp_path / 'c.npz', logits=np.zeros((3, 4, 5), np.int64))
    np.savez(tmp_path / 'e.npz', logits=np.zeros((0, 4, 5), np.float16))
    np.savez(tmp_path / 'f.npz', logits=np.zeros((3, 4, 5), np.int8))
    np.savez(tmp_path / 'g.npz', logits=np.zeros((3, 4, 5), np.int8), steps=np.ones((2, 2), np.float32))
    (tmp_path / 'h.npz').write_text('some text')
    for name in 'abcefgh':
        with pytest.raises(ValueError, match=f'{name}.npz: holds'):
            read_logits(tmp_path / f'{name}.npz')
    (tmp_path / 'i.npy').write_text('some text')
    with pytest.raises(ValueError, match='i.npy: .*no NumPy file, or one of Python objects'):
        read_logits(tmp_path / 'i.npy')
    with pytest.raises(FileNotFoundError, match='no such logits file'):
        read_logits(tmp_path / 'd.npz')


@pytest.mark.parametrize('format', FORMATS)
@pytest.mark.parametrize('size', [(12, 386547056656), (-12, 16), (0, 16), (13, 16), (12,), (12, 16, 1), (12.0, 16.0)])
def test_a_size_that_no_stride_makes_the_values_of_is_refused(tmp_path, format, size):
    path, values = tmp_path / f'a{FORMATS[format]}', reduce(logits(size=(12, 16)), 2).half().numpy()
    arrays = {'logits': values, 'steps': np.empty((2, 0), np.float32), 'size': np.array(size)}
    if format == 'npz':
        np.savez(path, logits=values, size=arrays['size'])
    else:
        file = io.BytesIO()
        for array in arrays.values():
            np.save(file, array)
        path.write_bytes(file.getvalue() if format == 'npy' else zstandard.compress(file.getvalue()))
    with pytest.raises(
        ValueError,
        match=r'a_logits.* holds no logits that can be read .*values of \(6, 8\) for an image of size .*write it again',
    ):
        read_logits(path)


def test_a_zstd_file_takes_no_more_memory_than_the_arrays_that_it_announces(tmp_path):
    file = io.BytesIO()
    np.save(file, logits().half().numpy())
    file.write(bytes(1 << 26))
    (tmp_path / 'a_logits.npy.zst').write_bytes(zstandard.compress(file.getvalue()))
    tracemalloc.start()
    with pytest.raises(ValueError, match='a_logits.npy.zst: holds no logits'):
        read_logits(tmp_path / 'a_logits.npy.zst')
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 1 << 20


def test_a_damaged_byte_of_a_zstd_file_is_found(tmp_path):
    path = tmp_path / 'a_logits.npy.zst'
    write_logits(path, np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float16), (16, 16), Storage('zst'))
    content = path.read_bytes()
    for place in range(20, len(content), 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with pytest.raises(ValueError, match='holds no logits that can be read'):
            read_logits(path)
