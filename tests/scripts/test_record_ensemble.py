"""The table of an ensemble, from reports that the test writes."""

import json

from scripts import record_ensemble


def write(folder, **scores):
    folder.mkdir()
    report = {
        'dataset': 'camvid',
        'split': 'val',
        'images': 3,
        'fusion': 'mean',
        'score': 'msp',
        'members': [{'name': 'one', 'mean_iou': 0.5, 'ece': 0.04}],
        'ensemble': {'mean_iou': 0.625, 'ece': 0.02, 'nll': 0.5},
        **scores,
    }
    (folder / 'report.json').write_text(json.dumps(report))
    return str(folder)


def test_the_page_says_what_the_reports_say(tmp_path):
    reports = [
        write(tmp_path / 'plain'),
        write(tmp_path / 'isotonic', images=2, calibrated={'mean_iou': 0.625, 'ece': 0.001, 'nll': 0.25}),
    ]
    out = tmp_path / 'page.md'
    assert record_ensemble.main(['--title', 'T', '--out', str(out), '--note', 'How.', *reports]) == 0
    lines = out.read_text().splitlines()
    assert '| one | 50.00 | 4.00 | - |' in lines and '| **ensemble** | 62.50 | 2.00 | 0.5000 |' in lines
    assert 'camvid val, 3 images, fusion mean, confidence msp:' in lines and 'How.' in lines
    assert (
        lines[-2:] == ['| not calibrated | 62.50 | 2.00 | 0.5000 |', '| isotonic | 62.50 | 0.10 | 0.2500 |']
        and 'on 2 images' in lines[-6]
    )


def test_a_folder_without_a_report_is_told(tmp_path, capsys):
    assert record_ensemble.main(['--title', 'T', '--out', str(tmp_path / 'x.md'), str(tmp_path)]) == 2
    assert (
        'report.json: is not there; give folders that ensemble.py report wrote' in capsys.readouterr().err
        and not (tmp_path / 'x.md').exists()
    )
