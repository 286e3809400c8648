import re

import numpy as np
from browser import needs_browser, probed

from utils.pages.sheet import Picture, Series, bars, gallery, heat_table, line_chart, matrix, table, write_sheet
from utils.pages.template import asset

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
        '<td data-name="a">&lt;x&gt;</td>',
        '<td class="number" data-name="b">1,234</td>',
        '<td class="number" data-name="c">0.1235</td>',
        '<td class="number" data-name="d">–</td>',
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
    assert (x0, y1) == (70, 8) and (x1, y0) == (460 - 8, 300 - 34)


def test_awkward_names_of_pictures_are_escaped():
    text = gallery('T', [('<name>', '"about"', [Picture('a b#?.png', '<t>')])])
    assert 'src="a%20b%23%3F.png"' in text and '<name>' not in text and '<t>' not in text


def test_a_picture_says_what_it_is_of_and_how_large_before_it_is_there():
    text = gallery('T', [('a.png', 'about', [Picture('a.jpg', 'label', (64, 48)), Picture('b.jpg', 'image')])])
    assert 'alt="label of a.png" width="64" height="48" loading="lazy"' in text
    assert 'alt="image of a.png" loading="lazy"' in text


NARROW = """
document.documentElement.style.width = '400px';
const cut = cell => cell.getBoundingClientRect().right > 400 || cell.scrollWidth > cell.clientWidth + 1;
const cells = name => [...document.querySelectorAll(name)];
const head = document.querySelector('.matrix td');
document.querySelector('.scroll:has(.matrix)').scrollLeft = 200;
return {
  width: document.body.scrollWidth,
  cut: cells('.stacks td, .bars td').filter(cut).map(cell => cell.textContent),
  named: getComputedStyle(cells('.stacks td')[1], '::before').content,
  aligned: new Set(cells('.bars td.number').map(cell => cell.getBoundingClientRect().right)).size,
  name: head.getBoundingClientRect().left >= 0 && head.textContent,
};
"""


@needs_browser
def test_at_400_pixels_no_number_of_a_table_is_cut_and_a_matrix_slides_below_its_names(tmp_path):
    names = ['class', *(f'a long name of column {number}' for number in range(9))]
    wide = [['', *map(str, range(30))], ['motorcycle', *range(100, 130)]]
    sections = [
        table('T', [names, ['motorcycle', *(1234567.0 * number for number in range(8)), '/a/long/' + 'x' * 40]]),
        bars('B', ['motorcycle', 'traffic light'], [99.5, 0.25]),
        matrix('M', wide),
    ]
    write_sheet(tmp_path / 'a.html', 'T', {'weights': '/a/very/long/' + 'x' * 90}, sections)
    assert probed(tmp_path / 'a.html', NARROW, width=500) == {
        'width': 400,
        'cut': [],
        'named': '"a long name of column 0"',
        'aligned': 1,
        'name': 'motorcycle',
    }
