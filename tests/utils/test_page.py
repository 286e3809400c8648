import re
from urllib.parse import unquote

import numpy as np
import pytest
from browser import Reader, needs_browser, opened
from PIL import Image

from engine.worst import ClassFailures, Failure
from utils.classes import Classes
from utils.outputs.pictures import large_picture, make_grid, picture_grid
from utils.pages.page import write_page, write_topn_page
from utils.pages.records import Layer, PageRecord, load_record

STREET = Classes(('road', 'R&D <b>'), [[128, 64, 128], [1, 2, 255]]), 'street'
NAMES = [
    'val/a b #1 100%.png',
    'val/"><script>alert(1)<|script>.png',
    "val/it's ü 日本?.png",
    'val/x:y&amp;z.png',
    'javascript:alert(1).png',
]


def record_of(folder, name, index=0, keys=('input', 'prediction'), **scores):
    """A record with a real, tiny picture for every layer."""
    record = PageRecord(name, index, 8, 6, **scores)
    for key in keys:
        file = f'{name.rsplit(".", 1)[0]}_{key}.png'
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 6), (index, 9, 9)).save(folder / file)
        record.layers.append(Layer(key, key.title(), file, {'input': 'photo', 'attn_05x': 'map'}.get(key, 'classes')))
    return record


def read(path):
    return Reader(path.read_text(encoding='utf-8'))


@pytest.mark.parametrize('name', NAMES)
def test_links_of_awkward_file_names_lead_to_the_files(tmp_path, name):
    write_page(tmp_path / 'index.html', [record_of(tmp_path, name)], *STREET)
    page = read(tmp_path / 'index.html')
    [record] = page.data['records']
    sources = [layer['file'] for layer in record['layers']]
    assert len(sources) == 2 and page.all('a', 'href')[1:] == sources, 'in the list for those without JavaScript too'
    for source in sources:
        assert (tmp_path / unquote(source)).is_file()
        assert not re.search(r'[\s"\'<>#?]|^\w+:', source)  # relative, and nothing a URL would take apart


def test_names_are_shown_as_text_and_run_nothing(tmp_path):
    evil = 'val/</article><img src=x onerror=alert(1)>.png'
    records = [
        PageRecord(name, k, 8, 6, [Layer('input', '<i>', 'a.png', 'photo')]) for k, name in enumerate([*NAMES, evil])
    ]
    write_page(
        tmp_path / 'index.html',
        records,
        *STREET,
        facts={'<u>arch': '</dd><script>'},
        rows=[{'<s>': '<s>', 'IoU': 0.5}],
    )
    page = read(tmp_path / 'index.html')
    assert sum(tag == 'script' for tag, _ in page.tags) == 2, 'the data and the script of the page itself'
    assert not [
        tag for tag, attributes in page.tags if tag in ('u', 's') or any(key.startswith('on') for key in attributes)
    ]
    assert [record['name'] for record in page.data['records']] == [*NAMES, evil]
    assert all(text in page.text for text in (*NAMES, evil, '<u>arch', '</dd><script>', 'R&D <b>'))


def test_a_file_name_that_is_not_utf8_is_linked_by_its_bytes(tmp_path):
    name = b'caf\xe9.png'.decode('utf-8', 'surrogateescape')
    write_page(
        tmp_path / 'index.html',
        [PageRecord(name, 0, 8, 6, [Layer('input', 'Input', name, 'photo')])],
        *STREET,
    )
    page = read(tmp_path / 'index.html')
    assert page.data['records'][0]['layers'][0]['file'] == 'caf%E9.png'
    assert page.data['records'][0]['name'] == 'caf\ufffd.png' and 'caf\ufffd.png' in page.text


def test_the_page_needs_nothing_but_the_files_beside_it(tmp_path):
    write_page(tmp_path / 'index.html', [record_of(tmp_path, 'a.png')], *STREET)
    text = (tmp_path / 'index.html').read_text(encoding='utf-8')
    assert not re.search(r'https?:|//\w+\.\w|@import|<link|<iframe|\{\{', text)
    assert '<title>Predictions · street</title>' in text


