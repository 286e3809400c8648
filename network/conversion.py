"""The tensors of one weight file under the names of another format, every one of them accounted for.

The network in a file is recognised by names and shapes and built without memory; the tensors it expects are those the
file has to have. Names meet in the common form of `network.keys`.
"""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from network import eomt_files
from network.building import check_names, get_net
from network.keys import (
    FLAT,
    FORMATS,
    MMSEG_BIASES,
    Format,
    common_names,
    detect,
    inverse,
    looks_like,
    rename,
)
from network.registry import ARCHS, TRUNKS
from network.segmentor import head_keys
from network.trunks import build_trunk
from utils.checkpoint import evaluated_weights
from utils.cli.wording import listed
from utils.restore import clean_key, compare
from utils.settings import SETTINGS

SHOWN = 3  # names in a message

# Networks on an HRNet trunk by modules that they have, the first that fits; others are named by --arch.
_ARCHS = (
    ('hrnet_ocr_aspp', ('aspp', 'ocr.ocr_distri_head.aspp')),
    ('ocrnet.HRNet_ASPP', ('aspp', 'ocr')),
    ('ocrnet.HRNet_Mscale', ('ocr', 'scale_attn')),
    ('ocrnet.HRNet', ('ocr',)),
    ('mscale.HRNet_ASP', ('aspp', 'bot_aspp', 'scale_attn')),
    ('basic.HRNet_ASP', ('aspp', 'bot_aspp')),
    ('mscale.HRNet', ('cls_head', 'scale_attn')),
    ('basic.HRNet', ('seg_head',)),
    ('hrnet', ('last_layer',)),
)
# Flags by the first layer that is there: its output channels are their value.
_WIDTHS = {
    'ocr_mid_channels': ('ocr.conv3x3_ocr.0',),
    'ocr_key_channels': ('ocr.ocr_distri_head.object_context_block.f_down.0',),
    'segattn_bot_ch': ('scale_attn.conv0', 'seg_head.0', 'cls_head.0', 'final.0'),
    'aspp_bot_ch': ('ocr.ocr_distri_head.aspp.features.0.0', 'aspp.features.0.0'),
}


@dataclass
class Conversion:
    """What a file became. arch is None for a trunk alone. Tensors lie in `weights` under the names of `target`.

    renamed holds (name in the file, name now), both without wrappers; filled are tensors that the file's format leaves
    out and that have one possible value; dropped are of the file, missing of the network.
    """

    source: Format
    why: str
    target: Format
    arch: str | None
    trunk: str | None
    num_classes: int | None
    network: dict
    weights: dict[str, Tensor] = field(default_factory=dict)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def convert(
    state: Mapping,
    target: str,
    source: str | None = None,
    arch: str | None = None,
    trunk: str | None = None,
    align_corners: bool | None = None,
) -> Conversion:
    """The weights of a checkpoint (utils.checkpoint.load) in the format `target`, a name in FORMATS.

    Args:
        source, arch, trunk, align_corners: overrule what the file says or its names tell.

    Raises:
        ValueError: the file is of no known format, nothing of it fits, or shapes contradict the network.
    """
    evaluated = evaluated_weights(state)
    averaged = evaluated is not state['state_dict']
    weights = {key: value for key, value in evaluated.items() if isinstance(value, Tensor)}
    if not weights:
        raise ValueError('it holds no tensor at all, expected the weights of a network; give another file')
    remedy = _remedy(arch, trunk, source)
    theirs = eomt_files.read(weights)
    if theirs:
        form, why, sources = FORMATS[theirs.form], theirs.why, theirs.sources
        places = {name: keys[0] for name, keys in sources.items()}
        arch, trunk = arch or eomt_files.ARCH, trunk or theirs.trunk
        state = {**state, 'network': theirs.network, 'num_classes': theirs.num_classes}
        if trunk is None:
            raise ValueError('its width and depth are of no vision transformer known here; name it with --trunk')
    else:
        form, why = _source_format(state, weights, source, arch)
        places = common_names(weights, form.rules if source else None)
        sources = {name: [key] for name, key in places.items()}
    if not places:
        raise ValueError(
            f'--from {form.name}: none of its {len(weights)} tensors ({listed(weights, SHOWN)}) has a name of'
            f' {form.what}; {remedy}'
        )
    found = theirs.weights if theirs else {name: weights[key] for name, key in places.items()}
    stored: Mapping = state['network'] if isinstance(state.get('network'), Mapping) else {}
    arch = arch or (state['arch'] if state.get('arch') in ARCHS.names() else _guess_arch(found))
    if (
        source
        and form.name != 'timm'
        and len(places) < len(weights)
        and all(name.startswith('backbone.') for name in found)
    ):
        raise ValueError(
            f'--from {source}: it has no head of {form.what}; name another format, or --from timm to take an HRNet'
            ' trunk alone'
        )
    network = _network_flags(found, arch, stored)
    trunk = trunk or _known_trunk(stored.get('trunk') or state.get('trunk')) or _guess_trunk(found, arch)
    if align_corners is None:
        align_corners = network['align_corners'] if 'align_corners' in stored else _is_aligned(form, found)
    network |= {'arch': arch, 'trunk': trunk, 'align_corners': align_corners}

    own, num_classes = _expected(network, found, state.get('num_classes'))
    result = Conversion(form, why, FORMATS[target], arch, trunk, num_classes, network)
    if averaged:
        result.notes.append('the averaged weights were taken, as an evaluation does')
    _fill(result, own, found)
    _check(result, own, found, weights, remedy)
    result.missing = [own[name][0] for name in own if name not in found]
    if theirs and result.missing:
        raise ValueError(eomt_files.unfit(result.missing, [name for name in found if name not in own], arch, trunk))
    used = {key for name in own if name in sources for key in sources[name]}
    result.dropped = [clean_key(key) for key in (weights if averaged else state['state_dict']) if key not in used]
    _place(result, own, found, {name: clean_key(key) for name, key in places.items()})
    return result


