"""The page that compares runs: its numbers read back, runs of all lengths, versions and starts, and what is none."""

import html
import json
import os
import re
import time

import numpy as np
import pytest
from PIL import Image

from utils.compare_runs import POINTS, main, short_names, thinned
from utils.files.metrics_csv import MetricsTable
from utils.run_folder import differing, read_run

OLD = 'start,start/step,0,timestamp,100\nval,mean_iu,0.45,epoch,3,timestamp,160\n'
LINE = '[epoch {}], [iter {} / 3], [train main loss {}], [lr 0.002000] [batchtime 1.2] [images/s 3.3]\n'


def make_run(folder, scores, flags=None, losses=(), classes=('road', 'sky'), pictures=()):
    """A run whose validations of epochs 0, 1, ... score `scores`: the first class at that, the others at half."""
    folder.mkdir(parents=True)
    table = MetricsTable(time.time() - 120)
    for epoch, score in enumerate(scores):
        table.put('train', epoch, {'loss': 1.0, 'step': 2 * epoch + 2})
        table.put('val', epoch, {'loss': 0.5 + epoch, 'mean_iu': score})
        table.put('iou', epoch, {f'iou/{name}': score / (1 + (k > 0)) for k, name in enumerate(classes)})
    table.write(folder / 'metrics.csv')
    if flags is not None:
        (folder / 'hparams.json').write_text(json.dumps(flags))
    (folder / 'logging.log').write_text(''.join(LINE.format(*values) for values in losses))
    for name, value in pictures:
        below = folder / 'best_images' / name
        below.parent.mkdir(parents=True, exist_ok=True)
        layers = []
        for key in ('input', 'gt', 'prediction'):
            Image.new('RGB' if key == 'input' else 'P', (8, 4), value).save(f'{below}_{key}.png')
            layers.append({'key': key, 'title': key, 'file': f'{name}_{key}.png', 'kind': 'photo'})
        below.with_suffix('.json').write_text(json.dumps({'name': name, 'miou': 0.25, 'layers': layers}))
    return folder


def compared(tmp_path, *runs, code=0):
    out = tmp_path / 'page.html'
    assert main([*map(str, runs), '--out', str(out)]) == code
    return out.read_text('utf-8') if code == 0 else ''


def tables(page):
    """{title of a section: the rows of its table}"""
    found = {}
    for part in re.findall(r'<section class="panel">.*?</section>', page, re.DOTALL):
        rows = re.findall(r'<tr>(.*?)</tr>', part, re.DOTALL)
        cells = [[html.unescape(cell) for cell in re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row)] for row in rows]
        found[re.search('<h2>(.*?)</h2>', part)[1]] = cells
    return found


@pytest.fixture
def two(tmp_path):
    """A run of three validations and one of two, of other rates."""
    cfg = {'cfg.MODEL.OCR.MID_CHANNELS': 512, 'command': {'line': 'train.py --lr 0.1'}}
    losses = [(0, 2, 4.0), (0, 3, 3.0), (1, 3, 2.0), (2, 3, 1.0)]
    a = make_run(tmp_path / 'a', (0.2, 0.6, 0.5), {'lr': 0.1, 'accumulate': 2, **cfg, 'seed': 0}, losses)
    b = make_run(tmp_path / 'b', (0.3, 0.4), {'lr': 0.2, 'accumulate': 2, **cfg, 'seed': 0}, losses[:3])
    return a, b


def test_the_page_has_best_and_last_scores_scores_of_classes_and_the_flags_that_differ(two, tmp_path, capsys):
    found = tables(compared(tmp_path, *two))
    assert [row[:7] for row in found['Scores'][1:]] == [
        ['a', '3', '60', '1', '50', '2', '2.5'],
        ['b', '2', '40', '1', '40', '1', '1.5'],
    ]
    assert found['IoU of each class, best validation'] == [
        ['class', 'a', 'b'],
        ['road', '60', '40'],
        ['sky', '30', '20'],
    ]
    assert found['IoU of each class, last validation'][1] == ['road', '50', '40']
    assert found['Flags that differ'] == [['flag', 'a', 'b'], ['lr', '0.1', '0.2']]
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[:4] == ['a', '3', '60.0', '1'] and printed[-1] == str(tmp_path / 'page.html')


def test_the_curves_are_over_optimizer_steps_of_which_those_taken_twice_count_once(two, tmp_path):
    with open(two[0] / 'logging.log', 'a') as file:
        file.write(LINE.format(2, 3, 0.5))
    run = read_run(two[0])
    # three batches are two steps where two are accumulated
    assert run.steps == {1: (4.0, 0.002), 2: (3.0, 0.002), 4: (2.0, 0.002), 6: (0.5, 0.002)}
    page = compared(tmp_path, *two)
    charts = dict(re.findall(r'<h2>([^<]*)</h2>(?:(?!<h2>).)*?(<svg.*?</svg>)', page, re.DOTALL))
    assert list(charts) == ['Mean IoU', 'Validation loss', 'Training loss', 'Learning rate']
    lines = re.findall(r'polyline points="([^"]*)"', charts['Mean IoU'])
    points = [[tuple(map(float, point.split(','))) for point in line.split()] for line in lines]
    assert [len(line) for line in points] == [3, 2]
    # x is at steps 2, 4 and 6, y at 20, 60 and 50 percent
    (x0, y0), (x1, y1), (x2, y2) = points[0]
    assert x1 - x0 == pytest.approx(x2 - x1) and (y0 - y2) / (y0 - y1) == pytest.approx(0.75, abs=0.01)
    assert 'optimizer steps' in charts['Mean IoU']


