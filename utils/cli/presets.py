"""Presets of augmentation on the command line: --augment NAME stands for flags, those that are given win."""

from argparse import Namespace
from typing import Any

from utils.settings import SETTINGS
from utils.settings.presets import PRESETS


def of_preset(args: Namespace) -> dict[str, Any]:
    """The flags that the --augment of a command line decides, by name; {} without it.

    What an earlier run took over from its preset is in its record already, and stays.
    """
    if 'augment' not in args.given or args.augment is None:
        return {}
    return {name: value for name, value in PRESETS[args.augment].items() if name not in args.given}


def with_preset(args: Namespace) -> Namespace:
    """The flags with those of --augment that were not given. Raises ValueError for a preset that misses a size."""
    values = of_preset(args)
    if values and args.augment.startswith('resize') and args.resize is None:
        raise ValueError(f'--augment {args.augment} needs --resize H,W, the size that every training image gets')
    return Namespace(**{**vars(args), **values}) if values else args


def preset_line(args: Namespace) -> list[str]:
    """[what --augment stands for, as flags that are not at their defaults]; [] without it."""
    words = [
        ' '.join(SETTINGS[name].words(value))
        for name, value in of_preset(args).items()
        if value != SETTINGS[name].default and value is not None
    ]
    return [f'--augment {args.augment}: {" ".join(words)}'] if words else []
