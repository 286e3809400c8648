"""Checkpoint files: written whole or not at all, and loaded without running code.

A file is a dict. `state_dict`: the weights, without the prefixes of wrappers. Beside it what the file says of its
network (network.description), and where there is a training to continue: optimizer, scheduler, scaler, ema, rng (per
rank), epoch, epoch_done, batch_in_epoch, global_step, score, best_metric (the name of the number that the score is),
best_score, best_epoch, args. All of it is tensors and plain Python values, so that `torch.load(weights_only=True)`
reads it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from utils.files import safetensors_file, torch_file
from utils.files.checkpoint_faults import check_outside
from utils.files.safetensors_file import is_safetensors
from utils.files.stand_ins import StandIn
from utils.restore import clean_key


def save(path, state: Mapping):
    """Write `state` to `path` atomically, as safetensors if it is so called.

    NumPy scalars become Python numbers; other foreign types are an AssertionError.
    """
    (safetensors_file if is_safetensors(path) else torch_file).write(path, torch_file.loadable(state))


def load(path) -> dict:
    """The content of a checkpoint, on the CPU, with an entry `state_dict`; code in the file is never run.

    Takes files of earlier programs (NumPy scalars, read as Python numbers), bare state dicts and safetensors files.
    Raises FileNotFoundError, or ValueError for a file that holds code, is cut off or damaged, or is no checkpoint.
    """
    path = Path(path)
    check_outside(path)
    if is_safetensors(path):
        return _checked(path, safetensors_file.read(path))
    return _checked(path, _with_state_dict(path, torch_file.read(path)))


def _with_state_dict(path, content) -> dict:
    # as aligned_xception71.pth calls it
    if isinstance(content, Mapping) and isinstance(content.get('model_dict'), Mapping):
        content = {**content, 'state_dict': content['model_dict']}
    for key in ('state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(key), StandIn):
            content = {**content, key: dict(content[key].tensors())}
    # as the scripts of torchvision call it
    if isinstance(content, Mapping) and 'state_dict' not in content and isinstance(content.get('model'), Mapping):
        content = {**content, 'state_dict': content['model']}
    if isinstance(content, Mapping):  # what stands for an object says nothing to the programs
        content = {key: value for key, value in content.items() if not isinstance(value, StandIn)}
    if isinstance(content, Mapping) and content and all(isinstance(value, torch.Tensor) for value in content.values()):
        content = {'state_dict': content}
    if isinstance(content, Mapping) and isinstance(content.get('state_dict'), Mapping):
        if all(isinstance(key, str) for key in content['state_dict']):
            return dict(content)
        raise ValueError(
            f'{path}: not every tensor in it has a name, found'
            f' {[key for key in content["state_dict"] if not isinstance(key, str)][:3]}; expected a state dict'
        )
    found = f'entries {list(content)[:5]}' if isinstance(content, Mapping) else f'a {type(content).__name__}'
    raise ValueError(
        f"{path}: holds {found}, expected an entry 'state_dict' or a bare state dict; re-save it as"
        " torch.save({'state_dict': ...}, path)"
    )


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_mapping(value) -> bool:
    return isinstance(value, Mapping)


def _list_of(check) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (list, tuple)) and all(map(check, value))


# Entries that the programs read -> (check of the value, what it should be). All may be absent or None.
ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(('arch', 'trunk', 'dataset', 'data_yaml', 'optimizer_name', 'best_metric'), (_is_text, 'text')),
    **dict.fromkeys(('network', 'args', 'optimizer', 'scheduler', 'scaler', 'ema', 'swa'), (_is_mapping, 'a mapping')),
    **dict.fromkeys(
        ('num_classes', 'epoch', 'batch_in_epoch', 'global_step', 'skipped', 'best_epoch'),
        (_is_whole, 'a whole number'),
    ),
    **dict.fromkeys(('score', 'best_score'), (_is_number, 'a number')),
    'epoch_done': (lambda value: isinstance(value, bool), 'True or False'),
    'class_names': (_list_of(_is_text), 'a list of names'),
    'n_scales': (_list_of(lambda value: _is_number(value) and value > 0), 'a list of numbers above 0'),
    'rng': (_list_of(_is_mapping), 'a list of mappings'),
}


def _checked(path, content: dict) -> dict:
    """The content, whose entries have the types that the programs read; ValueError naming one that has not."""
    for key, (is_right, form) in ENTRIES.items():
        if content.get(key) is not None and not is_right(content[key]):
            raise ValueError(
                f'{path}: its entry {key!r} is {content[key]!r:.60}, expected {form}; copy or download it again, or'
                " keep its weights alone: torch.save({'state_dict': ...}, path)"
            )
    return content


def averaged_weights(state: Mapping) -> dict | None:
    """The exponential moving average in a checkpoint as a state dict of the network, or None."""
    ema = state.get('ema') or {}
    return {clean_key(key): value for key, value in ema.items() if key.startswith('module.')} or None


def evaluated_weights(state: Mapping) -> dict:
    """What an evaluation of a checkpoint uses: the averaged weights if it holds any, unless its training found that the
    network's own are clearly better (entry `kept`)."""
    return (None if state.get('kept') == 'own' else averaged_weights(state)) or state['state_dict']


def resume_point(state: Mapping, source='the checkpoint') -> tuple[int, int]:
    """(epoch, batch) at which a training from this checkpoint continues: the next epoch, or within one."""
    if state.get('epoch') is None:
        raise ValueError(
            f'{source}: holds weights only (no entry epoch), nothing to resume; start a new run from it with --snapshot'
        )
    if state.get('epoch_done', True):  # files of earlier programs were only written after an epoch
        return int(state['epoch']) + 1, 0
    if state.get('batch_in_epoch') is None:
        raise ValueError(
            f'{source}: is of the middle of epoch {state["epoch"]} but does not say which batch (no batch_in_epoch);'
            ' name another checkpoint, or start a new run from its weights with --snapshot'
        )
    return int(state['epoch']), int(state['batch_in_epoch'])


if __name__ == '__main__':
    from utils.cli.checkpoint_commands import main

    raise SystemExit(main())
