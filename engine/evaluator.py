"""Evaluation of networks on whole images: averaged scales and flips, and sinks that take every evaluated batch.

One minibatch: for every flip and scale the normalised image is resized, run and resized back; the logits are averaged
in fp32. Sinks (utils.outputs.sink) make something of them: a score, files, pictures, the worst images, the fusion of
several networks. Each rank sees its own images, each image once. An image whose logits are not finite reaches no sink:
its labels would be class 0 everywhere.
"""

import itertools

import torch

from network.averaging import EvalOptions, average_logits
from utils.cli.progress import progress
from utils.cli.wording import counted, listed
from utils.files.images import as_rgb
from utils.outputs.kinds import kind_of
from utils.outputs.sink import EvalBatch


class Unfit(ValueError):
    """Images that a network cannot take, such as one that is too small for it."""


def are_finite(logits):
    """Whether each image of logits (N, C, h, w) is finite everywhere: a list of N booleans (waits for the device)."""
    fine = torch.isfinite(logits.flatten(1).sum(1)).tolist()  # one pass; a sum may overflow where no value did
    return [whole or bool(torch.isfinite(image).all()) for whole, image in zip(fine, logits)]


def not_finite_sentence(names, images: int) -> str:
    """'2 of 5 images have logits that are not finite (a.png, b.png)'."""
    verb = 'has' if len(names) == 1 else 'have'
    return f'{len(names)} of {counted(images, "image")} {verb} logits that are not finite ({listed(names)})'


def _as_rgb(images):
    """images (N, C, h, w) as sinks draw them, (N, 3, h, w)."""
    return as_rgb(images.movedim(1, -1)).movedim(-1, 1) if images.shape[1] != 3 else images


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
            most = self.options.max_batches
            total = min(len(loader), most or len(loader))
            batches = itertools.islice(loader, most)  # images of several sizes make more batches than total
            for batch in progress(batches, total=total, desc=description, unit=unit, log=self.log):
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
        each_scale = any(sink.wants_each_scale() for sink in sinks)
        normalised = self.normalize(images)
        for member, net in enumerate(self.nets):
            alone: dict | None = {} if each_scale else None
            logits, outputs = self._forward(net, normalised, keep_scales, batch['name'], alone)
            scales = {name: maps.argmax(1).to(torch.uint8) for name, maps in (alone or {}).items()}
            assets = {key: value for key, value in outputs.items() if key != 'pred'}
            evaluated = EvalBatch(
                batch['name'],
                batch['index'],
                _as_rgb(images),
                labels,
                logits,
                assets,
                member,
                batch.get('size'),
                scales,
                kind_of(net),
            )
            fine = are_finite(logits)
            if not all(fine):
                self.not_finite += [(name, member) for name, is_fine in zip(batch['name'], fine) if not is_fine]
                evaluated = evaluated.only([k for k, is_fine in enumerate(fine) if is_fine])
            if evaluated.names:
                for sink in sinks:
                    sink.process(evaluated)

    def _forward(self, net, images, keep_scales, names, alone):
        try:
            return average_logits(net, images, self.options, keep_scales, alone)
        except ValueError as error:
            raise Unfit(f'{", ".join(names)}: {error}') from error
