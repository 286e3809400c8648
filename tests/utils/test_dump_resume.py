"""What happens to a dump that is interrupted, repeated, or cannot be written."""

import json
import resource
import threading

import numpy as np
import pytest
from dump_batches import CLASSES, evaluate, files, write
from PIL import Image

from engine.distributed import Dist
from utils.classes import Classes
from utils.outputs.dumper import Dumper
from utils.outputs.dumps import DUMPS, DumpOptions, read_record
from utils.outputs.gallery import Gallery

MADE_BY = {'checkpoint': 'a.pth'}


def dumper_of(folder, *kinds, names=('a.png',), log=None, **options):
    return Dumper(kinds, DumpOptions(**{'made_by': MADE_BY, **options}), folder, CLASSES, names, log=log)


def kinds(dumps):
    return [dump.name for dump in dumps]


def test_an_interrupted_dump_writes_only_what_is_missing(tmp_path):
    batch = evaluate(['v/a.png', 'v/b.png'])
    first = write(dumper_of(tmp_path, *DUMPS), batch)
    write(Gallery(tmp_path, CLASSES, 2, every=True, made_by=MADE_BY), batch)
    assert first.done('v/a.png') and first.done('v/b.png') and not first.done('v/c.png')
    (tmp_path / 'submit/v/b_conf.png').unlink()
    (tmp_path / 'best_images/v/a_input.png').unlink()
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*.*') if path.is_file()}
    lines = []
    second = dumper_of(tmp_path, *DUMPS, log=lines.append)
    pictures = Gallery(tmp_path, CLASSES, 2, every=True, made_by=MADE_BY)
    assert second.missing('v/a.png') == [] and kinds(second.missing('v/b.png')) == ['submission']
    assert pictures.missing('v/a.png', 0) and not pictures.missing('v/b.png', 1)
    write(second, batch)
    write(pictures, batch)
    changed = {
        path.relative_to(tmp_path).as_posix() for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp
    }
    assert 'submit/v/b_pred.png' in changed and 'best_images/v/a_gt.png' in changed
    assert not any(name.startswith(('logits', 'submit/v/a', 'v/', 'best_images/v/b')) for name in changed)
    assert [record.name for record in pictures.records()] == ['v/a.png', 'v/b.png']  # the page shows kept ones too
    assert 'of 2 images' in lines[0]


def test_a_finished_dump_has_nothing_to_do_unless_it_is_overwritten(tmp_path):
    write(dumper_of(tmp_path, *DUMPS), evaluate(['a.png']))
    again = dumper_of(tmp_path, *DUMPS)
    assert (
        again.done('a.png') and not again.wants(['a.png'], [0], True) and again.wants(['a.png', 'b.png'], [0, 1], True)
    )
    again.close()
    other = evaluate(['a.png'], seed=1)
    write(dumper_of(tmp_path, *DUMPS, overwrite=True), other)
    assert np.array_equal(np.load(tmp_path / 'logits/a_logits.npz')['logits'], other.logits[0].half().numpy())


def test_dumps_of_another_checkpoint_are_not_mixed_in(tmp_path):
    write(dumper_of(tmp_path, *DUMPS), evaluate(['a.png']))
    changed = {'made_by': {'checkpoint': 'b.pth'}}
    with pytest.raises(
        ValueError,
        match=r'dumps.json: the logits dump there was made with checkpoint a.pth, now b.pth; .*--overwrite',
    ):
        dumper_of(tmp_path, *DUMPS, **changed).open()
    write(dumper_of(tmp_path, *DUMPS, overwrite=True, **changed), evaluate(['a.png'], seed=1))
    entry = read_record(tmp_path)['logits']
    assert entry['made_by'] == changed['made_by'] and entry['kind'] == 'logits'
    assert entry['classes'] == ['road', 'sidewalk', 'building']
    assert Classes.from_dict(entry['label_set'], 'dumps.json') == CLASSES


def test_a_dump_of_an_earlier_version_without_colours_is_continued(tmp_path):
    write(dumper_of(tmp_path, *DUMPS), evaluate(['a.png']))
    entries = read_record(tmp_path)
    for entry in entries.values():
        del entry['label_set']
    (tmp_path / 'dumps.json').write_text(json.dumps(entries))
    again = dumper_of(tmp_path, *DUMPS)
    again.open()
    assert again.done('a.png')
    again.close()


def test_kept_logits_stand_in_the_manifest_with_and_without_that_of_the_run_before(tmp_path):
    dumper = write(dumper_of(tmp_path, 'logits', about={'model': 'm'}), evaluate(['a.png']))
    entries = dumper.gather(Dist())['logits']
    manifest = tmp_path / 'logits' / 'manifest.json'
    assert json.loads(manifest.read_text())['images'] == {'a.png': {'file': 'a_logits.npz', **entries['a.png']}}
    for killed in (False, True):
        if killed:
            manifest.unlink()
        again = dumper_of(tmp_path, 'logits')
        assert again.done('a.png')
        again.close()
        assert again.gather(Dist())['logits']['a.png']['sha256'] == entries['a.png']['sha256'] and manifest.exists()


def test_pictures_of_another_checkpoint_are_drawn_again(tmp_path):
    write(Gallery(tmp_path, CLASSES, 1, made_by={'epoch': 1}), evaluate(['a.png']))
    later = evaluate(['a.png'], seed=1)
    write(Gallery(tmp_path, CLASSES, 1, made_by={'epoch': 2}), later)
    with Image.open(tmp_path / 'best_images/a_input.png') as picture:
        assert np.array_equal(np.asarray(picture), later.images[0].permute(1, 2, 0).numpy())


def test_a_writer_error_reaches_the_main_thread_with_the_path(tmp_path):
    tmp_path.joinpath('logits').write_text('a file where the folder should be')
    with pytest.raises(OSError, match='logits/a_logits.npz'):
        write(dumper_of(tmp_path, 'logits'), evaluate(['a.png']))


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # no file may grow beyond this: as a full disk
    try:
        with pytest.raises(OSError, match='a_logits.npz: cannot be written'):
            write(dumper_of(tmp_path, 'logits'), evaluate(['a.png'], size=(64, 64)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in files(tmp_path) if path != 'dumps.json'] == []


def test_what_killed_writers_left_is_removed_and_whole_files_are_not(tmp_path):
    for name in (
        'logits/v/.a_logits.npz.99999999.abcd.tmp',
        '.last_checkpoint.pth.99999999.abcd.tmp',
        'logits/v/b_logits.npz',
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('half')
    dumper = dumper_of(tmp_path, 'logits')
    dumper.open()
    dumper.close()
    assert files(tmp_path) == ['dumps.json', 'logits/v/b_logits.npz']


def test_abort_leaves_whole_files_only_and_ends_its_threads(tmp_path):
    dumper = dumper_of(tmp_path, 'logits')
    for k in range(3):
        dumper.process(evaluate([f'{k}.png'], [k], size=(128, 128)))
    dumper.abort()
    for path in tmp_path.glob('logits/*'):
        assert np.load(path)['logits'].shape == (3, 128, 128)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('writer')]
