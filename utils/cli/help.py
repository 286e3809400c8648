"""Help of programs: first the flags of every day, then on demand those of a group, a single one, or all.

--help          examples and the everyday flags of a program that has them, of another one all flags
--help GROUP    the flags of a group, by the first word of its title, also without its final s
--help FLAG     one flag; of a flag that is no more, what to use instead
--help all      every flag
"""

import argparse
import textwrap

from utils.cli.mistyped import instead
from utils.cli.wording import did_you_mean, listed

FLAGS = ('-h', '--help')
WIDTH = 79


class Formatter(argparse.HelpFormatter):
    """Appends the default to every help text that has one."""

    def _get_help_string(self, action):
        if action.nargs == 0 or action.default in (None, (), '', argparse.SUPPRESS):
            return action.help
        default = ','.join(map(str, action.default)) if isinstance(action.default, tuple) else action.default
        return f'{action.help} (default: {default})'


class LineFormatter(Formatter, argparse.RawDescriptionHelpFormatter):
    """The same, and keeps the lines of the description."""


class ShowHelp(argparse.Action):
    """Prints the help that its value names, by default the first screen, and ends the program."""

    def __init__(self, option_strings, dest, **options):
        super().__init__(option_strings, argparse.SUPPRESS, nargs='?', default=argparse.SUPPRESS, **options)

    def __call__(self, parser, namespace, topic, option_string=None):
        print(help_text(parser, '' if topic in (None, 'elp') else topic))  # -help is read as -h elp
        parser.exit()


def asks_for_help(argv) -> bool:
    """Whether a command line only wants to be told the flags."""
    return any(word in (*FLAGS, '-help') or word.startswith('--help=') for word in argv)


def help_text(parser, topic: str = '') -> str:
    """The help about `topic` (see above). Raises ValueError for one that there is not."""
    name = topic.strip('-')
    if not name and parser.everyday:
        return first_screen(parser)
    sections = groups_of(parser)
    if name.lower() in ('', 'all'):
        parts = [(group.title, group._group_actions) for group in sections.values()]
        return '\n'.join([*heading(parser), written(parser, parts).rstrip()])
    group = sections.get(name.lower()) or sections.get(f'{name.lower()}s')
    if group:
        return written(parser, [(group.title, group._group_actions)]).rstrip()
    action = parser.named(f'--{name}')
    if action:
        return written(parser, [('', [action])]).rstrip()
    told = instead(name, parser)
    if told:
        return f'{topic}: {told}'
    near = did_you_mean(name, [*sections, *(flag.lstrip('-') for flag in parser.flags())])
    raise ValueError(
        f'--help {topic}: there is no such group or flag; {f"{near} " if near else ""}the groups are'
        f' {listed(sections, 20)}; --help all shows every flag'
    )


def first_screen(parser) -> str:
    """Usage, description, examples, the everyday flags, and the names of the groups."""
    sections = groups_of(parser)
    everyday = [*parser.positionals(), *(parser.named(f'--{name}') for name in parser.everyday)]
    counts = [f'{name} ({len(visible(group._group_actions))})' for name, group in sections.items()]
    rest = textwrap.fill(
        f'--help all shows all {len(parser.flags())} flags, --help FLAG one of them, --help GROUP those of a group:'
        f' {", ".join(counts)}',
        WIDTH,
    )
    shown = written(parser, [('flags of every day', everyday)])
    return '\n'.join([*heading(parser), parser.examples, shown, rest])


def heading(parser) -> list[str]:
    """Usage, with what cannot be left out, and description."""
    words = [
        f'{action.metavar} ...' if action.nargs in ('*', '+') else action.metavar for action in parser.positionals()
    ]
    words += [
        ' '.join((action.option_strings[-1], action.metavar))
        for action in parser._actions
        if action.required and action.option_strings
    ]
    return [
        ' '.join(['usage:', parser.prog, *words, '[--flag value ...]']),
        '',
        textwrap.fill(parser.description or '', WIDTH),
        '',
    ]


def groups_of(parser) -> dict:
    """The groups that hold flags, by the first word of their titles."""
    return {group.title.split()[0]: group for group in parser._action_groups if visible(group._group_actions)}


def visible(actions) -> list:
    """Those that the help does not leave out."""
    return [action for action in actions if action.help != argparse.SUPPRESS]


def written(parser, sections) -> str:
    """Flags as argparse lays them out; sections: pairs of a title and actions."""
    formatter = parser._get_formatter()
    for title, actions in sections:
        formatter.start_section(title or None)
        formatter.add_arguments(actions)
        formatter.end_section()
    return formatter.format_help()
