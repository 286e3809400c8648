"""Benchmark lines of losses: each of them forward and backward on fp32 logits, against cross-entropy."""

from contextlib import contextmanager

import torch
import torch.nn.functional as F

from loss import get_criterion
from loss.registry import LOSSES
from scripts.bench_data import IGNORE, NUM_CLASSES, photo_batch, shape
from scripts.bench_measure import Case, Form


@contextmanager
def rmi(settings):
    """Region mutual information, with the budget that it has to keep."""
    yield against_cross_entropy(settings, {'rmi': 3.0}, repeats=7)


@contextmanager
def losses(settings):
    """Every registered loss of pixels, its time and its peak memory."""
    yield against_cross_entropy(
        settings, dict.fromkeys(name for name, loss in LOSSES.items() if not loss.of_queries), repeats=5, memory=True
    )


def against_cross_entropy(settings, budgets, repeats, memory=False) -> Case:
    """The case of the losses that `budgets` names, on labels of a street and random logits."""
    _, labels = photo_batch(settings.photo_size, settings.device)
    labels = labels.long()
    logits = torch.randn(1, NUM_CLASSES, *settings.photo_size, device=settings.device).mul_(3).requires_grad_()

    def form(name, budget):
        weights = torch.ones(NUM_CLASSES) if name in ('wce', 'wrmi') else None
        criterion = get_criterion([name], [1.0], NUM_CLASSES, IGNORE, weights).to(settings.device)
        call = lambda: torch.autograd.grad(criterion({'pred': logits}, labels)['loss'], logits)  # noqa: E731
        return Form(call, budget, name if len(budgets) > 1 else '')

    def cross_entropy():
        torch.autograd.grad(F.cross_entropy(logits, labels, ignore_index=IGNORE), logits)

    return Case(
        f'{"loss" if len(budgets) > 1 else "RMI"} forward and backward, {NUM_CLASSES}x{shape(settings.photo_size)}',
        'cross-entropy forward and backward',
        Form(cross_entropy),
        [form(*pair) for pair in budgets.items()],
        repeats=repeats,
        memory=memory,
    )
