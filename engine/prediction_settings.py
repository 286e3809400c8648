"""Settings of a prediction: those that are given, and for the others those that the checkpoints were tested with."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from network.segmentor import Segmentor
from transforms.geometry import resize_height, scale_long_edge
from utils.cli.flags import with_values
from utils.settings import SETTINGS

# Flags of predict.py and the settings that they stand for.
NAMES = {
    'flip': 'do_flip',
    'flip_kind': 'flip_kind',
    'tile': 'crop_eval',
    'overlap': 'crop_overlap',
    'pre_size': 'pre_size',
}
SCALES = ('default_scale', 'multi_scale_inference', 'extra_scales')


def as_tested(args: Namespace, paths: Sequence[str], nets: Sequence[Segmentor], log) -> Namespace:
    """The flags of predict.py with scales, flips, sizes and tiles as the checkpoints were tested, where not given.

    Scales of hierarchical inference are each network's own. Adds `scales`, the sizes of the input whose logits are
    averaged, and `by_height`, whether pre_size is a height. A checkpoint that does not say how it was tested follows.
    Raises ValueError for an ensemble whose members were tested differently.
    """
    shared = [*NAMES.values(), *SCALES, 'crop_val']
    told = [net.trained_on.test_settings if args.test_settings == 'stored' else {} for net in nets]
    found = {path: SETTINGS.without_idle(settings) for path, settings in zip(paths, told) if settings}
    tested = next(iter(found.values()), SETTINGS.defaults())
    for path, settings in found.items():
        other = [name for name in shared if settings[name] != tested[name] and not _is_given(name, args)]
        if other:
            here, first = (SETTINGS[other[0]].words(one[other[0]]) for one in (settings, tested))
            raise ValueError(
                f'--weights {path}: was tested with {" ".join(here)}, {next(iter(found))} with {" ".join(first)}; give'
                ' --test_settings flags, and the scales, flips and sizes of this prediction as flags'
            )
    values = {flag: tested[name] for flag, name in NAMES.items() if not _is_given(name, args)}
    extra = tested['extra_scales'] if tested['multi_scale_inference'] else ()
    changed = {name: tested[name] for name in shared if tested[name] != SETTINGS[name].default}
    words = [
        word for name, value in changed.items() if not _is_given(name, args) for word in SETTINGS[name].words(value)
    ]
    if words:
        log(f'as the weights were tested: {" ".join(words)}; --test_settings flags leaves it out')
    scales = (tested['default_scale'], *extra)
    return with_values(args, **values, scales=scales, by_height=tested['crop_val'] and 'pre_size' in values)


def _is_given(name: str, args: Namespace) -> bool:
    flags = [flag for flag, setting in NAMES.items() if setting == name]
    replaced = name in ('pre_size', 'crop_val') and bool({'pre_size', 'max_side'} & set(args.given))
    replaced = replaced or name == 'flip_kind' and 'flip' in args.given
    return replaced or any(flag in args.given for flag in flags)


def view_of(args: Namespace) -> Callable[[Any], Any] | None:
    """image -> what the network sees of it, where pre_size says that; else None."""
    if not args.pre_size:
        return None
    resize = resize_height if args.by_height else scale_long_edge
    return lambda image: resize(image, None, args.pre_size)[0]
