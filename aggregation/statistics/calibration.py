"""Calibration of an ensemble's confidences: fitted on labelled images after pooling, kept in a file, applied later.

Members that are calibrated one by one do not make a calibrated ensemble (Rahaman & Thiery, NeurIPS 2021, arXiv
2007.08792; Wu & Gales, arXiv 2101.05397), so only what comes out of the pool is scaled. Labels stay the ones of the
pool unless that is asked for; the confidence is then the calibrated probability of that label.

  temperature   softmax(log p / T), one number (Guo et al., ICML 2017)
  vector        softmax(w * log p + b), two numbers per class (Guo et al.)
  isotonic      a rising function of the confidence itself (Zadrozny & Elkan, KDD 2002), linear between its steps
"""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aggregation.statistics.levels import LevelCounts, from_levels
from utils.files.atomic import write_json
from utils.files.limits import parse_json

FORMAT = 1
NO_LABELS = 'the images have not one labelled pixel; give a labelled split'
SHARPEST, FLATTEST = 1 / 20, 20.0  # temperatures: beyond them confidences are all 1, or all alike
WORSE = 1e-3  # share by which the error that a fit lessens may rise, as it is fitted on a part of the pixels
PIXELS_PER_IMAGE = 5000  # drawn of each labelled image to fit temperature and vector scaling


def log_probabilities(p: Tensor) -> Tensor:
    return p.clamp_min(torch.finfo(torch.float32).tiny).log()


class Temperature:
    """softmax(log p / temperature); no label changes."""

    method = 'temperature'

    def __init__(self, temperature: float):
        self.temperature = float(temperature)
        if not SHARPEST <= self.temperature <= FLATTEST:
            raise ValueError(f'temperature {self.temperature:.4g}, expected a number from {SHARPEST:g} to {FLATTEST:g}')

    def probabilities(self, p: Tensor) -> Tensor:
        """p (K, ...) -> calibrated (K, ...)."""
        return torch.softmax(log_probabilities(p) / self.temperature, 0)

    def parameters(self) -> dict:
        return {'temperature': self.temperature}


class Vector:
    """softmax(scale * log p + shift) with scale and shift (K,)."""

    method = 'vector'

    def __init__(self, scale, shift):
        self.scale, self.shift = (
            torch.as_tensor(scale, dtype=torch.float32),
            torch.as_tensor(shift, dtype=torch.float32),
        )
        if (
            self.scale.dim() != 1
            or self.scale.shape != self.shift.shape
            or not bool(torch.isfinite(self.scale + self.shift).all())
        ):
            raise ValueError(
                f'{self.scale.numel()} scales and {self.shift.numel()} shifts, expected one finite number per class of'
                ' each'
            )
        if not SHARPEST <= float(self.scale.mean()) <= FLATTEST:
            raise ValueError(
                f'a mean scale of {float(self.scale.mean()):.4g}, expected a number from {SHARPEST:g} to {FLATTEST:g}'
            )

    def probabilities(self, p: Tensor) -> Tensor:
        """p (K, ...) -> calibrated (K, ...); ValueError for other K."""
        if len(self.scale) != len(p):
            raise ValueError(
                f'the vector calibration is of {len(self.scale)} classes, the images have {len(p)}; calibrate on the'
                ' same label set'
            )
        shape = (-1, *[1] * (p.dim() - 1))
        return torch.softmax(log_probabilities(p) * self.scale.to(p).view(shape) + self.shift.to(p).view(shape), 0)

    def parameters(self) -> dict:
        return {'scale': self.scale.tolist(), 'shift': self.shift.tolist()}