def test_images_stand_in_the_order_of_the_data_set_with_their_scores(tmp_path):
    classes = [[0, 10, 8, 0.25], [1, 6, 3, 0.123456]]
    records = [
        record_of(tmp_path, 'b.png', 7, miou=0.25, accuracy=0.5, wrong=1234, classes=classes),
        record_of(tmp_path, 'a.png', 3),
    ]
    write_page(tmp_path / 'index.html', records, *STREET)
    first, second = read(tmp_path / 'index.html').data['records']
    assert (first['name'], first['index'], 'miou' in first) == ('a.png', 0, False)
    assert (second['name'], second['index']) == ('b.png', 1)
    assert (second['miou'], second['accuracy'], second['wrong']) == (0.25, 0.5, 1234)
    assert second['classes'] == [[0, 10, 8, 0.25], [1, 6, 3, 0.12346]]


def test_the_scores_of_the_whole_set_stand_above_everything_else(tmp_path):
    write_page(tmp_path / 'index.html', [], *STREET, facts={'arch': 'x'}, scores={'mean IoU': 0.21234})
    assert re.sub(r'\s+', ' ', read(tmp_path / 'index.html').text).index('mean IoU21.23 %arch') < 300


def test_facts_and_class_scores_are_shown_with_dashes_for_what_is_not_defined(tmp_path):
    rows = [
        {'id': 0, 'name': 'road', 'IoU': 0.98765, 'recall': 1.0},
        {'id': 1, 'name': 'car', 'IoU': float('nan'), 'recall': None},
    ]
    write_page(
        tmp_path / 'index.html',
        [],
        *STREET,
        facts={'n_scales': [0.5, 1.0], 'scales': (1.0,), 'flip': False, 'checkpoint': None},
        rows=rows,
    )
    text = read(tmp_path / 'index.html').text
    assert '98.77' in text and '100.00' in text and text.count('–') == 2
    assert 'scales in the network0.5, 1.0scales averaged1.0mirroredno' in text and 'checkpointnone' in text


def test_the_legend_has_the_colour_of_every_class_and_of_no_label(tmp_path):
    write_page(tmp_path / 'index.html', [], *STREET)
    page = read(tmp_path / 'index.html')
    assert page.all('i', 'style') == ['background:#804080', 'background:#0102ff', 'background:#000']
    assert page.data['colours'] == ['#804080', '#0102ff'] and page.all('button', 'data-class') == ['0', '1']


def test_the_page_of_five_hundred_images_is_small(tmp_path):
    records = [
        PageRecord(
            f'val/{k:03d}.png', k, 8, 6, [Layer(key, key, f'val/{k:03d}_{key}.png', 'photo') for key in 'abcdefgh']
        )
        for k in range(500)
    ]
    write_page(tmp_path / 'index.html', records, *STREET)
    page = read(tmp_path / 'index.html')
    assert len(page.data['records']) == 500 and not page.all('img', 'src'), 'pictures come with the page that is shown'
    assert (tmp_path / 'index.html').stat().st_size < 1e6


def test_the_page_of_worst_images_links_its_tables_to_its_cards(tmp_path):
    records = [record_of(tmp_path, 'b.png', 9), record_of(tmp_path, 'a.png', 4)]
    tables = [ClassFailures(1, [Failure('b.png', 9, 12345), Failure('a.png', 4, 3)], [])]
    write_topn_page(tmp_path / 'topn_failures.html', tables, records, *STREET)
    page = read(tmp_path / 'topn_failures.html')
    links = [link for link in page.all('a', 'href') if link.startswith('#image')]
    assert links == ['#image=1', '#image=0'], 'which open the image'
    assert [record['name'] for record in page.data['records']] == ['a.png', 'b.png'] and '12,345' in page.text


