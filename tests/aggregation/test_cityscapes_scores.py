import cv2
import numpy as np
import pytest

from aggregation.benchmarks import cityscapes_scores as cityscapes
from datasets.collection.cityscapes_labels import LABELS

# The worked example of the public scripts.
TRUTH = np.array([[7, 7, 7, 7, 7], [26, 26, 26, 7, 7], [26, 8, 8, 8, 8], [1, 1, 1, 29, 29]], np.uint8)
GUESS = np.array([[7, 7, 0, 7, 29], [26, 26, 7, 7, 26], [26, 8, 8, 8, 27], [7, 26, 1, 26, 29]], np.uint8)
INSTANCES = TRUTH.astype(np.uint16)
INSTANCES[1, :3], INSTANCES[2, 0], INSTANCES[3, 3:] = 26000, 26001, 29000


def write(folder, frame, truth=TRUTH, guess=GUESS, instances=INSTANCES):
    for name, image in (
        (f'gt/val/lindau/{frame}_gtFine_labelIds.png', truth),
        (f'gt/val/lindau/{frame}_gtFine_instanceIds.png', instances),
        (f'results/{frame}_leftImg8bit.png', guess),
    ):
        if image is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)


def evaluate(folder, **options):
    return cityscapes.evaluate(folder / 'gt', folder / 'results', LABELS, log=lambda line: None, **options)


def test_the_worked_example_of_the_public_scripts(tmp_path):
    write(tmp_path, 'lindau_000000_000019')
    scores = evaluate(tmp_path)['scores']
    assert {name: scores['classScores'][name] for name in ('road', 'sidewalk', 'car', 'truck')} == pytest.approx(
        {'road': 0.5, 'sidewalk': 0.75, 'car': 0.6, 'truck': 0.0}
    )
    assert scores['averageScoreClasses'] == pytest.approx(0.4625)
    assert scores['categoryScores']['flat'] == pytest.approx(7 / 12) and scores['categoryScores'][
        'vehicle'
    ] == pytest.approx(0.5)
    assert scores['averageScoreCategories'] == pytest.approx(0.541667, abs=1e-6)
    assert (
        scores['classInstScores']['car'] == pytest.approx(0.8333008, abs=1e-7)
        and scores['classInstScores']['truck'] == 0.0
    )
    assert scores['averageScoreInstClasses'] == pytest.approx(0.4166504, abs=1e-7)
    assert scores['categoryInstScores']['vehicle'] == pytest.approx(0.8332356, abs=1e-7)
    assert np.isnan(scores['categoryInstScores']['flat']) and np.isnan(scores['classScores']['caravan'])
    assert np.array(scores['confMatrix']).sum() == 20


def test_two_equal_images_score_as_one(tmp_path):
    write(tmp_path, 'lindau_000000_000019')
    once = evaluate(tmp_path)['scores']
    write(tmp_path, 'lindau_000001_000019')
    twice = evaluate(tmp_path, bootstrap=5)
    assert twice['scores']['averageScoreClasses'] == once['averageScoreClasses']
    assert twice['intervals']['averageScoreClasses'] == pytest.approx([0.4625, 0.4625])


def test_without_instance_ids_there_are_no_instance_scores(tmp_path):
    write(tmp_path, 'lindau_000000_000019', instances=None)
    result = evaluate(tmp_path)
    assert np.isnan(result['scores']['averageScoreInstClasses']) and 'no instance-weighted scores' in result['notes'][0]
    assert result['scores']['averageScoreClasses'] == pytest.approx(0.4625)


@pytest.mark.parametrize(
    'fault, words',
    [
        ({'guess': None}, '1 of 2 images have no prediction .lindau_000001_000019'),
        ({'guess': GUESS[:3]}, 'at the size of the images'),
        ({'guess': np.full_like(GUESS, 255)}, 'values up to 255, expected 8-bit label ids 0 to 33'),
        ({'guess': np.dstack([GUESS] * 3)}, 'colour image'),
        ({'truth': np.full_like(TRUTH, 34)}, 'up to 34'),
        ({'instances': np.full((2, 2), 26000, np.uint16)}, 'gtFine_instanceIds.png is 2x2'),
        ({'instances': None}, '1 of 2 gtFine_instanceIds.png files are missing'),
    ],
)
def test_faults_are_named(tmp_path, fault, words):
    write(tmp_path, 'lindau_000000_000019')
    write(tmp_path, 'lindau_000001_000019', **fault)
    with pytest.raises(ValueError, match=words):
        evaluate(tmp_path)


def test_ground_truth_without_a_scored_pixel_or_instance_is_said(tmp_path):
    write(tmp_path, 'lindau_000000_000019', truth=np.full_like(TRUTH, 1), instances=np.full_like(INSTANCES, 1))
    result = evaluate(tmp_path, bootstrap=2)
    assert np.isnan(result['scores']['averageScoreClasses']) and result['intervals']['averageScoreClasses'] is None
    [note] = result['notes']
    assert note.endswith('holds not one pixel of a scored label, so no score is defined')
    write(
        tmp_path,
        'lindau_000000_000019',
        truth=np.full_like(TRUTH, 7),
        guess=np.full_like(GUESS, 7),
        instances=np.full_like(INSTANCES, 7),
    )
    result = evaluate(tmp_path)
    assert result['scores']['averageScoreClasses'] == 1.0 and result['notes'][0].endswith(
        'so no instance-weighted score is defined'
    )


def test_two_predictions_of_one_image_are_refused(tmp_path):
    write(tmp_path, 'lindau_000000_000019')
    cv2.imwrite(str(tmp_path / 'results' / 'lindau_000000_000019_other.png'), GUESS)
    with pytest.raises(ValueError, match='are predictions of one image'):
        evaluate(tmp_path)


def test_confidences_beside_the_predictions_are_passed_over(tmp_path):
    write(tmp_path, 'lindau_000000_000019')
    before = evaluate(tmp_path)['scores']['averageScoreClasses']
    for kind in ('conf', 'prob', 'score'):
        cv2.imwrite(str(tmp_path / 'results' / f'lindau_000000_000019_leftImg8bit_{kind}.png'), GUESS)
    assert evaluate(tmp_path)['scores']['averageScoreClasses'] == before


def test_an_empty_file_is_named(tmp_path):
    write(tmp_path, 'lindau_000000_000019')
    next((tmp_path / 'results').glob('*.png')).write_bytes(b'')
    with pytest.raises(ValueError, match='lindau_000000_000019.*damaged or no image'):
        evaluate(tmp_path)
