"""State of a training: everything that it needs to go on as if it had never stopped, packed for a checkpoint and
resumed from one. The weights themselves are restored when the network is built."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager

import torch

from engine.seeding import set_rng
from utils.restore import clean_key


def pack_state(learner, position, rng: Sequence[Mapping], **description) -> dict:
    """The content of a checkpoint.

    Args:
        learner: net, optimizer, scheduler, scaler, ema and swa (modules of averaged weights, or None).
        position: how far the training has come: epoch, batch, step, skipped.
        rng: `capture_rng()` of every rank, in order.
        description: what the file says about itself, such as arch, trunk, num_classes, args (plain values).
    """
    state = {
        'state_dict': _weights(learner.net),
        'optimizer': learner.optimizer.state_dict(),
        'optimizer_name': type(learner.optimizer).__name__,
        'scheduler': learner.scheduler.state_dict(),
        'scaler': learner.scaler.state_dict(),
        'ema': None if learner.ema is None else learner.ema.state_dict(),
        'swa': learner.swa.state_dict() if learner.swa is not None and learner.swa.n_averaged else None,
        'epoch': position.epoch,
        'batch_in_epoch': position.batch,
        'global_step': position.step,
        'skipped': position.skipped,
        'rng': list(rng),
    }
    assert not state.keys() & description.keys()
    return {**state, **description}


def _weights(net) -> dict:
    return {clean_key(key): value for key, value in net.state_dict().items()}


def resume_learner(state: Mapping, source, learner, log=print):
    """Put optimizer, loss scaler and averaged weights of `learner` back; the schedule follows from the position.

    The optimizer must be in the file and of the same kind (ValueError); what else an older file lacks starts anew,
    and `log` takes a line about it.
    """
    resume_optimizer(state, source, learner.optimizer)
    for name in ('scaler', 'ema', 'swa'):
        part = getattr(learner, name)
        if part is None:
            continue
        if state.get(name):
            with _readable(source, name):
                if name == 'scaler' and not all(isinstance(value, (int, float)) for value in state[name].values()):
                    raise TypeError(f'expected numbers, found {state[name]}')  # which torch would look at much later
                part.load_state_dict(state[name])
        elif name == 'ema' or name == 'scaler' and part.is_enabled():
            log(f'{source}: holds no {name} state, it starts anew')
    for name, flag in (('ema', '--ema'), ('swa', '--swa_epochs')):
        if getattr(learner, name) is None and state.get(name):
            log(f'{source}: its averaged weights are left out; give {flag} to continue them')


@contextmanager
def _readable(source, part: str):
    """What Python and torch raise for a state with other entries or types, as a ValueError naming the file."""
    try:
        yield
    except (AttributeError, LookupError, RuntimeError, TypeError, ArithmeticError, ValueError) as error:
        if isinstance(error, ValueError) and str(error).startswith(str(source)):  # a sentence already
            raise
        raise ValueError(
            f'{source}: its {part} state cannot be read ({type(error).__name__}: {" ".join(str(error).split())[:200]});'
            ' copy the file again, name an earlier checkpoint, or take its weights alone with --snapshot'
        ) from error


def resume_optimizer(state: Mapping, source, optimizer):
    """Put the optimizer's moments back; learning rate, weight decay and the like stay those of this run's flags.

    ValueError when the file has none, one of another kind, or one of another network.
    """
    with _readable(source, 'optimizer'):
        _resume_optimizer(state, source, optimizer)


def _resume_optimizer(state: Mapping, source, optimizer):
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


def resume_random_state(state: Mapping, source, dist, log=print):
    """Put the random generators of this rank back; those that the file lacks stay seeded anew, which is logged."""
    states = state.get('rng') or []
    if len(states) == dist.world:
        with _readable(source, 'random'):
            set_rng(states[dist.rank])
    elif dist.is_main:
        log(
            f'{source}: holds the random states of {len(states)} processes, this run has {dist.world}; they start anew,'
            ' so it continues but not bit for bit'
        )
