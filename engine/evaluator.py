"""Evaluation of networks on whole images: averaged scales and flips, and sinks that take every evaluated batch.

One minibatch: for every flip and scale the normalised image is resized, run and resized back; the logits are averaged
in fp32. Sinks (utils.outputs.sink) make something of them: a score, files, pictures, the worst images, the fusion of
several networks. Each rank sees its own images, each image once. An image whose logits are not finite reaches no sink:
its labels would be class 0 everywhere.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from engine.precision import autocast
from engine.tiles import assembled, covers, tiled_logits
from utils.cli.progress import progress
from utils.cli.wording import counted, listed
from utils.outputs.sink import EvalBatch


@dataclass
class EvalOptions:
    """How an image is evaluated. scales: sizes of the input whose logits are averaged; flip: with the mirror image.

    tile (h, w): of a sliding window for larger images, None: as a whole; overlap: what tiles share of their sides.
    """

    scales: tuple = (1.0,)
    flip: bool = False
    align_corners: bool = False
    precision: str = 'fp32'
    max_batches: int | None = None
    tile: tuple[int, int] | None = None
    overlap: float = 0.25


class Unfit(ValueError):
    """Images that a network cannot take, such as one that is too small for it."""


def average_logits(net, images, options, keep_scales=False):
    """Logits (N, C, h, w) fp32 of normalised images (N, 3, h, w), averaged over scales and flips, and the last outputs.

    keep_scales: have attention and single-scale logits among the outputs; they are those of the unflipped image at the
    last scale, and there are none of images that are evaluated in tiles.
    """
    height, width = images.shape[-2:]
    if not covers(options.tile, (height, width)):
        return torch.stack([_from_tiles(net, image, options) for image in images]), {}
    total, outputs = None, {}
    for mirrored in (True, False) if options.flip else (False,):
        for scale in options.scales:
            view = images.flip(-1) if mirrored else images
            if scale != 1.0:
                view = F.interpolate(
                    view,
                    size=(max(1, round(height * scale)), max(1, round(width * scale))),
                    mode='bilinear',
                    align_corners=options.align_corners,
                )
            with autocast(images.device, options.precision):
                outputs = net(view, keep_scales)
            logits = outputs['pred'].float()
            if logits.shape[-2:] != (height, width):
                logits = F.interpolate(
                    logits, size=(height, width), mode='bilinear', align_corners=options.align_corners
                )
            logits = logits.flip(-1) if mirrored else logits
            total = logits if total is None else total.add_(logits)
    passes = len(options.scales) * (1 + options.flip)
    return (total / passes if passes > 1 else total), outputs


def _from_tiles(net, image, options):
    """Logits (C, h, w) of a normalised image (3, h, w) by a sliding window."""
    of_tile = replace(options, tile=None)

    def forward(tiles):
        return average_logits(net, tiles.contiguous(memory_format=torch.channels_last), of_tile)[0]

    return assembled(tiled_logits(forward, image, options.tile, options.overlap), image.shape[-2:])


def are_finite(logits):
    """Whether each image of logits (N, C, h, w) is finite everywhere: a list of N booleans (waits for the device)."""
    fine = torch.isfinite(logits.flatten(1).sum(1)).tolist()  # one pass; a sum may overflow where no value did
    return [whole or bool(torch.isfinite(image).all()) for whole, image in zip(fine, logits)]


def not_finite_sentence(names, images: int) -> str:
    """'2 of 5 images have logits that are not finite (a.png, b.png)'."""
    verb = 'has' if len(names) == 1 else 'have'
    return f'{len(names)} of {counted(images, "image")} {verb} logits that are not finite ({listed(names)})'


class Evaluator:
    """Runs one or several networks over the images of a loader.

    not_finite: (name, number of the network) of the images of the last run, of all ranks, whose logits were not finite.
    """

    def __init__(self, nets, normalize, dist, options: EvalOptions, log=None, interrupt=lambda: None):
        """Prepare.

        Args:
            nets: the networks, a list; a sink sees the number of the network that a batch comes from.
            normalize: uint8 images -> what the networks take.
            dist: the process group.
            options: scales, flips, precision.
            log: takes the lines of progress; by default they go to stderr.
            interrupt: called before every batch; may raise to end the evaluation.
        """
        self.nets, self.normalize, self.dist, self.options = list(nets), normalize, dist, options
        self.log, self.interrupt = log, interrupt
        self.not_finite: list = []

    @torch.inference_mode()
    def run(self, loader, sinks, description='evaluate', unit='batches'):
        """Evaluate every batch of loader that a sink wants.

        Images that do not fit the network are left out where the loader has a list of faults, to which they are added.
        Returns (images seen, what each sink gathered), the same on every rank. After an error every sink is aborted.
        """
        images, modes, self.not_finite = 0, [net.training for net in self.nets], []
        for net in self.nets:
            net.eval()
        try:
            for sink in sinks:
                sink.open()
            for step, batch in enumerate(
                progress(loader, total=len(loader), desc=description, unit=unit, log=self.log)
            ):
                if step == self.options.max_batches:
                    break
                self.interrupt()
                images += len(batch['name'])
                wanting = [sink for sink in sinks if sink.wants(batch['name'], batch['index'], 'label' in batch)]
                try:
                    if wanting:
                        self._batch(batch, wanting)
                except Unfit as error:
                    if getattr(loader, 'faults', None) is None:
                        raise
                    loader.faults.append(str(error))
                    images -= len(batch['name'])
            for sink in sinks:
                sink.close()
        except BaseException:
            for sink in sinks:
                sink.abort()
            raise
        finally:
            for net, training in zip(self.nets, modes):
                net.train(training)
        self.not_finite = sorted(found for part in self.dist.gather_objects(self.not_finite) for found in part)
        seen = self.dist.all_reduce_sum(torch.tensor(images, dtype=torch.int64, device=self.dist.device))
        return int(seen), [sink.gather(self.dist) for sink in sinks]

    def _batch(self, batch, sinks):
        """Run every network on a batch of the loader and hand the results to `sinks`."""
        images = batch['image'].to(self.dist.device, non_blocking=True)
        labels = batch['label'].to(self.dist.device, non_blocking=True) if 'label' in batch else None
        keep_scales = any(sink.wants_scales(batch['index']) for sink in sinks)
        normalised = self.normalize(images)
        for member, net in enumerate(self.nets):
            logits, outputs = self._forward(net, normalised, keep_scales, batch['name'])
            assets = {key: value for key, value in outputs.items() if key != 'pred'}
            evaluated = EvalBatch(
                batch['name'], batch['index'], images, labels, logits, assets, member, batch.get('size')
            )
            fine = are_finite(logits)
            if not all(fine):
                self.not_finite += [(name, member) for name, is_fine in zip(batch['name'], fine) if not is_fine]
                evaluated = evaluated.only([k for k, is_fine in enumerate(fine) if is_fine])
            if evaluated.names:
                for sink in sinks:
                    sink.process(evaluated)

    def _forward(self, net, images, keep_scales, names):
        try:
            return average_logits(net, images, self.options, keep_scales)
        except ValueError as error:
            raise Unfit(f'{", ".join(names)}: {error}') from error
