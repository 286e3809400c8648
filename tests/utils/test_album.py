"""Albums: which images are shown, page by page, and what stands under the pointer, in a browser that reads the disk."""

import base64
import json
import zlib

import numpy as np
import pytest
from browser import needs_browser, pixels_of, probed
from PIL import Image

from utils.classes import Classes
from utils.pages import pixels
from utils.pages.album import ramp_ticks
from utils.pages.page import write_page
from utils.pages.pixels import coarse, write_pixels
from utils.pages.records import Layer, PageRecord, count_classes
from utils.pages.thumbnails import thumbnails, write_thumbnails

CLASSES = Classes(('road', 'car', 'sky'), [[128, 64, 128], [0, 0, 142], [70, 130, 180]])
LABEL = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)
PREDICTION = np.array([[0, 0, 1, 0], [0, 2, 0, 0]], np.uint8)
CONFIDENCE = np.array([[99, 50, 87, 40], [0, 100, 1, 2]], np.uint8)


def make_page(folder):
    """A page of 50 images of 4x2 pixels, set/v/00_x.png to set/w/49_x.png, with thumbnails and pixels, which the last
    one lacks; FOUR of them are scored, and those after these hold no class."""
    pictures = {'input': np.full((2, 4, 3), 90, np.uint8), 'prediction': PREDICTION}
    records = []
    for number in range(50):
        record = PageRecord(f'set/{"v" if number < 3 else "w"}/{number:02d}_x.png', number, 4, 2)
        for key, title, kind in (('input', 'Input', 'photo'), ('prediction', 'Prediction', 'classes')):
            record.layers.append(Layer(key, title, f'{key}.png', kind))
        record.layers.append(Layer('prob_mask', 'Confidence', 'input.png', 'map', 100, '%'))
        record.thumbnails, record.pixels = 'thumbnails.jpg', 'pixels.js' if number < 49 else 'gone.js'
        record.miou, record.classes = FOUR.get(number, (None, []))
        records.append(record)
    for key, picture in pictures.items():
        Image.fromarray(picture).save(folder / f'{key}.png')
    kinds = (('photo', 'input'), ('classes', 'prediction'), ('map', 'input'))
    write_thumbnails(folder / 'thumbnails.jpg', [(kind, pictures[key]) for kind, key in kinds])
    write_pixels(folder / 'pixels.js', label=LABEL, prediction=PREDICTION, confidence=CONFIDENCE)
    write_page(folder / 'index.html', records, CLASSES, 'street')
    return folder / 'index.html'


