"""Checkpoints and networks: the network of a checkpoint (`load`), and what a checkpoint says of its network
(`description`)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from network.building import get_net, takes_scales
from network.conversion import convert
from network.input_channels import RGB, for_channels
from network.registry import ARCHS
from network.segmentation import TrainedOn
from network.segmentor import Segmentor, head_keys
from utils import checkpoint
from utils.channels import spread
from utils.classes import Classes
from utils.cli.run_record import read_value
from utils.cli.wording import did_you_mean, listed
from utils.files.run_directory import weights_file
from utils.restore import RestoreReport, restore_weights
from utils.settings import SETTINGS
from utils.settings.setting import NETWORK, TEST

_COUNTS = {3: 'three'}


def load(
    file,
    n_scales: Iterable[float] | None = None,
    device=None,
    classes: Classes | None = None,
    strict_scales: bool = True,
    log: Callable[[str], Any] = lambda line: None,
    test_settings: Mapping[str, Any] | None = None,
) -> Segmentor:
    """The network of a checkpoint, in evaluation mode and channels-last order.

    Args:
        file: a checkpoint of this program, or a published one whose names and shapes tell the network; .pth or
            .safetensors; or a run directory, whose best checkpoint is taken. Averaged weights (--ema) are preferred, as
            in an evaluation.
        n_scales: scales of hierarchical inference, 1.0 among them (default: those that the file holds; (): as it was
            trained).
        device: where the network is to lie (default: the CPU).
        classes: names and colours (default: those that the file holds, else numbers).
        strict_scales: refuse n_scales for a network of one scale; False leaves them out there.
        log: a function of one line, which says how much of the network the file filled.
        test_settings: how `predict` sees images, flags by name, as in {'do_flip': True, 'pre_size': 1024} (default:
            as the file says that they were tested; {}: once, at their own size).

    Raises:
        ValueError: for a file that is damaged, or does not tell its network; scales or classes that do not fit.
        OSError: for a file that is not there.
    """
    file = weights_file(file)
    state = checkpoint.load(file)
    values, num_classes, state = _told(state, file)
    wanted = state.get('n_scales') if n_scales is None else n_scales
    scales = (tuple(wanted) if isinstance(wanted, Iterable) else wanted) or values.get(
        'n_scales'
    )  # of attention to scale, whose head they shape
    if not (strict_scales or takes_scales(values['arch'])):
        scales = None
    try:
        net = build({**values, 'n_scales': scales}, num_classes)
    except ValueError as error:
        raise ValueError(error if n_scales is not None else f'{file}: {error}') from error
    except (AttributeError, IndexError, KeyError, TypeError, OverflowError, RuntimeError) as error:
        raise ValueError(
            f'{file}: describes a network that cannot be built ({type(error).__name__}: {error}); copy it again, or'
            ' describe its weights with python -m network.convert IN OUT --arch NAME'
        ) from error
    log(str(fill(net, state, file)))
    net.trained_on = trained_on(state, num_classes, file)
    if test_settings is not None:
        net.trained_on = replace(net.trained_on, test_settings=_checked(test_settings))
    if classes is not None:
        if len(classes) != num_classes:
            raise ValueError(f'{file}: has {num_classes} classes, `classes` has {len(classes)}; give those of the file')
        net.trained_on = replace(net.trained_on, classes=classes)
    return net.to(device).eval()


def build(values: Mapping[str, Any], num_classes: int, pretrained: str | None = None) -> Segmentor:
    """The network that flags describe: `values` by flag name, all of them or the entry `network` of a checkpoint."""
    return get_net(
        values['arch'],
        num_classes,
        trunk=values.get('trunk'),
        n_scales=values.get('n_scales'),
        align_corners=bool(values.get('align_corners')),
        pretrained=pretrained,
        options=SETTINGS.as_tree(values).get('MODEL', {}),
    )


def fill(net: Segmentor, state: Mapping, source, averaged: bool = True, **allowed) -> RestoreReport:
    """Give `net` the weights of a checkpoint `state` that came from the file `source`.

    averaged: take the averaged weights if it holds any and kept them; allowed: what need not fit, see
    utils.restore.restore_weights, which raises ValueError otherwise.
    """
    weights = checkpoint.evaluated_weights(state) if averaged else state['state_dict']
    weights = for_channels(net, weights, stored_channels(state))
    return restore_weights(
        net, weights, source=source, source_arch=state.get('arch'), head_keys=head_keys(net), **allowed
    )


def description(
    net: Segmentor,
    classes: Classes,
    *,
    dataset: str,
    mean: Iterable[float],
    std: Iterable[float],
    n_scales: Iterable[float] | None = None,
    data_yaml: str | None = None,
    test_settings: Mapping[str, Any] | None = None,
    value_range: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """What a checkpoint says of its network, in plain values, so that the file alone is enough to use it.

    Args:
        net: the network, not wrapped.
        classes: what its channels mean.
        dataset, data_yaml: the name of the dataset it is trained on, and the text of the file that describes it.
        mean, std: of the RGB values in [0, 1] that it is fed.
        n_scales: scales of hierarchical inference, for networks that have them.
        test_settings: the flags that say how its images are tested, by name.
        value_range: the values of image files that became 0 and 255, None for bytes as they are.
    """
    scales = list(n_scales) if n_scales else None
    options = SETTINGS.from_tree({'MODEL': net.options})
    network: dict[str, Any] = {'arch': net.arch, 'trunk': net.trunk_name, 'align_corners': net.align_corners}
    network |= {name: options[name] for name in SETTINGS.deciding(NETWORK) if name in options}
    if scales and net.arch.startswith('attnscale.'):  # they shape its head
        network['n_scales'] = scales
    return {
        'arch': net.arch,
        'trunk': net.trunk_name,
        'num_classes': net.num_classes,
        'class_names': list(classes.names),
        'network': network,
        'classes': classes.as_dict(),
        'mean': list(map(float, mean)),
        'std': list(map(float, std)),
        'n_scales': scales,
        'dataset': dataset,
        'data_yaml': data_yaml,
        'test_settings': dict(test_settings or {}),
        'value_range': value_range and list(map(float, value_range)),
    }


def trained_on(state: Mapping, num_classes: int, source) -> TrainedOn:
    """What a checkpoint says of the classes and images of its network.

    An older file holds the names of the classes at most; its images were normalised as those of ImageNet. Raises
    ValueError naming `source`, the file, when that part of it is damaged.
    """
    names = state.get('class_names')
    if state.get('classes') is not None:
        classes = Classes.from_dict(state['classes'], str(source))
    else:
        classes = Classes.numbered(num_classes)
        if names and len(names) == num_classes:
            classes = replace(classes, names=tuple(names))
    if len(classes) != num_classes:
        raise ValueError(
            f'{source}: describes {len(classes)} classes for a network of {num_classes}; give the right ones with'
            ' network.load(file, classes=...)'
        )
    mean, std = normalisation(state, source)
    tested = test_settings_of(state, source)
    limits = value_range(state, source)
    return TrainedOn(classes, mean, std, state.get('dataset'), state.get('data_yaml'), tested, limits)


def value_range(state: Mapping, source) -> tuple[float, float] | None:
    """The values of image files that became 0 and 255 for the network of a checkpoint, None where they were bytes."""
    return read_value('value_range', state.get('value_range'), str(source))


def stored_channels(state: Mapping) -> int:
    """The channels of the images of a checkpoint, 3 where it does not say."""
    network = state.get('network')
    found = network.get('in_channels') if isinstance(network, Mapping) else None
    return found if isinstance(found, int) else RGB


def normalisation(state: Mapping, source) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) of the values in [0, 1] that the network of a checkpoint was trained on, those of ImageNet where it
    does not say; ValueError naming `source`, the file, for anything but a number for each channel, above 0 for std."""
    default, channels = SETTINGS.cfg_tree()['DATASET'], stored_channels(state)
    try:
        mean, std = (
            tuple(map(float, state.get(key) or spread(default[key.upper()], channels))) for key in ('mean', 'std')
        )
        if not len(mean) == len(std) == channels or min(std) <= 0:
            raise ValueError(f'{mean} and {std}')
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'{source}: its mean and std are not {_COUNTS.get(channels, channels)} numbers each, above 0 for std'
            f' ({error}); write the file again'
        ) from None
    return mean, std


