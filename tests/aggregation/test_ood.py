import json
import tracemalloc

import cv2
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from aggregation.benchmarks import ood, ood_scores
from aggregation.benchmarks import smiyc_scores as smiyc
from aggregation.statistics import bootstrap, ranking
from ensemble import main


def silent(line):
    pass


@pytest.fixture
def maps(tmp_path):
    """Masks and float16 maps of four frames; returns (folder of masks, folder of maps, all labels, all scores)."""
    rng = np.random.default_rng(0)
    labels, scores = [], []
    for number in range(4):
        mask = np.zeros((40, 60), np.uint8)
        mask[5:20, 10 * number : 10 * number + 12] = 1
        mask[:2] = 255
        values = (rng.normal(size=mask.shape) + 2.0 * (mask == 1)).astype(np.float16)
        for folder in ('masks', 'maps'):
            (tmp_path / folder).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / 'masks' / f'validation000{number}_labels_semantic.png'), mask)
        np.savez_compressed(tmp_path / 'maps' / f'validation000{number}_energy.npz', value=values)
        labels.append(mask[mask < 255])
        scores.append(values[mask < 255])
    return tmp_path / 'masks', tmp_path / 'maps', np.concatenate(labels), np.concatenate(scores).astype(float)


def test_exact_scores_agree_with_scikit_learn_and_streamed_ones_nearly(maps):
    masks, folder, labels, scores = maps
    exact = ood_scores.evaluate(masks, folder, 'energy', exact=True, log=silent)['scores']
    streamed = ood_scores.evaluate(masks, folder, 'energy', log=silent)['scores']
    assert exact['auroc'] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert exact['aupr'] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert streamed == pytest.approx(exact, abs=1e-3)
    assert (exact['pixels'], exact['anomalous'], exact['images']) == (len(labels), int(labels.sum()), 4)


def test_a_track_adds_pixel_and_component_scores(maps):
    masks, folder, *_ = maps
    found = ood_scores.evaluate(masks, folder, track='obstacle', log=silent)['scores']['smiyc']
    assert set(found) == {'aupr', 'fpr95', 'auroc', 'best_f1', 'best_threshold', 'f1_mean', 'siou', 'ppv'}
    assert 0 < found['siou'] <= 1


def test_keys_ascend_with_the_score_over_the_whole_range_of_floats():
    values = np.array([-np.float32(3e38), -2.0, -1e-30, -0.0, 0.0, 1e-30, 0.5, 0.501, 2.0, 3e38], np.float32)
    keys = ood_scores.ordered_keys(values)
    assert (np.diff(keys) >= 0).all() and keys[0] >= 0 and keys[-1] < 1 << ood_scores.KEY_BITS and keys[6] < keys[7]


def test_confidences_are_turned_round(tmp_path):
    mask = np.array([[0, 0, 1, 1]], np.uint8)
    (tmp_path / 'm').mkdir(), (tmp_path / 's').mkdir()
    cv2.imwrite(str(tmp_path / 'm' / 'a_labels_semantic.png'), mask)
    cv2.imwrite(str(tmp_path / 's' / 'a_conf.png'), np.array([[65535, 60000, 3, 0]], np.uint16))
    assert ood_scores.evaluate(tmp_path / 'm', tmp_path / 's', 'confidence', log=silent)['scores']['auroc'] == 1.0


@pytest.mark.parametrize(
    'fault, words',
    [
        (
            lambda masks, maps: (maps / 'validation0002_energy.npz').unlink(),
            '1 of 4 masks .* have no score .validation0002',
        ),
        (
            lambda masks, maps: np.savez(maps / 'validation0002_energy.npz', value=np.zeros((4, 4), np.float16)),
            'at the size of the images',
        ),
        (
            lambda masks, maps: np.savez(
                maps / 'validation0002_energy.npz', value=np.full((40, 60), np.nan, np.float32)
            ),
            'holds nan',
        ),
        (
            lambda masks, maps: np.savez(maps / 'validation0002_energy.npz', other=np.zeros((40, 60))),
            'holds no score map',
        ),
        (lambda masks, maps: (maps / 'validation0002_energy.npz').write_bytes(b'PK'), 'holds no score map'),
        (
            lambda masks, maps: np.savez(maps / 'validation0002_msp.npz', value=np.zeros((40, 60), np.float16)),
            'are both scores|no score',
        ),
    ],
)
def test_faults_are_named(maps, fault, words):
    masks, folder, *_ = maps
    fault(masks, folder)
    score = None if (folder / 'validation0002_msp.npz').exists() else 'energy'
    with pytest.raises(ValueError, match=words):
        found = ood_scores.evaluate(masks, folder, score, log=silent)
        raise AssertionError(found)


