import os
import re
import zipfile

import cv2
import numpy as np
import pytest

from utils.files.sources import find_sources


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """photos/{a.png, b.jpg, sub/c.png, notes.md, .hidden.png}, other/a.png, drive.mp4, in the working directory."""
    for name in ('photos/a.png', 'photos/b.jpg', 'photos/sub/c.png', 'photos/.hidden.png', 'other/a.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / 'photos/notes.md').write_text('no image')
    (tmp_path / 'drive.mp4').write_bytes(b'not looked into here')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*texts, **options):
    found = find_sources(texts, **options)
    assert not found.faults, found.faults
    return [source.name for source in found.sources]


def test_an_image_is_named_by_its_stem_and_a_folder_by_what_is_below_it(tree):
    assert names('photos/a.png') == ['a']
    assert names('photos') == names(str(tree / 'photos')) == ['a', 'b', 'sub/c']
    assert find_sources(['photos']).notes == ['photos: 1 other file left out']


def test_a_pattern_is_named_below_its_fixed_part(tree):
    assert names('photos/*.png') == ['a']
    assert names('photos/**/*.png') == ['a', 'sub/c']
    assert names('*/a.png') == ['other/a', 'photos/a']
    assert names('photos/*') == ['a', 'b', 'sub/c']  # a folder that matches stands for what is in it
    assert 'matches no file' in find_sources(['photos/*.bmp']).faults[0][1]
    assert 'matches 1 file, but no image' in find_sources(['photos/*.md']).faults[0][1]


def test_a_file_whose_name_looks_like_a_pattern_is_the_file(tree):
    os.rename('photos/a.png', 'photos/a[1].png')
    assert names('photos/a[1].png') == ['a[1]']


def test_a_list_holds_paths_from_its_folder_or_from_here(tree):
    (tree / 'photos/list.txt').write_bytes('\ufeffa.png\r\nsub/c.png\r\n\r\nother/a.png\r\n'.encode())
    assert names('photos/list.txt') == ['a', 'sub/c', 'other/a']
    (tree / 'absolute.txt').write_text(f'{tree}/photos/b.jpg\n../{tree.name}/photos/a.png')
    assert names('absolute.txt') == ['b', f'{tree.name}/photos/a']


def test_the_lines_of_stdin_are_a_list(tree):
    assert names('-', stdin=['photos/a.png\n', 'drive.mp4\n']) == ['photos/a', 'drive']
    assert find_sources(['-'], stdin=[]).faults[0][1] == 'stdin: holds no line; write one path per line'


def test_a_text_that_is_no_list_is_one_fault(tree):
    (tree / 'poem.txt').write_text('The woods are lovely,\ndark and deep\n')
    [(source, reason)] = find_sources(['poem.txt']).faults
    assert source == 'poem.txt' and 'none of its 2 lines is one' in reason and "'The woods are lovely,'" in reason


def test_a_list_with_one_wrong_line_has_one_fault(tree):
    (tree / 'list.txt').write_text('photos/a.png\nphotos/gone.png\n')
    found = find_sources(['list.txt'])
    assert [source.name for source in found.sources] == ['photos/a']
    assert 'photos/gone.png: no such file or folder, named in list.txt' in found.faults[0][1]


def test_a_list_in_a_list_is_refused(tree):
    (tree / 'inner.txt').write_text('photos/a.png\n')
    (tree / 'outer.txt').write_text('inner.txt\nphotos/b.jpg\n')
    assert 'is a list within the list outer.txt' in find_sources(['outer.txt']).faults[0][1]


@pytest.mark.parametrize('top', ['', 'photos/'])
def test_an_archive_is_a_folder(tree, top):
    with zipfile.ZipFile('photos.zip', 'w') as archive:
        for name in ('a.png', 'sub/c.png', '.hidden.png'):
            archive.write('photos/a.png', top + name)
    assert names('photos.zip') == ['a', 'sub/c']
    assert names('photos.zip/sub') == ['c']


def test_a_video_in_an_archive_is_a_fault(tree):
    with zipfile.ZipFile('z.zip', 'w') as archive:
        archive.write('photos/a.png', 'a.png')
        archive.write('drive.mp4')
    found = find_sources(['z.zip'])
    assert [source.name for source in found.sources] == ['a']
    assert 'a video cannot be read in an archive; unpack it' in found.faults[0][1]


def test_videos_and_cameras_are_videos(tree):
    found = find_sources(['drive.mp4', 'camera:2', 'photos/a.png']).sources
    assert [(source.name, source.is_video, source.is_camera, str(source)) for source in found] == [
        ('drive', True, False, 'drive.mp4'),
        ('camera_2', True, True, 'camera:2'),
        ('a', False, False, 'photos/a.png'),
    ]


def test_sources_of_one_name_are_told_apart_by_their_folders(tree):
    assert names('photos/a.png', 'other/a.png') == ['photos/a', 'other/a']
    assert names('photos', 'other') == ['photos/a', 'b', 'sub/c', 'other/a']


def test_sources_of_one_folder_and_stem_are_told_apart_by_their_extensions(tree):
    os.rename('photos/b.jpg', 'photos/a.jpg')
    assert names('photos') == ['a.jpg', 'a.png', 'sub/c']
    assert names('photos', 'other') == ['a.jpg', 'a.png', 'sub/c', 'other/a']


