"""What scripts/storm.py found, each as a kind."""

import io
import re
import struct
import zipfile

import numpy as np
import pytest
import torch
from small import ROOT

from aggregation.fusion.fused_files import Outputs
from aggregation.fusion.fusing import FuseOptions
from datasets.browse import __main__ as browse
from datasets.custom.splits import ListFile, Names
from datasets.loading.cache import PixelCache
from datasets.prepare.synthetic import render
from datasets.verify import __main__ as verify
from utils import checkpoint
from utils.cli import flags
from utils.files.archives import locate
from utils.files.atomic import remove_stale_temporaries, write_json
from utils.files.metrics_csv import MetricsTable
from utils.files.sources import find_sources

DEAD = 2**22 + 1  # a number that no process has


def with_directory_moved(data: bytes, count: int) -> bytes:
    """A zip whose end says that its table of contents lies `count` bytes further on, so its members lie before the
    file."""
    end = bytearray(data)
    place = data.rindex(b'PK\5\6') + 16
    end[place : place + 4] = struct.pack('<I', struct.unpack('<I', data[place : place + 4])[0] + count)
    return bytes(end)


@pytest.mark.parametrize('count', [1, 10, 60])
def test_members_before_the_start_of_a_zip_are_damage(tmp_path, count):
    torch.save({'state_dict': {'a': torch.zeros(1)}}, tmp_path / 'a.pth')
    file = io.BytesIO()
    with zipfile.ZipFile(tmp_path / 'a.pth') as old, zipfile.ZipFile(file, 'w') as new:  # without torch's second end
        for name in old.namelist():
            new.writestr(name, old.read(name))
    (tmp_path / 'a.pth').write_bytes(with_directory_moved(file.getvalue(), count))
    with pytest.raises(ValueError, match=r'a\.pth: is damaged'):
        checkpoint.load(tmp_path / 'a.pth')
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('x.png', b'123')
    (tmp_path / 'd.zip').write_bytes(with_directory_moved(file.getvalue(), count))
    with pytest.raises(ValueError, match=r'd\.zip/x\.png: is damaged in its archive'):
        locate(tmp_path / 'd' / 'x.png').read_bytes()


@pytest.mark.parametrize('entry', [{}, {'batch_in_epoch': None}])
def test_a_checkpoint_within_an_epoch_that_does_not_say_where_is_named(entry):
    with pytest.raises(ValueError, match='a.pth: is of the middle of epoch 3 but does not say which batch'):
        checkpoint.resume_point({'epoch': 3, 'epoch_done': False, **entry}, 'a.pth')


def test_a_checkpoint_without_a_number_of_its_epoch_holds_weights_only():
    with pytest.raises(ValueError, match='a.pth: holds weights only'):
        checkpoint.resume_point({'epoch': None}, 'a.pth')


def test_a_value_of_a_checkpoint_that_no_flag_can_have_is_told_with_the_file():
    args = flags.with_values(flags.parse([]), source='a.pth')
    with pytest.raises(ValueError, match='a.pth: says --trunk True, which the flag cannot be'):
        flags.adopt_network(args, {'network': {'trunk': True}}, print)


@pytest.mark.parametrize('shapes', [[[4, 0], [4, 3]], [[-4, -3], [0, 0]], [[1 << 40, 1], [1, 1]]])
def test_a_cache_whose_pictures_have_no_size_is_built_anew(tmp_path, shapes):
    data = b'rawpair1' + np.int64(2).tobytes() + np.array(shapes, np.int64).tobytes()
    (tmp_path / 'a.raw').write_bytes(data + bytes(48))
    with pytest.raises(ValueError, match='rows or columns'):
        PixelCache(tmp_path / 'a.raw', ['a', 'b'])


@pytest.mark.parametrize(
    'content', [{'settings': [1]}, {'settings': {'scores': 3}}, {'settings': {}, 'incomplete_images': 7}]
)
def test_a_record_of_a_fusion_with_values_of_a_wrong_type_is_refused(tmp_path, content):
    write_json(tmp_path / 'fusion.json', content)
    options = FuseOptions('mean', 'msp', (), None, False)
    with pytest.raises(ValueError, match='fusion.json: is no record of a fusion; remove it'):
        Outputs(tmp_path, options, {'fusion': 'mean'})


