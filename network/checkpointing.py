"""Gradient checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174) by stages.

A checkpointed stage keeps its input for the backward pass and computes everything between once more when that pass
needs it: less memory for one more forward pass. Loss, gradients and statistics stay as they are, bit for bit: dropout
draws the same numbers again, and the second computation leaves the running statistics of norms alone.
"""

from collections import Counter
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from network.layers import Module

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
# of a stage that is computed again in one piece; of a longer one the pieces are its blocks
MOST_BLOCKS = 8


def checkpoint_stages(net: Module) -> int:
    """Checkpoint the stages of the trunk of `net`, a Segmentor, in training, in place; returns how many there are.

    A network without a trunk is taken as a whole. State-dict keys stay as they are. ValueError if there is no stage.
    """
    parts = list(net.trunk_parts().values()) or [net]
    stages = [stage for part in parts for stage in find_stages(part)]
    if not stages:
        raise ValueError(
            f'--grad_ckpt: {net.trunk_name or net.arch} has no stages that could be computed again; leave the flag out'
        )
    for stage in stages:
        kind: Any = type(stage)
        stage.__class__ = _checkpointed(kind)
    return len(stages)


def find_stages(trunk: Module) -> list[nn.Module]:
    """The stages of a trunk in order: modules whose class says `is_stage`, and around them runs of residual blocks.

    A block is a module with several layers and a forward pass of its own that stands in a container or beside others of
    its class. A run of blocks in a Sequential is one stage, or, where there are more than MOST_BLOCKS, as many as
    blocks: together they would be too large to compute again. (Peak of ResNet-101 in training at 896x896: as stages 3.7
    GiB, as here 2.5, without checkpoints 5.5.) A ViT of timm calls its blocks one by one, never their Sequential: each
    is a stage.
    """
    stages = _visit(trunk, repeated=False)
    if getattr(trunk, 'token_width', 0):
        stages = [block for stage in stages for block in (stage if isinstance(stage, nn.Sequential) else [stage])]
    return stages


def _visit(module: nn.Module, repeated: bool) -> list[nn.Module]:
    """The stages in `module`, which is `repeated` if it may be a block."""
    if getattr(module, 'is_stage', False):
        return [module]
    container = isinstance(module, CONTAINERS)
    kinds = Counter(map(type, module.children()))
    inside = [
        stage for child in module.children() for stage in _visit(child, repeated=container or kinds[type(child)] > 1)
    ]
    if container:
        run = (
            type(module) is nn.Sequential
            and 2 <= len(inside) <= MOST_BLOCKS
            and all(
                stage in module.children()
                and type(stage) is not nn.Sequential
                and not getattr(stage, 'is_stage', False)
                for stage in inside
            )
        )
        return [module] if run else inside
    # a single part inside a block belongs to it, like the layers of squeeze and excitation; a run does not
    block = (
        repeated and _layers(module) > 1 and (not inside or len(inside) == 1 and type(inside[0]) is not nn.Sequential)
    )
    return [module] if block else inside


def _layers(module: nn.Module) -> int:
    return sum(isinstance(part, nn.Conv2d | nn.Linear) for part in module.modules())


@cache
def _checkpointed(kind: Any) -> type[nn.Module]:
    """A subclass of `kind` whose forward pass is checkpointed in training.

    The class of the module changes, not the module: its name, keys, hooks and copies are those of any other.
    """

    def forward(self, *args, **kwargs):
        run = partial(kind.forward, self)
        if not (self.training and torch.is_grad_enabled()):
            return run(*args, **kwargs)
        args = tuple(list(maps) if isinstance(maps, list) else maps for maps in args)  # the caller may add to its list
        # the compiler moves the update of statistics out of what is repeated
        if torch.compiler.is_compiling():
            return checkpoint(run, *args, use_reentrant=False, **kwargs)
        return checkpoint(
            run, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), frozen_statistics(self)), **kwargs
        )

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
