import numpy as np
import pytest
import torch

from aggregation.statistics import calibration
from aggregation.statistics.levels import LevelCounts, to_levels
from aggregation.statistics.reliability import Reliability, adaptive_ece, ause, risk_coverage

CLASSES = 4


def world(temperature=1.0, size=(100, 150), seed=0):
    """(p that is too sure by `temperature`, truth drawn from the honest probabilities)."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(CLASSES, *size, generator=generator) * 2
    honest = torch.softmax(logits, 0)
    truth = torch.multinomial(honest.flatten(1).T, 1, generator=generator).view(size)
    return torch.softmax(logits * temperature, 0), truth


def sample_of(p, truth):
    sample = calibration.PixelSample(CLASSES, per_image=10000)
    sample.add(p, truth)
    return sample


def measure(p, prediction, confidence, truth):
    found = Reliability(CLASSES)
    found.update(p, prediction, confidence, truth)
    return found.scores()


@pytest.mark.parametrize('sharpening', [0.5, 3.0])
def test_temperature_undoes_a_sharpening(sharpening):
    fitted = calibration.fit_temperature(sample_of(*world(sharpening)))
    assert fitted.temperature == pytest.approx(sharpening, rel=0.08)


def test_temperature_keeps_labels_and_mends_the_calibration_of_another_image():
    fitted = calibration.fit_temperature(sample_of(*world(3.0)))
    p, truth = world(3.0, seed=1)
    sure, prediction = p.max(0)
    after = calibration.calibrate(fitted, p, prediction, sure)
    assert torch.equal(after[0].argmax(0), prediction) and torch.equal(after[1], prediction)
    assert measure(*after, truth)['ece'] < 0.02 < 0.1 < measure(p, prediction, sure, truth)['ece']


def test_vector_scaling_finds_scales_and_shifts_and_keeps_labels_unless_asked():
    honest, truth = world()
    bent = torch.softmax(calibration.log_probabilities(honest) * 2 + torch.tensor([3.0, 0, 0, -3]).view(-1, 1, 1), 0)
    fitted = calibration.fit_vector(sample_of(bent, truth))
    assert fitted.scale.tolist() == pytest.approx([0.5] * CLASSES, abs=0.05)
    sure, prediction = bent.max(0)
    p, kept, confidence = calibration.calibrate(fitted, bent, prediction, sure)
    assert torch.equal(kept, prediction) and torch.equal(confidence, p.gather(0, prediction[None])[0])
    changed = calibration.calibrate(fitted, bent, prediction, sure, change_labels=True)[1]
    assert (changed == truth).float().mean() > (prediction == truth).float().mean() + 0.05


def test_a_class_without_pixels_is_scaled_as_the_others_and_not_shifted():
    p, truth = world(2.0)
    truth = torch.where(truth == 3, 255, truth)
    fitted = calibration.fit_vector(sample_of(p, truth))
    assert fitted.scale[3] == pytest.approx(float(fitted.scale[:3].mean()), abs=1e-5) and fitted.shift[3] == 0


def test_isotonic_is_rising_and_mends_the_calibration():
    p, truth = world(3.0)
    sure, prediction = p.max(0)
    counts = LevelCounts.of(to_levels(sure.numpy()), (prediction == truth).numpy())
    fitted = calibration.fit_isotonic(counts, CLASSES)
    assert (np.diff(fitted.accuracy) >= 0).all() and (np.diff(fitted.confidence) > 0).all()
    p, truth = world(3.0, seed=1)
    sure, prediction = p.max(0)
    _, kept, confidence = calibration.calibrate(fitted, p, prediction, sure)
    assert torch.equal(kept, prediction)
    order = sure.flatten().argsort()
    assert (confidence.flatten()[order].diff() >= 0).all()
    assert measure(p, prediction, confidence, truth)['ece'] < 0.02


@pytest.mark.parametrize(
    'calibrator',
    [
        calibration.Temperature(1.7),
        calibration.Vector([1.0, 2, 3, 4], [0.0, 0.5, -0.5, 0]),
        calibration.Isotonic([0.2, 0.9], [0.1, 0.8]),
    ],
)
def test_a_file_gives_back_what_was_written(tmp_path, calibrator):
    calibration.save(tmp_path / 'c.json', calibrator, {'images': 7})
    again, about = calibration.load(tmp_path / 'c.json')
    p, _ = world()
    sure, prediction = p.max(0)
    assert about == {'images': 7}
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            calibration.calibrate(calibrator, p, prediction, sure), calibration.calibrate(again, p, prediction, sure)
        )
    )


@pytest.mark.parametrize(
    'text', ['{', '{}', '{"format": 9}', '{"format": 1, "method": "magic", "parameters": {}, "about": {}}', '[]']
)
def test_other_files_are_refused_in_words(tmp_path, text):
    (tmp_path / 'c.json').write_text(text)
    with pytest.raises(ValueError, match='c.json: is no calibration file'):
        calibration.load(tmp_path / 'c.json')


def test_nothing_labelled_cannot_be_calibrated_on():
    p, truth = world()
    with pytest.raises(ValueError, match='not one labelled pixel'):
        calibration.fit_temperature(sample_of(p, torch.full_like(truth, 255)))


@pytest.mark.parametrize('fit', [calibration.fit_temperature, calibration.fit_vector])
def test_confidences_that_tell_nothing_are_not_calibrated(fit):
    p, _ = world(3.0)
    chance = torch.randint(0, CLASSES, p.shape[1:], generator=torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match=r'expected a number .* 2[45]\.\d % of the pixels are right, chance is 25.0 %'):
        fit(sample_of(p, chance))


def test_an_isotonic_fit_of_falling_accuracy_is_refused():
    counts = counts_of([0.2] * 10 + [0.9] * 10, [True] * 9 + [False] + [True] + [False] * 9)
    with pytest.raises(ValueError, match='one accuracy for every confidence.* 50.0 % of the pixels are right'):
        calibration.fit_isotonic(counts, CLASSES)


@pytest.mark.parametrize('method, error', [('temperature', 'nll'), ('vector', 'nll'), ('isotonic', 'ece')])
def test_a_calibration_that_is_worse_than_none_is_refused(method, error):
    better, worse = {'nll': 0.5, 'ece': 0.5}, {'nll': 0.5, 'ece': 0.5, error: 0.51}
    calibration.check_gain(method, better, better, 0.5, CLASSES)
    with pytest.raises(ValueError, match=f'{error.upper()} 0.5000 before, 0.5100 after.*in the order of the labels'):
        calibration.check_gain(method, better, worse, 0.5, CLASSES)


def test_negative_log_likelihood_and_brier_by_hand():
    p = torch.tensor([[0.7, 0.2], [0.3, 0.8]]).view(2, 1, 2)
    found = Reliability(2)
    found.update(p, p.argmax(0), p.amax(0), torch.tensor([[0, 0]]))
    assert found.scores()['nll'] == pytest.approx(-(np.log(0.7) + np.log(0.2)) / 2, abs=1e-6)
    assert found.scores()['brier'] == pytest.approx(((0.3**2) * 2 + (0.8**2) * 2) / 2, abs=1e-6)


def test_classwise_error_by_hand():
    p = torch.tensor([[0.9, 0.9], [0.1, 0.1]]).view(2, 1, 2)
    found = Reliability(2)
    found.update(p, p.argmax(0), p.amax(0), torch.tensor([[0, 1]]))  # each class: claimed 1.8 or 0.2, true 1
    assert found.scores()['classwise_ece'] == pytest.approx(0.4, abs=1e-6)


def test_images_one_by_one_count_as_one_image_of_all_their_pixels():
    one_by_one, together = Reliability(CLASSES), Reliability(CLASSES)
    images = [world(seed=seed) for seed in range(2)]
    for p, truth in images:
        one_by_one.update(p, p.argmax(0), p.amax(0), truth)
    p, truth = torch.cat([p for p, _ in images], 1), torch.cat([truth for _, truth in images])
    together.update(p, p.argmax(0), p.amax(0), truth)
    assert one_by_one.scores() == pytest.approx(together.scores())


def counts_of(confidence, correct):
    return LevelCounts.of(to_levels(np.array(confidence)), np.array(correct, bool))


def test_sparsification_error_is_none_when_errors_are_least_confident():
    sorted_well = counts_of(np.linspace(0, 0.9999, 1000), np.arange(1000) >= 300)
    sorted_badly = counts_of(np.linspace(0, 0.9999, 1000), np.arange(1000) < 700)
    assert ause(sorted_well) == pytest.approx(0.0, abs=1e-12)
    assert ause(sorted_badly) > 0.4
    coverage, risk = risk_coverage(sorted_well)
    assert risk[coverage <= 0.7].max() == 0 and risk[-1] == pytest.approx(0.3)


def test_pixels_of_one_level_leave_in_random_order():
    right = np.arange(1000) >= 300
    # sure of the right ones, unsure of the wrong ones
    assert ause(counts_of(right * 1.0, right)) == pytest.approx(0.0, abs=1e-12)
    oracle = 0.3 + 0.7 * np.log(0.7)  # the area of (c - 0.7) / c from 0.7 to 1
    # sure of nothing: 30 % of errors at any coverage
    assert ause(counts_of(np.full(1000, 0.5), right)) == pytest.approx(0.3 - oracle)
    halves = counts_of(np.repeat([0.9, 0.1], 500), np.tile([True] * 4 + [False], 200) & (np.arange(1000) < 500))
    area = 0.5 * 0.2 + 0.5 - 0.4 * np.log(2)  # wrong(c) = 0.2 c to c = 0.5, then c - 0.4
    assert ause(halves) == pytest.approx(area - (0.6 + 0.4 * np.log(0.4)))


def test_adaptive_bins_hold_equal_numbers_of_pixels():
    one_bin_each = counts_of([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1])
    assert adaptive_ece(one_bin_each, bins=4) == pytest.approx((0.1 + 0.2 + 0.7 + 0.6) / 4, abs=1e-4)
    assert adaptive_ece(one_bin_each, bins=1) == pytest.approx(abs(1.0 - 2) / 4, abs=1e-4)


@pytest.mark.parametrize(
    'kind, parameters',
    [
        (calibration.Temperature, [0]),
        (calibration.Temperature, [-1]),
        (calibration.Temperature, [7e8]),
        (calibration.Temperature, [0.01]),
        (calibration.Temperature, [float('nan')]),
        (calibration.Vector, [[1e-6, 1e-6], [0, 0]]),
        (calibration.Vector, [[1, 1], [0]]),
        (calibration.Vector, [[1, np.nan], [0, 0]]),
        (calibration.Isotonic, [[0, 1], [1]]),
        (calibration.Isotonic, [[], []]),
        (calibration.Isotonic, [[0, 1], [0, 7]]),
        (calibration.Isotonic, [[0.2, 0.1], [0.1, 0.2]]),
        (calibration.Isotonic, [[0.1, 0.2], [0.2, 0.1]]),
        (calibration.Isotonic, [[float('nan')], [0.5]]),
    ],
)
def test_parameters_that_calibrate_nothing_are_refused(kind, parameters):
    with pytest.raises(ValueError, match='expected'):
        kind(*parameters)