def test_the_end_of_an_epoch_is_told_by_the_table_or_the_log_and_else_runs_are_compared_over_epochs(two, tmp_path):
    run = read_run(two[0])
    run.table.rows['train', 0]['step'] = 5
    assert run.step_of(0) == 5
    run.table.rows.clear()
    assert run.step_of(0) == 2
    run.steps_per_epoch = None
    assert run.step_of(0) is None
    os.remove(two[1] / 'logging.log')
    (two[1] / 'metrics.csv').write_text(OLD)
    page = compared(tmp_path, *two)
    assert '>epochs<' in page and 'optimizer steps' not in page


def test_long_curves_are_thinned_to_means_of_neighbours():
    x, y = thinned(range(3 * POINTS), np.arange(3 * POINTS) % 3)
    assert len(x) == POINTS and (x[:2], set(y)) == ([1.0, 4.0], {1.0})


def test_the_same_images_stand_beside_each_other_inside_the_page(tmp_path):
    runs = [
        make_run(tmp_path / 'a', (0.2,), {}, pictures=[('val/x', 1), ('val/<y>', 2)]),
        make_run(tmp_path / 'b', (0.2,), {}, pictures=[('val/x', 3)]),
    ]
    page = compared(tmp_path, *runs)
    cards = re.findall(r'<article class="card">.*?</article>', page, re.DOTALL)
    assert [re.search('<h2>(.*?)</h2>', card)[1] for card in cards] == ['val/x', 'val/&lt;y&gt;']
    captions = [re.findall('<figcaption>(.*?)</figcaption>', card) for card in cards]
    assert captions[0] == ['Input', 'Label', 'a, mean IoU 25.0 %', 'b, mean IoU 25.0 %']
    assert page.count('src="data:image/') == 7 and not re.search(r'(src|href)="(?!data:|#)', page)


def test_runs_of_earlier_versions_and_without_flags_are_compared_too(two, tmp_path):
    old = tmp_path / 'old'
    old.mkdir()
    (old / 'metrics.csv').write_text(OLD)
    classes = {'road': {'iou': 0.7}, 'sky': {'iou': None}}
    (old / 'metrics.json').write_text(json.dumps({'epoch': 3, 'classes': classes}))
    found = tables(compared(tmp_path, two[1], old))
    assert found['Scores'][2] == ['old', '1', '45', '3', '45', '3', '–', '1']
    assert found['IoU of each class, best validation'][1:] == [['road', '40', '70'], ['sky', '20', '–']]
    page = compared(tmp_path, two[1], old)
    assert 'old has no hparams.json.' in page


def test_a_table_without_scores_has_dashes_and_ends_no_comparison(two, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'metrics.csv').write_text('start,timestamp,1.0\nval,epoch,0,timestamp,2.0,val_loss,0.4\n')
    assert tables(compared(tmp_path, two[1], other))['Scores'][2][0] == 'other'


def test_a_run_without_a_validation_has_a_row_of_dashes(two, tmp_path):
    empty = make_run(tmp_path / 'empty', (), {'lr': 0.1})
    assert tables(compared(tmp_path, *two, empty))['Scores'][3] == ['empty', '0', *['–'] * 6]


def test_a_flag_that_came_after_a_run_had_the_value_that_it_has_by_default(tmp_path):
    runs = [
        make_run(tmp_path / 'a', (0.2,), {'lr': 0.1}),
        make_run(tmp_path / 'b', (0.2,), {'lr': 0.1, 'log_freq': 10}),
    ]
    assert 'They are the same in all runs.' in compared(tmp_path, *runs)
    assert differing([{'x': 1}, {'x': 1, 'y': 2}, {'x': '1'}]) == ['y']


def test_runs_are_named_by_what_differs_in_their_paths(tmp_path):
    assert short_names([tmp_path / 'a/run', tmp_path / 'b/run']) == ['a/run', 'b/run']
    assert short_names([tmp_path / 'x', tmp_path / 'y']) == ['x', 'y']


@pytest.mark.parametrize(
    'given, told',
    [
        ('aa', r'aa: there is no such folder; did you mean \S+/a or \S+/b\?'),
        ('', r': is no run, it holds neither hparams.json nor metrics.csv; did you mean \S+/a, \S+/b\?'),
        ('other', r'other: is no run, it holds neither .*; give the --result_dir of a training or an evaluation'),
        ('b', r'b: was given twice; give each run once'),
    ],
)
def test_what_is_no_run_is_refused_with_names_that_are_near(given, told, two, tmp_path, capsys):
    (tmp_path / 'other').mkdir()
    compared(tmp_path, two[1], tmp_path / given, code=2)
    assert re.search(told, capsys.readouterr().err)
    assert not (tmp_path / 'page.html').exists()


def test_pictures_outside_the_run_are_not_read(tmp_path):
    run = make_run(tmp_path / 'a', (0.2,), {}, pictures=[('x', 1)])
    Image.new('RGB', (8, 4)).save(tmp_path / 'secret.png')
    layers = [{'key': 'input', 'file': '../../secret.png'}]
    (run / 'best_images/x.json').write_text(json.dumps({'name': 'x', 'layers': layers}))
    assert read_run(run).pictures()['x'][1] == {}


def test_scores_of_a_part_of_the_images_are_marked(two, tmp_path):
    part = make_run(tmp_path / 'part', (0.9,), {'lr': 0.1, 'limit_batches': [6, 1]})
    whole = make_run(tmp_path / 'whole', (0.5,), {'lr': 0.1, 'limit_batches': [6, None]})
    found = tables(compared(tmp_path, part, whole))
    assert [row[0] for row in found['Scores'][1:]] == ['part (scores of a part of the images)', 'whole']
