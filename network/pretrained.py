"""Weights of others for the trunk, or for as much of a network as fits (`--pretrained`).

A trunk file is matched by the trunk's own names, whatever stands before them; the classifier's layers, which have no
place in a segmentation network, are dropped. A file of a whole network is matched name by name; only its class layers
may have other shapes. Nothing is ever downloaded.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from network.keys import common_names, looks_like, strip_wrappers
from network.segmentor import Segmentor, head_keys
from network.weights import find_weights
from utils.checkpoint import load

# A ResNet whose stem is one Sequential, and what its layers are called where it is not.
_STEM = {'conv1': 'layer0.0', 'bn1': 'layer0.1'}


@dataclass(frozen=True)
class PretrainedReport:
    """What a trunk or network (part) took from a file: names as in the trunk or network."""

    path: str
    part: str
    matched: list[str]
    missing: list[str]  # in the network, not in the file: they keep their random values
    dropped: list[str]  # in the file, not in the network
    mismatched: list[str] = field(default_factory=list)  # of another shape in the file: random too

    def __str__(self) -> str:
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        lines = [f'{self.path}: {len(self.matched)} of {total} {self.part} entries loaded']
        if self.missing:
            lines.append(f'{len(self.missing)} not in the file and left random: {_some(self.missing)}')
        if self.mismatched:
            lines.append(
                f'{len(self.mismatched)} of another shape in the file and left random: {_some(self.mismatched)}'
            )
        if self.dropped:
            lines.append(f'{len(self.dropped)} of the file not in the {self.part} and dropped: {_some(self.dropped)}')
        return '; '.join(lines)


def load_pretrained(net: Segmentor, source: str, assets) -> PretrainedReport:
    """Fill the trunk of `net`, or all of it that fits, from the file that `source` means
    (network.weights.find_weights).

    assets: the folder of seg_weights/. Raises FileNotFoundError, or ValueError if the network has no such source or the
    file is unreadable or of another network; the network is then as it was.
    """
    path, scope = find_weights(source, net.arch, net.trunk_name, assets)
    weights = {key: value for key, value in load(path)['state_dict'].items() if isinstance(value, Tensor)}
    return _fill_network(net, weights, path) if scope == 'network' else _fill_trunk(net, weights, path)


def _fill_trunk(net: Segmentor, weights: Mapping[str, Tensor], path) -> PretrainedReport:
    own = {strip_wrappers(key): value for key, value in net.trunk_entries().items()}
    if not own:
        raise ValueError(f'--pretrained {path}: {net.arch} has no trunk to fill; leave the flag out')
    remedy = _remedy(weights, 'the file of the trunk that --trunk names')
    places = _trunk_places(weights, own)
    found = {name: weights[key] for key, name in places.items()}
    if net.trunk_name.startswith('timm/'):
        found = _as_timm(net.backbone.model, found, path)
    expected = _expected(own)
    matched = [name for name in expected if name in found]
    if not matched:
        raise ValueError(
            f'{path}: none of its {len(weights)} entries ({_some(weights)}) is one of this trunk ({_some(expected)});'
            f' {remedy}'
        )
    for name in matched:
        if found[name].shape != own[name].shape:
            raise ValueError(
                f'{path}: {name} has shape {tuple(found[name].shape)}, this trunk has {tuple(own[name].shape)};'
                f' {remedy}'
            )
    for names, others, holder in ((found, own, 'the file'), (own, found, 'this trunk')):
        module = _module_beyond(names, others)
        if module:
            raise ValueError(
                f'{path}: only {holder} has {module}, a layer beyond those of both: the file is of a trunk of another'
                f' depth; {remedy}'
            )
    _copy(found, own, matched)
    dropped = [name for name in found if name not in own] + [
        strip_wrappers(key) for key in weights if key not in places
    ]
    return PretrainedReport(str(path), 'trunk', matched, [name for name in expected if name not in found], dropped)


def _fill_network(net: Segmentor, weights: Mapping[str, Tensor], path) -> PretrainedReport:
    entries = net.state_dict()
    keys, places = common_names(entries), common_names(weights)
    own, found = (
        {name: entries[key] for name, key in keys.items()},
        {name: weights[key] for name, key in places.items()},
    )
    expected = _expected(own)
    missing = [name for name in expected if name not in found]
    matched = [name for name in expected if name in found and found[name].shape == own[name].shape]
    mismatched = [name for name in expected if name in found and found[name].shape != own[name].shape]
    # The file holds all names of its own network, which then has to have its widths too. A network with further parts
    # joins its heads in another way, but its trunk is the same.
    classes = set(head_keys(net))
    wrong = [name for name in mismatched if keys[name] not in classes and (not missing or name.startswith('backbone.'))]
    remedy = _remedy(weights, 'a file of this network')
    if not matched:
        raise ValueError(
            f'{path}: none of its {len(weights)} entries ({_some(weights)}) is one of {net.arch} ({_some(entries)});'
            f' {remedy}'
        )
    if wrong:
        shapes = [
            f'{keys[name]}: {tuple(found[name].shape)} in the file, {tuple(own[name].shape)} in the network'
            for name in wrong
        ]
        raise ValueError(
            f'{path}: {len(wrong)} entries have another shape ({_some(shapes)}), only layers with one output per class'
            f' may; give the --trunk and the widths of the heads that the file was trained with, or {remedy}'
        )
    _copy(found, own, matched)
    matched, missing, mismatched = ([keys[name] for name in names] for names in (matched, missing, mismatched))
    used = {places[name] for name in own if name in places}
    return PretrainedReport(
        str(path), 'network', matched, missing, [strip_wrappers(key) for key in weights if key not in used], mismatched
    )


def _as_timm(model: nn.Module, found: Mapping[str, Tensor], path) -> dict[str, Tensor]:
    """The entries as timm's own loader of this model would have them: older names mended, position embeddings
    resized."""
    mend = getattr(sys.modules[type(model).__module__], 'checkpoint_filter_fn', None)
    try:
        return dict(mend(dict(found), model)) if mend else dict(found)
    except (AttributeError, KeyError, IndexError, RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise ValueError(
            f'{path}: timm cannot read it for this trunk ({type(error).__name__}: {error});'
            f' {_remedy(found, "the file of this model")}'
        ) from None


def _copy(found: Mapping[str, Tensor], own: Mapping[str, Tensor], names: Iterable[str]):
    with torch.no_grad():
        for name in names:
            own[name].copy_(found[name])


def _expected(own: Iterable[str]) -> list[str]:
    """The entries that a file should have: not the counts of batches that norms have seen, which older files lack and
    nothing needs."""
    return [key for key in own if not key.endswith('num_batches_tracked')]


def _trunk_places(weights: Iterable[str], own: Iterable[str]) -> dict[str, str]:
    """Name in the file -> name in a trunk alone: of what is below `backbone` where there is such a module, else of
    everything."""
    bare = {key: strip_wrappers(key) for key in weights}
    below = {key: name.partition('.')[2] for key, name in bare.items() if name.startswith(('backbone.', 'trunk.'))}
    return {key: _stem_name(strip_wrappers(name), own) for key, name in (below or bare).items()}


def _stem_name(name: str, own: Iterable[str]) -> str:
    module, _, rest = name.partition('.')
    return f'{_STEM[module]}.{rest}' if name not in own and module in _STEM else name


def _module_beyond(names: Iterable[str], others: Iterable[str]) -> str | None:
    """A block of `names`, such as layer3.6, that continues a row of like blocks of `others` beyond its end."""
    blocks, known = _numbered(names), _numbered(others)
    for module in sorted(blocks.keys() - known.keys()):
        stem, _, number = module.rpartition('.')
        before = f'{stem}.{int(number) - 1}'
        if before in known and blocks.get(before) == blocks[module]:
            return module
    return None


def _numbered(names: Iterable[str]) -> dict[str, set[str]]:
    """Every module with a number for a name, and the names below it."""
    modules = defaultdict(set)
    for name in names:
        parts = name.split('.')
        for end, part in enumerate(parts[:-1], start=1):
            if part.isdigit():
                modules['.'.join(parts[:end])].add('.'.join(parts[end:]))
    return modules


def _remedy(weights: Iterable[str], wanted: str) -> str:
    looks = looks_like(weights)
    return f'{looks + ", " if looks else ""}name {wanted}'


def _some(keys, count: int = 3) -> str:
    keys = list(keys)
    return ', '.join(keys[:count]) + (', ...' if len(keys) > count else '')
