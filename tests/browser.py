"""Pages opened from the disk in headless Chromium; tests that need it skip where there is none."""

import base64
import json
import shutil
import subprocess
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

needs_browser = pytest.mark.skipif(not shutil.which('chromium'), reason='needs the chromium browser')
CHROMIUM = (
    'chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'
    ' --disable-component-update --disable-sync --hide-scrollbars --virtual-time-budget=4000 --dump-dom'
).split()


class Reader(HTMLParser):
    """Collects the tags with their attributes, and the text outside of scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.inside, self.texts = [], '', None, {}
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == 'script':
            self.texts[self.tags[-1][1].get('id')] = data
        self.text += '' if self.inside in ('script', 'style') else data

    def all(self, tag, attribute):
        return [attributes[attribute] for name, attributes in self.tags if name == tag and attribute in attributes]

    @property
    def data(self):
        """What an album's script reads."""
        return json.loads(self.texts['data'])


def opened(page, address='', width=1400) -> Reader:
    """The page as it is in the browser, when its script has run. address: what follows its name."""
    profile = page.parent / 'profile of the browser'
    command = [*CHROMIUM, f'--user-data-dir={profile}', f'--window-size={width},900', f'file://{page}{address}']
    return Reader(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout)


def probed(page, script, width=1400):
    """What the body of an async function returns that is run within the page, after its own script."""
    probe, told = page.with_name('probe.html'), '<script type="text/plain" id="probe"></script>'
    keep = 'found => { document.getElementById("probe").textContent = JSON.stringify(found); }'
    text = page.read_text(encoding='utf-8')
    call = f'{told}<script>(async () => {{ {script} }})().then({keep})</script></body>'
    probe.write_text(text.replace('</body>', call), encoding='utf-8')
    return json.loads(opened(probe, width=width).texts['probe'])


def pixels_of(file) -> dict:
    """The planes, uint8 (h, w), of a file that a page reads for the pointer."""
    content = json.loads(file.read_text().removeprefix('pagePixels(').removesuffix(')\n'))
    width, height = content['size']
    found = {}
    for name, plane in content['planes'].items():
        differences = np.frombuffer(zlib.decompress(base64.b64decode(plane)), np.uint8).reshape(height, width)
        found[name] = np.cumsum(differences, axis=1, dtype=np.uint8)
    return found