def frame(folder, name, mask, values):
    cv2.imwrite(str(folder / f'{name}_labels_semantic.png'), np.array(mask, np.uint8))
    np.save(folder / f'{name}_energy.npy', np.array(values, np.float32))


@pytest.mark.parametrize('track', [None, 'obstacle'])
@pytest.mark.parametrize(
    'value, words',
    [
        (0, '1 masks hold 0 anomalous pixels .1. and 12 known ones'),
        (1, '12 anomalous pixels .1. and 0 known ones'),
        (255, '0 anomalous pixels .1. and 0 known ones'),
    ],
)
def test_masks_that_nothing_can_be_scored_with_are_told(tmp_path, track, value, words):
    frame(tmp_path, 'a', np.full((3, 4), value), np.arange(12.0).reshape(3, 4))
    with pytest.raises(ValueError, match=words):
        ood_scores.evaluate(tmp_path, tmp_path, track=track, log=silent)


def test_one_frame_with_one_anomalous_pixel_is_scored(tmp_path):
    frame(tmp_path, 'a', [[0, 0, 0, 1]], [[0, 3, 1, 2]])
    scores = ood_scores.evaluate(tmp_path, tmp_path, log=silent)['scores']
    assert (scores['auroc'], scores['aupr'], scores['fpr95']) == pytest.approx((2 / 3, 1 / 2, 1 / 3))


def test_frames_without_an_anomaly_or_without_a_label_count_among_others(tmp_path):
    for name, mask in (('a', [[0, 1]]), ('b', [[0, 0]]), ('c', [[255, 255]])):
        frame(tmp_path, name, mask, [[0.0, 1.0]])
    scores = ood_scores.evaluate(tmp_path, tmp_path, track='anomaly', log=silent)['scores']
    assert (scores['pixels'], scores['anomalous'], scores['auroc']) == (4, 1, pytest.approx(5 / 6))


def test_scores_that_are_not_defined_are_a_dash_without_a_unit(tmp_path):
    frame(tmp_path, 'a', [[0, 0, 0, 1]], [[0, 3, 1, 2]])
    pixels, suite = ood.lines(ood_scores.evaluate(tmp_path, tmp_path, track='obstacle', log=silent))
    assert pixels.endswith('AUROC 66.67 %, AUPR 50.00 %, FPR95 33.33 %') and suite.endswith('sIoU -, PPV -, mean F1 -')


def test_component_scores_that_are_not_defined_are_said(tmp_path):
    frame(tmp_path, 'a', [[0, 0, 0, 1]], [[0, 3, 1, 2]])  # far below the 10 and 50 pixels of the track
    result = ood_scores.evaluate(tmp_path, tmp_path, track='obstacle', log=silent)
    assert np.isnan(result['scores']['smiyc']['siou']) and np.isnan(result['scores']['smiyc']['ppv'])
    assert result['notes'] == [
        'sIoU and mean F1 are not defined: no true component has 10 pixels',
        'PPV is not defined: no predicted component has 50 pixels',
    ]


