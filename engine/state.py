"""What a training needs to go on as if it had never stopped: collected for a checkpoint, and put back."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from utils.restore import clean_key


def capture_rng() -> dict:
    """The state of every random generator of this process, as tensors and plain values."""
    name, keys, position, has_gauss, cached = np.random.get_state()
    assert name == 'MT19937'
    state = {
        'python': random.getstate(),
        'numpy': (torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached),
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def restore_rng(state: Mapping):
    """Put every generator back to where `capture_rng` found it."""
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = state['numpy']
    np.random.set_state(('MT19937', keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state['torch'])
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'])


def pack_state(
    net,
    optimizer,
    scheduler,
    scaler,
    *,
    epoch,
    batch_in_epoch=0,
    global_step=0,
    rng: Sequence[Mapping],
    ema=None,
    **description,
) -> dict:
    """The content of a checkpoint. rng: `capture_rng()` of every rank, in order; ema: a module of averaged weights.

    description: what the file says about itself, that of its network (network.description) among it, in plain values.
    """
    state = {
        'state_dict': _weights(net),
        'optimizer': optimizer.state_dict(),
        'optimizer_name': type(optimizer).__name__,
        'scheduler': scheduler.state_dict(),
        'scaler': scaler.state_dict(),
        'ema': None if ema is None else ema.state_dict(),
        'epoch': epoch,
        'batch_in_epoch': batch_in_epoch,
        'global_step': global_step,
        'rng': list(rng),
    }
    assert not state.keys() & description.keys()
    return {**state, **description}


def _weights(net) -> dict:
    return {clean_key(key): value for key, value in net.state_dict().items()}


def restore_training(state: Mapping, source, optimizer, scaler=None, ema=None, log=print):
    """Put optimizer, loss scaler and averaged weights back; the weights themselves are `restore_weights`'s, and the
    schedule follows from the position.

    The optimizer must be in the file and of the same kind (ValueError); what else an older file lacks is said through
    `log` and starts anew.
    """
    restore_optimizer(state, source, optimizer)
    for name, part in (('scaler', scaler), ('ema', ema)):
        if part is None:
            continue
        if state.get(name):
            part.load_state_dict(state[name])
        elif name != 'scaler' or part.is_enabled():
            log(f'{source}: holds no {name} state, it starts anew')
    if ema is None and state.get('ema'):
        log(f'{source}: its averaged weights are left out; give --ema to continue them')


def restore_optimizer(state: Mapping, source, optimizer):
    """Put the optimizer's moments back; learning rate, weight decay and the like stay those of this run's flags.

    ValueError when the file has none, one of another kind, or one of another network.
    """
    saved = state.get('optimizer')
    if not saved:
        raise ValueError(
            f'{source}: holds no optimizer state (entries: {", ".join(map(str, state))}); take its weights alone with'
            ' --snapshot'
        )
    name = type(optimizer).__name__
    known = 'betas' if any('betas' in group for group in optimizer.param_groups) else 'momentum'
    same_kind = state.get('optimizer_name', name) == name and all(known in group for group in saved['param_groups'])
    if not same_kind:
        raise ValueError(
            f'{source}: its optimizer is {state.get("optimizer_name", "of another kind")}, this run uses {name}; '
            'resume with the --optimizer of that run, or take its weights alone with --snapshot'
        )
    options = [{name: value for name, value in group.items() if name != 'params'} for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(saved)
        for group, values in zip(optimizer.param_groups, options):
            group.update(values)
    except (ValueError, KeyError) as error:
        raise ValueError(
            f'{source}: its optimizer state belongs to another network ({error}); '
            'resume with the flags of that run, or take its weights alone with --snapshot'
        ) from error
    for parameter, values in optimizer.state.items():
        for value in values.values():
            if isinstance(value, torch.Tensor) and value.dim() and value.shape != parameter.shape:
                raise ValueError(
                    f'{source}: its optimizer state is for parameters of other shapes ({tuple(value.shape)} for'
                    f' {tuple(parameter.shape)}); resume with the flags of that run, or take its weights alone with'
                    ' --snapshot'
                )


def restore_random_state(state: Mapping, source, dist, log=print):
    """Put the random generators of this rank back; says so when the file has none for it, and they stay seeded anew."""
    states = state.get('rng') or []
    if len(states) == dist.world:
        restore_rng(states[dist.rank])
    elif dist.is_main:
        log(
            f'{source}: holds the random states of {len(states)} processes, this run has {dist.world}; they start anew,'
            ' so it continues but not bit for bit'
        )
