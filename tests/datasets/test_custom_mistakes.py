"""--dataset custom: every mistake in the data file is one sentence that names the file and the key."""

from pathlib import Path

import pytest
import yaml
from custom_file import CLASSES, FLAT, FOLDERS, make_images, open_custom, stripes
from trees import write


@pytest.fixture
def data(tmp_path):
    return make_images(tmp_path)


@pytest.fixture
def opened(data):
    return lambda values, split='train': open_custom(data, values, split)


def classes(*entries):
    return {'classes': list(entries)}


WRONG_VALUES = [
    ({'lables': 'x'}, 'lables: there is no such key; did you mean labels'),
    ({'root': 'nowhere'}, 'root: .*/nowhere does not exist; correct root'),
    ({'root': 'data.yaml'}, 'root: .*/data.yaml is a file, not a folder or archive; correct root'),
    ({'root': 5}, 'root: is 5 .a number., expected a folder'),
    ({'images': None}, 'images: is missing'),
    ({'images': 7}, 'images: holds 7 .a number., expected a pattern'),
    (
        {'images': 'imgs/{split}/*.png'},
        "images: 'imgs/train/.*' matches no image: there is no folder .*imgs/train, in .* only images, labels; correct",
    ),
    (
        {'images': 'images/{split}/**/*.jpg'},
        'images: .* matches no image: .*images/train holds 6 other files \\(6 .png\\), c0/00.png among them',
    ),
    ({'images': ['images/{split}/*.png', 'other/*.png']}, 'images: some patterns have {split} and others have not'),
    ({'images': 'images/*.{png,jpg}'}, 'images: .* has {png,jpg}; .* give a list of patterns'),
    ({'labels': None}, 'labels: is missing'),
    ({'labels': 'labels/*.png'}, 'labels: .* lacks {stem}'),
    (
        {'labels': 'label/{split}/{stem}.png'},
        (
            r"labels: 'label/train/.*' has no file for 6 of the 6 images of split train \(images/train/c0/00.png, .*\),"
            r' since there is no folder'
        ),
    ),
    (
        {'labels': 'labels/{split}/0{stem}.png'},
        'labels: .* since .*labels/train holds 6 other files \\(6 .png\\), 00.png among them; add the labels',
    ),
    (
        {'labels': '**/{stem}.png'},
        r"labels: '\*\*/{stem}.png' fits 2 labels \(images/train/c0/00.png, labels/train/00.png\) for the image",
    ),
    ({'splits': {'train': 'train', 'validation': 'val'}}, 'splits.validation: there is no such key'),
    (
        {'splits': {'train': 'train', 'val': 'train'}},
        r'splits: train and val share 6 images \(images/train/c0/00.png, .*\); give each image to one',
    ),
    ({'splits': {'val': 'val'}}, 'splits: has no train, only val; add it'),
    ({'splits': {'train': '../train'}}, "splits.train: 'images/../train/.*' is no path below root"),
    ({'splits': {'train': 'train.txt'}}, "splits.train: 'train.txt' is a list, but images has {split}"),
    ({'splits': {'val': 0.1}}, 'splits: gives shares, but images has {split}'),
    ({'splits': ['train']}, 'splits: is a list, so nothing says which images'),
    ({'ignore': 7}, "class 'road' and ignore: both have the id 7"),
    ({'ignore': 'void'}, "ignore: holds 'void' .text., expected an id from 0 to 255"),
    ({'unlisted': 'drop'}, "unlisted: is 'drop', expected error"),
    ({'classes': None}, 'classes: is missing, expected a list such as'),
    ({'classes': {'road': 7}}, 'classes: is a mapping, expected a list'),
    (classes('road'), 'classes: 1 given, expected 2 to 254: everything else needs a class too'),
    (classes(*map(str, range(256))), 'classes: 256 given, expected 2 to 254'),
    (classes('road', False), r'classes, entry 2: is False \(yes or no\), .* need quotes'),
    (classes('road', {'name': 3}), 'classes, entry 2: its name is 3 .a number., expected text'),
    (
        classes('road', {'name': 'car', 'colour': [1, 2, 3]}),
        'classes, entry 2: colour: there is no such key; did you mean color',
    ),
    (classes('road', 'road'), "classes: two are called 'road'"),
    (
        classes({'name': 'road', 'id': 7}, {'name': 'car', 'id': [26, 7]}),
        "class 'road' and class 'car': both have the id 7",
    ),
    (classes({'name': 'road', 'id': [7, 7]}, {'name': 'car', 'id': 8}), "class 'road': has twice the id 7"),
    (
        classes({'name': 'road', 'id': 300}, {'name': 'car', 'id': 8}),
        "class 'road': id: holds 300 .a number., expected an id from 0 to 255",
    ),
    (
        classes({'name': 'road', 'id': True}, {'name': 'car', 'id': 8}),
        "class 'road': id: holds True .yes or no., expected an id",
    ),
    (
        classes({'name': 'road', 'id': []}, {'name': 'car', 'id': 8}),
        r"class 'road': id: is \[\], expected an id or a list",
    ),
    (classes({'name': 'road', 'id': 7}, {'name': 'car'}), "class 'car': has no id, but class 'road' has"),
    (
        classes({'name': 'road', 'id': 7}, {'name': 'car', 'rgb': [1, 2, 3]}),
        "class 'car': has no id, but class 'road' has",
    ),
    (classes({'name': 'road', 'id': 7, 'rgb': [1, 2, 3]}, 'car'), "class 'road': has id and rgb"),
    (
        classes({'name': 'road', 'id': [[1, 2, 3]]}, {'name': 'car', 'id': 8}),
        r"class 'road': id: holds \[1, 2, 3\] .* a colour of label files is called rgb",
    ),
    (
        classes({'name': 'road', 'rgb': [1, 2, 300]}, {'name': 'car', 'rgb': [1, 2, 3]}),
        r"class 'road': rgb: holds \[1, 2, 300\], expected red, green and blue",
    ),
    (
        {'ignore': [], **classes({'name': 'a', 'rgb': [1, 2, 3]}, {'name': 'b', 'rgb': [[4, 5, 6], [1, 2, 3]]})},
        r"class 'a' and class 'b': both have the rgb \[1, 2, 3\]",
    ),
    (
        classes({'name': 'a', 'rgb': [1, 2, 3]}, {'name': 'b', 'rgb': [4, 5, 6]}),
        'ignore: is 0, expected a colour such as',
    ),
    (
        classes({'name': 'road', 'id': 7, 'color': '#ff0000'}, {'name': 'car', 'id': 8}),
        "class 'road': color: holds '#ff0000', expected red, green and blue",
    ),
]
WRONG_SPLITS = [
    (None, 'splits: is missing, so nothing says which images are for training'),
    ({'val': 10}, 'splits.val: is 10, expected a share of the images above 0 and up to 1'),
    ({'val': True}, 'splits.val: is True, expected a folder name, a list file or a share'),
    ({'train': 0.9, 'val': 0.2}, 'splits: the shares train 0.9, val 0.2 are more than 1 together'),
    ({'train': 0.01, 'val': 0.5}, 'splits: the shares leave train none of 6 images'),
    ({'train': 'a.txt', 'val': 0.1}, 'splits: train: a.txt, val: 0.1 mixes shares and names'),
    ({'val': 0.5, 'seed': 'a'}, "splits.seed: is 'a', expected a whole number"),
    ({'train': 'a.txt', 'seed': 1}, 'splits.seed: is only for shares'),
    ({'train': 'gone.txt'}, 'splits.train: .*gone.txt: the file does not exist; a list is looked for'),
    ({'train': 'empty.txt'}, 'splits.train: empty.txt lists nothing'),
    (
        {'train': 'missing.txt'},
        (
            r'splits.train: missing.txt lists 12 images \(x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 and 2 more\) that'
            r' are not among the 6 images'
        ),
    ),
    ({'train': 'a.txt', 'val': 'b.txt'}, r'splits: train and val share 1 image \(images/train/c0/02.png\)'),
]
WRONG_TEXTS = [
    ('', 'classes: is missing'),
    ('- a', 'holds a list, expected the keys root, images'),
    ('images: a\nimages: b', "key 'images' stands twice at line 2, column 1"),
    ('images: [a\n', 'not YAML .* at line 2'),
    ('images: {split}/*.png', 'not YAML .* what begins with . or { needs quotes'),
    ('images: */*.png', 'needs quotes'),
    ('\x00\xff', 'not YAML'),
    ('a: ' + '[' * 3000 + ']' * 3000, 'its values are nested too deeply'),
]


