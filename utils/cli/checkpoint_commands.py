"""Commands on checkpoint files: `python -m utils.checkpoint show|trim|average`.

    python -m utils.checkpoint show runs/a/best_checkpoint_ep23.pth
    python -m utils.checkpoint trim runs/a/best_checkpoint_ep23.pth street.safetensors --half     to hand on
    python -m utils.checkpoint average runs/a/*.pth --out averaged.pth                            one of several

`trim` keeps the weights that an evaluation uses and what the file says of its network; optimizer, random states, names
of training images and the flags with their paths go. `average` takes the mean of every weight (stochastic weight
averaging, Izmailov et al., UAI 2018, arXiv 1803.05407), of files of one network and best of one training: the mean of
networks that were trained apart is none that works.
"""

from pathlib import Path

import torch

from utils import checkpoint
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.wording import listed
from utils.restore import is_counter
from utils.settings import SETTINGS

SCORE = ('score', 'best_metric')
# what a file says of its network (network.description) and of how good it was
OF_NETWORK = (
    *('arch', 'trunk', 'num_classes', 'class_names', 'network', 'classes', 'mean', 'std', 'value_range', 'n_scales'),
    *('dataset', 'data_yaml', 'test_settings', 'epoch', *SCORE),
)
STATISTICS = ('running_mean', 'running_var')  # of batch norms; their range is wider than that of fp16


def main(argv=None) -> int:
    """Run a command; returns the exit code."""
    return run_program('python -m utils.checkpoint', run, argv)


def run(argv):
    parser = Parser(prog='python -m utils.checkpoint', description='Show, trim and average checkpoint files.')
    commands = parser.add_subparsers(dest='command', required=True, parser_class=Parser)
    show = commands.add_parser('show', help='print what a file holds')
    show.add_argument('file', metavar='FILE')
    trim = commands.add_parser('trim', help='keep the weights that an evaluation uses, to hand a network on')
    trim.add_argument('file', metavar='FILE')
    trim.add_argument('out', metavar='OUT', help='.pth or .safetensors')
    trim.add_argument('--half', action='store_true', help='weights in fp16: half the size, batch statistics stay fp32')
    average = commands.add_parser('average', help='the mean of the weights of several files of one network')
    average.add_argument('files', nargs='+', metavar='FILE')
    average.add_argument('--out', required=True, metavar='OUT', help='.pth or .safetensors')
    for command in (show, trim, average):
        SETTINGS['debug'].add_to(command)
    for command in (trim, average):
        command.add_argument('--overwrite', action='store_true', help='replace OUT if it is there')
    args = parser.parse_args(argv)
    if args.command == 'show':
        print('\n'.join(describe(checkpoint.load(args.file), args.file)))
        return
    if Path(args.out).exists() and not args.overwrite:
        raise ValueError(f'{args.out}: is there already; give another name or --overwrite')
    if args.command == 'trim':
        state = trimmed(checkpoint.load(args.file), args.half)
    else:
        state = averaged([(file, checkpoint.load(file)) for file in args.files])
    checkpoint.save(args.out, state)
    print(f'{args.out}: {Path(args.out).stat().st_size / 1e6:.1f} MB; {weights_line(state["state_dict"])}')


def describe(state: dict, file) -> list[str]:
    """Lines on what a checkpoint holds."""
    lines = [f'{file}: {Path(file).stat().st_size / 1e6:.1f} MB', f'weights: {weights_line(state["state_dict"])}']
    names = state.get('class_names') or ()
    said = {
        'network': state.get('arch') and ' on '.join(filter(None, (state['arch'], state.get('trunk')))),
        'data set': state.get('dataset'),
        'classes': names and f'{len(names)}: {listed(names, 5)}',
        'scales': state.get('n_scales') and ', '.join(map(str, state['n_scales'])),
        'mean': state.get('mean') and ', '.join(map(str, state['mean'])),
        'std': state.get('std') and ', '.join(map(str, state['std'])),
        'epoch': state.get('epoch'),
        'score': state.get('score'),
        'score is': None if state.get('score') is None else state.get('best_metric'),
        'to go on with': ', '.join(name for name in ('optimizer', 'ema', 'rng') if state.get(name)),
    }
    return lines + [f'{name}: {value}' for name, value in said.items() if value not in (None, '', ())]


def weights_line(weights: dict) -> str:
    """'3.9 M values in 300 tensors (float16, float32)'"""
    kinds = sorted({str(value.dtype).removeprefix('torch.') for value in weights.values()})
    return (
        f'{sum(v.numel() for v in weights.values()) / 1e6:.1f} M values in {len(weights)} tensors ({", ".join(kinds)})'
    )


def trimmed(state: dict, half: bool = False) -> dict:
    """The weights that an evaluation of `state` uses, and what it says of its network.

    half: floating weights become fp16, but for the statistics of batch norms. A score of a part of the images
    (--limit_batches) is left out.
    """
    weights = dict(checkpoint.evaluated_weights(state))
    if half:
        weights = {key: value if _is_statistic(key) else _half(value) for key, value in weights.items()}
    is_partial = bool((state.get('args') or {}).get('limit_batches'))
    kept = [key for key in OF_NETWORK if key in state and not (is_partial and key in SCORE)]
    return {**{key: state[key] for key in kept}, 'state_dict': weights}


def _is_statistic(key: str) -> bool:
    return key.rpartition('.')[2] in STATISTICS


def _half(value: torch.Tensor) -> torch.Tensor:
    return value.half() if value.is_floating_point() else value


def averaged(files: list) -> dict:
    """The mean of several checkpoints, [(name of the file, its state)], with the description of the first and no score.

    Of each the weights that an evaluation uses; counters are those of the last. Raises ValueError for files of other
    names or shapes.
    """
    (first_file, first), *others = files
    weights = [checkpoint.evaluated_weights(state) for _, state in files]
    for (file, _), own in zip(others, weights[1:]):
        wrong = set(weights[0].keys() ^ own.keys()) or {
            key for key, value in own.items() if value.shape != weights[0][key].shape
        }
        if wrong:
            raise ValueError(
                f'{file}: is another network than {first_file}, {listed(sorted(wrong), 3)} differ; give checkpoints of'
                ' one network'
            )
    mean = {key: _mean(key, [own[key] for own in weights]) for key in weights[0]}
    return {**{key: value for key, value in trimmed(first).items() if key not in SCORE}, 'state_dict': mean}


def _mean(key: str, values: list) -> torch.Tensor:
    if is_counter(key) or not values[0].is_floating_point():
        return values[-1]
    return torch.stack([value.double() for value in values]).mean(dim=0).to(values[0].dtype)
