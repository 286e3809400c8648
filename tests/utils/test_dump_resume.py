"""What happens to a dump that is interrupted, repeated, or cannot be written."""

import json
import resource
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from utils.outputs.dumper import Dumper, DumpOptions, EvalBatch

INFO = SimpleNamespace(
    name='street',
    class_names=['road', 'sidewalk', 'building'],
    palette=np.zeros((3, 3), np.uint8),
    ignore_label=255,
    trainid_to_id=np.arange(256, dtype=np.uint8),
)


def evaluate(names, indices=None, size=(6, 8), seed=0):
    """A batch of random logits with what follows from them."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(names), 3, *size, generator=generator)
    confidence, prediction = logits.softmax(1).max(1)
    images = torch.randint(0, 256, (len(names), 3, *size), generator=generator, dtype=torch.uint8)
    return EvalBatch(
        names,
        images,
        torch.zeros_like(prediction),
        logits,
        prediction,
        confidence,
        {},
        list(range(len(names))) if indices is None else indices,
    )


def dump(folder, batch, **options):
    dumper = Dumper(DumpOptions(**{'pictures': False, **options}), folder, INFO, 1)
    dumper.process(batch)
    dumper.close()
    return dumper


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


ALL = {
    'dump_logits': True,
    'dump_for_submission': True,
    'dump_for_auto_labelling': True,
    'dump_all_images': True,
    'made_by': {'checkpoint': 'a.pth'},
}


def test_an_interrupted_dump_writes_only_what_is_missing(tmp_path):
    first = dump(tmp_path, evaluate(['v/a.png', 'v/b.png']), **ALL)
    assert first.done('v/a.png', 0) and first.done('v/b.png', 1) and not first.done('v/c.png', 2)
    (tmp_path / 'submit/v/b_conf.png').unlink()
    (tmp_path / 'best_images/v/a_input.png').unlink()
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*.*') if path.is_file()}
    lines = []
    second = Dumper(DumpOptions(**ALL), tmp_path, INFO, 2, log=lines.append)
    assert second.missing('v/a.png', 0) == ['pictures'] and second.missing('v/b.png', 1) == ['submission']
    second.process(evaluate(['v/a.png', 'v/b.png']))
    second.close()
    changed = {
        path.relative_to(tmp_path).as_posix() for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp
    }
    assert 'submit/v/b_pred.png' in changed and 'best_images/v/a_gt.png' in changed
    assert not any(name.startswith(('logits', 'submit/v/a', 'v/', 'best_images/v/b')) for name in changed)
    assert [record.name for record in second.records] == ['v/a.png', 'v/b.png']  # the page shows kept pictures too
    assert 'of 2 images' in lines[0]


def test_a_finished_dump_has_nothing_to_do_unless_it_is_overwritten(tmp_path):
    batch = evaluate(['a.png'])
    dump(tmp_path, batch, **ALL)
    again = Dumper(DumpOptions(**ALL), tmp_path, INFO, 1)
    assert again.done('a.png', 0) and again.done('a.png') and len(again.records) == 1
    again.close()
    other = evaluate(['a.png'], seed=1)
    dump(tmp_path, other, **ALL, overwrite=True)
    assert np.array_equal(np.load(tmp_path / 'logits/a_logits.npz')['logits'], other.logits[0].half().numpy())


def test_dumps_of_another_checkpoint_are_not_mixed_in(tmp_path):
    dump(tmp_path, evaluate(['a.png']), **ALL)
    changed = {**ALL, 'made_by': {'checkpoint': 'b.pth'}}
    with pytest.raises(
        ValueError,
        match=r"dumps.json: the logits dump there was made with checkpoint 'a.pth' instead of 'b.pth'; .*--overwrite",
    ):
        Dumper(DumpOptions(**changed), tmp_path, INFO, 1)
    dump(tmp_path, evaluate(['a.png'], seed=1), **changed, overwrite=True)
    entry = json.loads((tmp_path / 'dumps.json').read_text())['logits']
    assert (
        entry['made_by'] == {'checkpoint': 'b.pth'}
        and entry['kind'] == 'logits'
        and entry['classes'] == ['road', 'sidewalk', 'building']
    )


def test_pictures_of_another_checkpoint_are_drawn_again(tmp_path):
    dump(tmp_path, evaluate(['a.png']), pictures=True, made_by={'epoch': 1})
    later = evaluate(['a.png'], seed=1)
    dump(tmp_path, later, pictures=True, made_by={'epoch': 2})
    with Image.open(tmp_path / 'best_images/a_input.png') as picture:
        assert np.array_equal(np.asarray(picture), later.images[0].permute(1, 2, 0).numpy())


def test_a_writer_error_reaches_the_main_thread_with_the_path(tmp_path):
    tmp_path.joinpath('logits').write_text('a file where the folder should be')
    with pytest.raises(OSError, match='logits/a_logits.npz'):
        dump(tmp_path, evaluate(['a.png']), dump_logits=True)


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # no file may grow beyond this: as a full disk
    try:
        with pytest.raises(OSError, match='a_logits.npz: cannot be written'):
            dump(tmp_path, evaluate(['a.png'], size=(64, 64)), dump_logits=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in files(tmp_path) if path != 'dumps.json'] == []


def test_what_a_killed_writer_left_is_removed_and_checkpoints_are_not(tmp_path):
    for name in (
        'logits/v/.a_logits.npz.99999999.abcd.tmp',
        '.last_checkpoint.pth.99999999.abcd.tmp',
        'logits/v/b_logits.npz',
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('half')
    Dumper(DumpOptions(dump_logits=True, pictures=False), tmp_path, INFO, 1).close()
    assert files(tmp_path) == ['.last_checkpoint.pth.99999999.abcd.tmp', 'dumps.json', 'logits/v/b_logits.npz']


def test_abort_leaves_whole_files_only_and_ends_its_threads(tmp_path):
    dumper = Dumper(DumpOptions(dump_logits=True, pictures=False), tmp_path, INFO, 8)
    for k in range(3):
        dumper.process(evaluate([f'{k}.png'], [k], size=(128, 128)))
    dumper.abort()
    for path in tmp_path.glob('logits/*'):
        assert np.load(path)['logits'].shape == (3, 128, 128)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('writer')]