FOUR = {  # number -> mIoU and [class, labelled, predicted, IoU]
    0: (0.6, [[0, 9, 9, 0.9], [1, 5, 5, 0.3]]),
    1: (0.4, [[0, 9, 9, 0.8], [1, 7, 0, 0.0]]),
    2: (0.2, [[0, 9, 9, 0.2], [1, 0, 4, 0.0]]),
    3: (0.5, [[0, 9, 9, 0.5]]),
}
CHOICES = [
    ({}, [0, 1, 2, 3, 4]),
    ({'order': 'worst'}, [2, 1, 3, 0, 4]),
    ({'order': 'best'}, [0, 3, 1, 2, 4]),
    ({'find': '01_X '}, [1]),
    ({'label': 1}, [0, 1]),
    ({'label': 1, 'order': 'class-worst'}, [1, 0]),
    ({'label': 1, 'order': 'class-most'}, [1, 0]),
    ({'label': 1, 'where': 'either'}, [0, 1, 2]),
    ({'label': 1, 'where': 'missed'}, [1]),
    ({'label': 1, 'where': 'invented'}, [2]),
    ({'label': 2}, []),
    ({'label': 0, 'order': 'class-worst'}, [2, 3, 1, 0]),
]
SCRIPT = """
const told = {}, plain = text => text.replace(/\\s+/g, ' ').trim();
const press = key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));

told.choices = STATES.map(state => chosen(records, { ...START, label: null, ...state }).map(record => record.index));

const tiles = () => $$('.tile').slice(0, 4).map(tile => plain(tile.innerText));
const before = tiles();
$('.legend button[data-class="1"]').click();
told.click = [tiles(), $('#count').textContent, $('#order').selectedOptions[0].textContent];
told.counts = $$('.legend button').map(button => plain(button.innerText));
$('.legend button[data-class="1"]').click();
told.back = [before, tiles()];

const state = () => [$$('.tile').length, $('.tile').dataset.index, plain($('.pager').innerText)];
told.pages = [state()];
for (const key of ['n', 'n', 'n', 'p']) { press(key); told.pages.push(state()); }
press('j');
const thumb = $('.thumb').getBoundingClientRect();
told.focus = document.activeElement.dataset.index;
told.ratio = thumb.width / thumb.height;
told.alt = $$('.thumb img').slice(0, 2).map(image => image.alt);

setDisplay('alpha', 80);
told.opacity = [getComputedStyle($('.thumb .over')).opacity, ...$$('[data-display=alpha]').map(slider => slider.value)];
$('#show').value = 'prob_mask';
$('#show').dispatchEvent(new Event('change'));
told.ramp = [...$$('#ramp b').map(tick => tick.textContent), state()[1]];

viewer.open(records[0]);
const stage = $('#viewer .stage');
const at = async (x, y) => {
  const box = stage.getBoundingClientRect();
  const place = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
  stage.dispatchEvent(new PointerEvent('pointermove', { ...place, bubbles: true }));
  await new Promise(done => setTimeout(done, 300));
  return $('.readout', stage).hidden ? '' : plain($('.readout', stage).innerText);
};
await pixelsOf(records[0]);
told.under = [];
for (const place of [[.6, .2], [.9, .2], [.3, .7], [.9, .7]]) told.under.push(await at(...place));
viewer.compare.zoomTo(4, [1, 0]);
told.zoomed = await at(.5, .5);
stage.dispatchEvent(new PointerEvent('pointerleave'));
told.left = $('.readout', stage).hidden;
viewer.open(records[49]);
told.gone = [await pixelsOf(records[49]), await viewer.compare.read(0, 0) ?? $('#viewer .readout').hidden];
return told;
""".replace('STATES', json.dumps([state for state, _ in CHOICES]))


@pytest.fixture(scope='module')
def told(tmp_path_factory):
    """What SCRIPT has found on the page."""
    return probed(make_page(tmp_path_factory.mktemp('album')), SCRIPT)


def test_pixels_are_differences_to_the_pixel_on_the_left(tmp_path):
    planes = {'label': np.array([[1, 1, 3], [0, 255, 2]], np.uint8), 'confidence': None}
    write_pixels(tmp_path / 'a.js', **planes)
    content = json.loads((tmp_path / 'a.js').read_text().removeprefix('pagePixels(').removesuffix(')\n'))
    assert content['size'] == [3, 2] and list(content['planes']) == ['label']
    assert list(zlib.decompress(base64.b64decode(content['planes']['label']))) == [1, 0, 2, 0, 255, 3]
    assert np.array_equal(pixels_of(tmp_path / 'a.js')['label'], planes['label'])


def test_of_a_very_large_image_every_second_pixel_is_kept(monkeypatch):
    monkeypatch.setattr(pixels, 'MOST', 4)
    assert coarse(np.arange(16).reshape(4, 4)).tolist() == [[0, 2], [8, 10]]
    assert coarse(np.arange(4).reshape(2, 2)).tolist() == [[0, 1], [2, 3]]


def test_thumbnails_stand_one_below_the_other_and_class_colours_stay_pure():
    photo, labels = np.zeros((100, 640, 3), np.uint8), np.zeros((100, 640), np.uint8)
    labels[:, 1::2] = 2
    coloured = Image.fromarray(labels)
    coloured.putpalette([255, 0, 0, 0, 0, 0, 0, 0, 255])
    strip = np.asarray(thumbnails([('photo', photo), ('classes', coloured)]))
    assert strip.shape == (100, 320, 3) and strip[:50].max() == 0
    assert {tuple(colour) for colour in strip[50:].reshape(-1, 3).tolist()} <= {(255, 0, 0), (0, 0, 255)}


