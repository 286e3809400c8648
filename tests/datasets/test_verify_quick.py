"""What train.py looks at before the first training on a dataset."""

import re
import shlex
import shutil
import zipfile
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from small_trees import striped_label, write_png
from trees import coarse_tree, make_tree

import engine.builders
import train
from config import scope
from datasets import get_dataset
from datasets.loading.reading import PEEK_BYTES, peek
from datasets.verify import __main__ as verify
from datasets.verify import quick
from datasets.verify.commandline import command
from datasets.verify.findings import Fault, Finding
from datasets.verify.quick import check_before_training

COUNTS = {'train': 40, 'val': 10}


def photo(number, height=32, width=48):
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def camvid(tmp_path):
    """A root with 40 train and 10 val images of noise, three classes in stripes."""
    for split, count in COUNTS.items():
        for number in range(count):
            write_png(
                tmp_path / f'camvid/{split}/{number:02d}.png',
                photo(number + 100 * (split == 'val'), width=48 + 2 * (split == 'val')),
            )
            write_png(
                tmp_path / f'camvid/{split}annot/{number:02d}.png',
                np.pad(striped_label((0, 3, 8)), ((0, 0), (0, 2 * (split == 'val')))),
            )
    return tmp_path


@pytest.fixture
def check(camvid, monkeypatch):
    """check() -> the lines that are logged. Of its 50 pairs a sample is read, as of many; small: all labels."""

    def call(small=False, **values):
        lines = []
        monkeypatch.setattr(quick, 'SMALL', 50 if small else 49)
        with scope(DATASET__ROOT=str(camvid), **values):
            check_before_training([get_dataset('camvid', split) for split in COUNTS], camvid / 'assets', lines.append)
        return lines

    return call


def test_files_are_looked_at_once_and_again_when_one_of_them_changes(check, camvid):
    lines = check()
    assert (
        'the headers of 50 images and labels fit, 32 pairs were read and are right' in lines[0]
        and '--skip_verify' in lines[0]
    )
    assert check() == []
    record = list((camvid / 'assets/verified').glob('camvid_*.json'))
    assert len(record) == 1
    write_png(camvid / 'camvid/train/07.png', photo(1000))
    assert len(check()) == len(lines)
    record[0].unlink()
    assert check(DATASET__IGNORE_IDS=(9,)) and len(list((camvid / 'assets/verified').iterdir())) == 2


def test_the_sample_is_spread_evenly_over_both_splits(check, monkeypatch):
    seen = {}
    original = quick.examine_all
    monkeypatch.setattr(
        quick,
        'examine_all',
        lambda dataset, items, **more: (
            seen.update({dataset.split: [item.name[-6:-4] for item in items]}),
            original(dataset, items, **more),
        )[1],
    )
    check()
    assert len(seen['train']) == 26 and seen['train'][:4] == ['00', '01', '03', '04'] and seen['train'][-1] == '38'
    assert seen['val'] == ['00', '01', '03', '05', '06', '08']


def test_of_a_small_data_set_the_ids_of_every_label_are_looked_at(check, camvid):
    assert '32 pairs and the other labels were read and are right' in check(small=True)[0]
    write_png(camvid / 'camvid/trainannot/02.png', striped_label((0, 77)))  # not in the sample
    assert '32 pairs were read and are right' in check()[0]
    for path in (camvid / 'assets/verified').iterdir():
        path.unlink()
    with pytest.raises(
        ValueError, match=r'label ids 77 \(768 pixels in 1 file\) are not in the map.*trainannot/02.png'
    ):
        check(small=True)


def test_absent_classes_and_images_in_two_splits_are_named(check, camvid):
    shutil.copy(camvid / 'camvid/train/03.png', camvid / 'camvid/val/01.png')
    shutil.copy(camvid / 'camvid/trainannot/03.png', camvid / 'camvid/valannot/01.png')
    lines = check()
    assert lines[1].startswith("warning: none of the 26 labels that were read of split 'train' holds Building, Pole, ")
    assert (
        lines[3]
        == 'warning: 1 image is in two splits, so the score on them is not one on unseen images; take them out of one: '
        f'{camvid}/camvid/train/03.png = {camvid}/camvid/val/01.png'
    )