def test_settings_of(state: Mapping, source) -> dict[str, Any]:
    """How the images of a checkpoint were tested, by flag; {} for one of other programs and an older one.

    Raises ValueError, naming `source`, the file, for a value that the flag cannot have.
    """
    found = state.get('test_settings') or {}
    if not isinstance(found, Mapping):
        raise ValueError(f'{source}: its test settings are {found!r:.60}, expected flags by name; copy the file again')
    return {name: read_value(name, found[name], str(source)) for name in SETTINGS.deciding(TEST) if name in found}


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    names = SETTINGS.deciding(TEST)
    for name in settings:
        if name not in names:
            raise ValueError(f'test_settings: holds {name!r}; {did_you_mean(name, names, listed(names))}')
    return {name: read_value(name, value, 'test_settings') for name, value in settings.items()}


def _told(state: dict, source) -> tuple[Mapping, int, dict]:
    """(flags of the network, number of classes, state whose weights have this project's names) of a checkpoint."""
    values, num_classes = state.get('network'), state.get('num_classes')
    if isinstance(values, Mapping) and values.get('arch') in ARCHS.names() and isinstance(num_classes, int):
        return {**values, 'trunk': values.get('trunk') or state.get('trunk')}, num_classes, state
    try:
        found = convert(state, 'project')
        if found.arch is None or found.num_classes is None:
            raise ValueError('holds a trunk alone, expected a segmentation network')
    except ValueError as error:
        raise ValueError(
            f'{source}: does not tell which network it holds: {error}; or describe it once with'
            ' python -m network.convert IN OUT --arch NAME, and load OUT'
        ) from error
    return found.network, found.num_classes, {**state, 'arch': found.arch, 'ema': None, 'state_dict': found.weights}
