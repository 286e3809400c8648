"""Glob patterns with {split}, {folder} and {stem}."""

import re

import pytest

from datasets.custom.patterns import Pattern


def parts(pattern, path):
    found = Pattern(pattern).match(path)
    return found and (found.folder, found.stem)


@pytest.mark.parametrize(
    'pattern, path, expected',
    [
        ('images/*.jpg', 'images/a.b.jpg', ('', 'a.b')),
        ('images/*.jpg', 'images/a.JPG', ('', 'a')),
        ('images/*.jpg', 'images/deep/a.jpg', None),
        ('images/*.jpg', 'images/ajpg', None),
        ('images/?.jpg', 'images/ab.jpg', None),
        ('images/**/*.jpg', 'images/a.jpg', ('', 'a')),
        ('images/**/*.jpg', 'images/x/y/a.jpg', ('x/y', 'a')),
        ('images/**', 'images/x/y/a.jpg', ('x/y', 'a')),
        ('images/*/day/*.jpg', 'images/x/day/a.jpg', ('x/day', 'a')),
        ('{folder}/left/{stem}_left.png', 'x/y/left/a_1_left.png', ('x/y', 'a_1')),
        ('{folder}/left/{stem}_left.png', 'left/a_left.png', ('', 'a')),
        ('{stem}/{stem}.png', 'a/a.png', ('a', 'a')),
        ('{stem}/{stem}.png', 'a/b.png', None),
        ('a+b(1)/[x]/*.png', 'a+b(1)/[x]/c.png', ('', 'c')),
        ('**/*.png', 'c.png', ('', 'c')),
    ],
)
def test_what_a_pattern_matches_and_what_its_names_stand_for(pattern, path, expected):
    assert parts(pattern, path) == expected


def test_the_split_takes_the_place_of_its_name_and_moves_the_fixed_part():
    pattern = Pattern('images/{split}/**/{stem}_{split}.jpg')
    assert pattern.base == 'images' and pattern.fields == {'split', 'stem'}
    assert pattern.of_split('day/val').base == 'images/day/val'
    assert parts('images/{split}/**/{stem}_{split}.jpg'.replace('{split}', 'val'), 'images/val/c/a_val.jpg') == (
        'c',
        'a',
    )
    assert pattern.of_split('val').match('images/train/c/a_val.jpg') is None


def test_the_path_of_a_label_that_is_not_there_is_written_out():
    pattern = Pattern('labels/{folder}/{stem}.png')
    assert pattern.filled('x/y', 'a') == 'labels/x/y/a.png' and pattern.filled('', 'a') == 'labels/a.png'


@pytest.mark.parametrize(
    'text, says',
    [
        ('images\\a.jpg', 'has a backslash; write / between folders'),
        ('/images/*.jpg', 'is no path below root'),
        ('../*.jpg', 'is no path below root'),
        ('images/', 'is no path below root'),
        ('*.{jpg,png}', "*.{jpg,png}' has {jpg,png}; only"),
        ('{stme}.png', 'did you mean {stem}?'),
        ('a{b', 'has {;'),
        ('x{folder}/{stem}.png', 'has {folder} beside other characters'),
        ('a/{folder}', 'or at the end'),
    ],
)
def test_what_is_no_pattern_is_quoted_with_the_remedy(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Pattern(text)
