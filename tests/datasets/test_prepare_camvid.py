"""Coloured labels of CamVid as ids of 11 and of 32 classes, and the split."""

import pytest
from prepare_trees import CAMVID_FRAMES, TREES, contents, image_of, pixels, prepare, write_png

from config import scope
from datasets.collection.camvid import CamVid, CamVid32
from datasets.prepare.camvid import GROUPS, split_of
from datasets.registry import get_dataset


@pytest.fixture
def base(tmp_path):
    TREES['camvid'](tmp_path)
    return tmp_path / 'camvid'


def loaded(base, name, split):
    with scope(DATASET__ROOT=str(base.parent)):
        dataset = get_dataset(name, split)
    return [(item.name, dataset.load(item)[1].tolist()) for item in dataset.items]


def test_frames_are_copied_into_the_split_with_both_kinds_of_labels(base, capsys):
    before = contents(base)
    code, printed = prepare(capsys, 'camvid', '--root', base.parent)
    assert code == 0 and '27 written' in printed and 'note' not in printed
    for split, frames in CAMVID_FRAMES.items():
        assert sorted(path.stem for path in (base / split).iterdir()) == sorted(frames)
        for frame in frames:
            assert (base / f'{split}/{frame}.png').read_bytes() == before[f'701_StillsRaw_full/{frame}.png']
    mode, label = pixels(base / 'trainannot/0001TP_006690.png')
    assert mode == 'P' and label.tolist() == [[0, 1, 11], [10, 9, 3]]
    assert pixels(base / 'trainannot32/0001TP_006690.png')[1].tolist() == [[21, 31, 30], [13, 0, 10]]


def test_both_data_sets_read_their_labels(base, capsys):
    prepare(capsys, 'camvid32', '--root', base.parent)  # another name of the same program
    assert loaded(base, 'camvid', 'val') == [
        (f'val/{frame}.png', [[0, 1, 255], [10, 9, 3]]) for frame in CAMVID_FRAMES['val']
    ]
    (name, label), *_ = loaded(base, 'camvid32', 'test')
    assert name.endswith('0001TP_008550.png') and label == [[21, 31, 255], [13, 0, 10]]


def test_every_colour_is_the_class_of_its_name(base, capsys):
    write_png(base / 'LabeledApproved_full/Seq05VD_f00000_L.png', CamVid32.classes.colors[None])
    image_of(base / '701_StillsRaw_full/Seq05VD_f00000.png', 1, 32)
    prepare(capsys, 'camvid', '--root', base.parent)
    assert pixels(base / 'testannot32/Seq05VD_f00000.png')[1].tolist() == [list(range(32))]
    eleven = pixels(base / 'testannot/Seq05VD_f00000.png')[1][0]
    for id11, name in zip(eleven, CamVid32.classes.names):
        assert id11 == 11 if name == 'Void' else name in GROUPS[CamVid.classes.names[id11]], name


def test_the_groups_hold_each_class_once():
    members = [member for group in GROUPS.values() for member in group]
    assert sorted(members) == sorted(name for name in CamVid32.classes.names if name != 'Void')
    assert set(GROUPS) == set(CamVid.classes.names)


def test_a_colour_of_no_class_becomes_void_and_is_noted(base, capsys):
    write_png(base / 'LabeledApproved_full/Seq05VD_f00000_L.png', [[(1, 2, 3), (128, 64, 128)]])
    image_of(base / '701_StillsRaw_full/Seq05VD_f00000.png', 1, 2)
    _, printed = prepare(capsys, 'camvid', '--root', base.parent)
    assert pixels(base / 'testannot/Seq05VD_f00000.png')[1].tolist() == [[11, 3]]
    assert pixels(base / 'testannot32/Seq05VD_f00000.png')[1].tolist() == [[30, 17]]
    assert 'a colour that is in no table' in printed and 'testannot/Seq05VD_f00000.png' in printed


def test_the_rule_gives_the_published_numbers_of_frames():
    # the frames of the 701: one a second of four sequences, and fifteen a second of a part of 0016E5
    frames = [f'0001TP_{number:06d}' for number in range(6690, 10381, 30)]
    frames += [f'0006R0_f{number:05d}' for number in range(930, 3931, 30)]
    frames += [f'0016E5_{number:05d}' for number in range(390, 8641, 30) if number < 7950 or number > 8160]
    frames += [f'0016E5_{number:05d}' for number in range(7959, 8160, 2)]
    frames += [f'Seq05VD_f{number:05d}' for number in range(0, 5101, 30)]
    counts = {split: sum(split_of(frame) == split for frame in frames) for split in ('train', 'val', 'test')}
    assert counts['val'] == 101 and counts['test'] == 62 + 171
    assert split_of('0001TP_008520') == 'train' and split_of('0001TP_008550') == 'test'
    assert split_of('0016E5_07960') == 'train'


def test_a_frame_of_no_sequence_and_a_missing_label_are_told(base, capsys):
    (base / 'LabeledApproved_full/0006R0_f00930_L.png').unlink()
    code, printed = prepare(capsys, 'camvid', '--root', base.parent)
    assert (
        code == 1 and '24 written, 3 refused' in printed and '0006R0_f00930_L.png: the file does not exist' in printed
    )
    (base / '701_StillsRaw_full/holiday.png').write_bytes(b'')
    code, printed = prepare(capsys, 'camvid', '--root', base.parent)
    assert code == 2 and 'holiday.png' in printed and printed.count('\n') == 1


def test_a_frame_and_a_label_that_do_not_fit_are_refused_together(base, capsys):
    (base / '701_StillsRaw_full/0006R0_f00930.png').write_bytes(b'')
    image_of(base / '701_StillsRaw_full/Seq05VD_f00000.png', 4, 5)
    code, printed = prepare(capsys, 'camvid', '--root', base.parent)
    assert code == 1 and '21 written, 6 refused' in printed
    assert '701_StillsRaw_full/0006R0_f00930.png: is empty' in printed
    assert 'Seq05VD_f00000_L.png: the label is 3x2 pixels (width x height) but its frame' in printed
    assert not list(base.glob('t*/0006R0_f00930.png')) + list(base.glob('t*/Seq05VD_f00000.png'))
