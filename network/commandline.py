"""Command line of the programs that build a network: its flags, and a checkpoint that knows them."""

from collections.abc import Mapping

from network.loading import build, fill, trained_on
from network.segmentor import Segmentor
from utils import checkpoint
from utils.cli import flags
from utils.cli.parser import Parser
from utils.files.run_directory import weights_file
from utils.settings import SETTINGS
from utils.settings.setting import NETWORK
from utils.settings.value_types import number

DEFAULT_CLASSES = 19


def make_parser(prog: str, description: str) -> Parser:
    """A parser with the network flags of train.py, the number of classes and --snapshot."""
    parser = Parser(prog=f'python -m {prog}', description=description)
    group = SETTINGS.add_to(parser, SETTINGS.deciding(NETWORK))['network']
    group.add_argument(
        '--num_classes',
        type=number(int, low=1, high=65536),
        metavar='K',
        help=f'classes (default: what --snapshot holds, else {DEFAULT_CLASSES})',
    )
    group.add_argument(
        '--snapshot',
        metavar='FILE|DIR',
        help='checkpoint or run directory to take the network flags and weights from (default: random weights)',
    )
    return parser


def parse(parser: Parser, argv, log) -> tuple:
    """(args, state): the flags, completed from the checkpoint `state`, which is None without --snapshot. Raises
    ValueError."""
    args = parser.parse_all(argv)
    args = flags.with_values(args, snapshot=args.snapshot and weights_file(args.snapshot, '--snapshot'))
    state = checkpoint.load(args.snapshot) if args.snapshot else None
    args = flags.adopt_network(args, state, log)
    classes = args.num_classes or (state or {}).get('num_classes') or DEFAULT_CLASSES
    return flags.with_values(args, num_classes=classes), state


def build_network(args, state: Mapping | None, log) -> Segmentor:
    """The network of the flags in evaluation mode, with the weights of `state`, the checkpoint --snapshot, if there is
    one."""
    net = build(vars(args), args.num_classes).eval()
    if state is None:
        log('no --snapshot was given: these are random weights')
    else:
        log(str(fill(net, state, args.snapshot)))
        net.trained_on = trained_on(state, args.num_classes, args.snapshot)
    return net
