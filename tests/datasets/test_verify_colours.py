"""Colours in label files that no class has: one table instead of a line for each file."""

import json
import pickle

import numpy as np
import pytest
import yaml
from custom_file import stripes
from trees import write

from datasets.labels import ColorTable, UnknownColours
from datasets.verify import __main__ as verify

VALUES = {
    'images': 'images/*.png',
    'labels': 'labels/{stem}.png',
    'splits': {'val': 0.25},
    'ignore': [0, 0, 0],
    'classes': [{'name': 'road', 'rgb': [128, 64, 128]}, {'name': 'car', 'rgb': [0, 0, 142]}],
}


def test_verify_prints_one_table_of_colours(tmp_path, capsys):
    for number in range(20):
        write(tmp_path / f'images/{number:02d}.png', np.full((8, 48, 3), number, np.uint8))
        odd = [(128, 64, 130), (10, 0, 0)] if number == 0 else [(128, 64, 130), (0, 0, 142)]
        write(tmp_path / f'labels/{number:02d}.png', stripes((128, 64, 128), (0, 0, 0), *odd))
    (tmp_path / 'data.yaml').write_text(yaml.safe_dump({**VALUES, 'splits': {'train': 1}}))
    flags = ['--dataset', 'custom', '--data_yaml', str(tmp_path / 'data.yaml'), '--out', str(tmp_path / 'out')]
    assert verify.main([*flags, '--splits', 'train']) == 1
    printed = capsys.readouterr().out
    assert "split 'train': 20 labels show 2 colours that no class has; correct the file, or add the colour" in printed
    rows = printed.splitlines()
    head = next(place for place, row in enumerate(rows) if row.split()[:3] == ['colour', 'pixels', 'images'])
    assert rows[head + 1].split() == '128 64 130 1,920 20 road (128, 64, 128), 2'.split()
    assert rows[head + 2].split() == '10 0 0 96 1 ignore (0, 0, 0), 10'.split()
    assert printed.count('labels/') == 0, 'no line for each file'
    findings = {one['kind']: one for one in json.loads((tmp_path / 'out/verify.json').read_text())['findings']}
    assert findings['unknown_colours']['level'] == 'error' and len(findings['unknown_colours']['files']) == 3
    assert 'unusable_labels' not in findings


def test_the_error_of_a_training_knows_every_colour_and_survives_the_way_from_a_worker():
    table = ColorTable('toy', {(0, 0, 0): 0, (1, 1, 1): 1})
    with pytest.raises(UnknownColours, match=r'the colour \(9, 9, 9\) at row 0, column 1') as told:
        table(np.array([[[0, 0, 0], [9, 9, 9], [7, 0, 0], [9, 9, 9]]], np.uint8), 'a.png')
    assert told.value.pixels == pickle.loads(pickle.dumps(told.value)).pixels == {(7, 0, 0): 1, (9, 9, 9): 2}
