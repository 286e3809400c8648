"""`python -m datasets.describe FOLDER` writes a file that verifies as it stands."""

import numpy as np
import pytest
import yaml
from custom_file import stripes
from trees import write

from config import scope
from datasets import get_dataset
from datasets.describe import __main__ as describe
from datasets.describe.pairing import Pair, split_pairs
from datasets.verify import __main__ as verify

COLOURS = (128, 64, 128), (0, 0, 142), (0, 0, 0)


def photo(number):
    return np.random.default_rng(number).integers(0, 256, (8, 36, 3), np.uint8)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """run(*flags) -> (exit code, printed, the values written)."""
    monkeypatch.chdir(tmp_path)

    def call(*flags):
        code = describe.main([str(tmp_path / 'mine'), *flags])
        told = capsys.readouterr()
        file = tmp_path / 'mine.yaml'
        return code, told.out + told.err, yaml.safe_load(file.read_text()) if file.is_file() else None

    return call


def opened(folder, split):
    with scope(DATASET__DATA_YAML=str(folder / 'mine.yaml')):
        return get_dataset('custom', split)


LAYOUTS = {
    'two trees': ('images/{video}/{n}.png', 'labels/{video}/{n}.png'),
    'tails': ('{video}/{n}_leftImg8bit.png', '{video}/{n}_gtFine_labelIds.png'),
    'one folder': ('{video}_{n}.png', '{video}_{n}_mask.png'),
    'trees in trees': ('{video}/rgb/{n}.png', '{video}/seg/{n}.png'),
}


@pytest.mark.parametrize('image, label', LAYOUTS.values(), ids=LAYOUTS)
def test_pairs_ids_and_a_split_by_video_are_found_and_verify(run, tmp_path, capsys, image, label):
    for video in ('one', 'two', 'three', 'four'):
        for n in range(3):
            write(tmp_path / 'mine' / image.format(video=video, n=f'{n:03d}'), photo(hash((video, n)) % 999))
            write(tmp_path / 'mine' / label.format(video=video, n=f'{n:03d}'), stripes(7, 255, 26))
    code, printed, values = run()
    assert code == 0 and '12 pairs' in printed and '9 train, 3 val: whole' in printed, printed
    assert values['root'] == str(tmp_path / 'mine') and values['ignore'] == [255]
    assert values['classes'] == [{'name': 'class_7', 'id': 7}, {'name': 'class_26', 'id': 26}]
    text = (tmp_path / 'mine.yaml').read_text()
    assert 'class_7, id: 7}  # 33.33 % of pixels, 12 images' in text
    sets = [opened(tmp_path, split) for split in ('train', 'val')]
    assert [len(dataset) for dataset in sets] == [9, 3]
    for item in (item for dataset in sets for item in dataset.items):
        path = item.image.relative_to(tmp_path / 'mine').as_posix()
        [(video, n)] = [
            (video, n)
            for video in ('one', 'two', 'three', 'four')
            for n in range(3)
            if path == image.format(video=video, n=f'{n:03d}')
        ]
        assert item.label == tmp_path / 'mine' / label.format(video=video, n=f'{n:03d}')
    assert verify.main(['--dataset', 'custom', '--data_yaml', str(tmp_path / 'mine.yaml')]) == 0


def test_colours_and_folders_of_splits_are_found(run, tmp_path):
    for split, count in (('train', 4), ('valid', 2)):
        for n in range(count):
            write(tmp_path / f'mine/{split}/{n}.png', photo(n))
            write(tmp_path / f'mine/{split}annot/{n}.png', stripes(*COLOURS))
    write(tmp_path / 'mine/train/9.png', photo(9))
    code, printed, values = run()
    assert code == 0 and '4 train, 2 val: the folders are named after the splits' in printed, printed
    assert '1 image without a label left out (train/9.png)' in printed and '3 colours' in printed
    assert sorted(entry['rgb'] for entry in values['classes']) == sorted(map(list, COLOURS))
    image, label = opened(tmp_path, 'val').load(opened(tmp_path, 'val').items[0])
    assert image.shape == (8, 36, 3) and sorted(np.unique(label)) == [0, 1, 2]


def test_nothing_is_overwritten_and_mistakes_are_told(run, tmp_path):
    code, printed, _ = run()
    assert code == 2 and 'is no folder' in printed
    (tmp_path / 'mine').mkdir()
    assert 'mine: holds no images; give the folder' in run()[1]
    write(tmp_path / 'mine/a/0.png', photo(0))
    code, printed, values = run()
    assert code == 2 and 'of its 1 image file none is a label' in printed and values is None
    for n in range(2):
        write(tmp_path / f'mine/a/{n}.png', photo(n))
        write(tmp_path / f'mine/b/{n}.png', stripes(0, 1, 2))
    assert run()[0] == 0
    code, printed, _ = run()
    assert code == 2 and 'there already' in printed
    assert run('--overwrite')[0] == 0


def test_frames_of_one_video_are_split_one_by_one_and_it_is_said():
    splits, why = split_pairs([Pair(f'images/{n:02d}.png', f'labels/{n:02d}.png') for n in range(10)])
    assert sorted(map(len, splits.values())) == [2, 8] and 'frames of videos' in why


@pytest.fixture
def elsewhere(run, tmp_path, monkeypatch):
    """`run` of two pairs in tmp_path/mine, called in another working directory."""
    for n in range(2):
        write(tmp_path / f'mine/a/{n}.png', photo(n))
        write(tmp_path / f'mine/b/{n}.png', stripes(0, 1, 2))
    (tmp_path / 'work').mkdir()
    monkeypatch.chdir(tmp_path / 'work')
    return run


def test_the_file_lies_beside_the_folder_wherever_it_is_called_and_the_output_says_so(elsewhere, tmp_path, monkeypatch):
    code, printed, values = elsewhere()
    assert code == 0 and f'{tmp_path}/mine.yaml: written, with mine_train.txt, mine_val.txt beside it' in printed
    assert values is not None and list((tmp_path / 'work').iterdir()) == []
    code, printed, _ = elsewhere()
    assert (
        code == 2 and f'train on it with `python train.py --dataset custom --data_yaml {tmp_path}/mine.yaml`' in printed
    )
    (tmp_path / 'mine.yaml').unlink()
    monkeypatch.chdir(tmp_path / 'mine')
    assert describe.main(['.', '--overwrite']) == 0 and (tmp_path / 'mine.yaml').is_file()


def test_a_description_of_datasets_prepare_is_named_with_the_command_that_trains_on_it(elsewhere, tmp_path):
    prepared = tmp_path / 'mine/prepared_labelme/mine.yaml'
    prepared.parent.mkdir()
    prepared.write_text('# Written by python -m datasets.prepare. Keys: docs/datasets.md\nroot: .\n')
    (tmp_path / 'mine/other.yaml').write_text('root: .\n')
    code, printed, _ = elsewhere()
    assert code == 0 and f'`python train.py --dataset custom --data_yaml {prepared}` trains on it' in printed
    assert 'other.yaml' not in printed


def test_a_folder_of_outlines_is_sent_to_datasets_prepare(run, tmp_path):
    write(tmp_path / 'mine/0.png', photo(0))
    assert 'datasets.prepare' not in run()[1]
    (tmp_path / 'mine/0.json').write_text('{}')
    code, printed, values = run()
    assert code == 2 and values is None and 'if 0.json is the annotation of a labelling program' in printed
