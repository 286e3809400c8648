"""Album: the pictures of many images as thumbnails, a page of them at a time, with a legend that filters, an order, and
a full-screen comparison that names the class under the pointer.

The records stand in the page as JSON and a script shows them; without JavaScript there is a list of links.
"""

import json
import math
from urllib.parse import quote

from utils.pages.template import asset, colour, html_text, text

SCRIPTS = ('dom', 'layers', 'choice', 'pixels', 'compare', 'album', 'viewer', 'keys')
TICKS = 5  # numbers below a ramp


def style() -> str:
    """The CSS of an album."""
    return asset('album.css')


def album(records, classes) -> str:
    """The album of page records, in their order, as HTML; one of them to a document."""
    data = {
        'names': list(map(text, classes.names)),
        'colours': [colour(rgb) for rgb in classes.colors],
        'records': [_plain(number, record) for number, record in enumerate(records)],
    }
    script = '\n'.join(asset(f'{name}.js') for name in SCRIPTS)
    return (
        _legend(classes)
        + asset('toolbar.html')
        + '<div id="album" tabindex="-1"><ol id="tiles"></ol></div>'
        + '<nav class="pager" aria-label="Pages, below the images"></nav>'
        + f'<noscript><ul class="panel">{"".join(map(_links, records))}</ul></noscript>'
        + asset('viewer.html')
        + f'<script type="application/json" id="data">{_json(data)}</script><script>\n{script}\n</script>'
    )


def _json(data) -> str:
    """JSON that may stand within a script: it holds no `<`."""
    return json.dumps(data, separators=(',', ':')).replace('<', '\\u003c')


def _plain(number, record) -> dict:
    """What the script reads of a record; numbers as they are shown."""
    layers = [
        {
            'key': text(layer.key),
            'title': text(layer.title),
            'kind': text(layer.kind),
            'file': url(layer.file),
            'strip': place,
            **({'ramp': ramp_ticks(layer.top, layer.unit)} if layer.kind == 'map' else {}),
        }
        for place, layer in enumerate(record.layers)
    ]
    known = {
        'about': text(record.about),
        'mark': record.mark,
        'miou': _rounded(record.miou),
        'accuracy': _rounded(record.accuracy),
        'thumbnails': url(record.thumbnails),
        'pixels': url(record.pixels),
    }
    return {
        'index': number,
        'name': text(record.name),
        'width': record.width,
        'height': record.height,
        'layers': layers,
        'wrong': record.wrong,
        'classes': [[*entry[:3], _rounded(entry[3])] for entry in record.classes],
        **{key: value for key, value in known.items() if value not in (None, '')},
    }


def _rounded(value):
    return None if value is None or math.isnan(value) else round(value, 5)


def url(file: str) -> str:
    """A relative file name as a URL: spaces, #, %, ? and quotes are escaped, folders stay."""
    return quote(file.encode('utf-8', 'surrogateescape'))


def ramp_ticks(top: float, unit: str = '') -> list[str]:
    """The numbers below a ramp from 0 to `top`, the last with its unit."""
    ticks = [f'{top * tick / (TICKS - 1):.3g}' for tick in range(TICKS)]
    return [*ticks[:-1], f'{ticks[-1]} {unit}'.strip()]


def _legend(classes) -> str:
    items = ''.join(
        f'<li><button type="button" data-class="{label}" aria-pressed="false"><i style="background:{colour(rgb)}"></i>'
        f'{html_text(name)} <small></small></button></li>'
        for label, (name, rgb) in enumerate(zip(classes.names, classes.colors))
    )
    return (
        '<details class="panel" id="classes" open><summary>Classes: choose one to see its images</summary>'
        f'<ul class="legend">{items}<li><i style="background:#000"></i>not labelled</li></ul>{asset("where.html")}'
        '</details>'
    )


def _links(record) -> str:
    links = ' '.join(f'<a href="{html_text(url(layer.file))}">{html_text(layer.title)}</a>' for layer in record.layers)
    return f'<li>{html_text(record.name)}: {links}</li>'
