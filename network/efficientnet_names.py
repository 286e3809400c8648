"""Tensor names of the package efficientnet-pytorch and its kin, in which ImageNet weights of EfficientNets are
published, as timm names the same tensors. There, blocks are numbered through all stages."""

from collections import Counter
from collections.abc import Iterable, Mapping

from torch import Tensor

_OUTSIDE = {'_conv_stem': 'conv_stem', '_bn0': 'bn1', '_conv_head': 'conv_head', '_bn1': 'bn2', '_fc': 'classifier'}
_SQUEEZE = {'_se_reduce': 'se.conv_reduce', '_se_expand': 'se.conv_expand'}
_BLOCK = _SQUEEZE | {
    '_expand_conv': 'conv_pw',
    '_bn0': 'bn1',
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn2',
    '_project_conv': 'conv_pwl',
    '_bn2': 'bn3',
}
_BLOCK_WITHOUT_EXPANSION = _SQUEEZE | {
    '_depthwise_conv': 'conv_dw',
    '_bn1': 'bn1',
    '_project_conv': 'conv_pw',
    '_bn2': 'bn2',
}


def is_efficientnet_pytorch(names: Iterable[str]) -> bool:
    return '_conv_stem.weight' in set(names)


def as_timm_names(weights: Mapping[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """The same tensors under timm's names; `own`: those of timm's model, which say how many blocks a stage has.

    What has no place there keeps its name.
    """
    blocks = _blocks(own)
    expanding = {name.split('.')[1] for name in weights if '._expand_conv.' in name}
    return {_renamed(name, blocks, expanding): value for name, value in weights.items()}


def _blocks(own: Iterable[str]) -> list[str]:
    """'blocks.<stage>.<block>' in order."""
    pairs = {(int(parts[1]), int(parts[2])) for parts in (name.split('.') for name in own) if parts[0] == 'blocks'}
    counts = Counter(stage for stage, _ in pairs)
    return [f'blocks.{stage}.{block}' for stage in sorted(counts) for block in range(counts[stage])]


def _renamed(name: str, blocks: list[str], expanding: set[str]) -> str:
    head, _, rest = name.partition('.')
    if head != '_blocks':
        return f'{_OUTSIDE.get(head, head)}.{rest}'
    number, module, leaf = rest.split('.', 2)
    if int(number) >= len(blocks):
        return name
    modules = _BLOCK if number in expanding else _BLOCK_WITHOUT_EXPANSION
    return f'{blocks[int(number)]}.{modules.get(module, module)}.{leaf}'