def write_stored(path, pixels, behind=b''):
    """A PNG without compression, so that those of one height are of one size in bytes, with a label of that height."""
    path.write_bytes(cv2.imencode('.png', pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes() + behind)
    write_png(path.parent.with_name(f'{path.parent.name}annot') / path.name, striped_label((0, 3, 8), len(pixels)))


@pytest.fixture
def stored(camvid):
    """The same with images that are all of one size in bytes; the first three of val are those of train."""
    for split, count in COUNTS.items():
        for number in range(count):
            write_stored(
                camvid / f'camvid/{split}/{number:02d}.png', photo(number + 100 * (split == 'val' and number > 2))
            )
    return camvid / 'camvid'


@pytest.mark.parametrize('budget', [60, 49, 6])  # all at once; by their ends; just the three pairs
def test_of_many_images_of_one_size_those_with_equal_ends_are_compared(check, stored, monkeypatch, budget):
    monkeypatch.setattr(quick, 'COMPARED', budget)
    (line,) = [line for line in check() if 'in two splits' in line]
    assert 'warning: 3 images are in two splits' in line and f'{stored}/train/02.png = {stored}/val/02.png' in line


def test_one_large_group_does_not_hide_the_leaks_of_others_and_is_told(check, stored, monkeypatch):
    for split, count in COUNTS.items():
        for number in range(3, count):  # taller, and equal at both ends
            pixels = photo(number + 100 * (split == 'val'), 96)
            pixels[:16] = 0
            write_stored(stored / f'{split}/{number:02d}.png', pixels, bytes(1024))
    monkeypatch.setattr(quick, 'COMPARED', 6)
    lines = check()
    assert any('warning: 3 images are in two splits' in line for line in lines)
    assert lines[-1].startswith(
        'note: 44 image files of equal size in two splits were not compared, more than 6 take too long here'
    )


def cut(path):
    path.write_bytes(path.read_bytes()[:500])


def spoil_everywhere(folder, pixels):
    for path in folder.iterdir():
        write_png(path, pixels)


FAULTS = {
    'a header beside the sample': (
        lambda base: write_png(base / 'trainannot/02.png', striped_label((0, 3), 16, 24)),
        'trainannot/02.png: 24x16, its image 48x32',
    ),
    'an end beside the sample': (
        lambda base: cut(base / 'train/02.png'),
        'train/02.png: is a PNG cut off after 500 bytes',
    ),
    'an empty file': (lambda base: (base / 'valannot/02.png').write_bytes(b''), 'valannot/02.png: is empty'),
    'ids of the sample': (
        lambda base: spoil_everywhere(base / 'trainannot', striped_label((0, 77))),
        'label ids 77 (19,968 pixels in 26 files) are not in the map',
    ),
    'nothing but ignore': (
        lambda base: spoil_everywhere(base / 'trainannot', striped_label((11, 255))),
        'all 26 labels that were read are ignored',
    ),
    'a wrong format': (
        lambda base: spoil_everywhere(base / 'trainannot', np.full((32, 48), 26000, np.uint16)),
        'holds values up to 26000',
    ),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_what_would_break_the_training_is_refused_in_one_line(fault, check, camvid):
    spoil, expected = FAULTS[fault]
    spoil(camvid / 'camvid')
    for _ in range(2):  # and not remembered
        with pytest.raises(ValueError) as told:
            check()
        assert expected in str(told.value) and '\n' not in str(told.value)
        assert (
            f'`python -m datasets.verify --dataset camvid --override_dataset_root {camvid}` lists everything,'
            ' --skip_verify' in str(told.value)
        )


def test_a_reason_that_many_files_share_stands_once(check, camvid):
    for path in (camvid / 'camvid/trainannot').iterdir():
        cv2.imwrite(str(path.with_suffix('.jpg')), striped_label((0, 3, 8)))
        path.with_suffix('.jpg').rename(path)
    with pytest.raises(ValueError) as told:
        check()
    text, base = str(told.value), camvid / 'camvid/trainannot'
    assert text.count('whose compression changes values, so its class ids are lost') == 1
    assert (
        f'class ids are lost: {base}/00.png, {base}/01.png, ' in text
        and ' and 16 more; `python -m datasets.verify' in text
    )
    assert text.count('/trainannot/') == 10


def test_files_with_reasons_of_their_own_keep_them():
    assert (
        Finding('error', 'k', 'wrong', (Fault('a', 'is empty'), Fault('b', 'is cut'), Fault('c', 'is empty'))).line()
        == 'wrong: is empty: a, c; b: is cut'
    )
    assert (
        Finding('error', 'k', 'right?', ('a', 'b')).line() == 'right? a, b'
        and Finding('note', 'k', 'nothing').line() == 'nothing'
    )


def test_the_command_that_is_proposed_runs_as_it_is_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "the user's data"
    for number in range(8):
        write_png(folder / f'images/{number}.png', photo(number))
        write_png(folder / f'labels/{number}.png', striped_label((0, 77, 9)))
    (folder / 'my data.yaml').write_text(
        'images: images/*.png\nlabels: labels/{stem}.png\nsplits: {val: 0.5}\nclasses: [a, b]\n'
    )
    settings = {
        'DATASET__DATA_YAML': str(folder / 'my data.yaml'),
        'DATASET__IGNORE_IDS': (9, 10),
        'ASSETS_PATH': 'some assets',
    }
    with scope(**settings), pytest.raises(ValueError, match='label ids 77') as told:
        check_before_training([get_dataset('custom', split) for split in COUNTS], tmp_path / 'assets', print)
    program, *argv = re.search('`python -m (.*)` lists everything', str(told.value))[1].split(' ', 1)
    assert program == 'datasets.verify'
    assert verify.main(shlex.split(argv[0])) == 1
    printed = capsys.readouterr().out
    assert (
        'label ids 77 (' in printed
        and not re.search(r'ids .*9 \(', printed)
        and (tmp_path / 'some assets/verify/custom_my_data/index.html').is_file()
    )


def test_the_command_names_every_flag_that_changes_what_is_read():
    with scope(
        DATASET__ROOT='/data',
        DATASET__CV=2,
        DATASET__QUALITY='coarse',
        DATASET__CUSTOM_COARSE_PROB=0.0,
        DATASET__MASK_OUT_CITYSCAPES=True,
    ):
        assert (
            command('cityscapes')
            == 'python -m datasets.verify --dataset cityscapes --override_dataset_root /data --cv 2 --quality coarse '
            '--custom_coarse_prob 0.0 --mask_out_cityscapes'
        )
    assert command('camvid') == 'python -m datasets.verify --dataset camvid'


def test_further_kinds_of_faults_are_counted(check, camvid):
    cut(camvid / 'camvid/train/02.png')
    spoil_everywhere(camvid / 'camvid/valannot', np.full((32, 50), 77, np.uint8))
    with pytest.raises(ValueError, match=r'\(1 further kind of fault beside this\)'):
        check()


def test_an_archive_is_looked_at_in_place(check, camvid):
    with zipfile.ZipFile(camvid / 'camvid.zip', 'w') as archive:
        for file in sorted((camvid / 'camvid').rglob('*.png')):
            archive.write(file, file.relative_to(camvid))
    shutil.rmtree(camvid / 'camvid')
    assert 'the headers of 50 images' in check()[0] and check() == []


def test_assets_that_cannot_be_written_do_not_stop_the_training(check, camvid):
    (camvid / 'assets').write_text('a file')
    assert 'the next training will look at the dataset again' in check()[-1]


def test_splits_that_share_their_files_are_told_but_not_taken_for_leaks(tmp_path):
    make_tree('cityscapes', tmp_path)
    lines = []
    with scope(DATASET__ROOT=str(tmp_path), DATASET__CV=3):
        check_before_training([get_dataset('cityscapes', split) for split in COUNTS], tmp_path / 'assets', lines.append)
    assert lines[-1].startswith('note: 8 image files belong to two splits as they are chosen') and not any(
        'is in two' in line for line in lines
    )


def test_fine_and_coarse_labels_are_both_looked_at(tmp_path):
    base = coarse_tree(tmp_path)
    lines = []
    with scope(DATASET__ROOT=str(tmp_path)):
        sets = [
            get_dataset('cityscapes', split, quality=quality)
            for split, quality in (('train', 'fine'), ('train', 'coarse'), ('val', 'fine'))
        ]
        check_before_training(sets, tmp_path / 'assets', lines.append)
        assert 'the headers of 12 images' in lines[0]
        write_png(
            base / 'gtCoarse/train_extra/oxdorf/oxdorf_000000_000000_gtCoarse_labelIds.png',
            np.full((64, 128), 99, np.uint8),
        )
        with pytest.raises(ValueError, match="split 'train' with coarse labels: label ids 99"):
            check_before_training(sets, tmp_path / 'assets', lines.append)


def test_the_program_refuses_wrong_ids_and_goes_on_with_skip_verify(camvid, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        train, 'build_train_loader', lambda *given, **more: (_ for _ in ()).throw(ValueError('goes on to the loader'))
    )
    built = []
    build = train.build_network
    monkeypatch.setattr(train, 'build_network', lambda *given, **more: (built.append(1), build(*given, **more))[1])
    write_png(camvid / 'camvid/trainannot/02.png', striped_label((0, 77)))  # a label of 50 is wrong
    argv = [
        '--dataset',
        'camvid',
        '--override_dataset_root',
        str(camvid),
        '--assets_path',
        str(tmp_path / 'assets'),
        '--result_dir',
        str(tmp_path / 'run'),
    ]
    assert train.main(argv) == 2
    told = capsys.readouterr().err
    assert 'label ids 77' in told and 'Traceback' not in told and 'goes on' not in told
    assert built == [], 'the labels are looked at before the network is built'
    assert train.main([*argv, '--skip_verify']) == 2
    told = capsys.readouterr()
    assert (
        '--skip_verify: the files are not looked at' in told.out
        and 'goes on to the loader' in told.err
        and not (tmp_path / 'assets/verified').exists()
    )
    assert train.main([*argv, '--ignore_ids', '77']) == 2
    assert '32 pairs and the other labels were read and are right' in capsys.readouterr().out


def test_a_fault_that_the_first_process_finds_ends_the_others(monkeypatch):
    monkeypatch.setattr(
        engine.builders, 'check_before_training', lambda *given: pytest.fail('only the first process looks')
    )
    run = SimpleNamespace(is_main=False, dist=SimpleNamespace(broadcast_object=lambda value: 'a.png: is empty'))
    with pytest.raises(ValueError, match='a.png: is empty'):
        engine.builders.verify(SimpleNamespace(skip_verify=False, assets_path='none'), run, [])


@pytest.mark.parametrize('ending', ['png', 'jpg', 'webp', 'tif', 'bmp'])
def test_a_glance_tells_the_size_of_large_files_and_whether_they_are_cut_off(ending, tmp_path):
    path = tmp_path / f'large.{ending}'
    cv2.imwrite(str(path), photo(1, 300, 500))
    assert path.stat().st_size > PEEK_BYTES and peek(path) == (300, 500)
    path.write_bytes(path.read_bytes()[:-2000])
    if ending in ('png', 'jpg', 'webp'):
        with pytest.raises(ValueError, match='cut off after'):
            peek(path)


def test_a_glance_believes_a_camera_that_writes_more_behind_a_jpeg(tmp_path):
    path = tmp_path / 'camera.jpg'
    cv2.imwrite(str(path), photo(1, 300, 500))
    path.write_bytes(path.read_bytes() + bytes(5000))
    assert peek(path) == (300, 500)