def test_two_masks_of_one_image_are_refused(tmp_path):
    for folder in ('one', 'two'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a_labels_semantic.png'), np.zeros((2, 2), np.uint8))
    np.save(tmp_path / 'a.npy', np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match='are both masks of a'):
        ood_scores.evaluate(tmp_path, tmp_path, log=print)


# Intervals


def weights_of(names, count):
    return np.stack([bootstrap.image_weights(f'{name}_labels_semantic.png', count) for name in names])


def test_intervals_equal_a_plain_loop_over_resamplings_of_repeated_frames(maps):
    masks, folder, *_ = maps
    names, count = [f'validation000{number}' for number in range(4)], 60
    frames = [
        (cv2.imread(str(masks / f'{name}_labels_semantic.png'), 0), np.load(folder / f'{name}_energy.npz')['value'])
        for name in names
    ]
    rounds = []
    for times in weights_of(names, count).T:
        pixels = [
            np.concatenate([np.empty(0), *(np.repeat(of(*frame), time) for frame, time in zip(frames, times))])
            for of in (
                lambda mask, values: ood_scores.ordered_keys(values[mask < 255]),
                lambda mask, values: mask[mask < 255],
            )
        ]
        blocks = ranking.count_blocks(pixels[0], pixels[1] == 1)[:2]
        rounds.append([ranking.auroc(*blocks), ranking.average_precision(*blocks), ranking.fpr_at_tpr(*blocks)])
    expected = np.nanquantile(rounds, [0.025, 0.975], axis=0).T.tolist()
    found = ood_scores.evaluate(masks, folder, bootstrap=count, log=silent)
    assert [found['intervals'][key] for key in ('auroc', 'aupr', 'fpr95')] == expected
    assert np.isnan(rounds).any() == any('leave a score undefined' in note for note in found['notes'])


def test_intervals_of_a_track_equal_a_plain_loop(maps):
    masks, folder, *_ = maps
    names, count = [f'validation000{number}' for number in range(4)], 40
    frames = [
        (np.load(folder / f'{name}_energy.npz')['value'], cv2.imread(str(masks / f'{name}_labels_semantic.png'), 0))
        for name in names
    ]
    points = [smiyc.frame_points(*frame) for frame in frames]
    threshold, rounds = smiyc.PixelPoints(points).scores().best_threshold, []
    for times in weights_of(names, count).T[weights_of(names, count).sum(0) > 0]:
        drawn = [
            point._replace(true=point.true * time, false=point.false * time)
            for point, time in zip(points, times)
            if time
        ]
        repeated = [frame for frame, time in zip(frames, times) for _ in range(time)]
        found = [smiyc.overlaps(*frame, threshold, smiyc.TRACKS['obstacle']) for frame in repeated]
        components = smiyc.Components(smiyc.TRACKS['obstacle'], found)
        rounds.append({**smiyc.PixelPoints(drawn).scores()._asdict(), **components.scores()})
    expected = {key: np.quantile([one[key] for one in rounds], [0.025, 0.975]).tolist() for key in rounds[0]}
    found = ood_scores.evaluate(masks, folder, track='obstacle', bootstrap=count, log=silent)['intervals']['smiyc']
    assert set(found) == set(expected) and all(
        found[key] == pytest.approx(expected[key], abs=1e-12) for key in expected
    )


def test_intervals_of_frames_that_are_all_alike_have_no_width_and_hold_the_score(tmp_path):
    for name in 'abcde':
        frame(tmp_path, name, np.eye(12), np.eye(12) + np.arange(144.0).reshape(12, 12) % 7 / 5)
    result = ood_scores.evaluate(tmp_path, tmp_path, bootstrap=50, log=silent)
    for key in ('auroc', 'aupr', 'fpr95'):
        assert result['intervals'][key] == pytest.approx([result['scores'][key]] * 2, abs=1e-12)


def test_intervals_hold_the_score_of_frames_that_lie_evenly_about_it(tmp_path):
    # ten frames find all of their anomaly, ten find it among 3 of 10 pixels
    for number in range(20):
        values = np.arange(10.0)
        frame(tmp_path, f'{number:02}', [[0] * 9 + [1]] if number % 2 else [[0] * 7 + [1, 0, 0]], [values])
    result = ood_scores.evaluate(tmp_path, tmp_path, bootstrap=200, log=silent)
    for key in ('auroc', 'aupr'):
        low, high = result['intervals'][key]
        assert low < result['scores'][key] < high
    # as long as one frame of the second kind is drawn
    assert result['scores']['fpr95'] == 2 / 9 and result['intervals']['fpr95'] == [2 / 9, 2 / 9]


def test_intervals_depend_on_neither_threads_nor_what_was_drawn_before(maps):
    masks, folder, *_ = maps
    one = ood_scores.evaluate(masks, folder, track='obstacle', bootstrap=30, threads=1, log=silent)
    np.random.default_rng(5).random(), np.random.seed(5)
    again = ood_scores.evaluate(masks, folder, track='obstacle', bootstrap=30, threads=4, log=silent)
    resampled = [[list(row.values()) for row in found.pop('resampled')] for found in (one, again)]
    assert again == one
    np.testing.assert_array_equal(*resampled)  # nan where a resampling holds no anomaly


def test_resamplings_do_not_change_the_scores(maps):
    masks, folder, *_ = maps
    assert (
        ood_scores.evaluate(masks, folder, bootstrap=5, log=silent)['scores']
        == ood_scores.evaluate(masks, folder, log=silent)['scores']
    )


def test_a_thousand_resamplings_take_little_more_memory_than_fifty(monkeypatch):
    monkeypatch.setattr(bootstrap, 'SUMS', 4 << 20), monkeypatch.setattr(bootstrap, 'IMAGES', 1 << 20)
    rng, peaks = np.random.default_rng(0), []
    for count in (50, 1000):  # of some 18000 levels: 0.3 MiB each
        drawn = bootstrap.Histograms(count, 2, 1 << 17)
        for name in 'abc':
            present = np.unique(rng.integers(0, 1 << 17, 6500))
            drawn.add(bootstrap.image_weights(name, count), present, np.ones((2, len(present)), int))
        tracemalloc.start()
        assert sum(1 for _ in drawn) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 4 << 20 and peaks[1] < peaks[0] + (2 << 20)


def test_every_score_and_resamplings_are_refused_together(tmp_path, capsys):
    assert main(['eval', 'ood', '--gt', str(tmp_path), '--scores', str(tmp_path), '--exact', '--bootstrap', '9']) == 2
    assert (
        '--exact keeps every score and --bootstrap 9 adds up histograms of levels; give one of the two'
        in capsys.readouterr().err
    )


def test_the_program_writes_intervals_and_a_page(maps, tmp_path, capsys):
    masks, folder, *_ = maps
    assert (
        main(
            [
                'eval',
                'ood',
                '--gt',
                str(masks),
                '--scores',
                str(folder),
                '--track',
                'obstacle',
                '--bootstrap',
                '30',
                '--json',
                str(tmp_path / 'a.json'),
                '--page',
                str(tmp_path / 'a.html'),
            ]
        )
        == 0
    )
    found, page = json.loads((tmp_path / 'a.json').read_text()), (tmp_path / 'a.html').read_text()
    low, high = found['intervals']['auroc']
    cell = f'{100 * found["auroc"]:.2f} [{100 * low:.2f}, {100 * high:.2f}]'
    assert low < found['auroc'] < high and cell in page and cell in capsys.readouterr().out
    assert set(found['intervals']) == {'auroc', 'aupr', 'fpr95', 'smiyc'} and set(found['intervals']['smiyc']) == set(
        found['smiyc']
    )


# The histogram's levels


def test_scores_that_crowd_within_a_thousandth_share_levels_and_change_the_streamed_area(tmp_path):
    rng = np.random.default_rng(0)
    mask = rng.random((100, 200)) < 0.1
    # 0 to 1, every one different
    ranks = np.argsort(np.argsort(rng.normal(size=mask.size) + 2 * mask.ravel())).reshape(mask.shape) / mask.size
    lost = {}
    for width in (1e-3, 1.0):
        frame(tmp_path, 'a', mask, 1 + width * ranks)
        found = [
            ood_scores.evaluate(tmp_path, tmp_path, exact=exact, log=silent)['scores']['aupr']
            for exact in (False, True)
        ]
        lost[width] = abs(found[0] - found[1])
    assert lost[1e-3] == pytest.approx(0.32, abs=0.01) and lost[1.0] < 1e-3  # docs/ensembles.md says the first


def test_maps_of_float16_lose_nothing_by_streaming(maps):
    masks, folder, *_ = maps
    streamed, exact = (ood_scores.evaluate(masks, folder, exact=exact, log=silent)['scores'] for exact in (False, True))
    assert streamed == exact
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = np.unique(every[np.isfinite(every) & ((every != 0) | ~np.signbit(every))])
    assert (np.diff(ood_scores.ordered_keys(every.astype(np.float32))) > 0).all()


def test_masks_with_the_names_of_their_images_do_as_well(maps):
    masks, folder, *_ = maps
    named = ood_scores.evaluate(masks, folder, 'energy', log=silent)['scores']
    for mask in masks.iterdir():
        mask.rename(masks / mask.name.replace('_labels_semantic', ''))
    assert ood_scores.evaluate(masks, folder, 'energy', log=silent)['scores'] == named
