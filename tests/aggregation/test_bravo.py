import math
import tarfile

import bravo_tree
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from aggregation.benchmarks import bravo, bravo_scores
from aggregation.benchmarks import bravo_files as names
from datasets.collection.bravo import Bravo


def silent(line):
    pass


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp('bravo')
    return root, bravo_tree.make(root)


@pytest.fixture(scope='module')
def result(tree):
    root, _ = tree
    return bravo_scores.evaluate(root / 'truth', root / 'submission', bootstrap=20, log=silent)


def pooled(made, subset):
    rows = [made[key] for key in sorted(made) if names.in_subset(key, subset)]
    truth, mask, classes, levels = (np.concatenate([row[k].ravel() for row in rows]) for k in range(4))
    known = truth != 255
    return truth[known], mask[known] != 0, classes[known], levels[known].astype(int)


@pytest.mark.parametrize('subset', names.SEMANTIC_SUBSETS)
def test_semantic_scores_agree_with_scikit_learn(tree, result, subset):
    truth, invalid, classes, levels = (values for values in pooled(tree[1], subset))
    truth, classes, levels = truth[~invalid], classes[~invalid], levels[~invalid]
    right, scores = truth == classes, result['scores']
    counts = confusion_matrix(truth, classes, labels=range(19))
    iou = np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))
    assert scores[f'{subset}_miou_valid'] == pytest.approx(iou.mean(), abs=1e-12)
    assert scores[f'{subset}_auroc_valid'] == pytest.approx(roc_auc_score(right, levels), abs=1e-12)
    assert scores[f'{subset}_auprc_success_valid'] == pytest.approx(average_precision_score(right, levels), abs=1e-12)
    assert scores[f'{subset}_auprc_error_valid'] == pytest.approx(average_precision_score(~right, -levels), abs=1e-12)


@pytest.mark.parametrize('subset', names.OOD_SUBSETS)
def test_out_of_distribution_scores_agree_with_scikit_learn(tree, result, subset):
    _, invalid, _, levels = pooled(tree[1], subset)
    assert result['scores'][f'{subset}_auroc_ood'] == pytest.approx(roc_auc_score(invalid, -levels), abs=1e-12)
    assert result['scores'][f'{subset}_auprc_ood'] == pytest.approx(
        average_precision_score(invalid, -levels), abs=1e-12
    )


def test_there_are_66_numbers_and_8_lists(result):
    lists = [key for key, value in result['scores'].items() if isinstance(value, list)]
    assert (len(result['scores']) - len(lists), len(lists)) == (66, 8)
    assert not any(key.startswith('SMIYC') and key.endswith('_valid') for key in result['scores'])


def test_the_index_is_the_harmonic_mean_of_both_families(result):
    scores = result['scores']
    assert scores['bravo_index'] == pytest.approx(2 / (1 / scores['semantic_hmean'] + 1 / scores['ood_hmean']))
    assert bravo_scores.harmonic_mean([0.698, 0.881]) == pytest.approx(0.779, abs=5e-4)
    assert bravo_scores.harmonic_mean([0.0, 1.0]) == 0.0 and math.isnan(bravo_scores.harmonic_mean([math.nan, 1.0]))


def test_sampling_and_threads_and_archives_make_no_difference(tree, result, tmp_path):
    root, _ = tree
    for folder in ('truth', 'submission'):
        with tarfile.open(tmp_path / f'{folder}.tar', 'w') as archive:
            archive.add(root / folder, arcname='.')
    again = bravo_scores.evaluate(
        tmp_path / 'truth.tar', tmp_path / 'submission.tar', bootstrap=20, threads=1, log=silent
    )
    assert again == result


def test_intervals_hold_the_scores_they_are_of(result):
    low, high = result['intervals']['ACDCfog_miou_valid']
    assert low < result['scores']['ACDCfog_miou_valid'] + 0.02 and high > result['scores']['ACDCfog_miou_valid'] - 0.02
    assert set(result['intervals']) == {key for key, value in result['scores'].items() if not isinstance(value, list)}


def test_leverage_is_the_gain_of_the_index_when_one_score_rises_by_a_hundredth(result):
    best = bravo_scores.leverage(result['scores'])[0]
    slopes = {}
    for key in {key for keys in bravo_scores.members(result['scores']).values() for key in keys}:
        tiny = {
            **result['scores'],
            key: result['scores'][key] + (-1e-6 if bravo_scores.quality(key, 0.0) == 1 else 1e-6),
        }
        slopes[key] = bravo_scores.means(tiny)['bravo_index'] - result['scores']['bravo_index']
    assert best['score'] == max(slopes, key=slopes.get) and best['gain'] > 0


