"""Sheets: pages of tables, charts and pictures, one HTML file each, readable without a network or JavaScript.

    write_sheet('report.html', 'Two models', {'images': 500}, [table('Scores', rows), line_chart('Reliability', ...),
    gallery('Worst', cards)])

A section is a string of HTML that the functions here make; everything that a caller passes is escaped.
"""

from typing import NamedTuple

import numpy as np

from utils.pages.album import url
from utils.pages.template import asset, html_head, html_text, write_html

_COLOURS = (
    '#3366cc',
    '#dc3912',
    '#109618',
    '#ff9900',
    '#990099',
    '#0099c6',
    '#dd4477',
    '#66aa00',
    '#8c564b',
    '#17a398',
    '#b0a000',
    '#7f7f7f',
)
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 460, 300, 70, 34
FEW = 20  # points of a line that are marked one by one


class Series(NamedTuple):
    """A line of a chart: points (n,) x and y; dashed for a reference, bold for what the others are compared with."""

    name: str
    x: np.ndarray
    y: np.ndarray
    dashed: bool = False
    bold: bool = False


class Picture(NamedTuple):
    """A picture beside the page. file: relative to it; size: (width, height) in pixels."""

    file: str
    title: str
    size: tuple[int, int] | None = None


def write_sheet(path, title: str, facts: dict, sections, style: str = '', scores: dict | None = None):
    """Write the page whole or not at all. facts: name -> value, shown at the top; style: CSS of parts that are not
    from here, such as an album; scores: name -> text, in large type above the facts."""
    write_html(
        path,
        title,
        asset('page.css') + style + asset('sheet.css'),
        f'<main>{html_head(title, facts, scores)}{"".join(sections)}</main>',
    )


def section(title: str, body: str, note: str = '') -> str:
    note = f'<p class="note">{html_text(note)}</p>' if note else ''
    return f'<section class="panel"><h2>{html_text(title)}</h2>{note}{body}</section>'


def table(title: str, rows: list, note: str = '') -> str:
    """rows: lists of cells of one length, the first is the head. The first column stands to the left, the others to the
    right; a narrow window shows each row as a list of name and value."""
    return section(title, _table(rows), note)


def matrix(title: str, rows: list, note: str = '') -> str:
    """The same for as many columns as rows: a narrow window slides it below the names of its rows."""
    return section(title, _table(rows, kind='matrix'), note)