def test_a_record_comes_back_only_whole_and_for_the_same_run(tmp_path):
    record = record_of(tmp_path, 'v/a.png', 5, miou=0.5, classes=[[0, 9, 4, 0.5]], run='r1')
    record.save(tmp_path / 'v/a.json')
    assert load_record(tmp_path / 'v/a.json', 'r1', tmp_path) == record
    assert load_record(tmp_path / 'v/a.json', 'r2', tmp_path) is None
    assert load_record(tmp_path / 'v/b.json', 'r1', tmp_path) is None
    (tmp_path / 'v/a_input.png').unlink()
    assert load_record(tmp_path / 'v/a.json', 'r1', tmp_path) is None
    (tmp_path / 'v/a.json').write_text('{"name": "a"')
    assert load_record(tmp_path / 'v/a.json', 'r1', tmp_path) is None


def test_the_grid_has_a_row_per_image_and_five_pixels_between_pictures(tmp_path):
    for name, size, colour in (('a', (100, 50), (255, 0, 0)), ('b', (40, 80), (0, 255, 0))):
        Image.new('RGB', size, colour).save(tmp_path / f'{name}.png')
    rows = [[tmp_path / 'a.png', tmp_path / 'b.png'], [tmp_path / 'b.png']]
    grid = picture_grid(rows)
    assert grid.dtype == np.uint8 and grid.shape == (3, 2 * 389 + 5, 2 * 389 + 5)
    assert (
        grid[:, 5, 5].tolist() == [255, 0, 0]
        and grid[:, 4, 4].tolist() == [0, 0, 0]
        and grid[:, 394, 5].tolist() == [0, 255, 0]
    )
    assert grid[:, 400, 400].tolist() == [0, 0, 0]  # the second row has one picture
    assert picture_grid([[tmp_path / 'a.png']], crop=False).shape == (3, 384 + 10, 768 + 10)


@pytest.mark.parametrize(
    'size, shape', [((20, 10), (3, 10, 40)), ((21, 10), (3, 20, 21)), ((2048, 1024), (3, 512, 2048))]
)
def test_a_large_picture_is_input_and_prediction_beside_each_other_or_below_where_they_are_wide(size, shape, tmp_path):
    layers = []
    for key, colour in (('input', (9, 9, 9)), ('prediction', (7, 7, 7))):
        Image.new('RGB', size, colour).save(tmp_path / f'{key}.png')
        layers.append(Layer(key, key, f'{key}.png', 'photo'))
    picture = large_picture(PageRecord('x', 0, *size, layers=layers), tmp_path)
    assert picture.shape == shape and (picture[0, 0, 0], picture[0, -1, -1]) == (9, 7)


def test_the_grid_of_records_shows_input_label_and_prediction_and_leaves_out_what_is_missing(tmp_path):
    records = [
        record_of(tmp_path, 'a.png', 40, keys=('input', 'attn_05x', 'prediction')),
        record_of(tmp_path, 'b.png', 80, keys=('input', 'gt', 'prediction')),
    ]
    grid = make_grid(records, tmp_path)
    assert grid.shape == (3, 2 * 389 + 5, 3 * 389 + 5)
    assert grid[0, 200, [200, 600, 1000]].tolist() == [40, 40, 0] and grid[0, 600, [200, 600, 1000]].tolist() == [
        80,
        80,
        80,
    ]


@needs_browser
def test_a_browser_opens_the_comparison_that_the_address_names(tmp_path):
    records = [record_of(tmp_path, name, k, keys=('input', 'gt', 'prediction')) for k, name in enumerate(NAMES)]
    write_page(tmp_path / 'index.html', records, *STREET)
    dom = opened(tmp_path / 'index.html', '#image=4&x=35&left=gt&right=prediction%2Binput')
    [viewer] = [attributes for tag, attributes in dom.tags if tag == 'dialog' and attributes['id'] == 'viewer']
    [stage] = [style for style in dom.all('div', 'style') if '--ratio' in style]
    assert 'open' in viewer and '--x: 35%' in stage and NAMES[4] in dom.text
    assert dom.all('button', 'data-index') == ['0', '1', '2', '3', '4']
