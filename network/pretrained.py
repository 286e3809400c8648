"""Weights of others for the trunk, or for as much of a network as fits (`--pretrained`).

A trunk file is matched by the trunk's own names, whatever stands before them; the classifier's layers, which have no
place in a segmentation network, are dropped. A file of a whole network is matched name by name; only its class layers
may have other shapes. Nothing is ever downloaded.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from torch import Tensor, nn

from network.efficientnet_names import as_timm_names, is_efficientnet_pytorch
from network.keys import common_names, looks_like
from network.segmentor import Segmentor, head_keys
from network.weights import find_weights
from utils.checkpoint import load
from utils.cli.wording import listed
from utils.restore import RestoreReport, clean_key, compare, copy_weights, is_counter

SHOWN = 3  # names in a message
# A ResNet whose stem is one Sequential, and what its layers are called where it is not.
_STEM = {'conv1': 'layer0.0', 'bn1': 'layer0.1'}


def load_pretrained(net: Segmentor, source: str, assets) -> RestoreReport:
    """Fill the trunk of `net`, or all of it that fits, from the file that `source` means
    (network.weights.find_weights).

    assets: the folder of seg_weights/. What the file does not hold, or in another shape, keeps its random values.
    Counters of batches that norms have seen are left alone. Raises FileNotFoundError, or ValueError if the network has
    no such source or the file is unreadable or of another network; the network is then as it was.
    """
    path, scope = find_weights(source, net.arch, net.trunk_name, assets)
    weights = {key: value for key, value in load(path)['state_dict'].items() if isinstance(value, Tensor)}
    return _fill_network(net, weights, path) if scope == 'network' else _fill_trunk(net, weights, path)


def own_normalisation(source: str, trunk: str | None) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """(mean, std) of the RGB values in [0, 1] that the weights of `--pretrained source` were trained on, where the
    trunk tells: timm's do. None for all others, which were trained on those of ImageNet."""
    if source == 'none' or not trunk or not trunk.startswith('timm/'):
        return None
    from timm.models import get_pretrained_cfg

    facts = get_pretrained_cfg(trunk.removeprefix('timm/'), allow_unregistered=True)
    return (tuple(facts.mean), tuple(facts.std)) if facts else None


def _fill_trunk(net: Segmentor, weights: Mapping[str, Tensor], path) -> RestoreReport:
    own = {clean_key(key): value for key, value in net.trunk_entries().items()}
    if not own:
        raise ValueError(f'--pretrained {path}: {net.arch} has no trunk to fill; leave the flag out')
    remedy = _remedy(weights, 'the file of the trunk that --trunk names')
    places = _trunk_places(weights, own)
    found = {name: weights[key] for key, name in places.items()}
    if net.trunk_name and net.trunk_name.startswith('timm/'):
        found = _as_timm(net.backbone.model, _with_timm_names(net.trunk_name, found, own, path), path)
    report = compare(_shapes(own), _without_counters(found), path, 'trunk')
    if not (report.matched or report.mismatched):
        raise ValueError(
            f'{path}: none of its {len(weights)} entries ({listed(weights, SHOWN)}) is one of this trunk'
            f' ({listed(report.missing, SHOWN)}); {remedy}'
        )
    for name, shape, expected in report.mismatched:
        raise ValueError(f'{path}: {name} has shape {shape}, this trunk has {expected}; {remedy}')
    for names, others, holder in ((found, own, 'the file'), (own, found, 'this trunk')):
        module = _module_beyond(names, others)
        if module:
            raise ValueError(
                f'{path}: only {holder} has {module}, a layer beyond those of both: the file is of a trunk of another'
                f' depth; {remedy}'
            )
    copy_weights(own, found, report.matched)
    unused = [clean_key(key) for key in weights if key not in places]
    return replace(report, unexpected=[*report.unexpected, *unused])


def _fill_network(net: Segmentor, weights: Mapping[str, Tensor], path) -> RestoreReport:
    entries = net.state_dict()
    keys, places = common_names(entries), common_names(weights)
    own = {name: entries[key] for name, key in keys.items()}
    found = {name: weights[key] for name, key in places.items()}
    common = compare(_shapes(own), _without_counters(found), path)
    # The file holds all names of its own network, which then has to have its widths too. A network with further parts
    # joins its heads in another way, but its trunk is the same.
    classes = set(head_keys(net))
    wrong = [
        item
        for item in common.mismatched
        if keys[item[0]] not in classes and (not common.missing or item[0].startswith('backbone.'))
    ]
    remedy = _remedy(weights, 'a file of this network')
    if not common.matched:
        raise ValueError(
            f'{path}: none of its {len(weights)} entries ({listed(weights, SHOWN)}) is one of {net.arch}'
            f' ({listed(entries, SHOWN)}); {remedy}'
        )
    copied = replace(
        common,
        matched=[keys[name] for name in common.matched],
        missing=[keys[name] for name in common.missing],
        mismatched=[(keys[name], there, here) for name, there, here in common.mismatched],
        unexpected=[clean_key(key) for key in weights if key not in {places[name] for name in own if name in places}],
    )
    if wrong:
        shapes = replace(common, mismatched=[(keys[name], there, here) for name, there, here in wrong]).shapes()
        raise ValueError(
            f'{path}: {len(wrong)} entries have another shape ({listed(shapes, SHOWN)}), only layers with one output'
            f' per class may; give the --trunk and the widths of the heads that the file was trained with, or {remedy}'
        )
    copy_weights(own, found, common.matched)
    return copied


def _with_timm_names(trunk: str, found: dict[str, Tensor], own: Iterable[str], path) -> dict[str, Tensor]:
    """The entries under timm's names, where the file has those of efficientnet-pytorch, whose convolutions fill up
    their borders as TensorFlow's do."""
    if not is_efficientnet_pytorch(found):
        return found
    plain = trunk.removeprefix('timm/')
    if not plain.startswith('tf_'):
        raise ValueError(
            f'{path}: was trained with the borders of TensorFlow, which --trunk timm/{plain} does not have;'
            f' give --trunk timm/tf_{plain}'
        )
    return as_timm_names(found, {name.removeprefix('model.') for name in own})


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


def _shapes(own: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in own.items()}


def _without_counters(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in found.items() if not is_counter(name)}


def _trunk_places(weights: Iterable[str], own: Iterable[str]) -> dict[str, str]:
    """Name in the file -> name in a trunk alone: of what is below `backbone` where there is such a module, else of
    everything."""
    bare = {key: clean_key(key) for key in weights}
    below = {key: name.partition('.')[2] for key, name in bare.items() if name.startswith(('backbone.', 'trunk.'))}
    return {key: _stem_name(clean_key(name), own) for key, name in (below or bare).items()}


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
