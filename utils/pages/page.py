"""Pages of pictures: best_images/index.html and topn_failures.html.

A page is one HTML file with its style and script inside; it shows the PNGs beside it through relative links, so it
works from the disk, from a web server and from a zip archive, with no network. Without JavaScript it still shows every
picture; with it, pictures can be compared with a slider, zoomed, sorted and filtered.
"""

import html
import math
import re
from pathlib import Path
from urllib.parse import quote

from utils.files.atomic import write_text

TITLE = 'Predictions'
_ASSETS = Path(__file__).parent / 'assets'


def write_page(path, records, classes, dataset: str, facts=None, rows=None):
    """Write the page of an evaluation's pictures, whole or not at all.

    Args:
        path: of the page.
        records: a PageRecord per image; their files are relative to the page.
        classes: names and colours.
        dataset: its name, for the title.
        facts: what the run is, shown as name and value.
        rows: the score of each class, dicts with equal keys; floats are shares and shown in percent, None and nan as a
            dash.
    """
    _write(path, f'{TITLE} · {dataset}', _in_order(records), classes, facts, _class_table(rows))


def write_topn_page(path, tables, records, classes, dataset: str, facts=None):
    """Write the page of the worst images per class.

    Args:
        tables: a list of ClassFailures.
        records: of their images.
        classes, dataset, facts: as of write_page.
    """
    records = _in_order(records)
    anchors = {record.name: f'#image-{number}' for number, record in enumerate(records)}
    failures = _failure_tables(tables, classes, anchors)
    _write(path, f'Worst images per class · {dataset}', records, classes, facts, failures)


def _in_order(records):
    """In the order of the dataset, whatever rank they come from; a card's number is its place in this list."""
    return sorted(records, key=lambda record: (record.index, record.name))


def _write(path, title, records, classes, facts, extra):
    body = (
        '<a class="skip" href="#cards">Skip to the images</a>'
        + _header(title, records, facts)
        + extra
        + _legend(classes)
        + asset('toolbar.html')
        + '<main id="cards" tabindex="-1">'
        + ''.join(map(_card, range(len(records)), records))
        + '</main>'
        + asset('viewer.html')
        + f'<script>\n{asset("page.js")}\n</script>'
    )
    write_html(path, title, asset('page.css'), body)


def write_html(path, title, style: str, body: str):
    """Write a page whole or not at all. title: any text; style and body: CSS and HTML as they stand."""
    parts = {'title': html_text(title), 'style': style, 'filters': asset('filters.html').rstrip(), 'body': body}
    write_text(path, re.sub(r'{{(\w+)}}', lambda part: parts[part[1]], asset('page.html')), durable=False)


def asset(name) -> str:
    """The text of a file of assets/."""
    return (_ASSETS / name).read_text(encoding='utf-8')


def html_text(value) -> str:
    """Any value as HTML text; bytes of a file name that are not UTF-8 show as a replacement character."""
    return html.escape(str(value).encode('utf-8', 'surrogateescape').decode('utf-8', 'replace'))


def url(file: str) -> str:
    """A relative file name as a URL: spaces, #, %, ? and quotes are escaped, folders stay."""
    return html.escape(quote(file.encode('utf-8', 'surrogateescape')))


def _percent(value) -> str:
    return '–' if value is None or math.isnan(value) else f'{100 * value:.2f}'


# facts whose names on a page are not those of metrics.json
FACTS = {'n_scales': 'scales in the network', 'scales': 'scales averaged', 'flip': 'mirrored'}


def _header(title, records, facts):
    scored = [record.miou for record in records if record.miou is not None]
    shown = {FACTS.get(name, name): value for name, value in (facts or {}).items()} | {'images shown': len(records)}
    if scored:
        shown['mean of their mIoUs'] = f'{_percent(sum(scored) / len(scored))} %'
    return html_facts(title, shown)


def html_facts(title, facts) -> str:
    """The head of a page: its title, and facts as name and value."""
    items = ''.join(
        f'<div><dt>{html_text(key)}</dt><dd>{html_text(_shown(value))}</dd></div>' for key, value in facts.items()
    )
    return f'<header class="top"><h1>{html_text(title)}</h1><dl class="facts">{items}</dl></header>'