class Isotonic:
    """A rising function through points (confidence, accuracy), linear between and constant beyond them."""

    method = 'isotonic'

    def __init__(self, confidence, accuracy):
        self.confidence, self.accuracy = np.asarray(confidence, float), np.asarray(accuracy, float)
        points = (
            np.stack([self.confidence, self.accuracy]) if self.confidence.shape == self.accuracy.shape else np.empty(0)
        )
        if not points.size or not ((points >= 0) & (points <= 1)).all() or not (np.diff(points) >= 0).all():
            raise ValueError(
                f'{self.confidence.size} confidences and {self.accuracy.size} accuracies, expected as many of both,'
                ' rising, in [0, 1]'
            )

    def __call__(self, confidence: Tensor) -> Tensor:
        """confidence (...) in [0, 1] -> calibrated, the same shape and device."""
        mapped = np.interp(confidence.cpu().numpy(), self.confidence, self.accuracy)
        return torch.from_numpy(mapped).to(confidence)

    def parameters(self) -> dict:
        return {'confidence': self.confidence.tolist(), 'accuracy': self.accuracy.tolist()}


METHODS = {kind.method: kind for kind in (Temperature, Vector, Isotonic)}


def calibrate(
    calibrator, p: Tensor, prediction: Tensor, confidence: Tensor, change_labels=False
) -> tuple[Tensor, Tensor, Tensor]:
    """(probabilities, prediction, confidence) after calibration.

    The confidence is the calibrated probability of the prediction, which is kept unless change_labels.

    Args:
        calibrator: one of METHODS, or None.
        p: pooled probabilities (K, H, W).
        prediction, confidence: (H, W).
    """
    if calibrator is None:
        return p, prediction, confidence
    if isinstance(calibrator, Isotonic):
        return p, prediction, calibrator(confidence)
    p = calibrator.probabilities(p)
    if change_labels:
        prediction = p.argmax(0)
    return p, prediction, p.gather(0, prediction[None].long())[0]


class PixelSample:
    """Labelled pixels of a stream of images, the same ones in every run, to fit temperature and vector scaling on."""

    def __init__(self, num_classes: int, per_image: int = PIXELS_PER_IMAGE, seed: int = 0):
        self.num_classes, self.per_image, self.seed = num_classes, per_image, seed
        self._probabilities, self._labels = [], []

    def add(self, p: Tensor, truth: Tensor):
        """Draw from p (K, H, W) and truth (H, W); pixels with a truth outside [0, K) are left out."""
        known = torch.nonzero((truth >= 0) & (truth < self.num_classes).to(truth.device), as_tuple=True)
        count = len(known[0])
        rng = np.random.default_rng([self.seed, len(self._labels)])
        drawn = torch.from_numpy(np.sort(rng.choice(count, min(count, self.per_image), replace=False)))
        rows, columns = (axis[drawn.to(axis.device)] for axis in known)
        self._probabilities.append(p[:, rows, columns].T.cpu())
        self._labels.append(truth[rows, columns].long().cpu())

    def pixels(self) -> tuple[Tensor, Tensor]:
        """(log p (n, K) float64, labels (n,)); ValueError when not one pixel is labelled."""
        if not sum(map(len, self._labels)):
            raise ValueError(NO_LABELS)
        return log_probabilities(torch.cat(self._probabilities)).double(), torch.cat(self._labels)


def fit_temperature(sample: PixelSample) -> Temperature:
    """The temperature of least negative log-likelihood."""
    logits, labels = sample.pixels()
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    _minimise([log_t], lambda: F.cross_entropy(logits * torch.exp(-log_t), labels))
    with _explained(logits, labels):
        return Temperature(float(torch.exp(log_t.detach())))


def fit_vector(sample: PixelSample) -> Vector:
    """The scales and shifts of least negative log-likelihood.

    Classes that no pixel has get the mean scale and no shift.
    """
    logits, labels = sample.pixels()
    classes = logits.shape[1]
    seen = torch.bincount(labels, minlength=classes) > 0
    scale = torch.ones(classes, dtype=torch.float64, requires_grad=True)
    shift = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    _minimise(
        [scale, shift],
        lambda: F.cross_entropy(
            logits * torch.where(seen, scale, scale[seen].mean()) + torch.where(seen, shift, 0.0), labels
        ),
    )
    with torch.no_grad(), _explained(logits, labels):
        return Vector(
            torch.where(seen, scale, scale[seen].mean()).float(),
            torch.where(seen, shift - shift[seen].mean(), 0.0).float(),
        )