def _source_format(state: Mapping, weights: Mapping, source: str | None, arch: str | None) -> tuple[Format, str]:
    if source:
        return FORMATS[source], 'as --from says'
    if isinstance(state.get('network'), Mapping):
        return FORMATS['project'], 'it holds the flags of its network'
    form, why = detect([*weights, *(key for key in state['state_dict'] if key not in weights)])
    if form is None and arch:
        return FORMATS['project'], 'its names are of no other format'
    if form is None:
        raise ValueError(
            f'{why} ({listed(weights, SHOWN)}), expected a file of {", ".join(FORMATS)}; name its network with'
            ' --arch or its format with --from (the file of a trunk alone, if that is no HRNet, goes to --pretrained'
            ' as it is)'
        )
    return form, why


def _is_aligned(form: Format, names) -> bool:
    """Whether networks in this format resize with align_corners, which names do not show: the OCR networks of two
    projects do."""
    return form.name in ('upstream', 'framework') and 'ocr.cls_head.weight' in names


def _known_trunk(name) -> str | None:
    """The trunk that a file names, None for a name that is no trunk here, as files of other projects may hold."""
    return name if isinstance(name, str) and (name in TRUNKS or name.startswith('timm/')) else None


def _has(found: Mapping[str, Tensor], module: str) -> bool:
    return any(name.startswith(module + '.') for name in found)


def _guess_arch(found: Mapping[str, Tensor]) -> str | None:
    """The network with these modules, None for a trunk alone."""
    if _has(found, 'backbone.transition1'):
        for arch, modules in _ARCHS:
            if all(_has(found, module) for module in modules):
                return arch
        if not any(
            name.partition('.')[0] not in ('backbone', 'loss', 'criterion') for name in found if name.count('.')
        ):
            return None
    others = sorted({name.partition('.')[0] for name in found})
    if others == ['backbone']:
        raise ValueError(
            'it holds a trunk alone that is no HRNet, which needs no conversion; give the file to --pretrained as it is'
        )
    raise ValueError(f'its modules ({", ".join(others[:6])}) do not tell which network it is; name it with --arch')


def _guess_trunk(found: Mapping[str, Tensor], arch: str | None) -> str | None:
    """The HRNet of these shapes where the network has one, else the network's own trunk."""
    own = check_names(arch) if arch else 'hrnetv2'
    if own is None or not _has(found, 'backbone.transition1'):
        return own
    fitting = {}
    for name in TRUNKS.names():
        shapes = _trunk_shapes(name) if name.startswith('hrnet') else {}
        if shapes and all(key in found and found[key].shape == shape for key, shape in shapes.items()):
            fitting[len(shapes)] = name
    if not fitting:
        width = 'backbone.transition1.0.0.weight'
        told = f'{found[width].shape[0]} channels wide' if width in found else 'incomplete'
        raise ValueError(
            f'its HRNet, {told}, is none of {", ".join(name for name in TRUNKS.names() if name.startswith("hrnet"))}; '
            'name the trunk it was made for with --trunk to see what differs'
        )
    return fitting[max(fitting)]


