"""Weights of a file into a network, with a report that accounts for every tensor.

`compare` finds what fits by name and shape; `restore_weights` is strict: everything fits, or the run stops with an
error that names what does not and the flag that helps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from utils.cli.wording import listed

SHOWN = 3  # names in a message; the lists are whole
PARTIAL = 0.5  # share of the network's tensors that a partial load must find
WRAPPERS = ('module.', 'model.')  # of DataParallel; of Lightning and loss modules


@dataclass
class RestoreReport:
    """What became of every tensor; names are those of the network, without wrapper prefixes.

    part: what was filled, the network or its trunk. missing are in it alone, unexpected in the file alone; mismatched
    holds (name, shape in the file, shape in the network); ignored are tensors of the file that no network has
    (criteria), and counters of batch normalisation that old files lack.
    """

    source: str
    part: str = 'network'
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple, tuple]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many tensors the network has, but for ignored counters."""
        return len(self.matched) + len(self.missing) + len(self.mismatched)

    @property
    def complete(self) -> bool:
        return not (self.missing or self.unexpected or self.mismatched)

    def shapes(self) -> list[str]:
        """A phrase for each tensor of another shape."""
        return [
            f'{name}: {_shape(found)} in the file, {_shape(expected)} in the {self.part}'
            for name, found, expected in self.mismatched
        ]

    def differences(self) -> list[str]:
        """A phrase for each kind of tensor that did not fit."""
        kinds = {
            'missing in the file': self.missing,
            f'unknown to the {self.part}': self.unexpected,
            'of another shape': self.shapes(),
        }
        return [f'{len(names)} {kind} ({listed(names, SHOWN)})' for kind, names in kinds.items() if names]

    def __str__(self):
        text = f'{self.source}: {len(self.matched)} of {self.total} tensors of the {self.part} loaded'
        if self.complete:
            return text
        kept = (
            f'those of the {self.part} keep their initial values'
            if self.missing or self.mismatched
            else 'those of the file are left out'
        )
        return f'{text}; {"; ".join(self.differences())}; {kept}'


def clean_key(key: str) -> str:
    """The name of a tensor without what wrappers add to it: parallel and Lightning modules, torch.compile."""
    key = key.replace('_orig_mod.', '')
    while key.startswith(WRAPPERS):
        key = key.partition('.')[2]
    return key


def compare(shapes: Mapping[str, Sequence[int]], found: Mapping[str, Any], source, part='network') -> RestoreReport:
    """Which entries of a file fit a network whose tensors have these shapes, name by name.

    Args:
        shapes: of the tensors of the network, or of its part.
        found: the entries of the file under the same names.
        source, part: of the report.
    """
    report = RestoreReport(str(source), part)
    for name, value in found.items():
        if name.startswith('criterion.') or not isinstance(value, Tensor):
            report.ignored.append(name)
        elif name not in shapes:
            report.unexpected.append(name)
        elif tuple(value.shape) != tuple(shapes[name]):
            report.mismatched.append((name, tuple(value.shape), tuple(shapes[name])))
        else:
            report.matched.append(name)
    for name in shapes:
        if name not in found:
            (report.ignored if is_counter(name) else report.missing).append(name)
    return report


def is_counter(name: str) -> bool:
    """Whether it counts the batches that a norm has seen, which older files lack and nothing needs."""
    return name.endswith('num_batches_tracked')


def copy_weights(targets: Mapping[str, Tensor], found: Mapping[str, Tensor], names: Iterable[str]):
    """Copy the named tensors in place."""
    with torch.no_grad():
        for name in names:
            targets[name].copy_(found[name])


def restore_weights(
    net,
    state_dict: Mapping,
    *,
    source='checkpoint',
    source_arch=None,
    allow_class_mismatch=False,
    head_keys: Sequence[str] = (),
    partial=False,
    allow_missing_prefixes: Sequence[str] = (),
    class_remedy: str = '',
) -> RestoreReport:
    """Copy `state_dict` into `net` in place, all or nothing.

    Args:
        source, source_arch: names of the file and of its network, for messages.
        allow_class_mismatch: the flag, which leaves out the layers that differ in the number of classes.
        head_keys: the names of these layers; () finds them by their shapes.
        partial: --snapshot_partial, which loads what matches by name and shape if that is at least half of the network.
        allow_missing_prefixes: parts of the network that may be wholly absent from the file.
        class_remedy: what to do about another number of classes, '' for --allow_class_mismatch.

    Raises:
        ValueError: counts and names what does not fit, and the flag that helps; the network is then unchanged.
    """
    targets = {clean_key(key): tensor for key, tensor in net.state_dict().items()}
    found = {clean_key(key): value for key, value in state_dict.items()}
    report = compare({name: tensor.shape for name, tensor in targets.items()}, found, source)
    _check(
        report,
        net,
        state_dict,
        source_arch,
        allow_class_mismatch,
        head_keys,
        partial,
        allow_missing_prefixes,
        class_remedy,
    )
    copy_weights(targets, found, report.matched)
    return report


