"""Template of a page: one HTML file with its style and script inside, and how values become text in it."""

import html
import re
from pathlib import Path

from utils.files.atomic import write_text

_ASSETS = Path(__file__).parent / 'assets'


def asset(name) -> str:
    """The text of a file of assets/."""
    return (_ASSETS / name).read_text(encoding='utf-8')


def write_html(path, title, style: str, body: str):
    """Write a page whole or not at all. title: any text; style and body: CSS and HTML as they stand."""
    parts = {'title': html_text(title), 'style': style, 'filters': asset('filters.html').rstrip(), 'body': body}
    write_text(path, re.sub(r'{{(\w+)}}', lambda part: parts[part[1]], asset('page.html')), durable=False)


def text(value) -> str:
    """Any value as text; bytes of a file name that are not UTF-8 show as a replacement character."""
    return str(value).encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')


def html_text(value) -> str:
    """Any value as HTML text."""
    return html.escape(text(value))


def colour(rgb) -> str:
    """An RGB triple as CSS."""
    return '#{:02x}{:02x}{:02x}'.format(*(int(value) for value in rgb))


def html_head(title, facts: dict, scores: dict | None = None) -> str:
    """The head of a page: its title, scores in large type (name -> text), and facts as name and value."""
    large = ''.join(
        f'<div><dt>{html_text(name)}</dt><dd>{html_text(value)}</dd></div>' for name, value in (scores or {}).items()
    )
    items = ''.join(
        f'<div><dt>{html_text(key)}</dt><dd>{html_text(_shown(value))}</dd></div>' for key, value in facts.items()
    )
    return (
        f'<header class="top"><h1>{html_text(title)}</h1>'
        + (f'<dl class="scores">{large}</dl>' if large else '')
        + f'<dl class="facts">{items}</dl></header>'
    )


def _shown(value):
    """A fact as a page shows it: lists without brackets, yes and no, none."""
    if isinstance(value, (list, tuple)):
        return ', '.join(map(str, value))
    return (
        {None: 'none', True: 'yes', False: 'no'}.get(value, value)
        if value is None or isinstance(value, bool)
        else value
    )