@cache
def _trunk_shapes(name: str) -> dict[str, torch.Size]:
    """Shapes of a trunk's convolutions by their common names."""
    with torch.device('meta'):
        entries = build_trunk(name).state_dict()
    return {f'backbone.{key}': value.shape for key, value in entries.items() if value.ndim == 4}


def _network_flags(found: Mapping[str, Tensor], arch: str | None, stored: Mapping) -> dict:
    """The entry `network` of a checkpoint: what it says itself, else widths and variants as the shapes tell them."""
    told = {
        flag: len(found[f'{layer}.weight'])
        for flag, layers in _WIDTHS.items()
        for layer in reversed(layers)
        if f'{layer}.weight' in found and found[f'{layer}.weight'].ndim
    }
    told['mscale_no3x3'] = 'scale_attn.conv0.weight' in found and 'scale_attn.conv1.weight' not in found
    told['mscale_old_arch'] = 'scale_attn.0.weight' in found and not (arch or '').startswith(('mscale2.', 'attnscale.'))
    told['ocr_aspp'] = arch != 'hrnet_ocr_aspp' and _has(found, 'ocr.ocr_distri_head.aspp')
    defaults = SETTINGS.network_entry(Namespace(**SETTINGS.defaults()))
    usable = {
        name: stored[name]
        for name, default in defaults.items()
        if name in stored and isinstance(stored[name], type(default))
    }
    return {name: usable.get(name, told.get(name, default)) for name, default in defaults.items()}


def _expected(
    network: Mapping, found: Mapping[str, Tensor], num_classes
) -> tuple[dict[str, tuple[str, torch.Size]], int | None]:
    """(common name -> (name in this project, shape) of all that the network has, its number of classes)."""
    arch, trunk = network['arch'], network['trunk']
    num_classes = num_classes if isinstance(num_classes, int) and num_classes > 0 else None
    try:
        with torch.device('meta'):
            if arch is None:
                return {
                    f'backbone.{key}': (key, value.shape) for key, value in build_trunk(trunk).state_dict().items()
                }, None
            net = get_net(arch, num_classes or 1, trunk=trunk, options=SETTINGS.as_tree(network).get('MODEL', {}))
    except (TypeError, RuntimeError, ZeroDivisionError) as error:
        raise ValueError(
            f'the network that it describes cannot be built ({" ".join(str(error).split())[:200]}); name it with --arch'
            ' and --trunk'
        ) from error
    shapes = {key: value.shape for key, value in net.state_dict().items()}
    names = common_names(shapes)
    if not num_classes:
        heads = set(head_keys(net))
        classes = [name for name, key in names.items() if key in heads]
        num_classes = next((len(found[name]) for name in classes if name in found and found[name].ndim), None)
        shapes |= {names[name]: torch.Size([num_classes or 1, *shapes[names[name]][1:]]) for name in classes}
    return {name: (key, shapes[key]) for name, key in names.items()}, num_classes


def _fill(result: Conversion, own: Mapping, found: dict[str, Tensor]):
    """Add to `found` what a format may leave out of a layer that is there, and give counters of norms their shape."""
    values = {'num_batches_tracked': 0, 'weight': 1, 'bias': 0}
    no_bias = {bias for bias, _ in MMSEG_BIASES} if result.source.name == 'mmseg' else ()
    for name, (_, shape) in own.items():
        module, _, kind = name.rpartition('.')
        if kind == 'num_batches_tracked' and name in found and found[name].numel() == 1:
            found[name] = found[name].reshape(shape)
        of_norm = f'{module}.running_mean' in found and kind in values
        of_convolution = name in no_bias and f'{module}.weight' in found
        if name not in found and (of_norm or of_convolution):
            found[name] = torch.full(
                shape, values[kind], dtype=torch.int64 if kind == 'num_batches_tracked' else torch.float32
            )
            result.filled.append(name)