def _shown(value):
    """A fact as a page shows it: lists without brackets, yes and no, none."""
    if isinstance(value, (list, tuple)):
        return ', '.join(map(str, value))
    return (
        {None: 'none', True: 'yes', False: 'no'}.get(value, value)
        if value is None or isinstance(value, bool)
        else value
    )


def _class_table(rows):
    if not rows:
        return ''
    head = ''.join(f'<th scope="col">{html_text(key)}</th>' for key in rows[0])
    lines = ''.join('<tr>' + ''.join(_cell(value) for value in row.values()) + '</tr>' for row in rows)
    return (
        '<details class="panel"><summary>Scores per class (%)</summary><div'
        f' class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div></details>'
    )


def _cell(value):
    if value is None or isinstance(value, float):
        bar = '' if value is None or not 0 <= value <= 1 else f' style="--share:{100 * value:.1f}%"'
        return f'<td class="number"{bar}>{_percent(value)}</td>'
    return f'<td{" class=number" if isinstance(value, int) else ""}>{html_text(value)}</td>'


def _colour(classes, label) -> str:
    return '#{:02x}{:02x}{:02x}'.format(*(int(v) for v in classes.colors[label]))


def _legend(classes):
    items = ''.join(
        f'<li data-class="{label}"><i style="background:{_colour(classes, label)}"></i>{html_text(name)}</li>'
        for label, name in enumerate(classes.names)
    )
    items += '<li><i style="background:#000"></i>not labelled</li>'
    return f'<details class="panel" open><summary>Class colours</summary><ul class="legend">{items}</ul></details>'


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
        swatch = f'<i style="background:{_colour(classes, table.label)}"></i>'
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
        f'<li><a href="{anchors.get(failure.name, "#cards")}">{html_text(failure.name)}</a>'
        f' <b>{failure.pixels:,}</b></li>'
        for failure in failures
    )
    return (
        f'<div><h3>{title} <small>{note}</small></h3>'
        + (f'<ol>{lines}</ol>' if lines else '<p class="none">none</p>')
        + '</div>'
    )


def _card(number, record):
    name, scores = html_text(record.name), ''
    width, height = html_text(record.width), html_text(record.height)
    if record.miou is not None:
        scores = (
            f'<span class="badge" title="mean IoU over the classes in this image">mIoU <b>{_percent(record.miou)}'
            ' %</b></span><span class="badge" title="share of the labelled pixels that are right">accuracy'
            f' <b>{_percent(record.accuracy)} %</b></span><span class="badge" title="labelled pixels that are'
            f' wrong">wrong <b>{record.wrong:,} px</b></span>'
        )
    miou = '' if record.miou is None else f'{record.miou:.6f}'
    ious = ','.join(f'{label}:{iou:.4f}' for label, iou in record.ious)
    layers = ''.join(_layer(record, layer, name) for layer in record.layers)
    return (
        f'<article class="card" id="image-{number}" data-index="{number}" data-name="{name}" data-miou="{miou}"'
        f' data-wrong="{html_text(record.wrong)}" data-ious="{html_text(ious)}" data-width="{width}"'
        f' data-height="{height}"><header><h2><a href="#image-{number}">{name}</a></h2>{scores}<button'
        ' type="button" class="open">Compare full screen</button></header><div class="row"><div'
        f' class="slot"></div><div class="layers">{layers}</div></div></article>'
    )


def _layer(record, layer, name):
    link = url(layer.file)
    title = html_text(layer.title)
    bar = '<span class="ramp" title="0 to 1"></span>' if layer.kind == 'map' else ''
    return (
        f'<figure data-key="{html_text(layer.key)}" data-kind="{html_text(layer.kind)}" data-title="{title}">'
        f'<a href="{link}"><img'
        f' src="{link}" alt="{title} of {name}" loading="lazy" decoding="async" width="{html_text(record.width)}"'
        f' height="{html_text(record.height)}"></a><figcaption>{title}{bar}</figcaption></figure>'
    )
