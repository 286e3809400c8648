"""The benchmark measures what it says: tiny sizes, so the ratios mean nothing, but the arithmetic and the table do."""

import json
import math
from types import SimpleNamespace

import pytest
import torch
from small import command

from loss.registry import LOSSES
from scripts import bench, bench_data, bench_measure, bench_network, bench_report
from scripts.bench_measure import Case, Form, Row

CPU = torch.device('cpu')
TINY = [
    '--photo_size',
    '64,128',
    '--size',
    '64,128',
    '--trunk',
    'hrnetv2_w18_small_v1',
    '--repeats',
    '1',
    '--images',
    '2',
]


def run(tmp_path, *flags):
    """Exit code, Markdown and JSON of a run."""
    code = bench.main([*flags, *TINY, '--out', str(tmp_path / 'table.md'), '--json', str(tmp_path / 'rows.json')])
    return code, (tmp_path / 'table.md').read_text(), json.loads((tmp_path / 'rows.json').read_text())


def test_the_lines_without_a_network_make_one_row_each(tmp_path, capsys):
    code, page, result = run(tmp_path, 'confusion', 'data', 'rmi')
    assert code == 0
    rows = {row['name']: row for row in result['rows']}
    assert {name: row['budget'] for name, row in rows.items()} == {
        'sample': 1.35,
        'cached-pair': 0.15,
        'cached-device': 0.15,
        'cached-loader': None,
        'photometric': None,
        'index': 1.5,
        'verification': 1.5,
        'rmi': 3.0,
        'confusion': 1.3,
    }
    for row in rows.values():
        assert (
            row['ratio'] == pytest.approx(row['ours'] / row['plain'])
            and math.isfinite(row['ratio'])
            and row['ratio'] > 0
        )
        assert row['holds'] == (None if row['budget'] is None else row['ratio'] <= row['budget'])
        assert len(row['samples']['plain']) == len(row['samples']['ours']) == 1
    assert page == capsys.readouterr().out.removesuffix('\n')


def test_every_loss_is_a_row_with_its_peak_memory(tmp_path):
    code, _, result = run(tmp_path, 'losses')
    assert code == 0
    rows = {row['name'].removeprefix('losses-'): row for row in result['rows']}
    assert list(rows) == [name for name, loss in LOSSES.items() if not loss.of_queries]
    assert all(row['ratio'] > 0 and row['budget'] is None for row in rows.values())


@pytest.mark.skipif(bench_measure.resident_growth(lambda: None) is None, reason='the system does not tell')
def test_the_peak_of_a_call_is_what_it_allocates_at_once():
    """In a process of its own: one that has freed memory before hands it out again without growing."""
    code = (
        'import torch; from scripts.bench_measure import resident_growth\n'
        'print(resident_growth(lambda: [torch.zeros(1 << 24) for _ in range(3)] and None),'
        ' resident_growth(lambda: list(map(lambda n: len(torch.zeros(n)), 3 * [1 << 24])) and None))'
    )
    done = command('-c', code)
    assert done.returncode == 0, done.stderr
    kept, given_back = map(int, done.stdout.split())
    assert kept == pytest.approx(3 << 26, rel=0.1), 'three tensors of 64 MiB at once'
    assert given_back == pytest.approx(1 << 26, rel=0.1), 'one after the other'


def test_the_page_says_what_the_numbers_depend_on(tmp_path):
    _, page, result = run(tmp_path, 'confusion')
    for fact in ('* command: `', '* commit: ', '* date: ', '* hardware: ', '* versions: python ', 'torch '):
        assert fact in page
    assert result['about']['cpu'] in page and result['settings']['photo_size'] == [64, 128]


def test_the_table_is_aligned_markdown(tmp_path):
    _, page, _ = run(tmp_path, 'confusion', 'rmi')
    lines = [line for line in page.splitlines() if line.startswith('|')]
    assert len(lines) == 4 and len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[0].split('|')[1:5]] == ['line', 'what', 'plain form', 'plain']


