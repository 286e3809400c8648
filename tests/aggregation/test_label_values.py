"""trainIds and label ids of Cityscapes are told apart: by records, by values, by --ids."""

import json

import cv2
import numpy as np
import pytest

import ensemble
from aggregation.benchmarks.difference import compare
from aggregation.benchmarks.trees import Tree
from datasets.collection.cityscapes_labels import CLASSES

FRAME = 'ulm/ulm_000000_000019'
TRUTH = np.array([[0, 0, 1, 1], [2, 2, 10, 10]], np.uint8)  # trainIds: road, sidewalk, building, sky
GUESS = np.array([[0, 0, 0, 1], [2, 2, 10, 10]], np.uint8)  # road 2/3, sidewalk 1/2, building and sky 1
SCORE = (2 / 3 + 1 / 2 + 2) / 4


def png(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)


@pytest.fixture
def made(tmp_path):
    """(flags of the ground truth, folder of predictions): trainIds as `fuse` writes them, without its record."""
    png(tmp_path / f'gt/{FRAME}_gtFine_labelIds.png', CLASSES.trainid_to_id[TRUTH])
    png(tmp_path / f'F/{FRAME}_leftImg8bit_pred.png', GUESS)
    return tmp_path


def record(folder, name='fusion.json', content=None):
    (folder / name).write_text(json.dumps(content or {'settings': {}, 'complete': True}))


def run(made, *flags, pred='F'):
    """(exit code, mean class IoU or None)"""
    out = made / 'scores.json'
    out.unlink(missing_ok=True)
    code = ensemble.main(
        ['eval', 'cityscapes', '--gt', str(made / 'gt'), '--pred', str(made / pred), '--json', str(out), *flags]
    )
    return code, json.loads(out.read_text())['averageScoreClasses'] if out.exists() else None


@pytest.mark.parametrize('pred', ['F', 'F/ulm'])
def test_a_fusion_is_scored_as_the_trainids_that_its_record_says(made, capsys, pred):
    record(made / 'F')
    assert run(made, pred=pred) == (0, pytest.approx(SCORE))
    assert 'its predictions were read as trainIds, as' in capsys.readouterr().out


def test_trainids_without_a_record_are_refused_until_ids_says_what_they_are(made, capsys):
    assert run(made) == (2, None)
    error = capsys.readouterr().err
    assert (
        'look like trainIds, expected label ids: no id is above 18' in error and '--ids train or --ids label' in error
    )
    assert run(made, '--ids', 'train') == (0, pytest.approx(SCORE))
    assert run(made, '--ids', 'label') == (0, 0.0)
    assert 'were read as label ids, but look like trainIds' in capsys.readouterr().out


def test_label_ids_score_the_same_with_and_without_the_flag(made):
    png(made / f'L/{FRAME}.png', CLASSES.trainid_to_id[GUESS])
    assert run(made, pred='L') == run(made, '--ids', 'label', pred='L') == (0, pytest.approx(SCORE))


def test_a_flag_against_the_record_is_refused(made, capsys):
    record(made / 'F')
    assert run(made, '--ids', 'label') == (2, None)
    assert 'fusion.json says that the predictions in' in capsys.readouterr().err


def test_a_dump_for_submission_holds_label_ids_as_its_record_says(made):
    png(made / f'run/submit/{FRAME}_leftImg8bit_pred.png', CLASSES.trainid_to_id[GUESS])
    record(made / 'run', 'dumps.json', {'submission': {'kind': 'label ids uint8'}})
    assert run(made, pred='run') == run(made, pred='run/submit') == (0, pytest.approx(SCORE))
    assert run(made, '--ids', 'train', pred='run/submit') == (2, None)


def submit(made, *flags, pred='F'):
    code = ensemble.main(['submit', 'cityscapes', str(made / pred), str(made / 'out'), '--size', '2,4', *flags])
    [written] = (made / 'out').iterdir() if code == 0 else [None]
    return code, written and cv2.imread(str(written), cv2.IMREAD_UNCHANGED).tolist()


def test_a_submission_holds_label_ids_whatever_the_predictions_held(made, capsys):
    record(made / 'F')
    expected = CLASSES.trainid_to_id[GUESS].tolist()
    assert submit(made, '--ids', 'label') == (2, None) and not (made / 'out').exists()
    assert 'hold trainIds; leave --ids out' in capsys.readouterr().err
    assert submit(made) == (0, expected)
    png(made / f'run/submit/{FRAME}_leftImg8bit_pred.png', CLASSES.trainid_to_id[GUESS])
    record(made / 'run', 'dumps.json', {'submission': {}})
    assert submit(made, pred='run/submit') == (0, expected)


def test_label_ids_below_19_are_not_packed_as_trainids(made, capsys):
    png(made / f'L/{FRAME}.png', np.array([[7, 7, 8, 8], [11, 11, 17, 17]], np.uint8))
    assert submit(made, pred='L') == (2, None)
    assert 'look like label ids, expected trainIds' in capsys.readouterr().err
    assert submit(made, '--ids', 'label', pred='L') == (0, [[7, 7, 8, 8], [11, 11, 17, 17]])


def test_predictions_of_two_kinds_in_one_folder_are_refused(made, capsys):
    record(made / 'F')
    png(made / 'F/ulm_000001_000019.png', CLASSES.trainid_to_id[GUESS])
    png(made / 'gt/ulm/ulm_000001_000019_gtFine_labelIds.png', CLASSES.trainid_to_id[TRUTH])
    assert run(made) == (2, None)
    assert 'give the folder of one kind' in capsys.readouterr().err


def test_trainids_and_label_ids_are_not_compared(made):
    record(made / 'F')
    png(made / f'run/submit/{FRAME}_leftImg8bit_pred.png', CLASSES.trainid_to_id[GUESS])
    record(made / 'run', 'dumps.json', {'submission': {}})
    with pytest.raises(ValueError, match='their numbers mean different classes'):
        compare(made / 'F', made / 'run/submit')


def test_bravo_does_not_encode_label_ids(tmp_path):
    from aggregation.benchmarks.label_values import need_trainids

    png(tmp_path / 'run/submit/bravo_ACDC/a_pred.png', GUESS)
    record(tmp_path / 'run', 'dumps.json', {'submission': {}})
    tree = Tree(tmp_path / 'run/submit')
    with pytest.raises(ValueError, match='hold label ids, as .*dumps.json says, expected trainIds'):
        need_trainids(tree, tree.names)