def _remedy(arch: str | None, trunk: str | None, source: str | None) -> str:
    """What to do about a file that does not fit: of the flags given another value, else the flags that would tell."""
    given = [
        f'{what} with {flag}'
        for what, flag, value in (
            ('network', '--arch', arch),
            ('trunk', '--trunk', trunk),
            ('format', '--from', source),
        )
        if value
    ]
    if given:
        return (
            f'name another {" or another ".join(given)}, or leave {"them" if len(given) > 1 else "it"} out to have the'
            ' file tell'
        )
    return 'name the network with --arch, its trunk with --trunk, or the format with --from'


def _check(result: Conversion, own: Mapping, found: Mapping[str, Tensor], weights: Mapping, remedy: str):
    """Raise ValueError when nothing fits or a shape contradicts.

    Args:
        own: common name -> (name in the network, shape).
        found: the tensors of the file under common names.
        weights: the same under their own names.
        remedy: what the sentence ends with.
    """
    network = f'{result.arch or "a trunk"} on {result.trunk}' if result.trunk else result.arch
    # by the names in this project, which messages are to have
    report = compare(dict(own.values()), {own[name][0]: found[name] for name in own if name in found}, result.why)
    if not (own.keys() & found.keys()) - set(result.filled):
        looks = looks_like(weights)
        raise ValueError(
            f'none of its {len(weights)} tensors ({listed(weights, SHOWN)}) is one of {network};'
            f' {looks + ", " if looks else ""}read as {result.source.what} ({result.why}): {remedy}'
        )
    if report.mismatched:
        classes = f' with {result.num_classes} classes' if result.num_classes else ''
        raise ValueError(
            f'{len(report.mismatched)} of its tensors contradict {network}{classes}'
            f' ({listed(report.shapes(), SHOWN)}); {remedy}'
        )


def _place(result: Conversion, own: Mapping, found: dict[str, Tensor], before: Mapping[str, str]):
    """Put what was found under its names in the target format."""
    form = result.target
    if form.name == 'mmseg':
        _fold_biases(result, found)
    present = [name for name in own if name in found]
    if form.name == 'project':
        names: dict[str, str | None] = {name: own[name][0] for name in present}
    else:
        rules = inverse(form.rules if form.rules is not None else FLAT if _is_plain_hrnet(own) else ())
        names = {name: rename(name, rules) for name in present}
    placed = {name: there for name in present if (there := names[name]) is not None}
    heads = [name for name in present if not name.startswith('backbone.')]
    # The attention head stands beside the others; of anything else that is left out the rest would make no network.
    lost = [name for name in present if name not in placed and not name.startswith('scale_attn.')]
    if not placed or (form.name != 'timm' and lost):
        raise ValueError(
            f'--to {form.name}: {form.what} has no place for {result.arch or "this trunk"}; choose another format'
            + (
                ', or --to timm for the HRNet trunk alone'
                if form.name != 'timm' and _has(own, 'backbone.transition1')
                else ''
            )
        )
    if form.name != 'project' and heads and result.network['align_corners'] != _is_aligned(form, placed):
        result.notes.append(
            f'the network resizes with align_corners {str(result.network["align_corners"]).lower()}, which the file'
            ' cannot say: set it where the file is used'
        )
    result.weights = {form.wrapper + there: found[name] for name, there in placed.items()}
    result.renamed = [
        (before[name], there) for name, there in placed.items() if name in before and before[name] != there
    ]
    result.filled = [placed[name] for name in result.filled if name in placed]
    result.dropped += [before.get(name, name) for name in present if name not in placed and name in before]


def _is_plain_hrnet(own: Mapping) -> bool:
    """Whether it is one of the networks that HRNet-Semantic-Segmentation and the framework have without a prefix for
    the trunk."""
    modules = {name.partition('.')[0] for name in own}
    return modules in ({'backbone', 'ocr'}, {'backbone', 'last_layer'}) and not _has(own, 'ocr.ocr_distri_head.aspp')


def _fold_biases(result: Conversion, found: dict[str, Tensor]):
    """Biases that the format lacks: one before a norm is the same as a lower running mean, as training's batch mean
    takes it out too."""
    for bias, mean in MMSEG_BIASES:
        if bias in found and mean in found:
            value = found.pop(bias)
            if value.any():
                found[mean] = found[mean] - value
                result.notes.append(
                    f'{bias} became part of {mean}: the format has no bias there; outputs are equal up to rounding'
                )