@pytest.mark.parametrize(
    'line, expected',
    [
        ('evaluation', {'fp32': 0.75, 'bf16': 0.42}),
        ('training', {'fp32': 0.82, 'bf16': 0.46}),
    ],
)
def test_a_network_line_makes_a_row_for_each_precision(line, expected, tmp_path):
    code, _, result = run(tmp_path, line)
    prefix = f'{line}-hrnetv2_w18_small_v1-'
    assert code == 0 and {row['name'].removeprefix(prefix): row['budget'] for row in result['rows']} == expected
    assert all(math.isfinite(row['ratio']) and 'images/s' in row['note'] for row in result['rows'])


def test_dumping_counts_only_what_it_adds_to_the_evaluation(tmp_path):
    _, _, result = run(tmp_path, 'dump')
    (row,) = result['rows']
    assert row['budget'] == 0.25
    assert row['ours'] == pytest.approx(row['samples']['ours'][0] - row['samples']['plain'][0])


def test_baseline_runs_the_plain_forms_only(tmp_path):
    _, page, result = run(tmp_path, 'rmi', 'confusion', '--baseline')
    assert [row['name'] for row in result['rows']] == ['rmi', 'confusion']
    assert all(row['plain'] > 0 and row['ours'] is None and row['ratio'] is None for row in result['rows'])
    assert 'ratio' not in next(line for line in page.splitlines() if line.startswith('| line'))


