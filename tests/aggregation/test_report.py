import json
from dataclasses import replace

import cv2
import dumps
import numpy as np
import pytest
import torch
from browser import Reader, pixels_of

from aggregation.fusion.fusing import FuseOptions
from aggregation.fusion.member_report import disagreement, measure
from aggregation.fusion.member_report_page import write_report
from aggregation.fusion.members import Members
from aggregation.fusion.pooling import STATISTICS, Pool
from aggregation.fusion.truths import Truths
from aggregation.statistics.calibration import Temperature
from utils.classes import Classes
from utils.metrics import ConfusionMatrix

SEEDS = (0, 1, 2)


def silent(line):
    pass


@pytest.fixture
def folders(tmp_path):
    return [dumps.make(tmp_path / f'm{seed}', seed) for seed in SEEDS]


def measured(folders, fusion='mean', score='msp', calibrator=None, dataset=None, **options):
    return measure(
        Members(folders, **options),
        FuseOptions(fusion, score, calibrator=calibrator),
        Truths(dataset or dumps.dataset()),
        2,
        log=silent,
    )


def probabilities(seed, name):
    return torch.softmax(dumps.logits_of(seed, name).float(), 0)


def scores_of(p_of_name):
    """(mIoU, NLL) by the definitions, over all images at once."""
    matrix, logs = ConfusionMatrix(dumps.CLASSES), []
    for name in dumps.NAMES:
        p, truth = p_of_name(name), torch.from_numpy(dumps.truth_of(name)).long()
        matrix.update(p.argmax(0), truth)
        known = truth < dumps.CLASSES
        logs.append(-p[:, known].gather(0, truth[known][None])[0].log())
    return matrix.mean_iou(), float(torch.cat(logs).mean())


def test_members_ensemble_and_those_without_a_member_are_scored_by_the_definitions(folders):
    found = measured(folders)
    for seed, tally in zip(SEEDS, found.single):
        scores = tally.scores()
        assert (scores['mean_iou'], scores['nll']) == pytest.approx(
            scores_of(lambda name, seed=seed: probabilities(seed, name)), rel=1e-5
        )

    def mean(seeds):
        return lambda name: torch.stack([probabilities(seed, name) for seed in seeds]).mean(0)

    whole = found.ensemble.scores()
    assert (whole['mean_iou'], whole['nll']) == pytest.approx(scores_of(mean(SEEDS)), rel=1e-5)
    for seed, tally in zip(SEEDS, found.left_out):
        scores = tally.scores()
        assert (scores['mean_iou'], scores['nll']) == pytest.approx(
            scores_of(mean([other for other in SEEDS if other != seed])), rel=1e-4
        )


def test_disagreement_counts_labelled_pixels_with_other_labels(folders):
    shares = measured(folders).disagreement()
    differing = total = 0
    for name in dumps.NAMES:
        known = dumps.truth_of(name) != 255
        differing += int(((probabilities(0, name).argmax(0) != probabilities(2, name).argmax(0)).numpy() & known).sum())
        total += int(known.sum())
    assert shares[0, 2] == shares[2, 0] == pytest.approx(differing / total) and np.diag(shares).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    'fusion, score',
    [('geometric', 'msp'), ('mean_logit', 'energy'), ('vote', 'disagreement'), ('mean', 'mutual_information')],
)
def test_two_members_leave_each_other_alone_whatever_is_summed(folders, fusion, score):
    found = measured(folders[:2], fusion, score)
    for tally, other in zip(found.left_out, found.single[::-1]):
        # what is left of the other is rounded: near ties may turn
        assert np.abs(tally.matrix.counts - other.matrix.counts).sum() <= 4


def test_extremes_and_single_members_have_no_contribution(folders):
    assert measured(folders, 'max').left_out == [None] * 3
    assert measured(folders[:1]).left_out == [None]


def test_a_member_that_is_alone_in_a_class_cannot_be_left_out(folders):
    found = measured(folders[:2], weights=[[1.0, 1, 1, 1, 0], [0.0, 1, 1, 1, 1]])
    assert found.left_out == [None, None]


def test_a_pool_without_a_member_is_the_pool_of_the_others():
    needs = set(STATISTICS) - {'max', 'min', 'least_sure', 'mask_score'}
    members = [dumps.logits_of(seed, dumps.NAMES[0]) for seed in SEEDS]
    whole, others = Pool(needs, dumps.CLASSES, dumps.SIZE), Pool(needs, dumps.CLASSES, dumps.SIZE)
    for values in members:
        whole.add(values, 'logits', 2.0)
    for values in members[:2]:
        others.add(values, 'logits', 2.0)
    rest = whole.without(members[2], 'logits', 2.0)
    assert (rest.members, rest.weights) == (2, 4.0) and all(
        torch.allclose(rest[name], others[name], atol=1e-4) for name in needs
    )


