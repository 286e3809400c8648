"""List files as they are found in the wild: read, or told what is wrong in the right words."""

import numpy as np
import pytest
from custom_file import CLASSES, make_images, names, open_custom
from trees import write

WITH_PATTERN = {'images': 'images/**/*.png', 'labels': 'labels/train/{stem}.png', 'classes': CLASSES, 'ignore': 0}
WITHOUT = {'images': 'images/**/*.png', 'classes': CLASSES, 'ignore': 0}
IMAGES = [f'images/train/c{number % 2}/{number:02d}.png' for number in range(6)]
LABELS = [f'labels/train/{number:02d}.png' for number in range(6)]
FOUND = [
    'train/c0/00.png',
    'train/c0/02.png',
    'train/c0/04.png',
    'train/c1/01.png',
    'train/c1/03.png',
    'train/c1/05.png',
]


def listed(folder, values, lines, encoding='utf-8', end='\n'):
    make_images(folder)
    (folder / 'train.txt').write_bytes((end.join(lines) + end).encode(encoding))
    return open_custom(folder, {**values, 'splits': {'train': 'train.txt'}})


FORMS = {
    'as they are': '{}',
    'a leading /': '/{}',
    'a leading ./': './{}',
    'folders above the root': 'datasets/mine/{}',
    'an absolute path of another machine': '/home/someone/mine/{}',
    'a path from beside': '../{}',
    'a drive': 'D:\\mine\\{}',
    'quotes': '"{}"',
}


@pytest.mark.parametrize('separator', ['\t', ',', ', ', ';', ' ', '   '])
@pytest.mark.parametrize('form', FORMS.values(), ids=FORMS)
def test_pairs_are_read_in_every_form(tmp_path, form, separator):
    if '"' in form and separator == '\t':
        pytest.skip('quotes stand in files with commas')
    lines = [separator.join(form.format(path) for path in pair) for pair in zip(IMAGES, LABELS)]
    dataset = listed(tmp_path, WITHOUT, lines)
    assert names(dataset) == FOUND
    assert [item.label.name for item in dataset.items] == [name.rpartition('/')[2] for name in FOUND]
    assert dataset.load(dataset.items[0])[1].max() == 255


@pytest.mark.parametrize('form', [form for form in FORMS.values() if '"' not in form])
def test_images_alone_are_read_in_every_form(tmp_path, form):
    assert names(listed(tmp_path, WITH_PATTERN, [form.format(path) for path in IMAGES])) == FOUND


def test_an_absolute_path_below_the_root_and_one_without_its_extension(tmp_path):
    assert names(listed(tmp_path, WITH_PATTERN, [f'{tmp_path}/{IMAGES[0]}', *IMAGES[1:]][:1])) == FOUND[:1]
    pairs = [f'{tmp_path}/{image} {tmp_path}/{label}' for image, label in zip(IMAGES, LABELS)]
    assert names(listed(tmp_path, WITHOUT, pairs)) == FOUND
    assert names(listed(tmp_path, WITH_PATTERN, ['/data/' + path.removesuffix('.png') for path in IMAGES])) == FOUND


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be'])
def test_text_of_windows_is_read(tmp_path, encoding):
    lines = [f'{image}\t{label}'.replace('/', '\\') for image, label in zip(IMAGES, LABELS)]
    assert names(listed(tmp_path, WITHOUT, lines, encoding, '\r\n')) == FOUND


def test_blanks_in_names_do_not_hide_the_pair(tmp_path):
    for number in range(3):
        write(tmp_path / f'my images/a photo {number}.png', np.zeros((8, 48, 3), np.uint8))
        write(tmp_path / f'my labels/a label {number}.png', np.full((8, 48), 7, np.uint8))
    lines = [f'my images/a photo {number}.png my labels/a label {number}.png' for number in range(3)]
    (tmp_path / 'train.txt').write_text('\n'.join(lines))
    values = {'images': 'my images/*.png', 'splits': {'train': 'train.txt'}, 'classes': CLASSES}
    dataset = open_custom(tmp_path, values)
    assert names(dataset) == [f'a photo {number}.png' for number in range(3)]
    assert [item.label.name for item in dataset.items] == [f'a label {number}.png' for number in range(3)]


def test_labels_in_the_list_beside_a_pattern_are_told(tmp_path):
    lines = [f'{image} elsewhere/{label}' for image, label in zip(IMAGES, LABELS)]
    dataset = listed(tmp_path, WITH_PATTERN, lines)
    assert names(dataset) == FOUND and dataset.items[0].label == tmp_path / 'labels/train/00.png'
    assert dataset.notes == [
        'train.txt names labels too, which are not read, since labels in data.yaml says where they are; leave it out to'
        ' read those of the list'
    ]


@pytest.mark.parametrize(
    'values, lines, words',
    [
        (
            {**WITH_PATTERN, 'images': 'images/val/**/*.png'},
            [IMAGES[0]],
            r'train.txt lists 1 image \(images/train/c0/00.png\) that is below .* but is left out by images:'
            r' images/val/\*\*/\*.png; widen that pattern',
        ),
        (WITH_PATTERN, ['images/train/c0/00.jpg'], r'not among the 8 images .* \(there is images/train/c0/00.png\)'),
        (
            WITH_PATTERN,
            ['images/train/c0/99.png'],
            r'lists 1 image \(images/train/c0/99.png\) that are not among the 8',
        ),
        (
            WITHOUT,
            IMAGES,
            r"each line has to hold an image and its label .* in train.txt 'images/train/c0/00.png' does",
        ),
        (WITHOUT, [f'{IMAGES[0]},no/where.png'], r'lists labels that do not exist for 1 image'),
        (
            WITH_PATTERN,
            [f'/one/{IMAGES[0]}', f'/two/{IMAGES[1]}'],
            r'lists images below one, two, which cannot all be .*; write paths that start there',
        ),
    ],
)
def test_what_is_wrong_is_told_in_the_right_words(tmp_path, values, lines, words):
    with pytest.raises(ValueError, match=words):
        listed(tmp_path, values, lines)


def test_bytes_that_are_no_text_are_told(tmp_path):
    make_images(tmp_path)
    (tmp_path / 'train.txt').write_bytes(b'images/M\xfcnchen.png\n')
    with pytest.raises(ValueError, match='train.txt: is no text file in UTF-8 or UTF-16; save it as UTF-8'):
        open_custom(tmp_path, {**WITH_PATTERN, 'splits': {'train': 'train.txt'}})
