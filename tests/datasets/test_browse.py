"""`python -m datasets.browse`: the page and the contact sheet show what the network sees."""

import numpy as np
import pytest
import yaml
from browser import Reader
from custom_file import FLAT, make_images
from PIL import Image
from small_trees import make_camvid, striped_label, write_png
from trees import make_tree

from config import scope
from datasets import Classes, get_dataset
from datasets.browse.__main__ import main, parse_args
from datasets.browse.pictures import CELL, contact_sheet
from datasets.browse.records import record
from datasets.browse.samples import Shown, augmented_samples, picture, raw_samples
from datasets.sampling.sets import TrainSet
from transforms import build_train_transform

AUGMENTED = ['--augmented', '--crop_size', '24,32', '--class_uniform_tile', '16', '--class_uniform_pct', '1']


@pytest.fixture
def camvid(tmp_path):
    make_camvid(tmp_path / 'camvid', 'train', 12)
    return tmp_path


@pytest.fixture
def browse(tmp_path, capsys):
    def call(*flags, out='page.html', dataset='camvid'):
        path = tmp_path / out
        code = main(
            [
                '--dataset',
                dataset,
                '--override_dataset_root',
                str(tmp_path),
                '--assets_path',
                str(tmp_path / 'assets'),
                '--out',
                str(path),
                *map(str, flags),
            ]
        )
        told = capsys.readouterr()
        return code, told.out + told.err, path

    return call


def shown(camvid, *flags, count=12):
    args = parse_args(['--dataset', 'camvid', *AUGMENTED, *flags])
    with scope(DATASET__ROOT=str(camvid), ASSETS_PATH=str(camvid / 'assets')):
        dataset = get_dataset('camvid', 'train')
        train_set = TrainSet(dataset, build_train_transform(args, 255), args.seed, class_uniform_pct=1, tile=16)
        return train_set, list(augmented_samples(train_set, count))


def test_a_page_shows_every_image_with_its_label_and_the_colours(camvid, browse):
    code, printed, page = browse('--count', 5)
    assert code == 0 and printed == f'5 of 12 samples: {page}\n'
    found = Reader(page.read_text())
    records = found.data['records']
    assert [[layer['title'] for layer in record['layers']] for record in records] == [['Image', 'Label']] * 5
    files = {file for record in records for file in (record['thumbnails'], record['pixels'])}
    files |= {layer['file'] for record in records for layer in record['layers']}
    assert len(files) == 20 and all((page.parent / file).is_file() for file in files)
    assert 'Bicyclist' in found.text and '#0080c0' in found.data['colours']
    assert {record['about'] for record in records} == {'48x32'}


def test_a_record_counts_the_classes_of_the_label_and_marks_the_place_of_the_crop(tmp_path):
    label = np.array([[0, 0, 0, 1], [0, 0, 255, 255]], np.uint8)
    shown = Shown('a/b.png', 'drawn for sky', np.zeros((2, 4, 3), np.uint8), label, mark=(3.0, 0.5))
    made = record(shown, Classes(('road', 'sky'), [[1, 2, 3], [4, 5, 6]]), tmp_path / 'page_pictures', 7)
    assert made.classes == [[0, 5, None, None], [1, 1, None, None]] and made.mark == [0.75, 0.25]
    assert (made.width, made.height, made.about, made.pixels) == (4, 2, 'drawn for sky', 'page_pictures/0007_pixels.js')
    assert np.asarray(Image.open(tmp_path / made.layer('gt').file))[::320, ::160].tolist() == [[0, 0, 0, 1]]
    assert record(shown._replace(label=None, mark=None), None, tmp_path / 'page_pictures', 8).classes == []


def test_the_same_seed_shows_the_same_samples_and_another_one_others(camvid, browse):
    sheets = [
        browse('--count', 4, '--seed', seed, out=f'{place}.png')[2].read_bytes() for place, seed in enumerate((3, 3, 4))
    ]
    assert sheets[0] == sheets[1] != sheets[2]


def test_raw_samples_are_those_of_the_files(camvid):
    with scope(DATASET__ROOT=str(camvid)):
        dataset = get_dataset('camvid', 'train')
        samples = list(raw_samples(dataset, 100, 0))
        assert sorted(sample.name for sample in samples) == [item.name for item in dataset.items]
        first = next(item for item in dataset.items if item.name == samples[0].name)
        assert (samples[0].image == dataset.load(first)[0]).all() and (samples[0].label == dataset.load(first)[1]).all()


def test_samples_that_cannot_be_used_are_left_out_and_told(camvid, browse):
    for number in (2, 5):
        write_png(camvid / f'camvid/trainannot/{number:02d}.png', striped_label((0, 77)))
    code, told, _ = browse('--count', 100)
    assert (
        code == 0
        and told.count('left out: ') == 2
        and 'trainannot/05.png: label ids 77 are not in the map' in told
        and '10 of 12 samples: ' in told
    )
    for path in (camvid / 'camvid/trainannot').iterdir():
        path.write_bytes(b'')
    code, told, _ = browse('--count', 3)
    assert (
        code == 2
        and "no image of split 'train' can be shown, the first because: " in told
        and told.count('\n') == 1
        and 'is empty; ' in told
    )


def test_augmented_samples_are_the_first_of_the_training(camvid):
    train_set, samples = shown(camvid, '--seed', '5')
    order = np.random.default_rng([5, 0, 0, 2]).permutation(12)
    for sample, index in zip(samples, order):
        expected = train_set[int(index)]
        assert sample.name == expected['name'] and (sample.label == expected['label'].numpy()).all()
        assert (sample.image.transpose(2, 0, 1) == expected['image'].numpy()).all()


