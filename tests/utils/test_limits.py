"""Small files that announce gigabytes end in one sentence, before memory is taken."""

import io
import json
import struct
import tracemalloc
import zipfile
import zlib

import cv2
import numpy as np
import pytest
import torch

from datasets.loading import formats
from datasets.loading.reading import peek, read_image, read_label
from utils import checkpoint
from utils.cli.yaml_file import MOST_VALUES, read_yaml
from utils.files import stamps
from utils.files.archives import locate
from utils.files.limits import FILE_BYTES, parse_json
from utils.outputs.logits import read_logits

DEEP = '[' * 200_000
HUGE = {'descr': '<f2', 'fortran_order': False, 'shape': (19, 1 << 14, 1 << 14)}  # 9.5 GiB


def refusal(work) -> str:
    """The sentence of the ValueError that `work` ends in after taking less than 64 MiB."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as found:
            work()
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()
    return str(found.value)


def png(shape=(24, 40, 3)) -> bytes:
    return cv2.imencode('.png', np.zeros(shape, np.uint8))[1].tobytes()


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A PNG whose header says another size."""
    head = b'IHDR' + struct.pack('>II', width, height) + data[24:29]
    return data[:12] + head + struct.pack('>I', zlib.crc32(head)) + data[33:]


@pytest.mark.parametrize('read', [read_image, read_label])
def test_a_png_chunk_of_4_gib_in_a_file_of_100_bytes(tmp_path, read):
    data = png((24, 40))
    (tmp_path / 'a.png').write_bytes(data[:33] + b'\xff\xff\xff\xf0' + data[37:])
    assert 'a.png: is a PNG with a chunk that is longer than the file; replace' in refusal(
        lambda: read(tmp_path / 'a.png')
    )


@pytest.mark.parametrize('read', [read_image, read_label, peek])
def test_an_image_that_announces_more_pixels_than_the_limit(tmp_path, read):
    (tmp_path / 'a.png').write_bytes(with_size(png((24, 40)), 30_000, 30_000))
    told = refusal(lambda: read(tmp_path / 'a.png'))
    assert 'a.png: has 900,000,000 pixels, expected at most the 536,870,912 of --max_pixels' in told


@pytest.mark.parametrize('ending', ['.png', '.jpg', '.webp', '.bmp', '.tif'])
def test_the_limit_of_pixels_holds_for_every_format_and_can_be_raised(tmp_path, monkeypatch, ending):
    file = tmp_path / f'a{ending}'
    cv2.imwrite(str(file), np.zeros((24, 40, 3), np.uint8))
    monkeypatch.setenv(formats.PIXELS_VARIABLE, '')
    formats.limit_pixels(959)
    assert 'has 960 pixels, expected at most the 959' in refusal(lambda: read_image(file))
    formats.limit_pixels(960)
    assert read_image(file).shape == (24, 40, 3)


def test_a_large_png_of_many_chunks_is_peeked_at_and_read(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), noise)
    assert peek(tmp_path / 'a.png') == (300, 400) and read_image(tmp_path / 'a.png').shape == (300, 400, 3)


def test_a_zip_member_that_announces_gigabytes(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a.png', bytes(1 << 16))
    data = bytearray(file.getvalue())
    place = data.index(b'PK\1\2') + 24
    data[place : place + 4] = struct.pack('<I', FILE_BYTES + 1)
    (tmp_path / 'd.zip').write_bytes(data)
    told = refusal(lambda: locate(tmp_path / 'd' / 'a.png').read_bytes())
    assert f'a.png: has {FILE_BYTES + 1:,} bytes, expected at most {FILE_BYTES:,}' in told


def npy(header) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(64)


@pytest.mark.parametrize('ending', ['.npy', '.npy.zst', '.npz', 'deflated.npz'])
def test_logits_that_announce_gigabytes(tmp_path, ending):
    file, data = tmp_path / f'a_logits{ending}', npy(HUGE)
    if ending == '.npy.zst':
        data = pytest.importorskip('zstandard').ZstdCompressor().compress(data)
    if ending.endswith('npz'):
        packed = io.BytesIO()
        method = zipfile.ZIP_DEFLATED if ending.startswith('deflated') else zipfile.ZIP_STORED
        with zipfile.ZipFile(packed, 'w', method) as archive:
            archive.writestr('logits.npy', data)
        data = packed.getvalue()
        if method == zipfile.ZIP_DEFLATED:
            place = data.index(b'PK\1\2') + 24
            data = data[:place] + struct.pack('<I', FILE_BYTES + 1) + data[place + 4 :]
    file.write_bytes(data)
    assert 'expected at most 2,147,483,648; write it again' in refusal(lambda: read_logits(file)).replace(')', '')


def test_a_checkpoint_whose_members_unpack_to_far_more_than_the_file(tmp_path):
    torch.save({'state_dict': {'a': torch.zeros(1 << 22)}}, tmp_path / 'a.pth')
    with (
        zipfile.ZipFile(tmp_path / 'a.pth') as old,
        zipfile.ZipFile(tmp_path / 'b.pth', 'w', zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    size = (tmp_path / 'b.pth').stat().st_size
    assert f'b.pth: is damaged (its {size:,} bytes would unpack to 16,' in refusal(
        lambda: checkpoint.load(tmp_path / 'b.pth')
    )


def bomb(levels: int) -> str:
    lines = ['n_scales:', '  - &a [x,x,x,x,x,x,x,x,x]']
    names = 'abcdefghijklmnop'
    lines += [f'  - &{new} [{",".join([f"*{old}"] * 9)}]' for old, new in zip(names, names[1 : levels + 1])]
    return '\n'.join(lines)


def test_yaml_aliases_that_multiply(tmp_path):
    file = tmp_path / 'a.yaml'
    file.write_text(bomb(9))
    told = refusal(lambda: read_yaml(file, '--config', 'flag: value lines'))
    assert told.startswith(
        f'--config {file}: not YAML (aliases that stand for more than {MOST_VALUES:,} values at line'
    )
    file.write_text('a: &x [*x]')
    assert 'an alias within its own anchor' in refusal(lambda: read_yaml(file, '--config', 'flag: value lines'))
    file.write_text(bomb(2))
    assert len(read_yaml(file, '--config', 'lines')['n_scales']) == 3
    file.write_text('a: [' + '1,' * (MOST_VALUES + 5) + ']')  # long, but without aliases
    assert len(read_yaml(file, '--config', 'lines')['a']) == MOST_VALUES + 5


def test_json_that_is_nested_too_deeply(tmp_path):
    assert refusal(lambda: parse_json(DEEP)) == 'its values are nested too deeply'
    (tmp_path / 'record.json').write_text(DEEP)
    assert 'record.json: is no record in JSON' in refusal(lambda: stamps.read(tmp_path / 'record.json', 'remove it'))


def test_safetensors_metadata_that_is_nested_too_deeply_stays_text(tmp_path):
    package = pytest.importorskip('safetensors.torch')
    package.save_file({'a': torch.zeros(1)}, tmp_path / 'a.safetensors', metadata={'note': DEEP})
    assert checkpoint.load(tmp_path / 'a.safetensors')['note'] == DEEP
    header = json.dumps({'a': 0})[:-1] + ', "b": ' + DEEP
    (tmp_path / 'b.safetensors').write_bytes(struct.pack('<Q', len(header)) + header.encode())
    assert 'b.safetensors: is damaged, cut off or no safetensors file' in refusal(
        lambda: checkpoint.load(tmp_path / 'b.safetensors')
    )
