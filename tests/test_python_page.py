"""The snippets of docs/python.md, run in their order."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import network

PAGE = (Path(__file__).parent.parent / 'docs/python.md').read_text('utf-8')
FIRST, *PARTS = PAGE.split('\n## ')
SECTIONS = {part.split('\n')[0]: part for part in PARTS}


def snippet(text):
    return re.search(r'```python\n(.*?)```', text, re.DOTALL).group(1)


def test_a_checkpoint_is_loaded_and_predicts_a_photo(snapshot, street, tmp_path, monkeypatch):
    (tmp_path / 'best.pth').symlink_to(snapshot)
    monkeypatch.chdir(tmp_path)
    photo = cv2.imread(str(next((street / 'synthetic').rglob('*_leftImg8bit.png'))))
    cv2.imwrite('photo.jpg', photo)
    names = {}
    exec(snippet(FIRST), names)
    lines = [line for line in snippet(FIRST).splitlines() if line and not line.startswith('import ')]
    assert len(lines) == 3 and names['labels'].shape == photo.shape[:2] and names['labels'].dtype == np.uint8
    exec(snippet(SECTIONS['network.load']), names)
    found = names['found']
    assert found.labels.shape == found.confidence.shape == photo.shape[:2]
    assert found.labels.max() < 19 == len(found.classes.names) == len(found.classes.colors)
    assert found.confidence.min() > 1 / 19 - 1e-6 and found.confidence.max() <= 1
    assert found.classes.paint(found.labels).shape == photo.shape
    exec(snippet(SECTIONS['datasets.read_image']), names)
    assert np.abs(names['photo'].astype(int) - photo[..., ::-1]).mean() < 8  # a JPEG, in RGB


def test_networks_losses_metrics_and_checkpoints_are_used_as_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {'network': network}
    for name in list(SECTIONS)[2:-1]:
        exec(snippet(SECTIONS[name]), names)
    assert list(names['outputs']) == ['pred', 'aux', 'pred_05x', 'pred_10x', 'attn_05x']
    parts = names['criterion'].parts
    assert names['loss'].item() == pytest.approx((0.5 * parts['bce'] + 0.5 * parts['mi']).item(), rel=1e-5)
    assert names['losses']['pred/mi'].item() == pytest.approx(parts['mi'].item())
    assert names['matrix'].counts.sum() == 64 * 96 and np.nanmean(names['matrix'].iou()) == names['matrix'].mean_iou()
    weights = names['net'].state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in names['state']['state_dict'].items())
    assert names['state']['epoch'] == 3
    assert names['code'] == 2 and 'nowhere: the dataset root does not exist' in capsys.readouterr().err


def test_every_name_of_the_table_has_a_section():
    rows = re.findall(r'^\| `([\w.]+)\(', PAGE, re.MULTILINE)
    headings = [*SECTIONS][:-2]
    assert [next((h for h in headings if row.startswith(h)), row) for row in rows[:-1]] == headings
    assert rows[-1] == 'train.main'
