"""Evaluation of a network on whole images: averaged scales and flips, metrics on the device, dumps beside it.

One minibatch: for every flip and scale the normalised image is resized, run and resized back; the logits are averaged
in fp32. Prediction, confidence and cross-entropy come from one pass over them, on the device. Each rank sees its own
images, each image once; counts are int64 and added over ranks, so the score does not depend on world or batch size.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from engine.precision import autocast
from utils.cli.progress import progress
from utils.metrics import ConfusionMatrix
from utils.outputs.dumper import EvalBatch


@dataclass
class EvalOptions:
    """How an image is evaluated. scales: sizes of the input whose logits are averaged; flip: with the mirror image."""

    scales: tuple = (1.0,)
    flip: bool = False
    align_corners: bool = False
    precision: str = 'fp32'
    metrics: bool = True
    max_batches: int | None = None


@dataclass
class EvalResult:
    """What an evaluation leaves: counts int64 (truth, prediction), mean cross-entropy over valid pixels, images seen;
    of a dumper: the records of its page, and by image name the entries of the manifest of logits."""

    counts: object = None
    loss: float = float('nan')
    images: int = 0
    records: list = field(default_factory=list)
    logits: dict = field(default_factory=dict)


def average_logits(net, images, options, keep_scales=False):
    """Logits (N, C, h, w) fp32 of normalised images (N, 3, h, w), averaged over scales and flips, and the last outputs.

    The assets (attention, single-scale logits: keep_scales) are those of the unflipped image at the last scale.
    """
    height, width = images.shape[-2:]
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


def classify(logits):
    """Prediction (N, h, w) uint8, its logit and the log-sum-exp over classes, both (N, h, w) fp32."""
    best, prediction = logits.max(dim=1)
    return prediction.to(torch.uint8), best, torch.logsumexp(logits, dim=1)


def cross_entropy_sum(logits, normaliser, labels):
    """The sum over valid pixels of log-sum-exp minus the true class's logit (fp64), and their number (int64)."""
    valid = labels < logits.shape[1]
    truth = logits.gather(1, labels.long().clamp(max=logits.shape[1] - 1).unsqueeze(1)).squeeze(1)
    return ((normaliser - truth) * valid).sum(dtype=torch.float64), valid.sum()


class Evaluator:
    """Runs a network over a loader. `dist` is the process group's description, `log` a function of one line;
    interrupt() is called before every batch and may raise to end the evaluation."""

    def __init__(self, net, normalize, dist, options, num_classes, log, interrupt=lambda: None):
        self.net, self.normalize, self.dist, self.options = net, normalize, dist, options
        self.num_classes, self.log, self.interrupt = num_classes, log, interrupt

    @torch.inference_mode()
    def run(self, loader, dumper=None, topn=None, description='evaluate'):
        """Evaluate every batch of loader; returns an EvalResult that is the same on every rank."""
        confusion = ConfusionMatrix(self.num_classes)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.dist.device)
        pixels = torch.zeros((), dtype=torch.int64, device=self.dist.device)
        images = 0
        was_training = self.net.training
        self.net.eval()
        try:
            for step, batch in enumerate(
                progress(loader, total=len(loader), desc=description, unit='batches', log=self.log)
            ):
                if step == self.options.max_batches:
                    break
                self.interrupt()
                images += len(batch['name'])
                if self._nothing_to_do(batch, dumper):
                    continue
                result, normaliser = self._forward(batch, dumper)
                if result.labels is not None and self.options.metrics:
                    confusion.update(result.prediction, result.labels)
                    total, valid = cross_entropy_sum(result.logits, normaliser, result.labels)
                    loss_sum += total
                    pixels += valid
                if topn is not None:
                    topn.update(result)
                if dumper is not None:
                    dumper.process(result)
            if dumper is not None:
                dumper.close()
        except BaseException:
            if dumper is not None:
                dumper.abort()
            raise
        finally:
            self.net.train(was_training)
        return self._gather(confusion, loss_sum, pixels, images, dumper)

    def _nothing_to_do(self, batch, dumper):
        scored = self.options.metrics and 'label' in batch
        return not scored and dumper is not None and all(map(dumper.done, batch['name'], batch['index']))

    def _forward(self, batch, dumper):
        images = batch['image'].to(self.dist.device, non_blocking=True)
        labels = batch['label'].to(self.dist.device, non_blocking=True) if 'label' in batch else None
        keep_scales = dumper is not None and dumper.wants_assets(batch['index'])
        try:
            logits, outputs = average_logits(self.net, self.normalize(images), self.options, keep_scales)
        except ValueError as error:
            raise ValueError(f'{", ".join(batch["name"])}: {error}') from error
        prediction, best, normaliser = classify(logits)
        confidence = torch.exp(best - normaliser) if dumper is not None and dumper.needs_confidence else None
        result = EvalBatch(
            names=batch['name'],
            images=images,
            labels=labels,
            logits=logits,
            prediction=prediction,
            confidence=confidence,
            assets={key: value for key, value in outputs.items() if key != 'pred'},
            indices=batch['index'],
        )
        return result, normaliser

    def _gather(self, confusion, loss_sum, pixels, images, dumper):
        counts = torch.as_tensor(confusion.counts, dtype=torch.int64).to(self.dist.device)
        seen = torch.tensor(images, dtype=torch.int64, device=self.dist.device)
        for tensor in (counts, loss_sum, pixels, seen):
            self.dist.all_reduce_sum(tensor)
        records = self.dist.gather_objects(dumper.records) if dumper is not None else []
        logits = self.dist.gather_objects(dumper.logit_entries) if dumper is not None else []
        loss = (loss_sum / pixels).item() if pixels.item() else float('nan')
        return EvalResult(
            counts=counts.cpu().numpy(),
            loss=loss,
            images=int(seen),
            records=[record for part in records for record in part],
            logits={name: entry for part in logits for name, entry in part.items()},
        )