def _table(rows: list, style=None, kind='stacks') -> str:
    head = ''.join(f'<th scope="col">{html_text(cell)}</th>' for cell in rows[0])
    body = ''.join(
        '<tr>' + ''.join(_cell(cell, name, style) for name, cell in zip(rows[0], row)) + '</tr>' for row in rows[1:]
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table class="{kind}">'
        f'<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _is_number(value) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and value == value


def _cell(value, name, style=None) -> str:
    about = f' data-name="{html_text(name)}"'
    if value is None or value != value:
        return f'<td class="number"{about}>–</td>'
    if not _is_number(value):
        return f'<td{about}>{html_text(value)}</td>'
    shade = f' style="{style(value)}"' if style else ''
    return (
        f'<td class="number"{about}{shade}>'
        + (f'{value:.4g}' if isinstance(value, float | np.floating) else f'{value:,}')
        + '</td>'
    )


def heat_table(title: str, rows: list, note: str = '') -> str:
    """A matrix with every number shaded by its share of the largest."""
    largest = max([cell for row in rows[1:] for cell in row if _is_number(cell)], default=0) or 1
    return section(title, _table(rows, lambda cell: f'--heat:{60 * cell / largest:.0f}%', 'matrix'), note)


def beside(*sections: str) -> str:
    """Sections next to each other where the window is wide enough."""
    return f'<div class="beside">{"".join(sections)}</div>'


def line_chart(
    title: str, series: list[Series], x_label: str, y_label: str, note: str = '', x_range=None, y_range=None
) -> str:
    """Lines over shared axes.

    Args:
        x_label, y_label: what the axes show, with the unit.
        note: a sentence below the title.
        x_range, y_range: the ends of the axes (None: the smallest and largest values).
    """
    return section(title, _svg(series, x_label, y_label, x_range, y_range), note)


def _svg(series, x_label, y_label, x_range, y_range) -> str:
    xs, ys = (np.concatenate([np.asarray(getattr(one, axis), float) for one in series]) for axis in ('x', 'y'))
    (x0, x1), (y0, y1) = x_range or _range(xs), y_range or _range(ys)

    def place(x, y):
        return (
            f'{_LEFT + (float(x) - x0) / (x1 - x0) * (_WIDTH - _LEFT - 8):.1f},'
            f'{8 + (y1 - float(y)) / (y1 - y0) * (_HEIGHT - _BOTTOM - 8):.1f}'
        )

    lines, names = [], []
    for number, one in enumerate(series):
        colour = 'currentColor' if one.dashed else _COLOURS[number % len(_COLOURS)]
        points = ' '.join(place(x, y) for x, y in zip(one.x, one.y) if x == x and y == y)
        dash = (
            ' stroke-dasharray="4 4" opacity=".5"'
            if one.dashed
            else ' stroke-dasharray="9 3"'
            if number >= len(_COLOURS)
            else ''
        )
        if len(one.x) <= FEW:
            lines += [
                f'<circle cx="{x}" cy="{y}" r="2.4" fill="{colour}"/>'
                for x, y in (point.split(',') for point in points.split())
                if not one.dashed
            ]
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{3 if one.bold else 1.6}"{dash}/>'
        )
        names.append(f'<li><i style="background:{colour}"></i>{html_text(one.name)}</li>')
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - 8
    ticks = ''.join(
        f'<text x="{_LEFT - 5}" y="{place(x0, y).split(",")[1]}" text-anchor="end"'
        f' dominant-baseline="middle">{y:.3g}</text>'
        for y in np.linspace(y0, y1, 5)
    )
    ticks += ''.join(
        f'<text x="{place(x, y0).split(",")[0]}" y="{floor + 13}" text-anchor="middle">{x:.3g}</text>'
        for x in np.linspace(x0, x1, 5)
    )
    axes = f'<path d="M{_LEFT},8V{floor}H{right}" fill="none" stroke="currentColor" opacity=".4"/>'
    labels = (
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{html_text(x_label)}</text>'
        f'<text transform="rotate(-90)" x="{-floor / 2}" y="10" text-anchor="middle">{html_text(y_label)}</text>'
    )
    return (
        f'<div class="chart"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html_text(y_label)} over'
        f' {html_text(x_label)}">{axes}{ticks}{labels}{"".join(lines)}</svg><ul'
        f' class="legend">{"".join(names)}</ul></div>'
    )


def _range(values) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def bars(title: str, names: list[str], shares, note: str = '', colours=None) -> str:
    """One bar per name.

    Args:
        shares: a number of at least 0 per name; the largest fills the row.
        note: a sentence below the title.
        colours: RGB triples, one per name.
    """
    largest = max(max(shares, default=0), 1e-12)
    rows = []
    for number, (name, share) in enumerate(zip(names, shares)):
        swatch = (
            f'<i style="background:rgb({",".join(str(int(v)) for v in colours[number])})"></i>'
            if colours is not None
            else ''
        )
        rows.append(
            f'<tr><td>{swatch}{html_text(name)}</td><td class="number"'
            f' style="--share:{100 * share / largest:.1f}%">{share:.3f}</td></tr>'
        )
    return section(title, f'<div class="scroll"><table class="bars"><tbody>{"".join(rows)}</tbody></table></div>', note)


def gallery(title: str, cards: list[tuple[str, str, list[Picture]]], note: str = '') -> str:
    """cards: (name, one line about it, its pictures)."""
    return section(title, ''.join(_card(*card) for card in cards) or '<p class="none">none</p>', note)


def _card(name, about, pictures) -> str:
    figures = ''.join(_figure(name, picture) for picture in pictures)
    return (
        f'<article class="card"><header><h2>{html_text(name)}</h2><span'
        f' class="badge">{html_text(about)}</span></header><div class="layers">{figures}</div></article>'
    )


def _figure(name, picture: Picture) -> str:
    title, link = html_text(picture.title), html_text(url(picture.file))
    alt = f'{title} of {html_text(name)}'
    size = '' if picture.size is None else ' width="{}" height="{}"'.format(*picture.size)
    return (
        f'<figure><a href="{link}"><img src="{link}" alt="{alt}"{size} loading="lazy" decoding="async"></a>'
        f'<figcaption>{title}</figcaption></figure>'
    )
