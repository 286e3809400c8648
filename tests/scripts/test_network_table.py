"""The table of networks: its numbers are those of the networks, and one that fails leaves no table."""

import json

import pytest
import standin

import network
from scripts import network_table

CHEAP = 'UNet'


def run(tmp_path, *flags):
    code = network_table.main(
        [
            '--repeats',
            '1',
            '--size',
            '64,96',
            '--out',
            str(tmp_path / 'table.md'),
            '--json',
            str(tmp_path / 'rows.json'),
            *flags,
        ]
    )
    written = (tmp_path / 'table.md').read_text() if code == 0 else None
    return code, written, json.loads((tmp_path / 'rows.json').read_text())['rows'] if code == 0 else None


@pytest.fixture
def small_trunk(monkeypatch):
    """ocrnet.HRNet_Mscale on a trunk of a few convolutions."""
    standin.register(monkeypatch)
    monkeypatch.setattr(standin.StandIn, 'is_stage', True, raising=False)
    monkeypatch.setattr(network_table, 'STEP_SIZE', (96, 96))
    monkeypatch.setitem(network.ARCHS._facts, 'ocrnet.HRNet_Mscale', {'trunk': standin.PYRAMID})


def test_a_row_says_what_the_network_is(tmp_path, small_trunk):
    code, page, rows = run(tmp_path, '--arch', f'{CHEAP},ocrnet.HRNet_Mscale')
    assert code == 0
    unet, hierarchical = rows
    net = network.get_net(CHEAP, 19)
    assert unet['parameters'] == sum(parameter.numel() for parameter in net.parameters()) and unet['keys'] == len(
        net.state_dict()
    )
    assert unet['scales'] == [1.0] and hierarchical['scales'] == [0.5, 1.0]
    assert unet['plain'] == unet['executed'] > 0 and hierarchical['plain'] > hierarchical['executed'] > 0
    assert all(row['three'] > row['one'] > 0 for row in rows)
    lines = [line for line in page.splitlines() if line.startswith('|')]
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1 and f'{unet["parameters"]:,}' in lines[2]
    for fact in ('* command: `python scripts/network_table.py', '* commit: ', '* hardware: ', '* versions: python '):
        assert fact in page
    assert 'GiB, three scales' not in page  # there is no GPU
    assert all(row['step'] > row['step_again'] > 0 for row in rows)


def test_a_network_that_fails_is_an_error_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    def fail(*arguments):
        raise RuntimeError('shapes\ndiffer')

    monkeypatch.setitem(network.ARCHS._builders, CHEAP, fail)
    assert run(tmp_path, '--arch', CHEAP)[0] == 1
    assert (
        f'{CHEAP}: RuntimeError: shapes differ; nothing was written' in capsys.readouterr().err
        and list(tmp_path.iterdir()) == []
    )


@pytest.mark.parametrize(
    'flags, words', [(['--arch', 'UNett'], 'did you mean UNet'), (['--repeats', '0'], '--repeats')]
)
def test_a_mistake_is_told(flags, words, tmp_path, capsys):
    assert run(tmp_path, *flags)[0] == 2
    assert words in capsys.readouterr().err