def test_an_archive_and_the_image_beside_it_are_told_apart(tree):
    with zipfile.ZipFile('photos/z.zip', 'w') as archive:
        archive.write('photos/a.png', 'a.png')
    assert names('photos/a.png', 'photos/z.zip') == ['photos/a', 'z.zip/a']


def test_what_is_given_twice_is_done_once(tree):
    found = find_sources(['photos/a.png', './photos', str(tree / 'photos/b.jpg')])
    assert [source.name for source in found.sources] == ['a', 'b', 'sub/c']
    assert '2 files that were given more than once are done once' in found.notes


def test_names_with_spaces_signs_and_letters_of_any_script(tree):
    for name in ('a photo #1.png', 'Straße 50 %.png', '写真.png', '-dash.png'):
        os.link('photos/a.png', f'other/{name}')
    os.remove('other/a.png')
    assert names('other') == ['-dash', 'Straße 50 %', 'a photo #1', '写真']
    (tree / 'list.txt').write_text('other/a photo #1.png\nother/写真.png\n', encoding='utf-8')
    assert names('list.txt') == ['other/a photo #1', 'other/写真']


@pytest.mark.parametrize(
    'text, reason',
    [
        ('gone.png', 'gone.png: no such file or folder; give an image'),
        ('empty', 'empty: holds no images or videos, it is empty; give another folder'),
        ('notes', 'notes: holds no images or videos, only 1 other file (.md); give another folder'),
        ('photos/sub/c.png/x.png', 'no such file or folder'),
        ('a\0b', 'is no path'),
        ('x' * 300, 'File name too long'),
        ('all.tar.gz', 'is compressed as a whole'),
    ],
)
def test_what_cannot_be_found_is_a_fault_with_a_remedy(tree, text, reason):
    (tree / 'empty').mkdir()
    (tree / 'notes').mkdir()
    (tree / 'notes' / 'a.md').write_text('x')
    (tree / 'all.tar.gz').write_bytes(b'x')
    found = find_sources([text])
    assert not found.sources and reason in found.faults[0][1]


def test_results_below_a_folder_of_images_are_no_images(tree):
    found = find_sources(['.'], out='other')
    assert [source.name for source in found.sources] == ['drive', 'photos/a', 'photos/b', 'photos/sub/c']
    assert '.: 1 file below --out' in found.notes[0]


@pytest.fixture
def made(tree):
    """The tree with 3 pictures of datasets.prepare and 1 of an earlier call of predict.py among the photos."""
    for name in ('prepared_labelme/labels/a.png', 'prepared_labelme/labels/sub/c.png', 'prepared_labelme/x.png'):
        (tree / 'photos' / name).parent.mkdir(parents=True, exist_ok=True)
        os.link('photos/a.png', f'photos/{name}')
    (tree / 'photos/sub/ids').mkdir()
    os.link('photos/a.png', 'photos/sub/ids/a_labels.png')
    for name in ('prepared_labelme/photos.yaml', 'sub/ids/predict.json', 'sub/ids/sources.jsonl'):
        (tree / 'photos' / name).write_text('{}')
    os.remove('photos/notes.md')
    return tree


@pytest.mark.parametrize('text', ['photos', 'photos/*', 'photos/**/*', 'photos.zip'])
def test_label_maps_and_earlier_results_below_a_folder_are_left_out_and_counted(made, text):
    with zipfile.ZipFile('photos.zip', 'w') as archive:
        for path in sorted(made.glob('photos/**/[!.]*.*')):
            archive.write(path, path.relative_to(made / 'photos'))
    found = find_sources([text])
    assert sorted(source.name for source in found.sources) == ['a', 'b', 'sub/c']
    notes = ' '.join(found.notes)
    assert notes.count('left out in') == len(found.notes) and sum(map(int, re.findall(r': (\d) image', notes))) == 4
    assert 'left out in prepared_labelme, sub/ids, which datasets.prepare or predict.py wrote' in notes or '*' in text


def test_photos_that_lie_beside_results_are_taken(made):
    os.link('photos/b.jpg', 'photos/sub/ids/d.jpg')
    assert names('photos') == ['a', 'b', 'sub/c', 'sub/ids/d']


@pytest.mark.parametrize(
    'text, found',
    [
        ('photos/prepared_labelme', ['labels/a', 'labels/sub/c', 'x']),
        ('photos/prepared_labelme/labels', ['a', 'sub/c']),
        ('photos/prepared_*/labels', ['prepared_labelme/labels/a', 'prepared_labelme/labels/sub/c']),
        ('photos/sub/ids', ['a_labels']),
    ],
)
def test_a_folder_of_labels_or_results_that_is_given_itself_is_taken(made, text, found):
    assert names(text) == found


@pytest.mark.parametrize(
    'text, words', [('only', 'holds no images or videos'), ('only/*', 'matches no image or video')]
)
def test_a_folder_with_nothing_but_label_maps_says_that_it_has_those(made, text, words):
    (made / 'only').mkdir()
    os.rename('photos/prepared_labelme', 'only/prepared_labelme')
    [(_, reason)] = find_sources([text]).faults
    assert f'{text}: {words} but those in prepared_labelme, which datasets.prepare' in reason


@pytest.mark.parametrize('out', ['photos', '.'])
def test_results_do_not_go_among_the_images_of_a_folder(tree, out):
    with pytest.raises(ValueError, match='--out .*holds the folder of images photos.*a folder of its own'):
        find_sources(['photos'], out=out)
