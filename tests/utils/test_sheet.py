import re

import numpy as np

from utils.pages.page import asset
from utils.pages.sheet import Picture, Series, gallery, heat_table, line_chart, table, write_sheet

LINE = np.array([0.0, 1.0])


def lines_of(chart):
    """The attributes of every line of a chart, in order."""
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', tag)) for tag in re.findall(r'<polyline[^>]*>', chart)]


def test_a_sheet_is_one_whole_document_with_its_style_and_no_script(tmp_path):
    write_sheet(tmp_path / 'a.html', 'R&D <b>', {'images': 5}, [table('T', [['x'], ['y']])])
    text = (tmp_path / 'a.html').read_text()
    assert (
        text.startswith('<!doctype html>')
        and text.count('<body>') == text.count('<main>') == 1
        and '<script' not in text
    )
    assert '<title>R&amp;D &lt;b&gt;</title>' in text and asset('page.css') + asset('sheet.css') in text


def test_text_that_looks_like_a_part_of_the_template_stays_text(tmp_path):
    write_sheet(tmp_path / 'a.html', '{{body}} {{style}}', {'{{title}}': '{{filters}}'}, [])
    text = (tmp_path / 'a.html').read_text()
    assert '<title>{{body}} {{style}}</title>' in text and '<dt>{{title}}</dt><dd>{{filters}}</dd>' in text


def test_numbers_stand_to_the_right_and_what_is_not_defined_is_a_dash():
    cells = re.findall(r'<td.*?</td>', table('T', [['a', 'b', 'c', 'd'], ['<x>', 1234, 0.123456, float('nan')]]))
    assert cells == [
        '<td>&lt;x&gt;</td>',
        '<td class="number">1,234</td>',
        '<td class="number">0.1235</td>',
        '<td class="number">–</td>',
    ]


def test_heat_is_the_share_of_the_largest_number():
    assert re.findall(r'--heat:(\d+)%', heat_table('T', [['', 'a', 'b'], ['x', 2.0, 1.0]])) == ['60', '30']


def test_lines_beyond_the_colours_are_told_apart_by_dashes():
    lines = lines_of(line_chart('T', [Series(str(number), LINE, LINE) for number in range(14)], 'x', 'y'))
    assert len({(line['stroke'], line.get('stroke-dasharray')) for line in lines}) == 14


def test_what_the_others_are_compared_with_is_drawn_wider():
    lines = lines_of(line_chart('T', [Series('a', LINE, LINE), Series('whole', LINE, LINE, bold=True)], 'x', 'y'))
    assert float(lines[1]['stroke-width']) > float(lines[0]['stroke-width'])


def test_a_line_runs_from_corner_to_corner_of_its_axes():
    [line] = lines_of(line_chart('T', [Series('a', LINE, 10 * LINE)], 'x', 'y', x_range=(0, 1), y_range=(0, 10)))
    (x0, y0), (x1, y1) = (map(float, point.split(',')) for point in line['points'].split())
    assert (x0, y1) == (46, 8) and (x1, y0) == (460 - 8, 300 - 34)


def test_awkward_names_of_pictures_are_escaped():
    text = gallery('T', [('<name>', '"about"', [Picture('a b#?.png', '<t>')])])
    assert 'src="a%20b%23%3F.png"' in text and '<name>' not in text and '<t>' not in text
