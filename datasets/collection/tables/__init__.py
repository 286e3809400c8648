"""Label tables of the datasets, one CSV file each: ids, names, colours, and what each id becomes."""

import csv
import re
from pathlib import Path

_WORDS = {'yes': True, 'no': False}


def read_table(name: str) -> list:
    """The rows of `<name>.csv` in this folder as dicts: whole numbers int, yes and no bool, `color` an (R, G, B) tuple,
    the rest str."""
    with open(Path(__file__).with_name(f'{name}.csv'), newline='', encoding='utf-8') as file:
        return [{column: _value(column, cell) for column, cell in row.items()} for row in csv.DictReader(file)]


def _value(column, cell):
    if column == 'color':
        return tuple(map(int, cell.split()))
    return int(cell) if re.fullmatch(r'-?\d+', cell) else _WORDS.get(cell, cell)
