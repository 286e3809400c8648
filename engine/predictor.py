"""Predictor: trained networks and how they are run on images of any size; several are an ensemble.

An image goes through whole, reduced to --max_side, or in tiles. What comes out is taken block by block (the whole, rows
of an enlarged result, or what tiles finish), so that logits of a very large image never exist as a whole.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aggregation.fusion.fusing import FuseOptions, finish
from aggregation.fusion.pooling import Pool, largest
from network.averaging import EvalOptions, average_logits
from network.tiles import assembled, covers, tiled_logits
from utils.outputs.kinds import MASK_SCORES, as_logits, kind_of
from utils.outputs.pictures import quantise
from utils.outputs.writers import HostCopy, half_saturated

BAND_VALUES = 1 << 25  # logits of one band of rows of an enlarged result, 128 MiB
MAPPED_BYTES = 1 << 28  # maps of classes beyond this are kept on the disk until they are written


@dataclass(frozen=True)
class PredictOptions:
    """How images are predicted.

    evaluation: scales, flips and precision of a pass. fusion: what labels and confidences of several networks come
    from, and the calibration. keep: 'confidence', 'probabilities', 'logits', those that are to be written. tile (h, w),
    overlap, window: see network.tiles, None: no tiles; batch: images or tiles in one pass. smooth: share of the
    previous frame's probabilities in those of a frame of a video. scratch: a folder on a disk for maps that memory
    cannot hold.
    """

    evaluation: EvalOptions
    fusion: FuseOptions
    keep: frozenset = frozenset()
    tile: tuple[int, int] | None = None
    overlap: float = 0.25
    window: str = 'gaussian'
    batch: int = 1
    smooth: float = 0.0
    scratch: str | None = None


class Predictor:
    """networks: pairs of a network in evaluation mode and the normalisation of its images, both on `device`."""

    def __init__(self, networks, num_classes: int, device, options: PredictOptions):
        self.networks, self.num_classes, self.device, self.options = (
            networks,
            num_classes,
            torch.device(device),
            options,
        )
        self.kinds = [kind_of(net) for net, _ in networks]
        self._film, self._before = None, {}  # the video that is smoothed, and its probabilities by block

    @torch.inference_mode()
    def __call__(self, images: list[np.ndarray], sizes: list[tuple[int, int]], film=None) -> list['Prediction']:
        """The predictions of images uint8 (h, w, 3) RGB of one size, each enlarged to its own of `sizes` (H, W).

        film: the video that they are consecutive frames of, for the smoothing; None for single images.
        """
        if film is None or film is not self._film:
            self._film, self._before = film, {}
        if not covers(self.options.tile, images[0].shape[:2]):
            return [
                self._prediction(self._by_tiles(image, size), size) for image, size in zip(images, sizes, strict=True)
            ]
        whole = images[0][None] if len(images) == 1 else np.stack(images)
        pixels = torch.from_numpy(whole).permute(0, 3, 1, 2).to(self.device, non_blocking=True)
        logits = [self._forward(network, pixels) for network in self.networks]
        return [
            self._prediction(_resized([member[index] for member in logits], size), size)
            for index, size in enumerate(sizes)
        ]

    def _forward(self, network, pixels: Tensor) -> Tensor:
        """Logits (N, C, h, w) float32 of pixels uint8 (N, 3, h, w)."""
        net, normalize = network
        return average_logits(net, normalize(pixels.to(self.device)), self.options.evaluation)[0]

    def _by_tiles(self, image, size) -> Iterator[tuple[slice, slice, list[Tensor]]]:
        options, pixels = self.options, torch.from_numpy(image).permute(2, 0, 1)
        members = [
            tiled_logits(
                partial(self._forward, network), pixels, options.tile, options.overlap, options.window, options.batch
            )
            for network in self.networks
        ]
        if image.shape[:2] != tuple(size):
            return _resized([assembled(member, image.shape[:2]) for member in members], size)
        return ((blocks[0].rows, blocks[0].columns, [block.logits for block in blocks]) for blocks in zip(*members))

    def _prediction(self, blocks, size) -> 'Prediction':
        prediction = Prediction(size, self.options.keep, self.options.scratch)
        for rows, columns, logits in blocks:
            prediction.enter(rows, columns, self._fused(logits, (rows.start, columns.start)))
        return prediction

    def _fused(self, logits: list[Tensor], place) -> dict[str, Tensor]:
        """What is kept of a block: labels uint8 (h, w), confidence float32 (h, w), probabilities and logits float16
        (C, h, w). logits: (C, h, w) of each network; place: of the block in its image."""
        keep, fusion = self.options.keep, self.options.fusion
        smooth = self.options.smooth if self._film is not None else 0.0
        if len(logits) == 1 and not (smooth or fusion.calibrator or 'probabilities' in keep):
            best, labels = largest(logits[0])
            best, every = (as_logits(values, self.kinds[0]) for values in (best, logits[0]))
            found = {'labels': labels.to(torch.uint8), 'confidence': torch.exp(best - torch.logsumexp(every, 0))}
            return {**found, **({'logits': half_saturated(logits[0])} if 'logits' in keep else {})}
        raw = 'mask_score' if set(self.kinds) == {MASK_SCORES} else 'logit'
        needs = fusion.needs | ({raw} if 'logits' in keep else set())
        pool = Pool(needs, self.num_classes, tuple(logits[0].shape[1:]), logits[0].device)
        for member, kind in zip(logits, self.kinds, strict=True):
            pool.add(member, kind)
        fused = finish(pool, fusion, len(logits), probabilities=bool(smooth) or 'probabilities' in keep)
        found = {'labels': fused.prediction, 'confidence': fused.confidence}
        probabilities = fused.probabilities
        if smooth:
            before = self._before.get(place)
            probabilities = probabilities if before is None else torch.lerp(probabilities, before, smooth)
            self._before[place] = probabilities
            confidence, labels = largest(probabilities)
            found = {'labels': labels.to(torch.uint8), 'confidence': confidence}
        if 'probabilities' in keep:
            found['probabilities'] = probabilities.half()
        if 'logits' in keep:
            found['logits'] = half_saturated(pool[raw] / pool.weights)
        return found


class Prediction:
    """What is known of one image of `size`, made of blocks; read after the last of them.

    keep: the maps that are read beside the labels. scratch: the folder for those that memory cannot hold.
    """

    def __init__(self, size, keep, scratch=None):
        self.size, self._keep, self._scratch = tuple(size), keep, scratch
        self._whole, self._maps = {}, {}

    def enter(self, rows: slice, columns: slice, found: dict[str, Tensor]):
        """Put the maps of a block in their place. Those of a whole image stay on their way from the device."""
        if tuple(found['labels'].shape) == self.size:
            self._whole = {kind: HostCopy(values) for kind, values in found.items()}
            return
        for kind, values in found.items():
            values = values.cpu().numpy()
            if kind == 'confidence':
                values = _levels(values)
            if kind == 'labels' or kind in self._keep:
                if kind not in self._maps:
                    self._maps[kind] = self._empty((*values.shape[:-2], *self.size), values.dtype)
                self._maps[kind][..., rows, columns] = values

    def _empty(self, shape, dtype) -> np.ndarray:
        if len(shape) == 2 or int(np.prod(shape)) * dtype.itemsize <= MAPPED_BYTES:
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(dir=self._scratch) as file:  # the map keeps it until it goes
            return np.memmap(file, dtype, 'w+', shape=shape)

    def _get(self, kind) -> np.ndarray:
        return self._whole[kind].numpy() if self._whole else self._maps[kind]

    @property
    def labels(self) -> np.ndarray:
        """uint8 (h, w) trainIds. Raises ValueError when the network was not finite."""
        if self._whole and not np.isfinite(self._get('confidence')).all():
            _levels(self._get('confidence'))
        return self._get('labels')

    @property
    def confidence(self) -> np.ndarray:
        """uint16 (h, w): the nearest of 65535 levels."""
        return _levels(self._get('confidence')) if self._whole else self._get('confidence')

    @property
    def probabilities(self) -> np.ndarray:
        """float16 (C, h, w)."""
        return self._get('probabilities')

    @property
    def logits(self) -> np.ndarray:
        """float16 (C, h, w)."""
        return self._get('logits')


def _levels(confidence) -> np.ndarray:
    return quantise(confidence, 65535, 'the confidence')


def _resized(members: list[Tensor], size) -> Iterator[tuple[slice, slice, list[Tensor]]]:
    """(rows, columns, logits (C, rows, W) of each member) of logits (C, h, w) enlarged to `size` (H, W).

    Bilinear, as F.interpolate without align_corners; one block where the size is right already.
    """
    height, width = size
    if tuple(members[0].shape[1:]) == (height, width):
        yield slice(0, height), slice(0, width), members
        return
    count = max(1, BAND_VALUES // (len(members[0]) * width))
    for top in range(0, height, count):
        rows = slice(top, min(height, top + count))
        yield rows, slice(0, width), [_enlarged_rows(member, rows, size) for member in members]


def _enlarged_rows(logits: Tensor, rows: slice, size) -> Tensor:
    """Rows of logits (C, h, w) enlarged to `size`: (C, rows, W)."""
    last = logits.shape[1] - 1
    place = (torch.arange(rows.start, rows.stop, device=logits.device) + 0.5) * (logits.shape[1] / size[0]) - 0.5
    place = place.clamp_(0, last)
    above = place.long()
    part = (place - above)[:, None]
    between = torch.lerp(logits[:, above], logits[:, (above + 1).clamp_(max=last)], part)
    return F.interpolate(between[None], (len(place), size[1]), mode='bilinear', align_corners=False)[0]
