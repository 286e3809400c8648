"""metrics.csv as a table, for pandas and for runx's sumx, and the lines of earlier versions."""

import csv
import json
import subprocess
import sys

import pytest

from utils.files.metrics_csv import MetricsTable

OLD = """start,start/step,0,timestamp,1000.0
val,loss,0.7,mean_iu,0.2,epoch,0,timestamp,1060.5
start,start/step,0,timestamp,2000.0
val,loss,0.6,mean_iu,0.3,epoch,0,timestamp,2060.5
val,loss,0.5,mean_iu,0.4,epoch,1,timestamp,2120.5
val,loss,0.4,mea"""


def written(table, tmp_path):
    table.write(tmp_path / 'metrics.csv')
    return MetricsTable.read(tmp_path / 'metrics.csv')


@pytest.fixture
def table(monkeypatch):
    """Two epochs, started at 1000, each row a minute after the one before."""
    clock = iter(range(1060, 9999, 60))
    monkeypatch.setattr('time.time', lambda: float(next(clock)))
    made = MetricsTable(1000.0)
    for epoch, mean_iu in ((0, 0.25), (1, 0.5)):
        made.put('train', epoch, {'loss': 2.0 - epoch, 'step': 6 * epoch + 6})
        made.put('val', epoch, {'loss': 1.0, 'mean_iu': mean_iu})
        made.put('iou', epoch, {'iou/road': mean_iu, 'iou/traffic, light': float('nan')})
    return made


def test_a_row_is_an_epoch_and_phase_and_a_column_a_number(table, tmp_path):
    table.write(tmp_path / 'metrics.csv')
    with open(tmp_path / 'metrics.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['phase'], row['epoch']) for row in rows] == [
        ('train', '0'),
        ('val', '0'),
        ('iou', '0'),
        ('train', '1'),
        ('val', '1'),
        ('iou', '1'),
    ]
    assert (rows[3]['loss'], rows[3]['step'], rows[3]['mean_iu']) == ('1.0', '12', '')
    assert (rows[4]['mean_iu'], rows[4]['timestamp']) == ('0.5', '1300.0')
    assert (rows[5]['iou/road'], rows[5]['iou/traffic, light']) == ('0.5', 'nan')


def test_pandas_reads_the_numbers_with_the_line_of_the_documentation(table, tmp_path):
    pandas = pytest.importorskip('pandas')
    table.write(tmp_path / 'metrics.csv')
    read = pandas.read_csv(tmp_path / 'metrics.csv').set_index(['phase', 'epoch']).select_dtypes('number')
    assert read.loc[('val', 1), 'mean_iu'] == 0.5 and read.loc[('train', 0), 'step'] == 6
    assert list(read.columns) == ['timestamp', 'loss', 'mean_iu', 'step', 'iou/road', 'iou/traffic, light']


def test_a_table_is_read_back_as_it_was_written(table, tmp_path):
    again = written(table, tmp_path)
    assert (again.start, again.is_current) == (1000.0, True)
    assert str(again.rows) == str(table.rows)


def test_an_epoch_stands_once_and_columns_may_come_later(table, tmp_path):
    table.put('val', 1, {'mean_iu': 0.75, 'later': 3})
    again = written(table, tmp_path).of('val')
    assert list(again) == [0, 1] and again[1]['mean_iu'] == 0.75
    assert 'loss' not in again[1] and (again[1]['later'], 'later' in again[0]) == (3, False)


def test_rows_of_lost_epochs_are_cut_and_a_run_without_rows_starts_now(table):
    assert table.cut(1) == 3 and {epoch for _, epoch in table.rows} == {0} and table.start == 1000.0
    assert table.cut(0) == 3 and table.rows == {} and table.start > 1000.0


def test_lines_of_earlier_versions_become_rows_each_epoch_once(tmp_path):
    (tmp_path / 'metrics.csv').write_text(OLD)
    old = MetricsTable.read(tmp_path / 'metrics.csv')
    assert (old.start, old.is_current) == (1000.0, False)
    assert {epoch: row['mean_iu'] for epoch, row in old.of('val').items()} == {0: 0.3, 1: 0.4}
    assert written(old, tmp_path).of('val')[1] == {'loss': 0.5, 'mean_iu': 0.4, 'epoch': 1, 'timestamp': 2120.5}


@pytest.mark.parametrize('text', ['name,age\nx,3\n', 'phase,start\ntrain,3\n', 'phase,start,epoch,,timestamp,x\n'])
def test_another_file_is_refused_by_name(text, tmp_path):
    (tmp_path / 'metrics.csv').write_text(text)
    with pytest.raises(ValueError, match=r'metrics.csv: is no table of numbers of a run \(.*\); remove it, or'):
        MetricsTable.read(tmp_path / 'metrics.csv')


def test_sumx_of_runx_finds_the_last_scores_the_best_and_the_time_of_an_epoch(table, tmp_path):
    run = tmp_path / 'runs/exp/a'
    run.mkdir(parents=True)
    (run / 'hparams.json').write_text(json.dumps({'lr': 0.1}))
    (tmp_path / '.runx').write_text(f'LOGROOT: {tmp_path}/runs\n')
    table.write(run / 'metrics.csv')
    done = subprocess.run(
        [sys.executable, '-m', 'runx.sumx', 'exp', '--sortwith', 'mean_iu', '--csv', 'out'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # the last val row is 5 minutes after the start; sumx divides by the number of the last epoch
    lines = (tmp_path / 'out.csv').read_text().replace(' ', '').splitlines()
    assert dict(zip(*(line.split(',')[:-1] for line in lines))) == {
        'run': 'a',
        'epoch': '1',
        'epochtime': '00:05:00',
        'loss': '1.0',
        'mean_iu': '0.5',
        'mean_iu-best': '0.5',
    }