def test_a_missing_image_counts_for_the_members_that_have_it(tmp_path, folders):
    less = dumps.make(tmp_path / 'less', 3, names=dumps.NAMES[:2])
    found = measured([*folders[:2], less], allow_missing=True)
    assert [tally.images for tally in found.single] == [2, 3, 3]  # sorted by folder, `less` first
    assert [tally.images for tally in found.left_out] == [3, 3, 3]


def test_the_page_and_its_files(tmp_path, folders):
    found = measured(folders, calibrator=Temperature(2.0))
    page = write_report(found, tmp_path / 'report')
    content = json.loads((tmp_path / 'report' / 'report.json').read_text())
    assert (
        content['calibrated']['mean_iou'] == content['ensemble']['mean_iou']
        and content['calibrated']['nll'] != content['ensemble']['nll']
    )
    assert [member['name'] for member in content['members']] == ['model 0', 'model 1', 'model 2']
    shares = [one['share'] for one in content['worst']]
    assert len(shares) == 2 and shares == sorted(shares, reverse=True)
    text = page.read_text()
    for words in (
        'Leaving one member out',
        'Pairwise disagreement',
        'Reliability',
        'Risk and coverage',
        content['worst'][0]['image'],
        'ensemble, calibrated',
    ):
        assert words in text
    member, whole = content['members'][0], content['ensemble']
    cells = [
        f'{100 * member["mean_iou"]:.2f}',
        f'{100 * member["ece"]:.2f}',
        f'{member["nll"]:.4f}',
        f'{100 * whole["iou"][0]:.2f}',
    ]
    assert all(f'>{cell}</td>' in text for cell in cells)
    assert text.count('stroke-width="3"') == 4  # ensemble and calibrated ensemble in two charts
    records = Reader(text).data['records']
    assert [record['name'] for record in records] == [one['image'] for one in content['worst']]
    assert [layer.get('ramp', [])[-1:] for layer in records[0]['layers']] == [[]] * 4 + [
        ['100 %'],
        ['1.61 nats'],
        ['100 %'],
    ]
    planes = pixels_of(tmp_path / 'report' / records[0]['pixels'])
    assert ((planes['label'] != planes['prediction']) & (planes['label'] < 255)).sum() == content['worst'][0]['wrong']
    assert planes['confidence'].min() > 0 and planes['confidence'].max() <= 100
    error = cv2.imread(str(tmp_path / 'report/pictures/001_error.png'), cv2.IMREAD_GRAYSCALE)
    assert (error == 255).sum() == content['worst'][0]['wrong']


def test_the_worst_images_do_not_depend_on_their_order(folders):
    names = [one.stem for one in measured(folders).worst]
    assert names == [one.stem for one in measured(folders, dataset=dumps.dataset(dumps.NAMES[::-1])).worst]


def test_models_of_one_name_are_told_apart_by_their_paths(tmp_path, folders):
    assert Members(folders).titles == ['model 0', 'model 1', 'model 2']
    same = [dumps.make(tmp_path / run / 'logits', 7) for run in ('first', 'second')]
    assert Members(same).titles == ['first', 'second']


def test_disagreement_of_three_members_is_one_minus_the_largest_share():
    labels = [
        torch.tensor([[0, 1, 2]], dtype=torch.uint8),
        torch.tensor([[0, 1, 0]], dtype=torch.uint8),
        torch.tensor([[0, 2, 1]], dtype=torch.uint8),
    ]
    assert disagreement(labels, 3)[0].tolist() == pytest.approx([0, 1 / 3, 2 / 3])


@pytest.mark.parametrize(
    'change, words',
    [
        ({'classes': replace(dumps.LABELS, names=tuple('abcde'))}, 'are not the 5 of dataset toy'),
        ({'items': []}, 'has a label in split val'),
    ],
)
def test_labels_of_another_kind_are_refused(folders, change, words):
    dataset = dumps.dataset()
    vars(dataset).update(change)
    with pytest.raises(ValueError, match=words):
        measured(folders, dataset=dataset)


def test_labels_that_are_void_everywhere_are_told(folders):
    dataset = dumps.dataset()
    dataset.load_label = lambda item: np.full(dumps.SIZE, 255, np.uint8)
    with pytest.raises(ValueError, match='the images have not one labelled pixel; give a labelled split'):
        measured(folders, dataset=dataset)


def test_two_images_that_differ_in_their_endings_only_are_named():
    with pytest.raises(ValueError, match='val/ulm/a.png and val/ulm/a.jpg: differ in their endings only'):
        Truths(dumps.dataset(names=('val/ulm/a.png', 'val/bonn/a.png', 'val/ulm/a.jpg')))


def test_labels_of_another_size_or_number_of_classes_are_refused(tmp_path):
    plain = [dumps.make(tmp_path / 'plain', 0, manifest=False)]
    with pytest.raises(ValueError, match='12x17 pixels .height x width., its logits 12x16'):
        measured(plain, dataset=dumps.dataset(size=(12, 17)))
    dataset = dumps.dataset()
    dataset.classes = Classes.numbered(19)
    with pytest.raises(ValueError, match='have 5 classes, dataset toy has 19'):
        measured(plain, dataset=dataset)