@contextmanager
def _explained(logits: Tensor, labels: Tensor):
    """A ValueError of a calibrator whose parameters ran away says what the pixels of the fit were like."""
    try:
        yield
    except ValueError as error:
        right = float((logits.argmax(1) == labels).double().mean())
        raise ValueError(f'the fit gave {error}: {why_useless(right, logits.shape[1])}') from None


def why_useless(right: float, classes: int) -> str:
    """What to look at where confidences tell nothing of which pixels are right. right: share of pixels that are."""
    return (
        f'{100 * right:.1f} % of the pixels are right, chance is {100 / classes:.1f} % for {classes} classes; are the'
        ' classes of the logits in the order of the labels, and are these the labels of the images? No calibration was'
        ' written'
    )


def check_gain(method: str, before: dict, after: dict, right: float, classes: int):
    """Raise ValueError for a calibration that is worse than none by what it was fitted to lessen.

    Args:
        method: a key of METHODS.
        before, after: Reliability.scores() of the same pixels without and with it.
        right: the share of these pixels that are.
        classes: how many there are.
    """
    error = 'ece' if method == Isotonic.method else 'nll'
    if not after[error] <= before[error] * (1 + WORSE) + 1e-9:
        raise ValueError(
            f'--method {method}: is worse than no calibration ({error.upper()} {before[error]:.4f} before,'
            f' {after[error]:.4f} after): {why_useless(right, classes)}'
        )


def _minimise(parameters, loss):
    optimizer = torch.optim.LBFGS(
        parameters, lr=1.0, max_iter=200, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn='strong_wolfe'
    )

    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def fit_isotonic(counts: LevelCounts, classes: int) -> Isotonic:
    """The rising function nearest to the accuracy at each level, by pool-adjacent-violators.

    counts: of all labelled pixels. classes: how many there are, for the message. Raises ValueError where accuracy does
    not rise with confidence.
    """
    occupied = np.flatnonzero(counts.totals)
    if not len(occupied):
        raise ValueError(NO_LABELS)
    from scipy.optimize import isotonic_regression  # a third of a second that the other commands need not wait for

    totals = counts.totals[occupied]
    fitted = isotonic_regression(counts.positives[occupied] / totals, weights=totals)
    starts = fitted.blocks[:-1]
    if len(starts) == 1 < len(occupied):
        raise ValueError(
            'the fit gave one accuracy for every confidence, as the pixels of high confidence are right no more often:'
            f' {why_useless(float(fitted.x[0]), classes)}'
        )
    mass = np.add.reduceat(totals, starts)
    centres = np.add.reduceat(totals * from_levels(occupied), starts) / mass
    return Isotonic(centres, fitted.x[starts])


def save(path, calibrator, about: dict):
    """Write a calibrator with what it was fitted on; atomic."""
    write_json(
        path, {'format': FORMAT, 'method': calibrator.method, 'parameters': calibrator.parameters(), 'about': about}
    )


def load(path):
    """(calibrator, about) of a file that `save` wrote; ValueError naming the file when it is none."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such calibration file; make one with ensemble.py calibrate')
    try:
        content = parse_json(path.read_bytes())
        if content['format'] != FORMAT:
            raise ValueError(f'format {content["format"]}, expected {FORMAT}')
        return METHODS[content['method']](**content['parameters']), content['about']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: is no calibration file ({type(error).__name__}: {error}); make it again with ensemble.py'
            ' calibrate'
        ) from None


def check_fit(path, about: dict, fusion: str, score: str):
    """Raise ValueError when the calibration in `path` was fitted on the confidences of another fusion or score."""
    fitted = [
        (flag, about[flag], now)
        for flag, now in (('fusion', fusion), ('score', score))
        if isinstance(about, dict) and flag in about
    ]
    other = [f'--{flag} {then}' for flag, then, now in fitted if then != now]
    if other:
        raise ValueError(
            f'--calibration {path}: was fitted with {" ".join(other)}, found --fusion {fusion} --score {score}; give'
            ' the same, or fit another'
        )
