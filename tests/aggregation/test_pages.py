import re

import numpy as np

from aggregation.pages import cityscapes_page

LABELS = {'road': 7, 'car': 26, 'sky': 23, 'license plate': -1}


def result_of(pairs, notes=()):
    scores = {'labels': LABELS, 'confMatrix': pairs.tolist(), 'averageScoreClasses': 0.5, 'averageScoreInstClasses': float('nan'),
              'averageScoreCategories': float('nan'), 'averageScoreInstCategories': float('nan'),
              'classScores': {'road': 0.5}, 'classInstScores': {'road': 0.25}, 'categoryScores': {}, 'categoryInstScores': {}}
    return {'scores': scores, 'notes': list(notes)}


def rows_of(text, title):
    [table] = re.findall(rf'<h2>{title}</h2>.*?</table>', text, re.DOTALL)
    return [re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row) for row in re.findall(r'<tr>(.*?)</tr>', table)]


def test_the_confusion_matrix_has_a_row_and_a_column_for_every_label_that_occurs(tmp_path):
    pairs = np.zeros((34, 34), int)
    pairs[7, 7], pairs[7, 26] = 1200, 3
    cityscapes_page(tmp_path / 'a.html', result_of(pairs))
    text = (tmp_path / 'a.html').read_text()
    assert rows_of(text, 'Confusion matrix') == [['truth \\ prediction', 'road', 'car'], ['road', '1,200', '3'], ['car', '0', '0']]
    assert rows_of(text, 'Classes') == [['class %', 'IoU', 'iIoU'], ['road', '50.00', '25.00'], ['mean', '50.00', '-']] and 'Notes' not in text


def test_notes_stand_on_the_page(tmp_path):
    cityscapes_page(tmp_path / 'a.html', result_of(np.eye(34, dtype=int) * 0, ['gt: has no <files>']))
    assert rows_of((tmp_path / 'a.html').read_text(), 'Notes') == [['note'], ['gt: has no &lt;files&gt;']]
