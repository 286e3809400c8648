"""Flags of an earlier run that a command takes over: `--run DIR`, `--resume DIR` and `--finetune_from DIR|FILE`.

What is given on the command line wins, and what it replaces is said. The flags of a run are those of its hparams.json;
of a directory that has none, those that its checkpoint holds.
"""

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from utils import checkpoint
from utils.cli import run_record
from utils.files.run_directory import checkpoints, no_checkpoint, weights_file
from utils.settings import SETTINGS
from utils.settings.setting import NETWORK, TEST, TRAINING

# What a resumed run does not take over: where it lies, what it was started from, what was done instead of training.
NOT_RESUMED = frozenset(
    'result_dir exp resume run config snapshot finetune_from allow_class_mismatch snapshot_partial restore_optimizer'
    ' restart_epoch lr_find eval eval_folder random_weights summary summary_size dry_run debug fp16 distributed'.split()
)


def adopt(args: Namespace, log: Callable[[str], Any]) -> Namespace:
    """The flags with what --run, --resume DIR and --finetune_from stand for; log: takes a line about it.

    Raises FileNotFoundError and ValueError for a directory or record that cannot be used, and for two of them at once.
    """
    starts = [name for name in ('run', 'resume', 'finetune_from') if getattr(args, name)]
    if args.resume == 'auto' and 'run' not in starts:
        starts.remove('resume')  # it starts from the others where there is nothing to continue
    if len(starts) > 1:
        raise ValueError(f'--{starts[0]} and --{starts[1]} are two ways to use an earlier run; give one')
    if args.run:
        return _tested(args, log)
    if args.finetune_from:
        return _finetuned(args)
    if args.resume not in (None, 'auto') and Path(args.resume).is_dir():
        return _resumed(args, log)
    return args


def _tested(args, log) -> Namespace:
    if not Path(args.run).is_dir():
        raise FileNotFoundError(f'--run {args.run}: is no directory; give the --result_dir of a training')
    source = args.snapshot or weights_file(args.run, '--run')
    names = [*SETTINGS.deciding(NETWORK, TEST), 'assets_path', 'precision']
    names += [name for name in SETTINGS.of_group('data') if SETTINGS[name].read_by != TRAINING]
    taken = _taken(args, f'--run {args.run}', source, names, log)
    result_dir = args.result_dir if 'result_dir' in args.given else args.run
    return Namespace(**{**vars(args), **taken, 'snapshot': source, 'result_dir': result_dir})


def _resumed(args, log) -> Namespace:
    directory, last = args.resume, checkpoints(args.resume, 'last')
    if args.snapshot:
        raise ValueError(
            f'--resume {directory} and --snapshot were both given; --resume continues a run, --snapshot starts a new'
            ' one from weights: give one'
        )
    if args.exp:
        raise ValueError(
            f'--resume {directory} and --exp {args.exp} both say where the run is; give one, or --exp with --resume'
            ' auto and the flags of that run'
        )
    if not last:
        raise FileNotFoundError(no_checkpoint(directory, 'last', '--resume'))
    names = [name for name in SETTINGS if name not in NOT_RESUMED]
    taken = _taken(args, f'--resume {directory}', last[0], names, log)
    is_elsewhere = 'result_dir' in args.given and Path(args.result_dir).resolve() != Path(directory).resolve()
    where = {'resume': str(last[0])} if is_elsewhere else {'resume': 'auto', 'result_dir': directory}
    return Namespace(**{**vars(args), **taken, **where})


def _finetuned(args) -> Namespace:
    source = weights_file(args.finetune_from.replace('ASSETS_PATH', args.assets_path), '--finetune_from')
    if args.eval or args.snapshot not in (None, source):  # a record of such a run holds both
        raise ValueError(
            f'--finetune_from starts a training from weights, found --{"eval" if args.eval else "snapshot"} beside it;'
            ' give one, or test a run with --run DIR --eval val'
        )
    return Namespace(**{**vars(args), 'snapshot': source, 'allow_class_mismatch': True})


def _taken(args, what: str, source, names: Iterable[str], log) -> dict[str, Any]:
    """The flags among `names` that the run has and the command line does not give; says both kinds.

    what: the flag and directory, for messages; source: the checkpoint, for a directory without a record.
    """
    directory = Path(what.partition(' ')[2])
    found = _flags_of_run(directory, what, source)
    given = set(args.given) | ({'precision'} if args.fp16 else set())
    before = {name: found[name] for name in names if name in found}
    taken = {name: value for name, value in before.items() if name not in given}
    told = [' '.join(SETTINGS[name].words(value)) for name, value in run_record.given_by(taken).items()]
    log(f'{what}: with the settings of that run{", " if told else ""}{" ".join(told)}')
    for name in sorted(given & before.keys()):
        value = 'fp16' if name == 'precision' and args.fp16 else getattr(args, name)
        if value != before[name]:
            log(f'{" ".join(SETTINGS[name].words(value))}: given here, that run had {_shown(name, before[name])}')
    return taken


def _flags_of_run(directory: Path, what: str, source) -> Mapping[str, Any]:
    """The flags of the run in a directory, by name."""
    path = directory / run_record.NAME
    if path.exists():
        remedy = 'remove it: its checkpoints hold the flags too'
        content, name = run_record.read_json(path, str(path), remedy), str(path)
    else:
        content, name = checkpoint.load(source).get('args'), str(source)
    if not isinstance(content, Mapping):
        raise ValueError(
            f'{what}: {name} does not say the flags of its run; give them beside --snapshot or --resume FILE'
        )
    known = content if path.exists() else {key: value for key, value in content.items() if key != 'given'}
    return run_record.flags_of(known, name)


def _shown(name: str, value) -> str:
    setting = SETTINGS[name]
    if value is None or setting.is_switch:
        return f'it {"on" if value else "off"}' if setting.is_switch else 'none'
    return setting.words(value)[1]