@pytest.mark.parametrize('wrong, says', WRONG_VALUES)
def test_a_wrong_value_is_told_with_its_key(opened, wrong, says):
    with pytest.raises((ValueError, FileNotFoundError), match=f'data.yaml: {says}') as raised:
        opened({**FOLDERS, **wrong})
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('splits, says', WRONG_SPLITS)
def test_wrong_splits_are_told_with_their_key(opened, data, splits, says):
    for name, lines in (
        ('a', '00\n02'),
        ('b', '02\n03'),
        ('empty', '\n'),
        ('missing', '\n'.join(['00', *(f'x{n}' for n in range(12))])),
    ):
        (data / f'{name}.txt').write_text(lines)
    with pytest.raises(ValueError, match=f'data.yaml: {says}'):
        opened({**FLAT, 'splits': splits})


@pytest.mark.parametrize('text, says', WRONG_TEXTS)
def test_what_is_no_such_file_is_told_with_its_place(opened, text, says):
    with pytest.raises(ValueError, match=f'data.yaml: .*{says}'):
        opened(text)


def test_lines_of_lists_that_mean_nothing_or_too_much(opened, data):
    pairs = {'splits': {'train': 'a.txt'}, 'classes': CLASSES}
    (data / 'a.txt').write_text('c0/00\n')
    with pytest.raises(
        ValueError, match="splits.train: labels is missing, so each line .* in a.txt 'c0/00' does not; write so"
    ):
        opened(pairs)
    (data / 'a.txt').write_text('c0/00\tlabels/none.png\n')
    with pytest.raises(
        ValueError, match=r'splits.train: a.txt lists labels that do not exist for 1 image \(images/train/c0/00.png\)'
    ):
        opened(pairs)
    (data / 'a.txt').write_text('00\n')
    with pytest.raises(
        ValueError,
        match=r"splits.train: in a.txt, '00' fits 2 images \(images/train/c0/00.png, labels/train/00.png\); write more",
    ):
        opened({**pairs, 'labels': 'labels/train/{stem}.png'})


def test_two_images_with_one_label_are_told(opened, data):
    write(data / 'images/train/c1/00.png', stripes((0, 2, 3)))
    with pytest.raises(
        ValueError,
        match=r'gives images/train/c0/00.png and images/train/c1/00.png the same label; put {folder} into it',
    ):
        opened(FOLDERS)


def test_the_flags_belong_together(program, data):
    (data / 'data.yaml').write_text(yaml.safe_dump({**FOLDERS, 'imags': 1}))
    for flags, dataset, says in (
        ([], 'custom', 'train.py: error: --dataset custom needs --data_yaml FILE'),
        (['--data_yaml', data / 'data.yaml'], 'camvid', 'describes --dataset custom, not camvid'),
        (
            ['--data_yaml', data / 'none.yaml'],
            'custom',
            'none.yaml: cannot be read (No such file or directory), there is ',
        ),
        (['--data_yaml', data / 'data.yaml'], 'custom', 'data.yaml: imags: there is no such key; did you mean images?'),
    ):
        code, printed = program(*flags, dataset=dataset)
        assert code == 2 and printed.count('\n') == 1 and says in printed
    assert not Path(program.run_dir).exists()
