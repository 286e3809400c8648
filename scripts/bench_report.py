"""Table of the benchmark's results, with everything that the numbers depend on above it."""

import os
import shlex
import time

import torch

from engine.provenance import describe_start
from utils.cores import usable_cores

COLUMNS = ('line', 'what', 'plain form', 'plain', 'ours', 'ratio', 'pairs', 'at most', 'holds', 'note')


def provenance(device: torch.device, argv: list, script: str = 'scripts/bench.py') -> dict:
    """What describe_start knows, and the flags, the usable cores, the GPU's memory and how busy the machine is."""
    about = describe_start(device)
    about['line'] = shlex.join(['python', script, *argv])
    about['cores'] = usable_cores()
    about['load'] = round(os.getloadavg()[0], 1) if hasattr(os, 'getloadavg') else None
    about['gpu_bytes'] = torch.cuda.get_device_properties(device).total_memory if device.type == 'cuda' else None
    return about


def markdown(rows: list, about: dict, seconds: float) -> str:
    """A page: what was run where, then the table."""
    return f'# Speed\n\n{header(about, seconds)}\n\n{table(rows)}\n\n{EXPLANATION}\n'


def header(about: dict, seconds: float) -> str:
    """What was run where, as a list."""
    git = about['git']
    commit = (
        'no git checkout'
        if git is None
        else git['commit'][:12] + (f', {len(git["changed"])} files changed' if git['changed'] else '')
    )
    gpu = f'; {about["gpu"]}, {about["gpu_bytes"] / 2**30:.0f} GiB, CUDA {about["cuda"]}' if about['gpu'] else ''
    versions = ', '.join(f'{name} {version}' for name, version in about['versions'].items())
    facts = {
        'command': f'`{about["line"]}`',
        'commit': commit,
        'date': about['started'],
        'hardware': f'{about["cpu"]}, {about["cores"]} cores, {about["threads"]} threads{gpu}',
        'load average at the start': about['load'],
        'versions': versions,
        'took': f'{seconds / 60:.1f} minutes',
    }
    return '\n'.join(f'* {name}: {value}' for name, value in facts.items() if value is not None)


EXPLANATION = """Every form is run in turn with the others in one process. Times are medians, *ratio* is ours divided
by the plain form, *pairs* the smallest and largest ratio of two neighbouring runs: where they lie far apart the
machine had other work to do."""


def table(rows: list) -> str:
    """The rows as an aligned Markdown table; columns that no row fills are left out."""
    return aligned([COLUMNS, *(row_cells(row) for row in rows)])


def aligned(cells: list) -> str:
    """Lines of cells, the first of them the head, as a Markdown table; columns with nothing under their head are left
    out."""
    used = [column for column in zip(*cells) if any(column[1:])]
    widths = [max(map(len, column)) for column in used]
    lines = ['| ' + ' | '.join(cell.ljust(width) for cell, width in zip(line, widths)) + ' |' for line in zip(*used)]
    rule = '|' + '|'.join('-' * (width + 2) for width in widths) + '|'
    return '\n'.join([lines[0], rule, *lines[1:]])


def sentence(row) -> str:
    """A row in one line, printed while the others are measured."""
    name, _, _, plain, ours, ratio, pairs, budget, holds, note = row_cells(row)
    allowed = f', at most {budget}: {holds}' if budget else ''
    compared = f', ours {ours}, ratio {ratio} ({pairs}){allowed}' if ours else ''
    return f'{name}: plain {plain}{compared}' if plain else f'{name}: {note}'


def row_cells(row) -> tuple:
    number = '{:.3f}'.format
    return (
        row.name,
        row.title,
        row.plain_title,
        quantity(row.plain, row.unit),
        quantity(row.ours, row.unit),
        show(row.ratio, number),
        '' if row.low is None else f'{row.low:.2f} to {row.high:.2f}',
        show(row.budget, number),
        {None: '', True: 'yes', False: 'NO'}[row.holds],
        row.note,
    )


def show(value, form) -> str:
    return '' if value is None else form(value)


def quantity(value, unit: str) -> str:
    """Seconds or bytes for a person: '1.23 s', '4.5 ms', '2.1 GiB'."""
    if value is None:
        return ''
    if unit == 'B':
        return f'{value / 2**30:.2f} GiB'
    return f'{value:.3g} s' if abs(value) >= 1 else f'{1e3 * value:.3g} ms'


def as_json(rows: list, about: dict, settings: dict) -> dict:
    """Everything: {'about', 'settings', 'rows': [{..., 'holds', 'samples': seconds of every run}]}."""
    return {
        'about': about,
        'settings': settings,
        'date': time.strftime('%Y-%m-%d'),
        'rows': [{**vars(row), 'holds': row.holds} for row in rows],
    }