@pytest.mark.parametrize(
    'flags, words',
    [
        (['confussion'], ["line 'confussion'", 'did you mean confusion?']),
        (['rmi', '--trunk', 'hrnetv2_w81'], ["--trunk 'hrnetv2_w81'", 'hrnetv2_w18']),
        (['--repeat', '3'], ['--repeats']),
        (['--repeats', '0'], ['--repeats', '0']),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_names_and_code_2(flags, words, capsys):
    assert bench.main(flags) == 2
    captured = capsys.readouterr()
    assert captured.out == '' and len(captured.err.splitlines()) == 1
    assert all(word in captured.err for word in words)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_gpu_that_is_not_there_is_a_mistake(capsys):
    assert bench.main(['--device', 'cuda']) == 2
    assert 'no GPU' in capsys.readouterr().err


def test_forms_run_in_turn_after_one_warm_up_each():
    order = []
    times = bench_measure.interleaved([lambda: order.append('a'), lambda: order.append('b')], 2, CPU)
    assert order == ['a', 'b'] * 3 and [len(own) for own in times] == [2, 2]


def test_a_ratio_is_one_of_medians():
    row = bench_measure.compare(
        'x', Case('x', 'y', None, [], 3), Form(None, budget=0.5), [1.0, 2.0, 9.0], [1.0, 1.0, 3.0]
    )
    assert (row.plain, row.ours, row.ratio, row.low, row.high) == (2.0, 1.0, 0.5, 1 / 3, 1.0)
    assert row.holds


def test_an_added_form_counts_the_difference():
    row = bench_measure.compare(
        'x', Case('x', 'y', None, [], 3), Form(None, budget=0.25, added=True), [2.0, 2.0], [3.0, 3.0]
    )
    assert (row.ours, row.ratio, row.low, row.high, row.holds) == (1.0, 0.5, 0.5, 0.5, False)


def test_threads_are_limited_for_a_case_and_put_back():
    before, seen = torch.get_num_threads(), []
    case = Case('x', 'y', Form(lambda: seen.append(torch.get_num_threads())), [], 1, threads=1)
    bench_measure.measure('x', case, CPU)
    assert seen == [1, 1] and torch.get_num_threads() == before


def test_running_out_of_memory_makes_a_row_that_says_so():
    def fail():
        raise torch.OutOfMemoryError('CUDA out of memory')

    (row,) = bench_measure.measure('x', Case('x', 'y', Form(fail), [Form(fail, 1.0)], 1), CPU)
    assert row.holds is None and '--size' in row.note and '--size' in bench_report.table([row])


def test_resident_bytes_are_weights_buffers_and_momentum():
    # 2 x 4 weights, 2 x 4 buffers in float32, a counter in int64
    net = torch.nn.BatchNorm1d(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    assert bench_measure.resident_bytes([net, optimizer]) == 64 + 8
    net(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    assert bench_measure.resident_bytes([net, optimizer]) == 64 + 8 + 32


class FakeGPU:
    """Stands in for torch.cuda: `call` allocates and frees; what was there before stays."""

    def __init__(self, resident):
        self.now = self.peak = resident

    def call(self, size):
        self.peak = max(self.peak, self.now + size)

    def install(self, monkeypatch):
        quiet = dict.fromkeys(['synchronize', 'empty_cache'], lambda *arguments: None)
        for name, function in {
            **quiet,
            'memory_allocated': lambda device: self.now,
            'max_memory_allocated': lambda device: self.peak,
            'reset_peak_memory_stats': lambda device: setattr(self, 'peak', self.now),
        }.items():
            monkeypatch.setattr(torch.cuda, name, function)


def test_on_a_gpu_peak_memory_is_compared_too_without_what_others_keep_there(monkeypatch):
    gpu = FakeGPU(resident=1000)
    gpu.install(monkeypatch)
    layer = torch.nn.Linear(4, 1, bias=False)  # 16 bytes
    case = Case(
        'x',
        'y',
        Form(lambda: gpu.call(384), resident=(layer,)),
        [Form(lambda: gpu.call(84), 2.0, 'bf16', memory_budget=0.5, resident=(layer,))],
        1,
    )
    rows = bench_measure.measure('x', case, SimpleNamespace(type='cuda'))
    assert [row.name for row in rows] == ['x-bf16', 'x-bf16-memory']
    assert (rows[1].plain, rows[1].ours, rows[1].ratio, rows[1].holds) == (400, 100, 0.25, True)


def test_the_gpu_budgets_are_those_of_half_precision():
    assert bench_network.BUDGETS['cuda'] == {'bf16': (1 / 3, 0.4), 'fp16': (1 / 3, 0.4)}


@pytest.mark.parametrize('seconds, text', [(12.345, '12.3 s'), (0.0123, '12.3 ms'), (0.0000616, '0.0616 ms')])
def test_seconds_are_written_for_a_person(seconds, text):
    assert bench_report.quantity(seconds, 's') == text


def test_rows_without_numbers_are_said_in_one_line():
    assert bench_report.sentence(Row('x', 'title', 'plain', note='out of memory')) == 'x: out of memory'


def test_photo_batches_hold_trainids_and_ignored_pixels():
    pictures, labels = bench_data.photo_batch((256, 512), CPU, 2)
    assert pictures.shape == (2, 3, 256, 512) and pictures.dtype == torch.uint8
    assert labels.shape == (2, 256, 512) and set(labels.unique().tolist()) - set(range(19)) == {255}


@pytest.mark.slow
def test_six_members_are_fused_in_a_gigabyte_and_a_half(tmp_path):
    code, _, result = run(tmp_path, 'fuse_memory')
    assert code == 0 and [row['holds'] for row in result['rows']] == [True, True]


def test_the_lines_of_ensembles_measure_times_memory_and_storage(tmp_path, monkeypatch):
    told = SimpleNamespace(stdout='written\n300000000\n')
    monkeypatch.setattr('scripts.bench_ensemble.subprocess', SimpleNamespace(run=lambda *_, **__: told))
    code, _, result = run(tmp_path, 'fuse', 'run', 'fuse_memory', 'storage')
    rows = {row['name']: row for row in result['rows']}
    assert code == 0 and (rows['fuse']['budget'], rows['run']['budget'], rows['fuse_memory-6']['budget']) == (
        1.3,
        1.05,
        1.0,
    )
    assert (
        len([name for name in rows if name.startswith('storage-')]) == 18
        and '100.000 % of the labels' in rows['storage-npy-float16-1']['note']
    )
    assert rows['fuse_memory-6']['ratio'] == 0.2, '0.3 of 1.5 GB'
