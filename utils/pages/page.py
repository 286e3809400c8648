"""Pages of an evaluation or prediction: best_images/index.html and topn_failures.html.

A page is one HTML file with its style, script and records inside; it shows the pictures beside it through relative
links, so it works from the disk, from a web server and from a zip archive, with no network.
"""

import math

from utils.pages.album import album, style
from utils.pages.template import asset, colour, html_head, html_text, write_html

TITLE = 'Predictions'


def write_page(path, records, classes, dataset: str, facts=None, rows=None, scores=None, title=TITLE):
    """Write the page of an evaluation's pictures, whole or not at all.

    Args:
        path: of the page.
        records: a PageRecord per image; their files are relative to the page.
        classes: names and colours.
        dataset: its name, for the title.
        facts: what the run is, shown as name and value.
        rows: the score of each class, dicts with equal keys; floats are shares and shown in percent, None and nan as a
            dash.
        scores: of the whole data set, name -> share, shown in percent above everything else.
        title: what is shown, before the name of the dataset.
    """
    _write(path, f'{title} · {dataset}', _in_order(records), classes, facts, _class_table(rows), scores)


def write_topn_page(path, tables, records, classes, dataset: str, facts=None):
    """Write the page of the worst images per class.

    Args:
        tables: a list of ClassFailures.
        records: of their images.
        classes, dataset, facts: as of write_page.
    """
    records = _in_order(records)
    anchors = {record.name: f'#image={number}' for number, record in enumerate(records)}
    failures = _failure_tables(tables, classes, anchors)
    _write(path, f'Worst images per class · {dataset}', records, classes, facts, failures)


def _in_order(records):
    """In the order of the dataset, whatever rank they come from; an image's number is its place in this list."""
    return sorted(records, key=lambda record: (record.index, record.name))


def _write(path, title, records, classes, facts, extra, scores=None):
    shown = {FACTS.get(name, name): value for name, value in (facts or {}).items()} | {'images shown': len(records)}
    scores = {name: f'{_percent(value)} %' for name, value in (scores or {}).items()}
    body = (
        '<a class="skip" href="#album">Skip to the images</a>'
        + html_head(title, shown, scores)
        + f'<main>{extra}{album(records, classes)}</main>'
    )
    write_html(path, title, asset('page.css') + style(), body)


# facts whose names on a page are not those of metrics.json
FACTS = {
    'n_scales': 'scales in the network',
    'scales': 'scales averaged',
    'flip': 'mirrored',
    'flip_kind': 'mirrored along',
}


def _percent(value) -> str:
    return '–' if value is None or math.isnan(value) else f'{100 * value:.2f}'


def _class_table(rows):
    if not rows:
        return ''
    head = ''.join(f'<th scope="col">{html_text(key)}</th>' for key in rows[0])
    lines = ''.join('<tr>' + ''.join(_cell(key, value) for key, value in row.items()) + '</tr>' for row in rows)
    return (
        '<details class="panel"><summary>Scores per class (%)</summary><div'
        f' class="scroll"><table class="stacks"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
        '</details>'
    )


def _cell(key, value):
    name = f' data-name="{html_text(key)}"'
    if value is None or isinstance(value, float):
        bar = '' if value is None or not 0 <= value <= 1 else f' style="--share:{100 * value:.1f}%"'
        return f'<td class="number"{name}{bar}>{_percent(value)}</td>'
    return f'<td{" class=number" if isinstance(value, int) else ""}{name}>{html_text(value)}</td>'


def _failure_tables(tables, classes, anchors):
    parts = []
    for table in tables:
        columns = ''.join(
            _failure_list(title, note, failures, anchors)
            for title, note, failures in (
                ('False positives', 'predicted, not true', table.false_positives),
                ('False negatives', 'true, not predicted', table.false_negatives),
            )
        )
        swatch = f'<i style="background:{colour(classes.colors[table.label])}"></i>'
        parts.append(
            f'<section class="failures"><h2>{swatch}{html_text(classes.names[table.label])}</h2><div'
            f' class="pair">{columns}</div></section>'
        )
    listed = ''.join(parts) or '<p>No image has an error.</p>'
    return (
        '<details class="panel" open><summary>Worst images per class</summary><div'
        f' class="classes">{listed}</div></details>'
    )


def _failure_list(title, note, failures, anchors):
    lines = ''.join(
        f'<li><a href="{anchors.get(failure.name, "#album")}">{html_text(failure.name)}</a>'
        f' <b>{failure.pixels:,}</b></li>'
        for failure in failures
    )
    return (
        f'<div><h3>{title} <small>{note}</small></h3>'
        + (f'<ol>{lines}</ol>' if lines else '<p class="none">none</p>')
        + '</div>'
    )
