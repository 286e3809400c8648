"""Archives that cannot be read in place, and what is said of them."""

import io
import os
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from packing import pack, tree

from datasets.collection.layout import find_directory, subfolders, walk_files
from datasets.loading.reading import read_image, read_label
from utils.files.archives import locate


def write_zip(path, *names):
    with zipfile.ZipFile(path, 'w') as archive:
        for name in names:
            archive.writestr(name, 'x')
    return path


@pytest.mark.parametrize('name', ['../a.png', 'x/../../a.png', '/etc/a.png', 'C:/a.png', '..\\a.png'])
def test_names_that_lead_out_of_an_archive_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match='a.zip: holds the name .* which leads out of the archive; pack it anew'):
        locate(write_zip(tmp_path / 'a.zip', 'ok.png', name))
    info = tarfile.TarInfo(name)
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:
        archive.addfile(info, io.BytesIO())
    with pytest.raises(ValueError, match='a.tar: holds the name .* which leads out of the archive; pack it anew'):
        locate(tmp_path / 'a.tar')


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize(
    'names, complaint',
    [
        (['a.png', 'a.png'], "holds 'a.png' twice"),
        (['x/a.png', './x/a.png'], "holds 'x/a.png' twice"),
        (['x/a.png', 'x'], "holds 'x' twice"),
        (['x', 'x/a.png'], "holds 'x' as a file and as a folder"),
        (['x', 'x/'], "holds 'x' twice"),
    ],
)
def test_names_that_stand_twice_are_refused(tmp_path, names, complaint):
    with pytest.raises(ValueError, match=f'a.zip: {complaint}.*pack it anew'):
        locate(write_zip(tmp_path / 'a.zip', *names))


def test_names_of_windows_and_of_macos_are_understood(tmp_path):
    path = write_zip(tmp_path / 'a.zip', 'train\\b.png', '__MACOSX/train/._b.png', './val/c.png', 'train/')
    assert subfolders(locate(path)) == ['train', 'val'] and [file.name for file in walk_files(locate(path))] == [
        'b.png',
        'c.png',
    ]


def test_an_encrypted_member_is_refused(tmp_path):
    path = write_zip(tmp_path / 'a.zip', 'b.png')
    data = bytearray(path.read_bytes())
    data[data.index(b'PK\x01\x02') + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="a.zip: 'b.png' in it is encrypted; unpack it with its password"):
        locate(path)


def test_another_compression_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w', zipfile.ZIP_LZMA) as archive:
        archive.writestr('b.png', 'x')
    with pytest.raises(ValueError, match="a.zip: 'b.png' in it is compressed with lzma, only stored and deflated"):
        locate(tmp_path / 'a.zip')


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo('b.png')
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr(info, '../secret')
    with pytest.raises(ValueError, match="a.zip: 'b.png' in it is a link"):
        locate(tmp_path / 'a.zip')


@pytest.mark.parametrize('name', ['a.tar.gz', 'a.tgz', 'a.tar.xz', 'a.7z', 'a.rar'])
def test_what_is_compressed_as_a_whole_is_refused_with_the_remedy(tmp_path, name):
    (tmp_path / name).write_bytes(b'x')
    with pytest.raises(ValueError, match=f'{name}: is compressed as a whole.*unpack it, or pack it as .zip or .tar'):
        locate(tmp_path / name)
    with pytest.raises(
        FileNotFoundError,
        match=f'only {name}; remedy; archives are read in place when they are .zip or .tar, unpack the others',
    ):
        find_directory(tmp_path, ['d'], ['train'], 'd', 'remedy')


@pytest.mark.parametrize('ending', ['.zip', '.tar'])
def test_an_archive_that_is_cut_off_or_none_is_refused(tmp_path, ending):
    folder = tree(tmp_path / 'src', [f'{number}.png' for number in range(30)])
    (folder / 'last.png').write_bytes(os.urandom(30000))
    path = pack(folder, tmp_path / f'a{ending}')
    path.write_bytes(path.read_bytes()[:-25000])
    with pytest.raises(ValueError, match=rf'a{ending}: is damaged or no {ending[1:]} archive .*fetch or pack it anew'):
        locate(path)
    path.write_bytes(b'<html>not found</html>' * 60)
    with pytest.raises(ValueError, match=rf'a{ending}: is damaged or no {ending[1:]} archive'):
        locate(path)


@pytest.mark.parametrize('compress', [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_damaged_member_is_refused(tmp_path, write, compress):
    write(tmp_path / 'src/a.png', np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    path = pack(tmp_path / 'src', tmp_path / 'a.zip', compress=compress)
    data = bytearray(path.read_bytes())
    data[1000:1100] = bytes(100)
    path.write_bytes(data)
    for read in (read_image, read_label):
        with pytest.raises(ValueError, match='a.zip/a.png: is damaged in its archive; fetch or pack the archive anew'):
            read(locate(path) / 'a.png')


def test_a_member_whose_header_is_gone_is_damaged(tmp_path):
    path = write_zip(tmp_path / 'a.zip', 'a.png')
    data = bytearray(path.read_bytes())
    data[:4] = struct.pack('<I', 0)
    path.write_bytes(data)
    with pytest.raises(ValueError, match='a.png: is damaged in its archive|a.zip: is damaged'):
        read_image(locate(path) / 'a.png')


def test_an_archive_nobody_may_read_is_told(tmp_path, monkeypatch):
    path = write_zip(tmp_path / 'a.zip', 'a.png')

    def refuse(*args, **kwargs):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr('zipfile.ZipFile', refuse)
    with pytest.raises(ValueError, match='a.zip: cannot be read .Permission denied.; mend its permissions'):
        locate(path)
