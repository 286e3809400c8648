import re

import numpy as np

from aggregation.benchmarks import cityscapes, ood

LABELS = {'road': 7, 'car': 26, 'sky': 23, 'license plate': -1}


def result_of(pairs, notes=()):
    scores = {
        'labels': LABELS,
        'confMatrix': pairs.tolist(),
        'averageScoreClasses': 0.5,
        'averageScoreInstClasses': float('nan'),
        'averageScoreCategories': float('nan'),
        'averageScoreInstCategories': float('nan'),
        'classScores': {'road': 0.5},
        'classInstScores': {'road': 0.25},
        'categoryScores': {},
        'categoryInstScores': {},
    }
    return {'scores': scores, 'notes': list(notes)}


def rows_of(text, title):
    [table] = re.findall(rf'<h2>{title}</h2>.*?</table>', text, re.DOTALL)
    return [re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row) for row in re.findall(r'<tr>(.*?)</tr>', table)]


def test_the_confusion_matrix_has_a_row_and_a_column_for_every_label_that_occurs(tmp_path):
    pairs = np.zeros((34, 34), int)
    pairs[7, 7], pairs[7, 26] = 1200, 3
    cityscapes.page(tmp_path / 'a.html', result_of(pairs))
    text = (tmp_path / 'a.html').read_text()
    assert rows_of(text, 'Confusion matrix') == [
        ['truth \\ prediction', 'road', 'car'],
        ['road', '1,200', '3'],
        ['car', '0', '0'],
    ]
    assert (
        rows_of(text, 'Classes') == [['class %', 'IoU', 'iIoU'], ['road', '50.00', '25.00'], ['mean', '50.00', '-']]
        and 'Notes' not in text
    )


def test_notes_stand_on_the_page(tmp_path):
    cityscapes.page(tmp_path / 'a.html', result_of(np.eye(34, dtype=int) * 0, ['gt: has no <files>']))
    assert rows_of((tmp_path / 'a.html').read_text(), 'Notes') == [['note'], ['gt: has no &lt;files&gt;']]


SUITE = {
    'aupr': 0.5,
    'fpr95': 0.25,
    'auroc': 0.75,
    'best_f1': 0.625,
    'best_threshold': 1.5,
    'f1_mean': 0.125,
    'siou': 0.375,
    'ppv': float('nan'),
}


def test_a_page_of_anomaly_scores_holds_them_with_their_intervals(tmp_path):
    scores = {'images': 3, 'pixels': 1200, 'anomalous': 40, 'auroc': 0.9, 'aupr': 0.8, 'fpr95': 0.1, 'smiyc': SUITE}
    around = {
        'auroc': [0.85, 0.95],
        'aupr': None,
        'fpr95': [0.05, 0.2],
        'smiyc': {**dict.fromkeys(SUITE), 'siou': [0.25, 0.5]},
    }
    ood.page(tmp_path / 'a.html', {'scores': scores, 'intervals': around, 'notes': ['one']})
    text = (tmp_path / 'a.html').read_text()
    assert rows_of(text, 'Pixels') == [
        ['score', '%'],
        ['AUROC', '90.00 [85.00, 95.00]'],
        ['AUPR', '80.00'],
        ['FPR95', '10.00 [5.00, 20.00]'],
    ]
    assert rows_of(text, 'SegmentMeIfYouCan') == [
        ['score', '%'],
        ['AUPR', '50.00'],
        ['FPR95', '25.00'],
        ['AUROC', '75.00'],
        ['best F1', '62.50'],
        ['sIoU', '37.50 [25.00, 50.00]'],
        ['PPV', '-'],
        ['mean F1', '12.50'],
    ]
    assert rows_of(text, 'Notes') == [['note'], ['one']] and '1.5' in text and '95 % intervals' in text


def test_a_page_without_a_track_or_intervals_says_nothing_of_them(tmp_path):
    scores = {'images': 3, 'pixels': 1200, 'anomalous': 40, 'auroc': 0.9, 'aupr': 0.8, 'fpr95': 0.1}
    ood.page(tmp_path / 'a.html', {'scores': scores, 'notes': []})
    text = (tmp_path / 'a.html').read_text()
    assert rows_of(text, 'Pixels')[1:] == [['AUROC', '90.00'], ['AUPR', '80.00'], ['FPR95', '10.00']]
    assert 'SegmentMeIfYouCan' not in text and 'intervals' not in text and 'Notes' not in text