@pytest.mark.parametrize('size, expected', [((10, 640), (320, 5)), ((960, 100), (50, 480)), ((3, 4), (320, 240))])
def test_a_thumbnail_fits_into_320_by_480_pixels(size, expected):
    assert thumbnails([('photo', np.zeros((*size, 3), np.uint8))]).size == expected


def test_the_classes_of_an_image_are_counted_with_what_is_known():
    def counted(**maps):
        record = PageRecord('a.png', 0, 4, 2)
        count_classes(record, 3, **maps)
        return record

    both = counted(labels=LABEL, prediction=PREDICTION)
    assert both.classes == [[0, 4, 5, 0.5], [1, 3, 1, pytest.approx(1 / 3)], [2, 0, 1, 0.0]]
    assert (both.valid, both.wrong, both.accuracy) == (7, 3, pytest.approx(4 / 7))
    assert both.miou == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert counted(labels=LABEL).classes == [[0, 4, None, None], [1, 3, None, None]]
    assert counted(prediction=PREDICTION).classes == [[0, None, 6, None], [1, None, 1, None], [2, None, 1, None]]


def test_a_ramp_has_five_numbers_and_its_unit():
    assert ramp_ticks(100, '%') == ['0', '25', '50', '75', '100 %'] and ramp_ticks(1) == [
        '0',
        '0.25',
        '0.5',
        '0.75',
        '1',
    ]
    assert ramp_ticks(np.log(19), 'nats') == ['0', '0.736', '1.47', '2.21', '2.94 nats']


@needs_browser
def test_the_legend_and_the_order_choose_the_images(told):
    found = [[index for index in indices if index < 5] for indices in told['choices']]
    assert list(zip((state for state, _ in CHOICES), found)) == CHOICES


@needs_browser
def test_a_click_on_a_class_shows_its_images_worst_first_and_says_how_many(told):
    assert told['click'] == [['v/01 0.0 %', 'v/00 30.0 %'], '2 of 50 images with car', 'lowest IoU of car']
    assert told['counts'] == ['road 4', 'car 2', 'sky 0']
    assert told['back'] == [['v/00 60.0 %', 'v/01 40.0 %', 'v/02 20.0 %', 'w/03 50.0 %']] * 2


@needs_browser
def test_a_page_has_24_thumbnails_and_the_keys_turn_it(told):
    pages = [[24, '0', '‹ 1–24 page 1 of 3 ›'], [24, '24', '‹ 25–48 page 2 of 3 ›'], [2, '48', '‹ 49–50 page 3 of 3 ›']]
    assert told['pages'] == [*pages, pages[2], pages[1]] and told['focus'] == '24'


@needs_browser
def test_a_thumbnail_has_its_shape_before_its_picture_and_says_what_it_shows(told):
    assert told['ratio'] == pytest.approx(2, abs=0.02) and told['alt'] == [
        'Prediction over input of set/w/24_x.png',
        '',
    ]


@needs_browser
def test_the_opacity_reaches_the_thumbnails_and_both_sliders(told):
    assert told['opacity'] == ['0.8', '80', '80']


@needs_browser
def test_the_ramp_of_a_map_is_numbered_and_another_layer_stays_on_its_page(told):
    assert told['ramp'] == ['0', '25', '50', '75', '100 %', '24']


@needs_browser
def test_the_class_and_confidence_under_the_pointer_are_those_of_the_maps(told):
    assert told['under'] == [
        'car 87 % predicted car label x 2, y 0',
        'road 40 % predicted car label x 3, y 0',
        'sky 100 % predicted road label x 1, y 1',
        'road 2 % predicted not labelled x 3, y 1',
    ]
    # four times as large about the upper right corner, the middle of the stage is 1/8 of the width from the right
    assert told['zoomed'] == 'road 40 % predicted car label x 3, y 0' and told['left'] is True


@needs_browser
def test_a_page_whose_pixels_are_gone_says_nothing_under_the_pointer(told):
    assert told['gone'] == [None, True]