def test_the_mark_lies_on_the_class_that_the_crop_was_drawn_for(camvid):
    """In labels of 4x4 pixel blocks the centroid of a tile of the block's size lies on the block, whatever scale, crop
    and flip."""
    rng = np.random.default_rng(0)
    for number in range(12):
        blocks = rng.integers(0, 11, (2, 3)).astype(np.uint8)
        write_png(camvid / f'camvid/trainannot/{number:02d}.png', np.kron(blocks, np.ones((16, 16), np.uint8)))
    train_set, samples = shown(camvid, '--translate_aug_fix')
    marked = [sample for sample in samples if sample.mark]
    assert len(marked) == 11  # int(12 / 11) of each class, and one random image
    for sample in marked:
        x, y = map(round, sample.mark)
        assert sample.about.startswith(f'drawn for {train_set.dataset.classes.names[sample.label[y, x]]}, scale ')
    assert [sample.about.split(',')[0] for sample in samples if not sample.mark] == ['random image']


def test_a_cross_is_drawn_at_the_mark_and_scaled_with_the_picture(camvid):
    _, samples = shown(camvid)
    sample = samples[0]._replace(
        image=np.zeros((400, 600, 3), np.uint8), label=np.full((400, 600), 255, np.uint8), mark=(150.0, 200.0)
    )
    pixels = np.asarray(picture(sample, train_palette(), 300))
    assert pixels.shape == (200, 300, 3) and pixels[100, 75].tolist() == [255, 255, 255]
    assert pixels[100, 100:].max() == 0


def test_a_small_sample_is_enlarged_by_a_whole_number_so_that_its_pixels_can_be_seen():
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    pixels = np.asarray(picture(Shown('a', '', image, None), train_palette(), 10))
    assert pixels.shape == (6, 9, 3) and (pixels[::3, ::3] == image).all() and (pixels[2::3, 2::3] == image).all()


def train_palette():
    return np.zeros((11, 3), np.uint8)


def test_a_contact_sheet_has_four_pictures_in_a_row_and_the_legend_below():
    cell = Image.new('RGB', (CELL, 100), (200, 0, 0)), 'a/very/long/' + 'x' * 100 + '.png', 'about'
    sheet = np.asarray(contact_sheet('title', [cell] * 5, Classes(('road', 'sky'), [[1, 2, 3], [4, 5, 6]])))
    red = (sheet == (200, 0, 0)).all(axis=2)
    assert red.sum() == 5 * CELL * 100 and red.any(axis=0).sum() == 4 * CELL and red.any(axis=1).sum() == 200
    assert (sheet == (1, 2, 3)).all(axis=2).any() and (sheet == (4, 5, 6)).all(axis=2).any()


def test_images_without_labels_are_shown_too(tmp_path, browse):
    make_tree('bravo', tmp_path)
    code, _, page = browse('--split', 'val', dataset='bravo')
    layers = [record['layers'] for record in Reader(page.read_text()).data['records']]
    assert code == 0 and [len(of_image) for of_image in layers] == [1] * 4
    assert browse('--split', 'val', out='a.png', dataset='bravo')[0] == 0


def test_a_page_of_augmented_samples_says_what_was_drawn(camvid, browse):
    code, printed, page = browse(*AUGMENTED)
    assert code == 0 and 'class-uniform index written to' in printed
    found = Reader(page.read_text())
    marked = [one for one in found.data['records'] if 'mark' in one]
    assert marked and all(one['about'].startswith('drawn for ') for one in marked)
    assert 'a crossthe place that a crop was drawn for' in found.text


@pytest.mark.parametrize(
    'flags, expected',
    [
        (['--out', 'page.pdf'], 'expected a name that ends with .html'),
        (['--split', 'trian'], "--split trian: dataset 'camvid' has no such split"),
        (['--augmented', '--crop_size', '900'], '--crop_size 900,900'),
        (['--augmented', '--scale_min', '3'], '--scale_min 3.0 is larger'),
        (['--split', 'val'], 'valannot'),
        (['--croop_size', '4'], 'did you mean --crop_size'),
    ],
)
def test_mistakes_are_one_line(flags, expected, camvid, browse):
    code, printed, _ = browse(*flags)
    assert (
        code == 2
        and printed.startswith('python -m datasets.browse: error: ')
        and expected in printed
        and len(printed.splitlines()) == 1
    )


def test_a_label_with_an_unknown_id_is_named(camvid, browse):
    for number in range(12):
        write_png(camvid / f'camvid/trainannot/{number:02d}.png', striped_label((0, 99)))
    code, printed, _ = browse()
    assert code == 2 and 'label ids 99 are not in the map' in printed


def test_the_only_split_of_a_data_set_needs_no_name_and_another_one_is_told_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(make_images(tmp_path))
    (tmp_path / 'test.txt').write_text('val/c0/06.png\n')
    (tmp_path / 'data.yaml').write_text(
        yaml.safe_dump(
            {**FLAT, 'images': 'images/**/*.png', 'labels': 'labels/val/{stem}.png', 'splits': {'test': 'test.txt'}}
        )
    )
    argv = ['--dataset', 'custom', '--data_yaml', 'data.yaml']
    assert main(argv) == 0 and '1 of 1 samples: assets/browse/custom_data_test.html' in capsys.readouterr().out
    assert main([*argv, '--split', 'val']) == 2
    assert (
        "--split val: dataset 'custom_data' has a single split, test; leave --split out, or add val under splits in"
        ' data.yaml' in capsys.readouterr().err
    )
