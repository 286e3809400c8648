"""Commands of ensemble.py: a registry from which its overview, its parsers and its calls follow.

A command is one declaration: its name, its flags and the function that runs it. Those of a benchmark (`eval NAME`,
`submit NAME`) stand in one file of aggregation/benchmarks/, which is found there by itself.
"""

from collections.abc import Callable
from typing import NamedTuple

from aggregation.fusion.names import PUBLISHED_LABELS, PUBLISHED_SCORES
from utils.cli.flags import with_values
from utils.cli.help import asks_for_help
from utils.cli.parser import Parser
from utils.settings import SETTINGS


class Command(NamedTuple):
    """A command of ensemble.py.

    meaning: one line of help. flags(parser) declares its flags. run(args) gives the exit code, None for 0. required:
    the flags that it cannot do without. everyday: those of the first screen of its help, () for all. example: a command
    line, which stands above them.
    """

    meaning: str
    flags: Callable[[Parser], None]
    run: Callable
    required: tuple[str, ...]
    everyday: tuple[str, ...] = ()
    example: str = ''


COMMANDS: dict[str, Command] = {}


def command(
    name: str,
    meaning: str,
    flags: Callable[[Parser], None],
    required: tuple[str, ...] = (),
    everyday: tuple[str, ...] = (),
    example: str = '',
):
    """Register the decorated function as the command `name`, of one or two words; the rest as in Command."""

    def register(run):
        assert name not in COMMANDS, name
        COMMANDS[name] = Command(meaning, flags, run, required, everyday, example)
        return run

    return register


def split_command(argv) -> tuple[str | None, list[str]]:
    """(command, its flags); (None, []) when there is nothing but a call for help. ValueError for no command.

    `--help COMMAND` is `COMMAND --help`.
    """
    if not argv or asks_for_help(argv[:1]):
        return (None, []) if argv[1:2] in ([], ['all']) else split_command([*argv[1:], '--help'])
    for words in (2, 1):
        name = ' '.join(argv[:words])
        if name in COMMANDS:
            return name, argv[words:]
    among = [name for name in COMMANDS if name.startswith(argv[0])] or list(COMMANDS)
    words = ' '.join(word for word in argv[:2] if not asks_for_help([word]))
    raise ValueError(f'there is no command {words!r}, choose one of {", ".join(among)}')


def overview() -> str:
    """The help text: every command in one line, those of one first word together."""
    groups = list(dict.fromkeys(name.split()[0] for name in COMMANDS))
    lines = [
        f'  {name:18} {COMMANDS[name].meaning}'
        for name in sorted(COMMANDS, key=lambda name: groups.index(name.split()[0]))
    ]
    return '\n'.join(['usage: ensemble.py COMMAND ...   (ensemble.py COMMAND --help tells its flags)', '', *lines])


def make_parser(name: str) -> Parser:
    """The parser of one of COMMANDS."""
    command = COMMANDS[name]
    examples = f'for example:\n  python ensemble.py {command.example}\n' if command.example else ''
    parser = Parser(
        prog=f'ensemble.py {name}',
        description=command.meaning,
        everyday=command.everyday,
        examples=examples,
    )
    SETTINGS.add_to(parser, SETTINGS.of_group(''))
    command.flags(parser)
    return parser


def parse(name: str, argv):
    """The flags of the command `name` as a namespace, with the published names translated. Raises ValueError."""
    args = make_parser(name).parse_all(argv)
    for flag in COMMANDS[name].required:
        if not getattr(args, flag):
            raise ValueError(f'ensemble.py {name} needs --{flag}; see ensemble.py {name} --help')
    for published, ours, table in (
        ('label_function', 'fusion', PUBLISHED_LABELS),
        ('score_function', 'score', PUBLISHED_SCORES),
    ):
        given = getattr(args, published, None)
        if given and ours in args.given:
            raise ValueError(f'--{published} {given} and --{ours} {getattr(args, ours)} say the same thing; give one')
        if given:
            args = with_values(args, **{ours: table[given]})
    return args