def remove(root, folder, ending):
    path = next(path for path in sorted((root / folder).rglob(f'*{ending}')))
    path.unlink()
    return path


def test_a_missing_confidence_is_counted_and_named(tmp_path):
    bravo_tree.make(tmp_path)
    gone = remove(tmp_path, 'submission', '_conf.png')
    with pytest.raises(ValueError, match=f'1 files of the submission of 18 images are missing.*{gone.name}'):
        bravo_scores.evaluate(tmp_path / 'truth', tmp_path / 'submission', log=silent)


@pytest.mark.parametrize(
    'kind, change, words',
    [
        ('prediction', lambda image: np.full_like(image, 19), 'expected 8-bit trainIds 0 to 18'),
        ('prediction', lambda image: np.dstack([image] * 3), 'colour image'),
        ('prediction', lambda image: image.astype(np.uint16), 'uint16'),
        ('confidence', lambda image: image.astype(np.uint8), 'expected 16-bit'),
        ('confidence', lambda image: image[:-1], 'at the size of the image'),
    ],
)
def test_faulty_pictures_are_named(tmp_path, kind, change, words):
    made = bravo_tree.make(tmp_path)
    key = bravo_tree.KEYS[0]
    image = made[key][2 if kind == 'prediction' else 3]
    bravo_tree.write(tmp_path / 'submission', names.name_of(key, kind), change(image))
    with pytest.raises(ValueError, match=words) as error:
        bravo_scores.evaluate(tmp_path / 'truth', tmp_path / 'submission', log=silent)
    assert names.name_of(key, kind) in str(error.value)


def test_confidences_that_share_the_highest_level_are_counted(tmp_path, result):
    made = bravo_tree.make(tmp_path)
    truth, _, _, levels = made[bravo_tree.KEYS[0]]
    bravo_tree.write(
        tmp_path / 'submission', names.name_of(bravo_tree.KEYS[0], 'confidence'), np.full_like(levels, 65535)
    )
    samples = sum(int((truth != 255).sum()) for truth, *_ in made.values())
    [note] = bravo_scores.evaluate(tmp_path / 'truth', tmp_path / 'submission', log=silent)['notes']
    share = 100 * int((truth != 255).sum()) / samples
    assert note.startswith(f'{share:.1f} % of the sampled confidences are the highest level, 65535') and share > 1
    assert result['notes'] == []


def test_a_subset_without_a_single_error_is_nan_and_said(tmp_path):
    made = bravo_tree.make(tmp_path)
    for key in bravo_tree.KEYS[:2]:
        bravo_tree.write(
            tmp_path / 'submission', names.name_of(key, 'prediction'), (made[key][0] % 255).astype(np.uint8)
        )
    result = bravo_scores.evaluate(tmp_path / 'truth', tmp_path / 'submission', log=silent)
    assert math.isnan(result['scores']['ACDCfog_auroc_valid']) and math.isnan(result['scores']['bravo_index'])
    assert 'ACDCfog_auroc_valid is not defined: no sampled valid pixel is right, or none is wrong' in result['notes']
    bravo.page(tmp_path / 'page.html', result)
    text = (tmp_path / 'page.html').read_text()
    assert bravo_scores.leverage(result['scores']) == [] and 'bravo_index -' in bravo.lines(result)
    assert 'nan' not in text and 'ACDCfog_auroc_valid is not defined' in text


def test_images_that_belong_to_no_subset_are_said(tmp_path, result):
    made = bravo_tree.make(tmp_path)
    key = 'bravo_ACDC/haze/test/GOPR0475/GOPR0475_frame_000000'
    for kind, image in zip(('truth', 'mask', 'prediction', 'confidence'), made[bravo_tree.KEYS[0]]):
        bravo_tree.write(
            tmp_path / ('truth' if kind in ('truth', 'mask') else 'submission'), names.name_of(key, kind), image
        )
    found = bravo_scores.evaluate(tmp_path / 'truth', tmp_path / 'submission', log=silent)
    assert found['scores'] == result['scores'] and f'1 image of no subset counted nowhere: {key}' in found['notes']


def test_the_dataset_of_its_images_knows_the_same_folders():
    assert set(Bravo.markers) == set(names.FOLDERS) and len(names.FOLDERS) == 6