def test_the_home_of_nobody_is_a_path_like_any_other(tmp_path):
    (tmp_path / 'list.txt').write_text('~nobody-here/a.png\n')
    [fault] = find_sources([str(tmp_path / 'list.txt')]).faults
    assert 'list.txt' in fault[1]
    assert find_sources(['~nobody-here/a.png']).faults[0][1].startswith('~nobody-here/a.png: no such file')


def test_no_module_looks_for_homes_in_the_way_that_fails_for_names_of_nobody():
    files = [file for file in ROOT.rglob('*.py') if not {'tests', '.venv'} & set(file.relative_to(ROOT).parts)]
    assert len(files) > 100
    assert [str(file) for file in files if re.search(r'\.expanduser\(\)', file.read_text())] == []


def test_a_line_that_is_too_long_for_a_name_is_told_with_its_list(tmp_path):

    (tmp_path / 'a.png').touch()
    (tmp_path / 'list.txt').write_text('[' * 3000)
    made = ListFile(tmp_path, tmp_path, 'list.txt', 'splits.train', False, Names(['a.png']))
    assert made.paths == [None] and 'list.txt lists' in made.why_absent(Names(['a.png']), [])
    (tmp_path / 'list.txt').write_text(f'a.png,{"[" * 3000}')
    made = ListFile(tmp_path, tmp_path, 'list.txt', 'splits.train', True, Names(['a.png']))
    assert len(made.label_files()) == 1


def test_what_a_killed_rendering_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / f'.synthetic.{DEAD}.0123abcd.tmp'
    left.mkdir()
    (left / 'a.png').touch()
    assert render(tmp_path / 'synthetic', train=6, val=6, size=(64, 128))
    assert [path.name for path in tmp_path.iterdir()] == ['synthetic']


def test_what_killed_writers_left_anywhere_in_a_run_is_removed(tmp_path):
    names = ['.a.json', 'best_images/val/.b.png', 'logits/.c.npz']
    for name in names:
        path = tmp_path / f'{name}.{DEAD}.0123abcd.tmp'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert remove_stale_temporaries(tmp_path) == 3
    assert [path for path in tmp_path.rglob('*') if path.is_file()] == []


def test_a_continued_training_removes_what_the_killed_one_left(program):
    left = program.run_dir / 'best_images' / 'val' / f'.a.png.{DEAD}.0123abcd.tmp'
    left.parent.mkdir(parents=True)
    left.touch()
    code, printed = program(*'--crop_size 48,64 --bs_trn 4 --max_epoch 1 --class_uniform_tile 64'.split())
    assert code == 0, printed
    assert not left.exists()


@pytest.mark.parametrize('epoch', ['-1', 'inf', 'nan', '1e999', 'x'])
def test_a_table_of_numbers_with_an_epoch_that_cannot_be_is_refused(tmp_path, epoch):
    table = MetricsTable(1.0)
    table.rows['val', 7] = {'epoch': 77, 'timestamp': 2.0, 'mean_iu': 0.5}
    table.write(tmp_path / 'metrics.csv')
    text = (tmp_path / 'metrics.csv').read_text()
    (tmp_path / 'metrics.csv').write_text(text.replace('77', epoch))
    with pytest.raises(ValueError, match='metrics.csv: is no table of numbers of a run'):
        MetricsTable.read(tmp_path / 'metrics.csv')


def test_what_killed_writers_of_a_record_left_goes_with_its_next_writing(tmp_path):
    left, other = (tmp_path / f'.{name}.{DEAD}.0123abcd.tmp' for name in ('a[1].json', 'b.json'))
    left.touch()
    other.touch()
    write_json(tmp_path / 'a[1].json', [1])
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, 'a[1].json']


def test_what_a_killed_verification_or_quick_look_left_goes_with_the_next(street, tmp_path):
    flags = ['--dataset', 'synthetic', '--override_dataset_root', str(street), '--assets_path', str(tmp_path)]
    left = [tmp_path / name / f'.a.jpg.{DEAD}.0123abcd.tmp' for name in ('out/pictures', 'look_pictures')]
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    assert verify.main([*flags, '--out', str(tmp_path / 'out'), '--workers', '1']) == 0
    assert browse.main([*flags, '--out', str(tmp_path / 'look.html'), '--count', '2']) == 0
    assert [path for path in left if path.exists()] == []