def _check(
    report,
    net,
    state_dict,
    source_arch,
    allow_class_mismatch,
    head_keys,
    partial,
    allow_missing_prefixes,
    class_remedy,
):
    """Raise ValueError unless what does not fit was allowed; arguments as of restore_weights."""
    if not report.matched:
        raise ValueError(
            f'{report.source}: none of its {len(state_dict)} tensors fits the network (first names in the file:'
            f' {listed(state_dict, SHOWN)}; in the network: {listed(report.missing, SHOWN)});'
            f' {_part_remedy(report) or _arch_remedy(net, source_arch, partial=True)}'
        )
    if partial:
        if len(report.matched) < PARTIAL * report.total:
            raise ValueError(
                f'{report.source}: only {len(report.matched)} of {report.total} tensors of the network match by name'
                f' and shape, --snapshot_partial expects at least half ({"; ".join(report.differences())});'
                f' {_arch_remedy(net, source_arch, partial=True)}'
            )
        return
    present = [*report.matched, *(name for name, _, _ in report.mismatched)]
    absent_parts = tuple(
        prefix for prefix in allow_missing_prefixes if not any(name.startswith(prefix) for name in present)
    )
    missing = [name for name in report.missing if not name.startswith(absent_parts)]
    classes = _class_mismatch(report, head_keys)
    mismatched = report.mismatched if classes is None else []
    if missing or report.unexpected or mismatched:
        raise ValueError(
            f'{report.source}: does not fit the network: {len(report.matched)} of {report.total} tensors match; '
            f'{"; ".join(report.differences())}; {_arch_remedy(net, source_arch)}'
        )
    if classes is not None and not allow_class_mismatch:
        raise ValueError(
            f'{report.source}: has {classes[0]} classes, the network has {classes[1]}; '
            + (
                class_remedy
                or f'--allow_class_mismatch loads all but the {len(report.mismatched)} tensors of the class layers'
                f' ({listed([name for name, _, _ in report.mismatched], SHOWN)})'
            )
        )


def _class_mismatch(report, head_keys):
    """(classes in the file, classes in the network) when that is all that differs in the shapes, else None."""
    pairs = {
        (found[0], expected[0])
        for _, found, expected in report.mismatched
        if found and expected and found[1:] == expected[1:]
    }
    same_but_first = all(found[1:] == expected[1:] for _, found, expected in report.mismatched)
    heads = {clean_key(key) for key in head_keys} or {name for name, _, _ in report.mismatched}
    only_heads = all(name in heads for name, _, _ in report.mismatched)
    return pairs.pop() if len(pairs) == 1 and same_but_first and only_heads else None


def _part_remedy(report):
    """The remedy for a file whose names are those of a part of the network, such as ImageNet weights of the trunk."""
    missing, names = set(report.missing), report.unexpected
    prefixes = {name[: -len(names[0])] for name in missing if names and name.endswith('.' + names[0])}
    counts = {prefix: sum(prefix + name in missing for name in names) for prefix in prefixes}
    part = max(counts, key=lambda prefix: counts[prefix], default=None)
    if part is None or counts[part] < PARTIAL * len(names):
        return ''
    return f'its names are those of {part[:-1]}, a part of the network: give weights of the trunk with --pretrained'


def _arch_remedy(net, source_arch, partial=False):
    arch = getattr(getattr(net, 'module', net), 'arch', None)
    if source_arch and source_arch != arch:
        remedy = f'it was saved from {source_arch}: give --arch {source_arch}'
    else:
        remedy = 'give the --arch and --trunk it was trained with'
    return remedy + (
        ', convert a file of another project with python -m network.convert'
        if partial
        else ', or --snapshot_partial to load what fits'
    )


def _shape(shape) -> str:
    return 'x'.join(map(str, shape)) or 'a single number'
