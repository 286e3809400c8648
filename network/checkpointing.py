"""Gradient checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174) of a trunk.

A checkpointed part keeps its input for the backward pass and computes everything between once more when that pass needs it:
less memory for one more forward pass of the trunk. Loss, gradients and statistics stay as they are, bit for bit: dropout
draws the same numbers again, and the second computation leaves the running statistics of norms alone.
"""
from contextlib import contextmanager, nullcontext
from functools import cache, partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def checkpoint_trunk(trunk: nn.Module) -> int:
    """Checkpoint the parts of `trunk` in training, in place; returns how many there are.

    The parts are those in `trunk.stages`, an iterable of modules, if it has one, else its residual blocks. State-dict keys
    stay as they are. ValueError for a trunk without either.
    """
    parts = list(trunk.stages) if hasattr(trunk, 'stages') else residual_blocks(trunk)
    if not parts:
        raise ValueError('--grad_ckpt: this trunk has no blocks to compute again; leave the flag out or choose another --trunk')
    for part in parts:
        part.__class__ = _checkpointed(type(part))
    return len(parts)


def residual_blocks(trunk: nn.Module) -> list[nn.Module]:
    """The repeated blocks of a trunk: elements of its containers with several layers, none of which holds another."""
    def visit(module: nn.Module, listed: bool) -> list[nn.Module]:
        inside = [block for child in module.children() for block in visit(child, isinstance(module, CONTAINERS))]
        own = listed and not isinstance(module, CONTAINERS) and _layers(module) > 1
        return inside or [module] * own

    return visit(trunk, listed=False)


def _layers(module: nn.Module) -> int:
    return sum(isinstance(part, nn.Conv2d | nn.Linear) for part in module.modules())


@cache
def _checkpointed(kind: type[nn.Module]) -> type[nn.Module]:
    """A subclass of `kind` whose forward pass is checkpointed in training.

    The class of the module changes, not the module: its name, keys, hooks and copies are those of any other.
    """
    def forward(self, *args, **kwargs):
        run = partial(kind.forward, self)
        if not (self.training and torch.is_grad_enabled()):
            return run(*args, **kwargs)
        if torch.compiler.is_compiling():               # the compiler moves the update of statistics out of what is repeated
            return checkpoint(run, *args, use_reentrant=False, **kwargs)
        return checkpoint(run, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), frozen_statistics(self)), **kwargs)

    return type(f'Checkpointed{kind.__name__}', (kind,), {'forward': forward, '__doc__': kind.__doc__})


@contextmanager
def frozen_statistics(module: nn.Module):
    """Within it, norms of `module` update copies of their running statistics, which are then thrown away."""
    norms = [(part, dict(part._buffers)) for part in module.modules() if isinstance(part, _NormBase)]
    for norm, buffers in norms:
        norm._buffers.update((name, buffer.clone()) for name, buffer in buffers.items() if buffer is not None)
    try:
        yield
    finally:
        for norm, buffers in norms:
            norm._buffers.update(buffers)
