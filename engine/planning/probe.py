"""First steps of a training, taken to see how long they take, and taken back: weights, moments and random states are
afterwards what they were."""

import copy
import time
from contextlib import contextmanager

import torch

from engine.builders import build_eval_loader
from engine.evaluator import average_logits
from engine.seeding import capture_rng, set_rng
from engine.trainer import Meter, Position
from utils.cli.flags import with_values

STEPS, SHARE = 10, 0.03  # batches at most, and of the minutes
DECODING = 1.3  # what reading, scoring and drawing add to the forward pass of a validation


def probe(training, loader, seconds: float) -> tuple[float, float]:
    """(seconds of a batch, seconds of a validation), the same on every rank, of a training that has not begun.

    seconds: of the whole training, of which a small part may be spent here.
    """
    with taken_back(training, loader):
        found = _batch_seconds(training, loader, seconds), _validation_seconds(training)
    slowest = [max(values) for values in zip(*training.dist.gather_objects(found))]
    return slowest[0], slowest[1]


@contextmanager
def taken_back(training, loader):
    """Put everything that a step changes back to where it was before the block; within it the position is the start of
    an epoch."""
    learner, rng, position = training.learner, capture_rng(), training.position
    parts = [learner.net, learner.optimizer, learner.scheduler, learner.scaler, *([learner.ema] if learner.ema else [])]
    before = [copy.deepcopy(part.state_dict()) for part in parts]
    rates = [group['lr'] for group in learner.optimizer.param_groups]
    training.position = Position(position.epoch, 0, position.step, position.skipped)
    try:
        yield
    finally:
        for part, state in zip(parts, before):
            part.load_state_dict(state)
        for group, rate in zip(learner.optimizer.param_groups, rates):
            group['lr'] = rate
        learner.optimizer.zero_grad(set_to_none=True)
        training.position, training.group_names = position, []
        loader.set_epoch(position.epoch, position.batch)
        set_rng(rng)


def _batch_seconds(training, loader, seconds) -> float:
    """Of a batch, the first left out, which is slower."""
    loader.set_epoch(training.position.epoch, 0)
    training.learner.net.train()
    total, began, times = training.options.batches(loader), time.monotonic(), []
    for batch in loader:
        last = training._accumulate(batch, total, Meter())
        training.position.batch += 1
        if last:
            training._update()
        times.append(time.monotonic())
        enough = len(times) > 1 and (len(times) > STEPS or times[-1] - began > SHARE * seconds)
        if training.dist.any(enough) or training.position.batch == total:
            break
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else times[0] - began


@torch.inference_mode()
def _validation_seconds(training) -> float:
    """Of a whole validation, from one image of it."""
    args, run, evaluator = training.args, training.run, training.evaluators[training.kept]
    batch = next(iter(build_eval_loader(with_values(args, num_workers=0), run, training.val_set)))
    net = evaluator.nets[0].eval()
    images = evaluator.normalize(batch['image'].to(run.device))
    for _ in range(2):  # the first pass is slower
        began = time.monotonic()
        average_logits(net, images, evaluator.options)[0].sum().item()  # waits for the device
    net.train()
    seconds = DECODING * (time.monotonic() - began) / len(images) * -(-len(training.val_set) // run.dist.world)
    return seconds * len(training.evaluators)  # the averaged weights are scored beside the own ones
