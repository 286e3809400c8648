"""Sinks of an evaluation: everything that takes evaluated batches, and the batch that they take."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
import torch.nn.functional as F

from utils.outputs.kinds import LOGITS, as_logits


@dataclass
class EvalBatch:
    """An evaluated minibatch of one network; tensors are on the device.

    names: paths relative to the dataset, with extension; indices: each image's position in the whole sorted list.
    images uint8 (N, 3, h, w) RGB; labels (N, h, w) trainIds or None; logits (N, K, h, w) float32, averaged over scales
    and flips, finite, or values of another `kind` (utils.outputs.kinds). assets: 'attn_05x' (N, 1, h', w') in [0, 1],
    'pred_05x' (N, K, h', w') logits, and so on, where a sink wants them. member: the number of the network, where
    several are run.
    scales: the prediction uint8 (N, h, w) of each scale alone by name, where a sink wants it.
    sizes: (H, W) of each image as it is stored, None where these are the h and w of all; with --pre_size they differ.

    What follows from the logits is computed when it is first read, once: prediction uint8 (N, h, w); as_logits, values
    whose softmax gives the probabilities; normaliser, the log-sum-exp of these over classes, and confidence, the
    largest probability, both float32 (N, h, w).
    """

    names: list
    indices: list
    images: torch.Tensor
    labels: torch.Tensor | None
    logits: torch.Tensor
    assets: dict = field(default_factory=dict)
    member: int = 0
    sizes: list | None = None
    scales: dict = field(default_factory=dict)
    kind: str = LOGITS

    def in_image_grid(self, k: int) -> tuple['EvalBatch', int]:
        """Image k at its own size: a batch and the place in it. Where the network saw another size, the logits are
        resized bilinearly, in a batch of one without labels and assets."""
        size = tuple(self.sizes[k]) if self.sizes else tuple(self.logits.shape[-2:])
        if size == tuple(self.logits.shape[-2:]):
            return self, k

        def resized(tensor):
            return F.interpolate(tensor[k : k + 1].float(), size, mode='bilinear', align_corners=False)

        images = resized(self.images).round().to(self.images.dtype)
        names, indices, values = [self.names[k]], [self.indices[k]], resized(self.logits)
        alone = EvalBatch(names, indices, images, None, values, member=self.member, kind=self.kind)
        return alone, 0

    def only(self, places: list) -> 'EvalBatch':
        """The batch of the images at `places`."""

        def chosen(tensor):
            return None if tensor is None else tensor[places]

        return replace(
            self,
            names=[self.names[k] for k in places],
            indices=[self.indices[k] for k in places],
            images=chosen(self.images),
            labels=chosen(self.labels),
            logits=chosen(self.logits),
            assets={key: chosen(tensor) for key, tensor in self.assets.items()},
            scales={name: chosen(prediction) for name, prediction in self.scales.items()},
            sizes=self.sizes and [self.sizes[k] for k in places],
        )

    @cached_property
    def _largest(self):
        values, classes = self.logits.max(dim=1)
        return values, classes.to(torch.uint8)

    @cached_property
    def prediction(self) -> torch.Tensor:
        return self._largest[1]

    @cached_property
    def as_logits(self) -> torch.Tensor:
        return as_logits(self.logits, self.kind)

    @cached_property
    def normaliser(self) -> torch.Tensor:
        return torch.logsumexp(self.as_logits, dim=1)

    @cached_property
    def confidence(self) -> torch.Tensor:
        return torch.exp(as_logits(self._largest[0], self.kind) - self.normaliser)


class Sink:
    """The base of all sinks. An evaluation calls open, then for each batch wants and process, then close and gather."""

    def open(self):
        """Get ready; the first files are written here."""

    def wants(self, names, indices, labelled: bool) -> bool:
        """Whether these images are of interest; the networks do not run on a batch that no sink wants."""
        return True

    def wants_scales(self, indices) -> bool:
        """Whether the assets of these images (attention, single scales) are of use."""
        return False

    def wants_each_scale(self) -> bool:
        """Whether the prediction of each scale alone is of use."""
        return False

    def process(self, batch: EvalBatch):
        """Take a batch that this sink wants; once per network."""

    def close(self):
        """Finish the work in the background, and raise its first error."""

    def abort(self):
        """Drop the work in the background after an error elsewhere; raises nothing."""

    def gather(self, dist):
        """The result over all ranks of the process group `dist`, the same on every rank."""
