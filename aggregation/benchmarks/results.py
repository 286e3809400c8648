"""Results of an evaluation: numbers as text, lines for the terminal, JSON and a page."""

from collections.abc import Callable
from pathlib import Path

from utils.files.atomic import write_json
from utils.pages.sheet import table, write_sheet


def show(args, result: dict, lines: list[str], page: Callable[[Path, dict], None]):
    """Print a result and write it where --json and --page say.

    Args:
        args: the flags of `flags.evaluation`.
        result: {'scores': what --json holds, 'notes', and perhaps 'intervals', which --json holds too}.
        lines: what is printed above the notes.
        page: writes the page of a result to a path.
    """
    print('\n'.join([*lines, *(f'note: {note}' for note in result['notes'])]))
    if args.json:
        write_json(args.json, {**result['scores'], **{key: result[key] for key in ('intervals',) if key in result}})
    if args.page:
        page(Path(args.page), result)


def write_page(path: Path, title: str, facts: dict, sections: list[str], notes: list[str]):
    """Write a page.

    Args:
        facts: name -> value, under the title.
        sections: of utils.pages.sheet.
        notes: sentences that stand last.
    """
    told = [table('Notes', [['note'], *([note] for note in notes)])] if notes else []
    write_sheet(path, title, facts, [*sections, *told])


def number(value, interval=None) -> str:
    """'83.21' percent, with its interval; a dash for what is not defined."""
    if value is None or value != value:
        return '-'
    around = f' [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]' if interval else ''
    return f'{100 * value:.2f}{around}'


def percent(value, interval=None) -> str:
    """The same with its unit, a dash alone where there is none."""
    text = number(value, interval)
    return text if text == '-' else f'{text} %'


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines with columns of equal width, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        '  '.join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    ]
