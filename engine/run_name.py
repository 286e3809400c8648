"""Run names (`--exp NAME`): a directory below --result_dir that says how a run differs from the defaults.

    logs/cityscapes/ocrnet.HRNet_Mscale/baseline__rmi_loss__lr_0.01/

The names are those of the MIC-DKFZ framework, without its date: the same command has the same directory, so that
`--resume auto` finds it. The flag of HMSA did nothing.
"""

import re
from argparse import Namespace
from hashlib import sha256
from pathlib import Path

from utils import checkpoint
from utils.cli import flags
from utils.files.run_directory import weights_file
from utils.settings import SETTINGS
from utils.settings.setting import NETWORK, NUMBERS, STEPS

LONGEST = 160  # characters of a folder's name, of 255 that file systems take
BESIDE = ('recipe', 'minutes', 'early_stop', 'pretrained')  # flags that other flags or weights follow from
ELSEWHERE = ('dataset', 'arch')  # in the folders above
NAME = re.compile(r'[A-Za-z0-9][\w.-]*', re.ASCII)


def in_named_directory(args: Namespace) -> Namespace:
    """The flags with the directory that --exp stands for, which is what their record holds.

    The network is that of the flags or, where these leave it open, of the checkpoint or plan that they start from.
    Raises ValueError for a NAME that is no name of a folder, and for a checkpoint that cannot be read.
    """
    if not args.exp or args.eval:
        return args
    check_name(args.exp)
    source = args.snapshot or (args.resume if args.resume != 'auto' else None)
    arch = args.arch
    if 'arch' not in args.given and source:
        file = weights_file(source, '--snapshot' if args.snapshot else '--resume')
        arch = flags.adopt_network(args, checkpoint.load(file), lambda line: None).arch
    elif 'arch' not in args.given and args.recipe:
        arch = f'recipe_{Path(args.recipe).stem}'
    base = flags.derived(flags.build_parser().parse_all(['--config', args.config] if args.config else []))
    directory = Path(args.result_dir) / args.dataset / arch / folder(args, base)
    return flags.with_values(args, result_dir=str(directory), exp=None)


def check_name(name: str):
    """Raise ValueError for a NAME of --exp that is no name of a folder."""
    if not NAME.fullmatch(name) or len(name) > LONGEST // 2:
        raise ValueError(
            f'--exp {name!r}: is no name of a folder; give at most {LONGEST // 2} letters, digits, . _ and -, beginning'
            ' with a letter or digit; --result_dir says where it lies'
        )


def folder(args: Namespace, base: Namespace) -> str:
    """'NAME__flag_value__...' of the flags that decide numbers and are not those of `base`, in the order of their
    declarations; a long one ends in a checksum instead.

    base: the flags of a command without any, or with --config alone, whose name then stands for all in it.
    """
    decided = {*SETTINGS.deciding(NETWORK, STEPS, NUMBERS), *BESIDE} - {*ELSEWHERE}
    parts = [args.exp, *([f'config_{Path(args.config).stem}'] if args.config else [])]
    for name in SETTINGS:
        if name in decided and getattr(args, name) != getattr(base, name):
            parts.append(_written(name, getattr(args, name)))
    whole = '__'.join([parts[0], *map(_plain, parts[1:])])
    if len(whole) <= LONGEST:
        return whole
    return f'{whole[: LONGEST - 9]}_{sha256(whole.encode()).hexdigest()[:8]}'


def _written(name: str, value) -> str:
    """A flag as a part of a name: its value, of paths the last part; of a switch the name alone."""
    if SETTINGS[name].is_switch:
        return name if value else f'no_{name}'
    values = value if isinstance(value, (list, tuple)) else [value]
    return '_'.join([name, *(re.split(r'[/\\]', str(item).rstrip('/\\'))[-1] for item in values)])


def _plain(text: str) -> str:
    """Text with the characters alone that every file system takes."""
    return re.sub(r'[^\w.-]+', '_', re.sub(r'[][{}()+]', '', text), flags=re.ASCII)
